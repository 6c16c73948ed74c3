"""Programs with branches and loops build TensorFlow 1.15's nodes and compute its values and gradients."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.control_flow.support import BOTH, EXECUTORS
from tests.golden import control_flow
from tests.golden.sections import sections

HERE = Path(control_flow.__file__).parent
BY_NAME = pytest.mark.parametrize("name", sorted(control_flow.PROGRAMS))
NODES = sections(gzip.decompress((HERE / "control_flow_nodes.txt.gz").read_bytes()).decode().splitlines())


@BY_NAME
def test_same_nodes_as_tensorflow(name: str) -> None:
    with tf.Graph().as_default() as graph:
        control_flow.PROGRAMS[name](tf)
        assert control_flow.facts(tf, graph) == NODES[name]


@BY_NAME
@BOTH
def test_same_values_and_gradients_as_tensorflow(name: str, executor: str) -> None:
    with np.load(HERE / "control_flow.npz") as recorded:
        wanted = {key: recorded[key] for key in recorded.files if key.startswith(name + "/")}
    found = control_flow.computed(tf, name, EXECUTORS[executor])
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key].dtype == value.dtype, key
        np.testing.assert_allclose(found[key], value, rtol=2e-5, atol=2e-6, err_msg=key)
