"""Connectionist temporal classification (Graves et al. 2006): the loss over all alignments of a label sequence with a longer input.

With blanks between, before and behind them the labels of an example are the states l'[0 .. 2n]. Forward variables alpha[t, u] are kept for
all steps; the backward ones are needed only for the step before, and each step's gradient is ready with them:

    alpha[t, u] = y[t, l'[u]] * (alpha[t-1, u] + alpha[t-1, u-1] + alpha[t-1, u-2] where l'[u] is a label other than l'[u-2])
    p = alpha[T-1, 2n] + alpha[T-1, 2n-1];  loss = -log p
    d loss / d x[t, c] = y[t, c] - (sum of alpha[t, u] * beta[t, u] over l'[u] = c) / p

All in logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float32, float64
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.composite import SparseTensor
from graphflow.graph.dims import merge_size
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, cast, const, maximum, minimum, position, select
from graphflow.kernel.index import Index, ceildiv
from graphflow.kernel.index import maximum as largest
from graphflow.kernel.index import minimum as least
from graphflow.kernel.nodes import Buffer, Mode
from graphflow.ops.families import Kernelised
from graphflow.ops.reshape import expand_dims, transpose
from graphflow.ops.sizes import i32, need_rank

PARTS = 8  # groups of examples with scratch memory of their own
PAD = 2  # states left and right of the real ones, where the probability is 0

_LABELS = np.array([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]])


class CTCLoss(Kernelised):
    """The loss of each example and its gradient for the inputs [time, batch, classes], of which the last class is the blank."""

    arguments = ("inputs: T", "labels_indices: int64", "labels_values: int32", "sequence_length: int32")
    results = ("loss: T", "gradient: T")
    types = {"T": (float32, float64)}
    preprocess_collapse_repeated: bool = False
    ctc_merge_repeated: bool = True
    ignore_longer_outputs_than_inputs: bool = False
    cases = (
        Case((6, 2, 5), _LABELS, i32(0, 3, 3, 1, 2), i32(6, 4), gradient=False),
        Case((6, 2, 5), _LABELS, i32(0, 3, 3, 1, 1), i32(6, 4), preprocess_collapse_repeated=True, gradient=False),
        Case((6, 2, 5), _LABELS, i32(0, 3, 3, 1, 2), i32(5, 0), ctc_merge_repeated=False, ignore_longer_outputs_than_inputs=True,
             gradient=False),
        Case((3, 9, 20), np.stack([np.arange(9), 0 * np.arange(9)], 1), i32(7, 0, 1, 2, 3, 4, 5, 6, 18), i32(3, 3, 1, 3, 3, 3, 3, 3, 2),
             gradient=False),
        Case((4, 1, 4), np.array([[0, 0], [0, 1], [0, 2]]), i32(2, 3, 3), i32(3), gradient=False),
        Case((2, 2, 5), _LABELS, i32(0, 3, 3, 1, 2), i32(2, 2), error=("InvalidArgumentError", "Not enough time")),
        Case((6, 2, 5), _LABELS, i32(0, 3, 3, 1, 2), i32(7, 2), error=("InvalidArgumentError", "sequence_length(0) <= 6")),
    )  # fmt: skip

    def infer(self, inputs: TensorSpec, labels_indices: TensorSpec, labels_values: TensorSpec,
              sequence_length: TensorSpec) -> tuple[TensorSpec, ...]:  # fmt: skip
        for spec, rank in ((inputs, 3), (labels_indices, 2), (labels_values, 1), (sequence_length, 1)):
            need_rank(spec, rank)
        if labels_indices.dims is not None and labels_values.dims is not None:
            merge_size(labels_indices.dims[0], labels_values.dims[0])
        batch = None if inputs.dims is None else inputs.dims[1]
        if sequence_length.dims is not None:
            batch = merge_size(batch, sequence_length.dims[0])
        if isinstance(batch, int) and batch == 0:
            raise InvalidArgumentError(None, None, "batch_size must not be 0")
        dims = None if inputs.dims is None else (inputs.dims[0], batch, inputs.dims[2])
        return TensorSpec(inputs.dtype, (batch,)), TensorSpec(inputs.dtype, dims)

    # -- by numpy: sums over all states with probabilities instead of logarithms, in double precision ------------------------------------

    def reference(self, inputs: Any, labels_indices: Any, labels_values: Any, sequence_length: Any) -> Any:
        steps, batch, classes = inputs.shape
        loss, gradient = np.zeros(batch, inputs.dtype), np.zeros_like(inputs)
        for b in range(batch):
            length = int(sequence_length[b])
            if not 0 <= length <= steps:
                raise ValueError(f"sequence_length({b}) <= {steps}")
            given = labels_values[labels_indices[:, 0] == b].tolist()
            labels = [v for k, v in enumerate(given) if not (self.preprocess_collapse_repeated and k and v == given[k - 1])]
            if not given:
                raise ValueError(f"Labels length is zero in batch {b}")
            if len(given) > length:
                if self.ignore_longer_outputs_than_inputs:
                    continue
                raise ValueError(f"Not enough time for target transition sequence (required: {len(given)}, available: {length})")
            labels = [v for v in labels if v < classes - 1]
            y = np.exp(inputs[:length, b].astype(np.float64))
            y /= y.sum(1, keepdims=True)
            states = np.full(2 * len(labels) + 1, classes - 1)
            states[1::2] = labels
            move = self._moves(states, classes - 1)
            alpha, beta = np.zeros((2, length, len(states)))
            alpha[0, :2] = y[0, states[:2]]
            beta[-1, -2:] = 1
            for t in range(1, length):
                alpha[t] = (alpha[t - 1] @ move) * y[t, states]
            for t in range(length - 2, -1, -1):
                beta[t] = move @ (beta[t + 1] * y[t + 1, states])
            p = (alpha * beta)[0].sum()
            loss[b] = -np.log(p)
            shares = np.zeros((length, classes))
            np.add.at(shares.T, states, (alpha * beta).T)
            gradient[:length, b] = y - (shares / p if p else 0)
        return loss, gradient

    def _moves(self, states: Any, blank: int) -> Any:
        """Which state may follow which: 1 at [from, to]."""
        n = len(states)
        move = np.eye(n) * (1.0 if self.ctc_merge_repeated else (states == blank)) + np.eye(n, k=1)
        for u in range(2, n):
            if states[u] != blank and not (self.ctc_merge_repeated and states[u] == states[u - 2]):
                move[u - 2, u] = 1
        return move

    # -- compiled ------------------------------------------------------------------------------------------------------------------------

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        x, indices, values, lengths = inputs
        loss, gradient = outputs
        steps, batch, _ = x.shape
        first, count = k.scratch("first", "i64", (batch,)), k.scratch("count", "i64", (batch,))
        self._labels(k, indices, values, lengths, x, first, count)
        k.next_phase()
        with k.loop("part", PARTS, Mode.PARALLEL) as part:
            example = _Example(self, k, x, gradient, part, least(values.shape[0], steps))
            with k.loop("turn", ceildiv(batch, PARTS)) as turn:
                b = turn * PARTS + part
                with k.when(call("lt", position(b), position(batch))):
                    example.run(b, loss, first, count, values, lengths)

    def _labels(self, k: Any, indices: Buffer, values: Buffer, lengths: Buffer, x: Buffer, first: Buffer, count: Buffer) -> None:
        """Where each example's labels begin and how many there are; everything that can be wrong is found here."""
        steps, batch, classes = x.shape

        def check(message: str, holds: Expr, shown: Expr, value: Expr) -> Expr:
            return k.let("checked", k.check("InvalidArgumentError", message, holds, shown, value))  # type: ignore[no-any-return]

        with k.loop("b", batch) as b:
            k.store(first, b, const(0, "i64"))
            k.store(count, b, const(0, "i64"))
            length = cast(k.load(lengths, b), "i64")
            inside = call("le", const(0, "i64"), length) & (length <= position(steps))
            check(f"sequence_length({{value}}) <= {steps}", inside, position(b), length)
        previous = k.var("previous", const(0, "i64"))
        ended = k.var("ended", const(0, "i64"))  # whether a null label was seen
        with k.loop("i", values.shape[0]) as i:
            given = k.load(indices, (i, 0))
            inside = call("le", const(0, "i64"), given) & (given < position(batch))
            b = check(f"labels batch index must be between 0 and {batch} but saw: {{value}}", inside, given, select(inside, given, 0))
            check("label SparseTensor is not valid: indices of batch {value} are out of order", previous <= b, b, b)
            k.set(ended, select(call("eq", previous, b), ended, const(0, "i64")))
            label = cast(k.load(values, i), "i64")
            check("All labels must be nonnegative integers, batch: {value}", const(0, "i64") <= label, b, label)
            null = position(classes - 1) <= label
            message = f"Saw a non-null label (index >= num_classes - 1) following a null label, batch: {{value}} num_classes: {classes}"
            check(message, null | call("eq", ended, 0), b, label)
            k.set(ended, select(null, const(1, "i64"), ended))
            at = as_index(b, 0, None)
            with k.when(call("eq", k.load(count, at), 0)):
                k.store(first, at, position(i))
            k.store(count, at, k.load(count, at) + 1)
            k.set(previous, b)
        with k.loop("b", batch) as b:
            need, have = k.load(count, b), cast(k.load(lengths, b), "i64")
            check("Labels length is zero in batch {value}", const(0, "i64") < need, position(b), need)
            if not self.ignore_longer_outputs_than_inputs:
                message = "Not enough time for target transition sequence of batch {value}: it has more labels than time steps. "
                message += "You can turn this error into a warning by using the flag ignore_longer_outputs_than_inputs"
                check(message, need <= have, position(b), need)

    def gradient(self, node: Any, dy: Any, _: Any) -> Sequence[Any]:
        slope = make("PreventGradient", node.outputs[1], message=_SECOND)
        return [expand_dims(dy, -1) * slope, None, None, None]


