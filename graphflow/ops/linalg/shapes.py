"""Shape rules and small steps that the ops of linear algebra share."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import COMPLEX, float32, float64
from graphflow.graph.op import Op, TensorSpec
from graphflow.ops.sizes import Dims, merge, need_rank_at_least

TYPES = (float64, float32, *COMPLEX)


def matrix_dims(x: TensorSpec) -> Dims | None:
    """The sizes of a batch of matrices; None where the rank is unknown."""
    need_rank_at_least(x, 2)
    return x.dims


def square_dims(x: TensorSpec) -> Dims | None:
    """The sizes of a batch of square matrices, what is known of one side known of both."""
    dims = matrix_dims(x)
    if dims is None:
        return None
    side = merge(dims[-2], dims[-1])
    return (*dims[:-2], side, side)


def run(b: Any, kernel: Op, *values: Any) -> Any:
    """The results of a kernel of factor.py or orthogonal.py on program values: complex matrices go in and come out with their parts in
    memory; what is real by nature (a permutation, lengths) stays real."""
    pairs: bool = kernel.pairs  # type: ignore[attr-defined]
    if not pairs:
        return b.apply(kernel, *values)
    rank = len(values[0].shape) + 1
    results = b.apply(kernel, *[b.make("Interleaved", v) for v in values])
    many = results if isinstance(results, tuple) else (results,)
    found = tuple(b.make("Paired", r) if len(r.shape) == rank else r for r in many)
    return found if isinstance(results, tuple) else found[0]


def adjoint_of(b: Any, x: Any) -> Any:
    """The conjugate transpose of program matrices."""
    rank = len(x.shape)
    turned = b.permute(x, [*range(rank - 2), rank - 1, rank - 2])
    return b.make("Conj", turned) if x.dtype.is_complex else turned


def in_order(b: Any, keys: Any, *stacks: Any) -> tuple[Any, ...]:
    """The keys (..., n) in falling order, and the rows of each of `stacks` (..., n, m) in that order."""
    batch = len(keys.shape) - 1
    largest, order = b.make("Largest", keys, k=keys.shape[-1])
    return (largest, *(b.take(rows, order, batch, batch) for rows in stacks))
