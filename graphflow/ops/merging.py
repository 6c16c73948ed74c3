"""Sorting inside a kernel, by merging ever longer sorted runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import as_index, call, const, minimum, position, select
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Mode


def sort_places(k: KernelBuilder, rows: Index, width: Index, behind: Callable[..., Any], then: Callable[..., None]) -> None:
    """The loops that order the places 0 … width - 1 in each of `rows`.

    behind(row, p, q)   whether what is at place q of the row comes before what is at p; where neither does, the smaller place is first
    then(row, places)   what is done with a row in order; places: i32 [rows, width]
    """
    places, merged = k.scratch("places", "i32", (rows, width)), k.scratch("merged", "i32", (rows, width))
    last = max(width - 1, 0) if isinstance(width, int) else None
    end = position(width)

    def bounded(at: Any) -> Any:
        return as_index(minimum(at, end - 1), 0, last)

    with k.loop("row", rows, Mode.PARALLEL) as row:
        with k.loop("j", width, Mode.VECTOR) as j:
            k.store(places, row * width + j, position(j, "i32"))
        run = k.var("run", const(1, "i64"))
        with k.loop("pass", 63), k.when(run < end):
            left, right = k.var("left", const(0, "i64")), k.var("right", const(0, "i64"))
            middle, stop = k.var("middle", const(0, "i64")), k.var("stop", const(0, "i64"))
            with k.loop("t", width) as t:
                here = position(t)
                fresh = k.let("fresh", call("eq", here, stop))
                k.set(left, select(fresh, here, left))
                k.set(middle, select(fresh, minimum(here + run, end), middle))
                k.set(right, select(fresh, middle, right))
                k.set(stop, select(fresh, minimum(here + run * 2, end), stop))
                p, q = (k.let(n, k.load(places, row * width + bounded(side))) for n, side in (("p", left), ("q", right)))
                first = k.let("first", (left < middle) & ((right >= stop) | ~behind(row, p, q)))
                k.store(merged, row * width + t, select(first, p, q))
                k.set(left, select(first, left + 1, left))
                k.set(right, select(first, right, right + 1))
            with k.loop("j", width, Mode.VECTOR) as j:
                k.store(places, row * width + j, k.load(merged, row * width + j))
            k.set(run, run * 2)
        then(row, places)
