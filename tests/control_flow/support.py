"""Two ways to run a graph: compiled, and by the dataflow executor that serves as the oracle."""

from __future__ import annotations

from typing import Any

import pytest

import graphflow as tf
from graphflow.runtime.dataflow import DataflowSession

EXECUTORS = {"dataflow": DataflowSession, "compiled": lambda graph: tf.Session(graph=graph)}
BOTH = pytest.mark.parametrize("executor", list(EXECUTORS))


def session(executor: str, graph: Any = None) -> Any:
    """Runs the default graph or the given one."""
    return EXECUTORS[executor](tf.get_default_graph() if graph is None else graph)
