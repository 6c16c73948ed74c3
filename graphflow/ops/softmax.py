"""Softmax, its logarithm, and the cross-entropies with logits. All work along the last axis; their public functions move others there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, int32, int64
from graphflow.dtypes import bool as bool_
from graphflow.graph.build import make
from graphflow.graph.dims import broadcast_dims, merge_size, shown
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, call, cast, const, position
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Check
from graphflow.ops.families import Composite, Elementwise
from graphflow.ops.sizes import need_rank, need_rank_at_least

_ROWS = (Case((3, 5)), Case((2, 3, 7)), Case((10,)), Case((0, 4)), Case((4, 33), low=-30, high=30))


def shifted(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """x minus its maximum along the last axis."""
    return x - (np.max(x, -1, keepdims=True) if x.shape[-1] else 0)


def log_softmax_of(x: Any) -> Any:
    """The reference: log(softmax(x)) along the last axis."""
    z = shifted(np.asarray(x))
    return z - np.log(np.sum(np.exp(z), -1, keepdims=True, dtype=z.dtype))


class AlongRows(Composite, abstract=True):
    """Base of Softmax and LogSoftmax."""

    arguments = ("logits: T",)
    types = {"T": FLOATING}
    cases = _ROWS

    def infer(self, logits: TensorSpec) -> TensorSpec:
        need_rank_at_least(logits, 1)
        return TensorSpec(logits.dtype, logits.dims)


class Softmax(AlongRows):
    """exp(x) / sum(exp(x)) along the last axis."""

    results = ("softmax: T",)

    def reference(self, logits: Any) -> Any:
        return np.exp(log_softmax_of(logits))

    def decompose(self, b: Any, logits: Any) -> Any:
        last = len(logits.shape) - 1
        e = b.exp(b.sub(logits, b.reduce("max", logits, (last,), keepdims=True)))
        return b.div(e, b.reduce("add", e, (last,), keepdims=True))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        y = node.outputs[0]
        along = make("Sum", make("Mul", dy, y, name="mul"), -1, keep_dims=True)
        return [make("Mul", make("Sub", dy, along, name="sub"), y, name="mul")]


class LogSoftmax(AlongRows):
    """x - log(sum(exp(x))) along the last axis."""

    results = ("logsoftmax: T",)

    def reference(self, logits: Any) -> Any:
        return log_softmax_of(logits)

    def decompose(self, b: Any, logits: Any) -> Any:
        last = len(logits.shape) - 1
        z = b.sub(logits, b.reduce("max", logits, (last,), keepdims=True))
        return b.sub(z, b.log(b.reduce("add", b.exp(z), (last,), keepdims=True)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        probabilities = make("Exp", node.outputs[0])
        return [make("Sub", dy, make("Mul", make("Sum", dy, -1, keep_dims=True), probabilities, name="mul"), name="sub")]


def _per_row(gradient: Any, rows: Any) -> Any:
    """A number for each row times the rows."""
    return make("Mul", make("ExpandDims", gradient, -1), rows)


class SoftmaxCrossEntropyWithLogits(Composite):
    """loss[i] = -sum(labels[i] * log_softmax(features[i])); backprop is its derivative by the features, softmax(features) - labels."""

    arguments = ("features: T", "labels: T")
    results = ("loss: T", "backprop: T")
    types = {"T": FLOATING}
    partial_gradient = True
    cases = (
        Case((2, 3), np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])), Case((4, 10), (1, 10), low=0, high=1, gradient=False),
        Case((0, 4), (0, 4)), Case((4, 33), (4, 33), low=-30, high=30, gradient=False),
        Case((3, 5), (3, 5), low=0, high=1, gradient=False), Case((2, 3), (2, 4), error=("ValueError", "Dimensions must be equal")),
    )  # fmt: skip

    def infer(self, features: TensorSpec, labels: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        dims = broadcast_dims(features.dims, labels.dims)
        if dims is None:
            dims = (None, None)
        if len(dims) != 2:
            raise ValueError(f"Shape must be broadcasted with rank 2, but is rank {len(dims)}")
        return TensorSpec(features.dtype, dims[:1]), TensorSpec(features.dtype, dims)

    def reference(self, features: Any, labels: Any) -> Any:
        features, labels = np.broadcast_arrays(features, labels)
        log = log_softmax_of(features)
        return -np.sum(labels * log, -1, dtype=features.dtype), np.exp(log) - labels

    def decompose(self, b: Any, features: Any, labels: Any) -> Any:
        z = b.sub(features, b.reduce("max", features, (1,), keepdims=True))
        e = b.exp(z)
        total = b.reduce("add", e, (1,), keepdims=True)
        loss = b.reduce("add", b.mul(labels, b.sub(b.log(total), z)), (1,))
        return loss, b.sub(b.div(e, total), labels)

    def gradient(self, node: Any, dloss: Any, dbackprop: Any = None) -> Sequence[Any]:
        features = node.inputs[0]
        dlabels = None
        dfeatures = None
        if dloss is not None:
            dfeatures = _per_row(dloss, node.outputs[1])
            dlabels = _per_row(dloss, make("Neg", make("LogSoftmax", features)))
        if dbackprop is not None:
            y = make("Softmax", features)
            row, column = make("ExpandDims", dbackprop, 1), make("ExpandDims", y, 2)
            along = make("Squeeze", make("BatchMatMulV2", row, column), squeeze_dims=(1,))
            second = make("Mul", make("Sub", dbackprop, along), y)
            dfeatures = second if dfeatures is None else make("AddV2", dfeatures, second)
            less = make("Neg", dbackprop)
            dlabels = less if dlabels is None else make("AddV2", dlabels, less)
        return [dfeatures, dlabels]


class IsLabel(Elementwise):
    """Whether a class number is an example's label; a label that is no class at all fails the step."""

    core = True
    arguments = ("label: I", "number: I")
    results = ("hit: bool",)
    types = {"I": (int32, int64)}
    differentiable = False
    classes: Index
    cases = (Case(np.array([[2], [0]]), np.array([[0, 1, 2]]), classes=3, dtypes=("int32", "int64")),)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The one run-time check, which tells the number of classes."""
        message = f"Received a label value of {{value}} which is outside the valid range of [0, {self.classes})."
        return (Check("InvalidArgumentError", message),)

    def reference(self, label: Any, number: Any) -> Any:
        for given in np.ravel(label):
            if not 0 <= given < self.classes:  # type: ignore[operator]
                raise ValueError(self.checks[0].message.format(value=given))
        return np.equal(label, number)

    def scalar(self, label: Expr, number: Expr) -> Expr:
        wide = cast(label, "i64")
        valid = call("and", call("le", const(0, "i64"), wide), call("lt", wide, position(self.classes)))
        return call("eq", call("check", valid, wide, label), number)


_LABELS = np.array([2, 0, 4])


class SparseSoftmaxCrossEntropyWithLogits(Composite):
    """loss[i] = -log_softmax(features[i])[labels[i]]; backprop is its derivative by the features."""

    arguments = ("features: T", "labels: Tlabels")
    results = ("loss: T", "backprop: T")
    types = {"T": FLOATING, "Tlabels": (int32, int64)}
    cases = (
        Case((3, 5), _LABELS), Case((0, 4), np.zeros((0,), np.int64)), Case((3, 33), _LABELS.astype(np.int32), low=-30, high=30),
        Case((3, 5), np.array([1, 5, 0]), dtypes=("float32",),
             error=("InvalidArgumentError", "Received a label value of 5 which is outside the valid range of [0, 5)")),
    )  # fmt: skip

    def infer(self, features: TensorSpec, labels: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        need_rank(features, 2)
        need_rank(labels, 1, f"labels must be 1-D, but got shape {shown(labels.dims)}")
        rows = None if labels.dims is None else labels.dims[0]
        if features.dims is None:
            return TensorSpec(features.dtype, (rows,)), TensorSpec(features.dtype, (rows, None))
        rows = merge_size(features.dims[0], rows)
        return TensorSpec(features.dtype, (rows,)), TensorSpec(features.dtype, (rows, features.dims[1]))

    def check_classes(self, classes: Any) -> None:
        """Refuses logits without a class, which TensorFlow does when it runs."""
        if isinstance(classes, int) and not classes:
            raise ValueError("Must have at least one class, but got logits of none")

    def reference(self, features: Any, labels: Any) -> Any:
        classes = features.shape[1]
        for label in labels:
            if not 0 <= label < classes:
                raise ValueError(f"Received a label value of {label} which is outside the valid range of [0, {classes}).")
        log = log_softmax_of(features)
        rows = np.arange(len(labels))
        backprop = np.exp(log)
        backprop[rows, labels] -= 1
        return -log[rows, labels], backprop

    def decompose(self, b: Any, features: Any, labels: Any) -> Any:
        rows, classes = features.shape
        self.check_classes(classes)
        z = b.sub(features, b.reduce("max", features, (1,), keepdims=True))
        e = b.exp(z)
        total = b.reduce("add", e, (1,), keepdims=True)
        hit = b.apply(IsLabel(classes=classes), b.view(labels, (rows, 1)), b.iota((1, classes), 1, labels.dtype))
        chosen = b.reduce("add", b.select(hit, z, 0.0), (1,))
        loss = b.sub(b.log(b.view(total, (rows,))), chosen)
        return loss, b.sub(b.div(e, total), b.cast(hit, features.dtype))

    def gradient(self, node: Any, dloss: Any, dbackprop: Any = None) -> Sequence[Any]:
        message = (
            "Currently there is no way to take the second derivative of sparse_softmax_cross_entropy_with_logits due to the "
            "fused implementation's interaction with tf.gradients()"
        )
        return [_per_row(dloss, make("PreventGradient", node.outputs[1], message=message)), None]


class InTopKV2(Composite):
    """Whether fewer than k predictions of a row are larger than its target's; false where that is not finite."""

    arguments = ("predictions: float32", "targets: T", "k: T")
    results = ("precision: bool",)
    types = {"T": (int32, int64)}
    differentiable = False
    cases = (
        Case((3, 5), np.array([1, 0, 4]), np.array(2)), Case((0, 5), np.zeros((0,), np.int64), np.array(1)),
        Case(np.array([[1, 2, 2], [np.nan, 1, 2], [np.inf, 1, 0]], np.float32), np.array([1, 1, 0]), np.array(1)),
    )  # fmt: skip

    def infer(self, predictions: TensorSpec, targets: TensorSpec, k: TensorSpec) -> TensorSpec:
        need_rank(predictions, 2)
        need_rank(targets, 1)
        rows = merge_size(
            None if predictions.dims is None else predictions.dims[0], None if targets.dims is None else targets.dims[0]
        )
        return TensorSpec(bool_, (rows,))

    def reference(self, predictions: Any, targets: Any, k: Any) -> Any:
        out = []
        for row, t in zip(predictions, targets, strict=True):
            inside = 0 <= t < len(row)
            out.append(bool(inside and np.all(np.isfinite(row)) and np.sum(row > row[t]) < k))
        return np.array(out, bool)

    def decompose(self, b: Any, predictions: Any, targets: Any, k: Any) -> Any:
        rows, classes = predictions.shape
        hit = b.equal(b.view(targets, (rows, 1)), b.iota((1, classes), 1, targets.dtype))
        chosen = b.reduce("add", b.select(hit, predictions, 0.0), (1,), keepdims=True)
        above = b.reduce("add", b.cast(b.greater(predictions, chosen), targets.dtype), (1,))
        usable = b.logical_and(b.reduce("or", hit, (1,)), b.reduce("and", b.make("IsFinite", predictions), (1,)))
        return b.logical_and(usable, b.less(above, k))
