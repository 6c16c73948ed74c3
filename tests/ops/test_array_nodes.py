"""Array, convolution and layer functions build the nodes that TensorFlow 1.15 builds, see golden/array_nodes.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphflow as tf
from tests.golden import array_nodes
from tests.golden.sections import sections

WANTED = sections(Path(array_nodes.__file__).with_suffix(".txt").read_text().splitlines())


@pytest.fixture(scope="module")
def found():
    return sections(array_nodes.lines(tf))


def fits(found: str, wanted: str) -> bool:
    """Whether a shape is TensorFlow's, or says more where TensorFlow's says "?"."""
    if wanted in ("<unknown>", found):
        return True
    sizes, known = found.strip("()").split(","), wanted.strip("()").split(",")
    return len(sizes) == len(known) and all(k in ("?", s) for s, k in zip(sizes, known, strict=True))


@pytest.mark.parametrize("name", WANTED)
def test_nodes_are_tensorflows(found, name) -> None:
    parts = [[line.rpartition(") (") if ") <" not in line else line.rpartition(") ") for line in text[name]] for text in (found, WANTED)]
    assert [p[0] for p in parts[0]] == [p[0] for p in parts[1]]
    for ours, theirs in zip(*parts, strict=True):
        pairs = zip(ours[2].split(" "), theirs[2].split(" "), strict=True)
        assert all(fits(f, w) for f, w in pairs), (ours, theirs)
