"""GatherTree: what a beam search found, read back from its last step to its first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import int32
from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, call, const, minimum, position, select
from graphflow.kernel.nodes import Mode
from graphflow.ops.families import Kernelised
from graphflow.ops.sizes import i32

_STEPS = np.array([[[1, 2, 3]], [[4, 5, 6]], [[7, 8, 9]]], np.int32)
_PARENTS = np.array([[[0, 0, 0]], [[0, 1, 1]], [[2, 1, 2]]], np.int32)
_INVALID = "Saw invalid parent id {value}: it is not the number of a beam"


class GatherTree(Kernelised):
    """The beams [time, batch, beam]: step_ids followed back by parent_ids, from step max_sequence_lengths - 1; `end_token` after the first
    one of a beam and past the length."""

    arguments = ("step_ids: T", "parent_ids: T", "max_sequence_lengths: int32", "end_token: T")
    results = ("beams: T",)
    types = {"T": (int32,)}
    differentiable = False
    cases = (
        Case(_STEPS, _PARENTS, i32(3), np.array(10, np.int32)), Case(_STEPS, _PARENTS, i32(2), np.array(10, np.int32)),
        Case(_STEPS, _PARENTS, i32(0), np.array(10, np.int32)), Case(_STEPS, _PARENTS, i32(9), np.array(4, np.int32)),
        Case(_STEPS, _PARENTS * 2, i32(3), np.array(10, np.int32), error=("InvalidArgumentError", "invalid parent id 4")),
    )  # fmt: skip

    def infer(self, step_ids: TensorSpec, parent_ids: TensorSpec, max_sequence_lengths: TensorSpec, end_token: TensorSpec) -> TensorSpec:
        given = ((step_ids, 3, "step_ids"), (parent_ids, 3, "parent_ids"), (max_sequence_lengths, 1, "max_sequence_lengths"),
                 (end_token, 0, "end_token"))  # fmt: skip
        for spec, rank, name in given:
            if spec.dims is not None and len(spec.dims) != rank:
                raise ValueError(f"Shape must be rank {rank} but is rank {len(spec.dims)} ({name})")
        return TensorSpec(step_ids.dtype, merge_dims(step_ids.dims, parent_ids.dims))

    def reference(self, step_ids: Any, parent_ids: Any, max_sequence_lengths: Any, end_token: Any) -> Any:
        beams = np.full_like(step_ids, end_token)
        width = step_ids.shape[2]
        for row, length in enumerate(np.minimum(max_sequence_lengths, len(step_ids))):
            at = np.arange(width)
            for time in range(length - 1, -1, -1):
                if at.size and (at.min() < 0 or at.max() >= width):
                    raise IndexError(_INVALID.format(value=at.max() if at.max() >= width else at.min()))
                beams[time, row] = step_ids[time, row, at]
                at = parent_ids[time, row, at]
            ended = np.cumsum(beams[:length, row] == end_token, 0) > 0
            beams[:length, row][ended] = end_token
        return beams

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (steps, parents, lengths, end), (beams,) = inputs, outputs
        times, batch, width = steps.shape
        with k.loop("row", batch, Mode.PARALLEL) as row:
            last = k.load(end, ())
            length = k.let("length", minimum(k.load(lengths, (row,)), position(times, "i32")))
            with k.loop("beam", width) as beam:
                parent = k.var("parent", position(beam, "i32"))
                with k.loop("back", times) as back:
                    time = times - 1 - back
                    k.store(beams, (time, row, beam), last)
                    with k.when(position(time, "i32") < length):
                        valid = call("le", const(0, "i32"), parent) & (parent < position(width, "i32"))
                        here = as_index(k.let("here", k.check("InvalidArgumentError", _INVALID, valid, parent, parent)), 0, None)
                        k.store(beams, (time, row, beam), k.load(steps, (time, row, here)))
                        k.set(parent, k.load(parents, (time, row, here)))
                ended = k.var("ended", const(False, "bool"))
                with k.loop("time", times) as time:
                    symbol = k.load(beams, (time, row, beam))
                    k.set(ended, ended | call("eq", symbol, last))
                    k.store(beams, (time, row, beam), select(ended, last, symbol))


def gather_tree(step_ids, parent_ids, max_sequence_lengths, end_token, name=None):
    """The beams [time, batch, beam] of a beam search: at each step the symbol and the beam it continues, followed back from the end.

    step_ids, parent_ids: int32 [time, batch, beam]. max_sequence_lengths: int32 [batch]. end_token: what stands after a beam's end.
    InvalidArgumentError: a parent that is no beam.
    """
    return make("GatherTree", step_ids, parent_ids, max_sequence_lengths, end_token, name=name)
