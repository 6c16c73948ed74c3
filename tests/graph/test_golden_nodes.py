"""Programs build the very nodes that TensorFlow 1.15 builds: names, types, inputs, order, shapes, devices, colocation, seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphflow as tf
from tests.golden import front


@pytest.mark.parametrize("name", sorted(front.PROGRAMS))
def test_same_nodes_as_tensorflow(name: str) -> None:
    recorded = (Path(front.__file__).parent / f"front_{name}.txt").read_text().splitlines()
    assert front.facts(tf, front.PROGRAMS[name]) == recorded
