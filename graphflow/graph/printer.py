"""The text form of a graph, one operation a line.

    logits/MatMul: float32[?, 10] = MatMul(x, W/read, transpose_a=False, transpose_b=False)   train.py:41 in build_model
    init = NoOp() after W/Assign, b/Assign   train.py:50
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphflow.dtypes import DType
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor


def tensor_type(tensor: Tensor) -> str:
    """Type and shape: float32[?, 10]; float32[*] where the rank is unknown."""
    if tensor._dims is None:
        return f"{tensor.dtype.name}[*]"
    return f"{tensor.dtype.name}[{', '.join('?' if d is None else str(d) for d in tensor._dims)}]"


def operation_text(op: Operation) -> str:
    """One operation's line."""
    results = ", ".join(map(tensor_type, op.outputs))
    fields = [f"{n}={_value(getattr(op.definition, n))}" for n in op.definition._fields]
    operands = [t.op.name if t.value_index == 0 else t.name for t in op.inputs]
    text = f"{op.name}{': ' + results if results else ''} = {op.type}({', '.join([*operands, *fields])})"
    if op._control_inputs:
        text += " after " + ", ".join(c.name for c in op._control_inputs)
    if op.device:
        text += f" on {op.device}"
    return f"{text}   {op.created_at}".rstrip()


def graph_text(operations: Iterable[Operation]) -> str:
    """All operations in the order of their making."""
    return "\n".join(operation_text(op) for op in sorted(operations, key=lambda op: op._id)) + "\n"


def _value(value: Any) -> str:
    return value.name if isinstance(value, DType) else str(value) if not isinstance(value, str) else repr(value)
