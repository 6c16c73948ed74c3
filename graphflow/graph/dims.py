"""The arithmetic of sizes that shape rules share.

Shape rules run on graph construction and at capture: a size is an int, an IndexExpr (known at run time) or None (unknown),
and where a rank is unknown the dims are None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from graphflow.kernel.index import Index, IndexExpr, floordiv, maximum

_taken_for_equal: ContextVar[list[Index] | None] = ContextVar("taken_for_equal", default=None)


@contextmanager
def taken_for_equal() -> Iterator[list[Index]]:
    """Collects, while shape rules run in the block, numbers that are not negative only where all sizes that the rules merged are equal."""
    collected: list[Index] = []
    token = _taken_for_equal.set(collected)
    try:
        yield collected
    finally:
        _taken_for_equal.reset(token)


def known_unequal(a: Index | None, b: Index | None) -> bool:
    """Whether two sizes certainly differ. A run-time size may equal anything that it is not bounded away from."""
    return type(a) is int and type(b) is int and a != b


def shown(dims: Sequence[Index | None] | None) -> str:
    """Sizes as TensorFlow's C++ shape rules print them: [?,3]."""
    return "<unknown>" if dims is None else "[" + ",".join("?" if d is None else str(d) for d in dims) + "]"


def merge_size(a: Index | None, b: Index | None) -> Index | None:
    """What both together say of one size; ValueError if they differ. A number is preferred to a run-time size."""
    if known_unequal(a, b):
        raise ValueError(f"Dimensions must be equal, but are {a} and {b}")
    if a != b and a is not None and b is not None:
        collected = _taken_for_equal.get()
        if collected is not None:
            collected += (a - b, b - a)
    if a is None or (isinstance(a, IndexExpr) and type(b) is int):
        return b
    return a


def merge_dims(a: Sequence[Index | None] | None, b: Sequence[Index | None] | None) -> tuple[Index | None, ...] | None:
    """What both together say of a shape."""
    if a is None or b is None:
        known = b if a is None else a
        return None if known is None else tuple(known)
    if len(a) != len(b):
        raise ValueError(f"Shapes must be equal rank, but are {len(a)} and {len(b)}")
    for axis, (x, y) in enumerate(zip(a, b, strict=True)):
        if known_unequal(x, y):
            text = f"Dimension {axis} in both shapes must be equal, but are {x} and {y}."
            raise ValueError(f"{text} Shapes are {shown(a)} and {shown(b)}.")
    return tuple(merge_size(x, y) for x, y in zip(a, b, strict=True))


def broadcast_size(a: Index | None, b: Index | None) -> Index | None:
    """The size that numpy's broadcasting gives two sizes; ValueError if they do not fit."""
    if type(a) is int and a == 1:
        return b
    if type(b) is int and b == 1:
        return a
    if known_unequal(a, b):
        raise ValueError(f"Dimensions must be equal, but are {a} and {b}")
    if type(a) is int or type(b) is int:  # a size above one must be matched by itself or by one
        return a if type(a) is int else b
    if a is None or b is None:
        return None
    return a if a == b else maximum(a, b)  # either may be 1 in some run, so neither alone is the answer


def broadcast_dims(*shapes: Sequence[Index | None] | None) -> tuple[Index | None, ...] | None:
    """The shape that numpy's broadcasting gives; None where a rank is unknown."""
    result: tuple[Index | None, ...] = ()
    for dims in shapes:
        if dims is None:
            return None
        rank = max(len(result), len(dims))
        a = (1,) * (rank - len(result)) + result
        b = (1,) * (rank - len(dims)) + tuple(dims)
        result = tuple(broadcast_size(x, y) for x, y in zip(a, b, strict=True))
    return result


def product_of(dims: Iterable[Index | None] | None) -> Index | None:
    """The number of elements, None where a size is unknown (unless another is 0)."""
    total: Index | None = 1
    for d in (None,) if dims is None else dims:
        if type(d) is int and d == 0:
            return 0
        total = None if total is None or d is None else total * d
    return total


def window_output(
    size: Index | None, window: Index | None, stride: int, padding: str, dilation: int = 1
) -> Index | None:
    """Positions of a window of `window` elements, `dilation` apart, moved by `stride` along `size` elements."""
    if padding == "SAME":
        return None if size is None else floordiv(size + (stride - 1), stride)
    if size is None or window is None:
        return None
    reach = (window - 1) * dilation + 1
    if type(size) is int and type(reach) is int and size < reach:
        return 0
    return floordiv(size - reach + stride, stride)


def window_padding(size: Index, window: Index, stride: int, padding: str, dilation: int = 1) -> tuple[Index, Index]:
    """Zeros before and after `size` elements under TensorFlow's SAME (the odd one goes after) or VALID padding."""
    if padding == "VALID":
        return 0, 0
    outputs = floordiv(size + (stride - 1), stride)
    total = (outputs - 1) * stride + (window - 1) * dilation + 1 - size
    if type(total) is int:
        total = max(total, 0)
    elif stride > 1:
        total = maximum(total, 0)
    before = floordiv(total, 2)
    return before, total - before
