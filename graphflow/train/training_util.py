"""The global step: the variable that counts training steps."""

from __future__ import annotations

from typing import Any

from graphflow import dtypes
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.tensor import Tensor
from graphflow.ops.initializers import zeros_initializer
from graphflow.ops.state import assign_add
from graphflow.ops.variable_scope import get_variable
from graphflow.ops.variables import Variable


def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The number of steps so far, as an int."""
    return int(sess.run(global_step_tensor))


def get_global_step(graph: Graph | None = None) -> Any:
    """The global step of a graph: the one in its collection, else the tensor called `global_step:0`, else None."""
    graph = graph or get_default_graph()
    found = graph.get_collection(GraphKeys.GLOBAL_STEP)
    if len(found) > 1:
        return None
    if found:
        step = found[0]
    else:
        try:
            step = graph.get_tensor_by_name("global_step:0")
        except KeyError:
            return None
    assert_global_step(step)
    return step


def create_global_step(graph: Graph | None = None) -> Variable:
    """A new global step; ValueError if the graph has one."""
    graph = graph or get_default_graph()
    if get_global_step(graph) is not None:
        raise ValueError('"global_step" already exists.')
    with graph.as_default(), graph.name_scope(None):
        return get_variable(
            GraphKeys.GLOBAL_STEP,
            shape=[],
            dtype=dtypes.int64,
            initializer=zeros_initializer(),
            trainable=False,
            collections=[GraphKeys.GLOBAL_VARIABLES, GraphKeys.GLOBAL_STEP],
        )


def get_or_create_global_step(graph: Graph | None = None) -> Any:
    """The global step of a graph, made if it is missing."""
    found = get_global_step(graph)
    return create_global_step(graph) if found is None else found


def assert_global_step(global_step_tensor: Any) -> None:
    """TypeError unless it is a variable or tensor that holds one integer."""
    if not isinstance(global_step_tensor, (Variable, Tensor)):
        raise TypeError(f'Existing "global_step" must be a Variable or Tensor: {global_step_tensor}.')
    if not global_step_tensor.dtype.base_dtype.is_integer:
        raise TypeError(f'Existing "global_step" does not have integer type: {global_step_tensor.dtype}')
    shape = global_step_tensor.get_shape()
    if shape.ndims != 0 and shape.is_fully_defined():
        raise TypeError(f'Existing "global_step" is not scalar: {shape}')


_READ = "global_step_read_op_cache"


def get_or_create_global_step_read(graph: Graph | None = None) -> Tensor | None:
    """A tensor with the global step as it is before the run's updates, made once for each graph; None where there is no global step."""
    graph = graph or get_default_graph()
    found = graph.get_collection(_READ)
    if len(found) > 1:
        raise RuntimeError(f"There are multiple items in collection {_READ}. There should be only one.")
    if found:
        return found[0]  # type: ignore[no-any-return]
    step = get_global_step(graph)
    if step is None:
        return None
    with graph.as_default(), graph.name_scope(step.op.name + "/"):
        # adding 0 makes a copy: what is fetched is the value of that moment, not the variable itself
        read: Tensor = (step.initialized_value() if isinstance(step, Variable) else step) + 0
    graph.add_to_collection(_READ, read)
    return read


def increment_global_step(increment: int, graph: Graph | None = None) -> Tensor:
    """An operation that adds to the global step, after it was read."""
    graph = graph or get_default_graph()
    step = get_global_step(graph)
    if step is None:
        raise ValueError("Global step tensor should be created by tf.train.get_or_create_global_step before calling increment.")
    read = get_or_create_global_step_read(graph)
    with graph.as_default(), graph.name_scope(step.op.name + "/"), graph.control_dependencies([read]):
        return assign_add(step, increment)
