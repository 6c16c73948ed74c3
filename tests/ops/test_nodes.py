"""Public functions build the nodes that TensorFlow 1.15 builds: types, names, inputs and order, see golden/op_nodes.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphflow as tf
from tests.golden.op_nodes import lines
from tests.golden.sections import sections

WANTED = sections((Path(__file__).parent.parent / "golden" / "op_nodes.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def found():
    return sections(lines(tf))


@pytest.mark.parametrize("name", WANTED)
def test_nodes_are_tensorflows(found, name) -> None:
    assert found[name] == WANTED[name]