_SECOND = (
    "Currently there is no way to take the second derivative of ctc_loss due to the fused implementation's interaction with tf.gradients()"
)


class _Example:
    """Code for one example after the other, with the scratch memory of part `part`."""

    def __init__(self, op: CTCLoss, k: Any, x: Buffer, y: Buffer, part: Index, labels: Index) -> None:
        self.op, self.k, self.x, self.y = op, k, x, y
        steps, _, classes = x.shape
        self.kind = x.type
        self.blank = classes - 1
        self.width = 2 * labels + 1 + 2 * PAD
        self._states = k.scratch("states", "i32", (PARTS, self.width))
        self._alpha = k.scratch("alpha", self.kind, (PARTS, steps, self.width))
        self._gamma = k.scratch("gamma", self.kind, (PARTS, 2, self.width))  # beta times y of two steps in turn
        self._passed = k.scratch("passed", self.kind, (PARTS, self.width))  # how probable it is that a state is passed at a step
        self._share = k.scratch("share", self.kind, (PARTS, classes))
        self.part = part
        self.zero = const(float("-inf"), self.kind)  # the logarithm of probability 0

    def run(self, b: Index, loss: Buffer, first: Buffer, count: Buffer, values: Buffer, lengths: Buffer) -> None:
        """The loss and gradient of example b."""
        k, steps = self.k, self.x.shape[0]
        length = k.let("length", cast(k.load(lengths, b), "i64"))
        labels = k.let("labels", k.load(count, b))
        with k.loop("t", steps) as t, k.loop("c", self.x.shape[2], Mode.VECTOR) as c:
            k.store(self.y, (t, b, c), const(0, self.kind))
        k.store(loss, b, const(0, self.kind))
        with k.when(labels <= length):
            end = as_index(length, 0, None)
            states = self._label_states(as_index(k.load(first, b), 0, None), as_index(labels, 0, None), values)
            self._softmax(b, end)
            self._forward(b, end, states)
            chance = k.let("chance", self._chance(length, states))
            k.store(loss, b, -chance)
            self._backward(b, length, end, states, chance)

    def _label_states(self, first: Index, labels: Index, values: Buffer) -> Expr:
        """Writes l' and gives the number of its states."""
        k = self.k
        with k.loop("u", self.width, Mode.VECTOR) as u:
            k.store(self._states, (self.part, u), cast(position(self.blank), "i32"))
        kept = k.var("kept", const(0, "i64"))
        with k.loop("i", labels) as i:
            label = k.let("label", k.load(values, first + i))
            wanted = cast(label, "i64") < position(self.blank)
            if self.op.preprocess_collapse_repeated:
                before = as_index(maximum(position(first + i) - 1, const(0, "i64")), 0, None)
                wanted = wanted & (call("eq", position(i), 0) | call("ne", label, k.load(values, before)))
            wanted = k.let("wanted", wanted)
            with k.when(wanted):
                k.store(self._states, (self.part, PAD + 1 + 2 * as_index(kept, 0, None)), label)
            k.set(kept, select(wanted, kept + 1, kept))
        return k.let("states", kept * 2 + 1)  # type: ignore[no-any-return]

    def _softmax(self, b: Index, end: Index) -> None:
        """y, written where the gradient will be."""
        k, x, classes = self.k, self.x, self.x.shape[2]
        with k.loop("t", end) as t:
            most = k.var("most", self.zero)
            with k.loop("c", classes, Mode.VECTOR) as c:
                k.accumulate(most, "max", k.load(x, (t, b, c)))
            total = k.var("total", const(0, self.kind))
            with k.loop("c", classes, Mode.VECTOR) as c:
                grown = k.let("grown", call("exp", k.load(x, (t, b, c)) - most))
                k.store(self.y, (t, b, c), grown)
                k.accumulate(total, "add", grown)
            with k.loop("c", classes, Mode.VECTOR) as c:
                k.store(self.y, (t, b, c), k.load(self.y, (t, b, c)) / total)

    def _state(self, u: Index) -> Expr:
        return self.k.load(self._states, (self.part, u))  # type: ignore[no-any-return]

    def _log_y(self, t: Index, b: Index, u: Index) -> Expr:
        return call("log", self.k.load(self.y, (t, b, as_index(self._state(u), 0, None))))

    def _steps(self, u: Index, other: Index) -> tuple[Expr, Expr]:
        """Whether state u may stay, and whether `other`, two states away, may be reached from it."""
        label = self._state(u)
        is_blank = call("eq", label, cast(position(self.blank), "i32"))
        if self.op.ctc_merge_repeated:
            return const(True, "bool"), ~(is_blank | call("eq", label, self._state(other)))
        return is_blank, ~is_blank

    def _forward(self, b: Index, end: Index, states: Expr) -> None:
        k, part = self.k, self.part
        with k.loop("t", end) as t:
            with k.loop("side", PAD) as side:
                k.store(self._alpha, (part, t, side), self.zero)
            with k.loop("u", as_index(states, 0, None), Mode.VECTOR) as u:
                at = u + PAD
                before = largest(t - 1, 0)  # of no account at the first step
                stays, jumps = self._steps(at, at - 2)
                stay, move, jump = (k.load(self._alpha, (part, before, at - n)) for n in range(3))
                reached = _log_add(_log_add(select(stays, stay, self.zero), move), select(jumps, jump, self.zero))
                begun = select(position(u) < 2, const(0, self.kind), self.zero)
                k.store(self._alpha, (part, t, at), select(call("eq", position(t), 0), begun, reached) + self._log_y(t, b, at))

    def _chance(self, length: Expr, states: Expr) -> Expr:
        """log p: the sequence ends with its last label or the blank behind it."""
        last = as_index(length - 1, 0, None)
        at = as_index(states, 0, None) + (PAD - 1)
        ends = [self.k.load(self._alpha, (self.part, last, at - n)) for n in range(2)]
        return _log_add(*ends)

    def _backward(self, b: Index, length: Expr, end: Index, states: Expr, chance: Expr) -> None:
        k, part, classes = self.k, self.part, self.x.shape[2]
        count = as_index(states, 0, None)
        with k.loop("back", end) as back:
            t = as_index(length - 1 - position(back), 0, None)
            now, later = back % 2, (back + 1) % 2
            with k.loop("side", PAD) as side:
                k.store(self._gamma, (part, now, count + (PAD + side)), self.zero)
            with k.loop("c", classes, Mode.VECTOR) as c:
                k.store(self._share, (part, c), const(0, self.kind))
            with k.loop("u", count, Mode.VECTOR) as u:
                at = u + PAD
                stays, jumps = self._steps(at, at + 2)
                stay, move, jump = (k.load(self._gamma, (part, later, at + n)) for n in range(3))
                followed = _log_add(_log_add(select(stays, stay, self.zero), move), select(jumps, jump, self.zero))
                ended = select(states - 3 < position(u), const(0, self.kind), self.zero)
                beta = k.let("beta", select(call("eq", position(back), 0), ended, followed))
                k.store(self._gamma, (part, now, at), beta + self._log_y(t, b, at))
                k.store(self._passed, (part, at), call("exp", k.load(self._alpha, (part, t, at)) + beta - chance))
            with k.loop("u", count) as u:  # states of one label, one after the other
                label = as_index(self._state(u + PAD), 0, None)
                k.store(self._share, (part, label), k.load(self._share, (part, label)) + k.load(self._passed, (part, u + PAD)))
            with k.loop("c", classes, Mode.VECTOR) as c:
                y = k.let("y", k.load(self.y, (t, b, c)))
                k.store(self.y, (t, b, c), select(call("eq", chance, self.zero), y, y - k.load(self._share, (part, c))))


