"""tf.debugging.assert_shapes: sizes of several tensors that are given as numbers, or must agree wherever they have the same letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.assertions import assert_rank, assert_rank_at_least, assert_rank_in
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import group
from graphflow.ops.watching import Assert

_LEADING = (Ellipsis, "*")  # any number of dimensions before the others
_ANY = (None, ".")


class _Wanted(NamedTuple):
    """A tensor's sizes, and what they must be. inner: only the last dimensions are given."""

    tensor: Tensor
    sizes: Any
    symbols: tuple[Any, ...]
    inner: bool


def _wanted(tensor: Tensor, given: Any, message: str) -> _Wanted:
    if not hasattr(given, "__iter__") and not hasattr(given, "__getitem__"):
        raise ValueError(
            f"{message}.  Tensor {tensor.name}.  Specified shape must be an iterable.  An iterable has the attribute `__iter__` or "
            f"`__getitem__`.  Received specified shape: {given}"
        )
    symbols = tuple(given)
    for place, symbol in enumerate(symbols):
        if place and symbol in _LEADING:
            raise ValueError(
                f"{message}.  Tensor {tensor.name} specified shape index {place}.  Symbol `...` or `*` for a variable number of "
                "unspecified dimensions is only allowed as the first entry"
            )
    inner = bool(symbols) and symbols[0] in _LEADING
    return _Wanted(tensor, _sizes(tensor), (symbols[1:] if inner else symbols) or (1,), inner)


def _sizes(tensor: Tensor) -> Any:
    """Numbers where they are known, else scalars; a tensor where the rank is unknown. A scalar counts as a vector of one element."""
    whole = shape(tensor)
    if tensor.shape.ndims is None:
        one = make("Sub", 1, make("Minimum", rank(tensor), 1))
        return make("ConcatV2", [whole, make("Fill", make("ExpandDims", one, 0), 1)], 0)
    return [whole[axis] if size is None else size for axis, size in enumerate(tensor.shape.as_list())] or [1]


def _number(size: Any) -> int | None:
    """A size that is given as a number, also as text; None for a letter or a tensor."""
    try:
        return int(size)
    except (ValueError, TypeError):
        return None


def _check_rank(wanted: _Wanted, options: Mapping[str, Any]) -> Operation | None:
    count = len(wanted.symbols)
    if wanted.inner:
        return assert_rank_at_least(wanted.tensor, count, **options) if count > 1 else None
    return assert_rank(wanted.tensor, count, **options) if count > 1 else assert_rank_in(wanted.tensor, [0, 1], **options)


def assert_shapes(shapes, data=None, summarize=None, message=None, name=None):
    """An operation that fails unless the tensors have the given shapes; ValueError at once where it is known that they have not.

    shapes: pairs of a tensor and its shape, or a dict of them: a number for each dimension, a letter where tensors must agree, None or "."
    for any size, and `...` or "*" in front for any number of further dimensions; None: any shape. A scalar counts as a vector of one.
    """
    message = message or ""
    pairs: Sequence[Any] = list(shapes.items() if isinstance(shapes, dict) else shapes)
    with name_scope(name, "assert_shapes", [shapes, data]):
        checked = [_wanted(convert_to_tensor(tensor), given, message) for tensor, given in pairs if given is not None]
        options = {"data": data, "summarize": summarize, "message": message, "name": name}
        ranks = [check for check in (_check_rank(wanted, options) for wanted in checked) if check is not None]
        first: dict[Any, tuple[Any, str]] = {}  # letter -> the size that it stands for, and where it was met
        asserts = []
        for wanted in checked:
            for place, symbol in enumerate(wanted.symbols):
                if symbol in _ANY:
                    continue
                axis = place - len(wanted.symbols) if wanted.inner else place
                number = _number(symbol)
                if number is None and symbol not in first:
                    first[symbol] = wanted.sizes[axis], f"Specified by tensor {wanted.tensor.name} dimension {axis}"
                    continue
                expected, why = first[symbol] if number is None else (number, "Specified explicitly")
                size = wanted.sizes[axis]
                if isinstance(size, int) and isinstance(expected, int):
                    if size != expected:
                        raise ValueError(
                            f"{message}.  {why}.  Tensor {wanted.tensor.name} dimension {axis} must have size {expected}.  "
                            f"Received size {size}, shape {wanted.tensor.shape}"
                        )
                    continue
                shown = [message, why, f"Tensor {wanted.tensor.name} dimension", axis, "must have size", expected, "Received shape: ",
                         shape(wanted.tensor)]  # fmt: skip
                equal = make("Equal", convert_to_tensor(size), convert_to_tensor(expected))
                asserts.append(Assert(equal, shown if data is None else data, summarize=summarize))
        with control_dependencies(ranks):
            return group(*asserts)
