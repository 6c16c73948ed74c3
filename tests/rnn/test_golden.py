"""Recurrent nets against what TensorFlow 1.15 built and computed (tests/golden/recurrent.py)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.runtime.dataflow import DataflowSession
from tests.golden import recurrent
from tests.golden.sections import sections

GOLDEN = Path(recurrent.__file__).parent
NODES = sections(gzip.decompress((GOLDEN / "recurrent_nodes.txt.gz").read_bytes()).decode().splitlines())
VALUES = recurrent.read(GOLDEN / "recurrent.npz")


def expected(name: str) -> dict[str, Any]:
    start = name + "/"
    return {key[len(start) :]: value for key, value in VALUES.items() if key.startswith(start)}


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert sorted(found) == sorted(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("name", NODES)
def test_the_graph_is_tensorflows(name: str) -> None:
    _, lines, _ = recurrent.built(tf, name)
    different = [pair for pair in zip(lines, NODES[name], strict=False) if pair[0] != pair[1]]
    assert not different, different[:3]
    assert len(lines) == len(NODES[name])


@pytest.mark.parametrize("name", [*recurrent.STATIC, *recurrent.BLOCKS])
def test_values_and_gradients_are_tensorflows(name: str) -> None:
    graph, _, found = recurrent.built(tf, name)
    compare(recurrent.run(tf, graph, found), expected(name))


@pytest.mark.parametrize("name", recurrent.LOOPS)
def test_compiled_loops_compute_what_tensorflow_computes(name: str) -> None:
    graph, _, found = recurrent.built(tf, name)
    compare(recurrent.run(tf, graph, found), expected(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in recurrent.LOOPS if name not in recurrent.DRAWN])
def test_nets_with_loops_compute_what_tensorflow_computes(name: str) -> None:
    """By the oracle executor, which draws no numbers and runs a graph op by op: the graph means the right thing, whatever compiles it."""
    graph, _, found = recurrent.built(tf, name)
    with graph.as_default():
        session = DataflowSession(graph)
        session.run([tf.assign(v, value) for v, value in recurrent.fixed_variables(tf).items()])
        compare(session.run(found, recurrent.fixed_inputs(graph)), expected(name))
