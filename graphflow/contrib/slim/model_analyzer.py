"""tf.contrib.slim.model_analyzer: the sizes of a graph's results and of variables, added up and printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["analyze_ops", "analyze_vars", "tensor_description"]


def tensor_description(var: Any) -> str:
    """A tensor's or a variable's type and sizes: "(float32_ref 3x3x64)"."""
    return f"({var.dtype.name} {'x'.join(str(size) for size in var.get_shape())})"


def analyze_ops(graph: Any, print_info: bool = False) -> int:
    """The number of elements of all results in a graph; where a size is unknown a result counts as 0. print_info: a line for each op."""
    if print_info:
        _headline("Operations: name -> (type shapes) [size]")
    total = 0
    for op in graph.get_operations():
        size = sum(_elements(t) for t in op.outputs)
        total += size
        if print_info:
            print(op.name, "\t->", ", ".join(tensor_description(t) for t in op.outputs if t.get_shape()), f"[{size}]")
    return total


def analyze_vars(variables: Iterable[Any], print_info: bool = False) -> tuple[int, int]:
    """The number of elements of some variables, and their bytes. print_info: a line for each variable, and the sums."""
    if print_info:
        _headline("Variables: name (type shape) [size]")
    total = total_bytes = 0
    for var in variables:
        size = _elements(var)
        used = size * var.dtype.size
        total, total_bytes = total + size, total_bytes + used
        if print_info:
            print(var.name, tensor_description(var), f"[{size}, bytes: {used}]")
    if print_info:
        print(f"Total size of variables: {total}")
        print(f"Total bytes of variables: {total_bytes}")
    return total, total_bytes


def _headline(text: str) -> None:
    print("---------", text, "---------", sep="\n")


def _elements(value: Any) -> int:
    return value.get_shape().num_elements() or 0
