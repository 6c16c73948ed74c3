"""Size arithmetic shared by the shape rules: sizes are ints, IndexExpr (run-time sizes, in Programs) or None (unknown, in Graphs)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphflow.graph.dims import merge_dims as merge_dims
from graphflow.graph.dims import merge_size as merge  # noqa: F401  # the families' name for it
from graphflow.graph.op import TensorSpec
from graphflow.kernel.index import Index, IndexExpr, product

Size = Index | None
Dims = tuple[Size, ...]


def contents(spec: TensorSpec) -> list[Size] | None:
    """The elements of a size operand, flat; None where nothing is known of them. Single unknown elements are None in the list."""
    return None if spec.value is None else flat(spec.value)


def flat(value: Any) -> list[Any]:
    """The elements of a known size operand as ints and IndexExpr (None where unknown), row-major."""
    return [e if e is None or isinstance(e, IndexExpr) else int(e) for e in np.asarray(value).ravel().tolist()]


def whole_shape(sizes: TensorSpec, rank: int) -> Dims:
    """The shape of that rank which a size operand holds."""
    given = contents(sizes)
    if given is not None and len(given) != rank:
        raise ValueError(f"Shape must be rank {rank} but is rank {len(given)}: there is one size for each dimension")
    return (None,) * rank if given is None else tuple(given)


def i32(*values: int) -> np.ndarray[Any, Any]:
    """An int32 operand of a test case."""
    return np.array(values, np.int32)


def scalar(value: int) -> np.ndarray[Any, Any]:
    """A 0-D int32 operand of a test case."""
    return np.array(value, np.int32)


def total(dims: Iterable[Size]) -> Size:
    """The number of elements, None where unknown (0 where any size is 0)."""
    sizes = list(dims)
    if any(isinstance(s, int) and s == 0 for s in sizes):
        return 0
    return None if any(s is None for s in sizes) else product(s for s in sizes if s is not None)


def lift(function: Callable[..., Any], *sizes: Any) -> Any:
    """`function` of the sizes, None where one of them is unknown."""
    return None if any(s is None for s in sizes) else function(*sizes)


def plus(a: Size, b: Size) -> Size:
    """a + b, None where unknown."""
    return None if a is None or b is None else a + b


def array_of(sizes: Sequence[Size], dtype: Any) -> np.ndarray[Any, Any]:
    """Sizes as contents: a numpy array of `dtype` where all are numbers, else an object array."""
    if all(isinstance(s, int) for s in sizes):
        return np.array(sizes, dtype.as_numpy_dtype)
    out = np.empty(len(sizes), object)
    out[:] = sizes
    return out


def shown(dims: Iterable[Size] | None) -> str:
    """A shape as TensorFlow's error messages show it: [2,?,3]."""
    return "<unknown>" if dims is None else "[" + ",".join("?" if d is None else str(d) for d in dims) + "]"


def need_rank(spec: TensorSpec, rank: int, problem: str = "") -> None:
    """Refuse a tensor of another rank, with TensorFlow's words: those of its shape rule, and of its kernel (`problem`), which speaks where
    the rank is not known before the run."""
    if spec.dims is not None and len(spec.dims) != rank:
        raise ValueError(f"Shape must be rank {rank} but is rank {len(spec.dims)}{': ' if problem else ''}{problem}")


def need_rank_at_least(spec: TensorSpec, rank: int, problem: str = "") -> None:
    """Refuse a tensor of too low a rank, as `need_rank`."""
    if spec.dims is not None and len(spec.dims) < rank:
        raise ValueError(f"Shape must be at least rank {rank} but is rank {len(spec.dims)}{': ' if problem else ''}{problem}")


def need_rank_at_most(spec: TensorSpec, rank: int, problem: str = "") -> None:
    """Refuse a tensor of too high a rank, as `need_rank`."""
    if spec.dims is not None and len(spec.dims) > rank:
        raise ValueError(f"Shape must be at most rank {rank} but is rank {len(spec.dims)}{': ' if problem else ''}{problem}")
