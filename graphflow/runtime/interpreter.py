"""The numpy oracle: a Program run node by node with every op's `reference`. Slow, and independent of everything that compiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.compiler.lower import renamed_op
from graphflow.compiler.program import Program, Source, Value
from graphflow.graph.op import Kind
from graphflow.kernel.index import evaluate
from graphflow.ops.measured import Measured

Array = np.ndarray[Any, Any]


def sizes_of(program: Program, inputs: Mapping[str, Array]) -> dict[str, int]:
    """The value of every symbol, read off the inputs' shapes."""
    return {name: int(inputs[source].shape[axis]) if source else axis for name, (source, axis) in program.symbols.items()}


def contents(known: Array, dtype: Any, sizes: Mapping[str, int]) -> Array:
    """Known contents with their symbolic sizes filled in."""
    if known.dtype != object or dtype.kernel_type is None:
        return known
    filled = [evaluate(e, sizes) for e in known.ravel()]
    return np.array(filled, dtype.as_numpy_dtype).reshape(known.shape)


def interpret(program: Program, inputs: Mapping[str, Array]) -> tuple[list[Array], dict[str, Array]]:
    """Outputs and new values of the variables. `inputs` holds feeds and variables by name."""
    sizes = sizes_of(program, inputs)
    values: dict[int, Array] = {}
    for given in program.inputs:
        if given.source is Source.CONSTANT:
            assert given.data is not None
            values[given.value.id] = contents(given.data, given.value.dtype, sizes)
        else:
            values[given.value.id] = np.asarray(inputs[given.name], given.value.dtype.as_numpy_dtype)

    def read(value: Value) -> Array:
        if value.id not in values and value.known is not None:
            values[value.id] = contents(value.known, value.dtype, sizes)
        return values[value.id]

    for node in _flat(program.nodes):
        op = renamed_op(node.op, sizes)
        arguments = [read(v) for v in node.inputs]
        with np.errstate(all="ignore"):
            results = op.run(*arguments) if op.kind is Kind.HOST else op.reference(*arguments)
        many = results if isinstance(results, tuple) else (results,)
        for value, result in zip(node.outputs, many, strict=True):
            array = np.asarray(result)
            shape = tuple(evaluate(d, sizes) for d in value.shape)
            if array.shape != shape or (value.dtype.kernel_type is not None and array.dtype != value.dtype.as_numpy_dtype):
                raise TypeError(f"{node!r}: the reference gives {array.dtype}{array.shape}, the shape rule says {value!r}")
            values[value.id] = array
        if isinstance(op, Measured):
            sizes[op.symbol] = int(values[node.outputs[0].id])
    return [read(v) for v in program.outputs], {n: read(v) for n, v in program.updates.items()}


def _flat(nodes: Sequence[Any]) -> Sequence[Any]:
    """Nodes, with those of groups in place of the groups."""
    out: list[Any] = []
    for node in nodes:
        out.extend(getattr(node, "nodes", (node,)))
    return out