def _log_add(a: Expr, b: Expr) -> Expr:
    """log(exp(a) + exp(b))"""
    large, small = maximum(a, b), minimum(a, b)
    return select(call("eq", small, float("-inf")), large, large + call("log1p", call("exp", small - large)))


def ctc_loss(labels, inputs=None, sequence_length=None, preprocess_collapse_repeated=False, ctc_merge_repeated=True,
             ignore_longer_outputs_than_inputs=False, time_major=True, logits=None):  # fmt: skip
    """The negative logarithm of the probability of the label sequences, float [batch].

    labels: an int32 SparseTensor [batch, length], labels below classes - 1. inputs (or logits): float [time, batch, classes], unscaled, or
    [batch, time, classes] if not time_major; the last class is the blank. sequence_length: int32 [batch]. preprocess_collapse_repeated:
    repeated labels count once. ctc_merge_repeated: without it a label that stands twice in a row in the input counts twice.
    ignore_longer_outputs_than_inputs: examples with more labels than steps have loss 0; without it they fail the step.
    """
    if not isinstance(labels, SparseTensor):
        raise TypeError("Expected labels (first argument) to be a SparseTensor")
    if (inputs is None) == (logits is None):
        raise ValueError("Specify either inputs or logits" if inputs is None else "Cannot specify both 'inputs' and 'logits'")
    x = convert_to_tensor(logits if inputs is None else inputs)
    if not time_major:
        x = transpose(x, [1, 0, 2])
    loss, _ = make(
        "CTCLoss", x, labels.indices, labels.values, sequence_length, preprocess_collapse_repeated=preprocess_collapse_repeated,
        ctc_merge_repeated=ctc_merge_repeated, ignore_longer_outputs_than_inputs=ignore_longer_outputs_than_inputs,
    )  # fmt: skip
    return loss
