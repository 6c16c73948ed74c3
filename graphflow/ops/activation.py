"""Activations of neural networks and the ops that give their gradients: Relu and its relatives, Sigmoid, Tanh, Softplus, Softsign.

`FooGrad(dy, y or x)` is an op of its own, as in TensorFlow, because it works from the value that the forward op kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, REAL, float32
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case
from graphflow.kernel.expr import Expr, call, const, exp, select
from graphflow.ops import complex_arithmetic
from graphflow.ops.broadcast import conjugate, like
from graphflow.ops.families import Elementwise
from graphflow.ops.logic import cast
from graphflow.ops.unary import also_sparse, unary

__all__ = [
    "log_sigmoid", "sigmoid", "tanh",
]  # fmt: skip

# Klambauer et al., "Self-Normalizing Neural Networks": the fixed point's scale, and scale times alpha.
SELU_SCALE = 1.0507009873554804934193349852946
SELU_SCALE_ALPHA = 1.7580993408473768599402175208123

_ANY = (Case((3, 5)), Case(()), Case((0, 3)), Case((65,), low=-9, high=9))
_NAN = Case([np.nan, -np.inf, np.inf, -0.0], dtypes=("float32",), gradient=False)


class Activation(Elementwise, abstract=True):
    """activations = f(features)"""

    arguments = ("features: T",)
    results = ("activations: T",)
    types = {"T": FLOATING}
    cases = _ANY


class ActivationGrad(Elementwise, abstract=True):
    """backprops = gradients * f'(features or outputs)"""

    arguments = ("gradients: T", "features: T")
    results = ("backprops: T",)
    types = {"T": FLOATING}
    cases = (Case((3, 5), (3, 5)), Case((), ()), Case((0, 3), (0, 3)), Case((65,), (65,)))


class Relu(Activation):
    """max(features, 0); NaN stays."""

    types = {"T": REAL}
    cases = (*_ANY, _NAN)

    def reference(self, features: Any) -> Any:
        return np.maximum(features, np.zeros((), np.asarray(features).dtype))

    def scalar(self, features: Expr) -> Expr:
        return select(features < 0, 0, features) if not features.type.startswith("u") else features

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("ReluGrad", dy, node.outputs[0])]


class ReluGrad(ActivationGrad):
    """gradients where features > 0, else 0"""

    types = {"T": REAL}

    def reference(self, gradients: Any, features: Any) -> Any:
        return gradients * np.greater(features, 0).astype(np.asarray(gradients).dtype)

    def scalar(self, gradients: Expr, features: Expr) -> Expr:
        return select(features > 0, gradients, const(0, gradients.type))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return [make("ReluGrad", dz, node.inputs[1]), make("ZerosLike", node.inputs[1])]


class Relu6(Activation):
    """min(max(features, 0), 6); NaN stays."""

    types = {"T": REAL}
    cases = (*_ANY, _NAN)

    def reference(self, features: Any) -> Any:
        return np.clip(features, 0, 6)

    def scalar(self, features: Expr) -> Expr:
        positive = select(features < 0, const(0, features.type), features)
        return select(positive > 6, const(6, features.type), positive)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Relu6Grad", dy, node.outputs[0])]


class Relu6Grad(ActivationGrad):
    """gradients where 0 < features < 6, else 0"""

    types = {"T": REAL}

    def reference(self, gradients: Any, features: Any) -> Any:
        inside = np.logical_and(np.greater(features, 0), np.less(features, 6))
        return gradients * inside.astype(np.asarray(gradients).dtype)

    def scalar(self, gradients: Expr, features: Expr) -> Expr:
        return select(call("and", features > 0, features < 6), gradients, const(0, gradients.type))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return [make("Relu6Grad", dz, node.inputs[1]), make("ZerosLike", node.inputs[1])]


class LeakyRelu(Activation):
    """features where positive, else alpha * features"""

    alpha: float = 0.20000000298023224  # 0.2 as a 32-bit number, which is how the attribute is kept
    cases = (*_ANY, Case((9,), alpha=0.5), _NAN)

    def reference(self, features: Any) -> Any:
        scaled = np.multiply(features, self.alpha, dtype=np.asarray(features).dtype)
        return np.where(np.greater(features, 0), features, scaled)

    def scalar(self, features: Expr) -> Expr:
        return select(features > 0, features, features * self.alpha)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("LeakyReluGrad", dy, node.inputs[0], alpha=self.alpha)]


class LeakyReluGrad(ActivationGrad):
    """gradients where features > 0, else alpha * gradients"""

    alpha: float = 0.20000000298023224

    def reference(self, gradients: Any, features: Any) -> Any:
        scaled = np.multiply(gradients, self.alpha, dtype=np.asarray(gradients).dtype)
        return np.where(np.greater(features, 0), gradients, scaled)

    def scalar(self, gradients: Expr, features: Expr) -> Expr:
        return select(features > 0, gradients, gradients * self.alpha)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        features = node.inputs[1]
        return [make("LeakyReluGrad", dz, features, alpha=self.alpha), make("ZerosLike", features)]


class Elu(Activation):
    """features where positive, else exp(features) - 1"""

    cases = (*_ANY, _NAN)

    def reference(self, features: Any) -> Any:
        return np.where(np.less(features, 0), np.expm1(np.minimum(features, 0)), features)

    def scalar(self, features: Expr) -> Expr:
        return select(features < 0, exp(features) - 1, features)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("EluGrad", dy, node.outputs[0])]


class EluGrad(ActivationGrad):
    """gradients * (outputs + 1) where outputs < 0, else gradients"""

    arguments = ("gradients: T", "outputs: T")

    def reference(self, gradients: Any, outputs: Any) -> Any:
        return gradients * np.minimum(np.add(outputs, 1, dtype=np.asarray(outputs).dtype), 1)

    def scalar(self, gradients: Expr, outputs: Expr) -> Expr:
        return select(outputs < 0, gradients * (outputs + 1), gradients)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        dy, y = node.inputs
        through = make("Select", make("Less", y, 0), make("Mul", dz, dy), make("ZerosLike", y))
        return [make("EluGrad", dz, y), through]


class Selu(Activation):
    """scale * features where positive, else scale * alpha * (exp(features) - 1)"""

    cases = (*_ANY, _NAN)

    def reference(self, features: Any) -> Any:
        x = np.asarray(features)
        below = SELU_SCALE_ALPHA * np.expm1(np.minimum(x, 0))
        return np.where(np.less(x, 0), below, SELU_SCALE * x).astype(x.dtype)

    def scalar(self, features: Expr) -> Expr:
        return select(features < 0, SELU_SCALE_ALPHA * (exp(features) - 1), SELU_SCALE * features)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SeluGrad", dy, node.outputs[0])]


class SeluGrad(ActivationGrad):
    """gradients * (outputs + scale * alpha) where outputs < 0, else gradients * scale"""

    arguments = ("gradients: T", "outputs: T")

    def reference(self, gradients: Any, outputs: Any) -> Any:
        y = np.asarray(outputs)
        return (gradients * np.where(np.less(y, 0), y + SELU_SCALE_ALPHA, SELU_SCALE)).astype(y.dtype)

    def scalar(self, gradients: Expr, outputs: Expr) -> Expr:
        return select(outputs < 0, gradients * (outputs + SELU_SCALE_ALPHA), gradients * SELU_SCALE)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        dy, y = node.inputs
        through = make("Select", make("Less", y, 0), make("Mul", dz, dy), make("ZerosLike", y))
        return [make("SeluGrad", dz, y), through]


class Softplus(Activation):
    """log(exp(features) + 1)"""

    cases = (*_ANY, Case([-200.0, -15.0, 15.0, 200.0]), _NAN)

    def reference(self, features: Any) -> Any:
        return np.logaddexp(features, np.zeros((), np.asarray(features).dtype))

    def scalar(self, features: Expr) -> Expr:
        # Beyond +-threshold the formula has lost all digits of one term; exp would overflow long after that.
        threshold = {"f16": 4.93, "f32": 13.94, "f64": 34.04}[features.type]
        grown = exp(features)
        inner = select(features < -threshold, grown, call("log1p", grown))
        return select(features > threshold, features, inner)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Mul", dy, make("Sigmoid", node.inputs[0]), name="mul")]


class SoftplusGrad(ActivationGrad):
    """gradients / (1 + exp(-features))"""

    def reference(self, gradients: Any, features: Any) -> Any:
        return gradients * np.exp(-np.logaddexp(np.zeros((), np.asarray(features).dtype), -np.asarray(features)))

    def scalar(self, gradients: Expr, features: Expr) -> Expr:
        return gradients * call("sigmoid", features)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        dy, x = node.inputs
        spread = make("AddV2", make("AddV2", make("Exp", make("Neg", x)), 2), make("Exp", x))
        return [make("SoftplusGrad", dz, x), make("RealDiv", make("Mul", dz, dy), spread)]


class Softsign(Activation):
    """features / (1 + |features|)"""

    def reference(self, features: Any) -> Any:
        return np.divide(features, np.add(np.abs(features), 1, dtype=np.asarray(features).dtype))

    def scalar(self, features: Expr) -> Expr:
        return features / (1 + call("abs", features))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SoftsignGrad", dy, node.inputs[0])]


class SoftsignGrad(ActivationGrad):
    """gradients / (1 + |features|)^2"""

    def reference(self, gradients: Any, features: Any) -> Any:
        return gradients / np.square(np.add(np.abs(features), 1, dtype=np.asarray(features).dtype))

    def scalar(self, gradients: Expr, features: Expr) -> Expr:
        spread = 1 + call("abs", features)
        return gradients / (spread * spread)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        dy, x = node.inputs
        spread = make("AddV2", like(x, 1), make("Abs", x))
        cubed = make("Mul", spread, make("Square", spread))
        bend = make("RealDiv", make("Mul", make("Mul", make("Mul", dz, dy), -2), make("Sign", x)), cubed)
        return [make("SoftsignGrad", dz, x), bend]


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))"""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": (*FLOATING, *COMPLEX)}
    cases = (*_ANY, Case((64,), low=-80, high=80), _NAN)

    def reference(self, x: Any) -> Any:
        return np.multiply(np.tanh(np.multiply(x, 0.5, dtype=np.asarray(x).dtype)) + 1, 0.5, dtype=np.asarray(x).dtype)

    def scalar(self, x: Expr) -> Expr:
        return call("sigmoid", x)

    def on_parts(self, b: Any, x: Any) -> Any:
        return complex_arithmetic.logistic(b, x)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SigmoidGrad", conjugate(node.outputs[0]), dy)]


class SigmoidGrad(Elementwise):
    """dy * y * (1 - y)"""

    arguments = ("y: T", "dy: T")
    results = ("z: T",)
    types = {"T": (*FLOATING, *COMPLEX)}
    cases = ActivationGrad.cases

    def reference(self, y: Any, dy: Any) -> Any:
        return dy * (y - np.square(y))

    def scalar(self, y: Expr, dy: Expr) -> Expr:
        return dy * y * (1 - y)

    def on_parts(self, b: Any, y: Any, dy: Any) -> Any:
        return b.mul(dy, b.sub(y, b.square(y)))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        y, dy = (conjugate(t) for t in node.inputs)
        gb = make("Mul", dz, dy)
        return [make("Sub", gb, make("Mul", make("Mul", gb, 2), y)), make("SigmoidGrad", y, dz)]


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": (*FLOATING, *COMPLEX)}
    cases = (*_ANY, Case([1e-6, -30.0, 30.0], gradient=False), _NAN)

    def reference(self, x: Any) -> Any:
        return np.tanh(x)

    def scalar(self, x: Expr) -> Expr:
        return call("tanh", x)

    def on_parts(self, b: Any, x: Any) -> Any:
        return complex_arithmetic.hyperbolic_tangent(b, x)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("TanhGrad", conjugate(node.outputs[0]), dy)]


class TanhGrad(Elementwise):
    """dy * (1 - y * y)"""

    arguments = ("y: T", "dy: T")
    results = ("z: T",)
    types = {"T": (*FLOATING, *COMPLEX)}
    cases = ActivationGrad.cases

    def reference(self, y: Any, dy: Any) -> Any:
        return dy - dy * np.square(y)

    def scalar(self, y: Expr, dy: Expr) -> Expr:
        return dy * (1 - y * y)

    def on_parts(self, b: Any, y: Any, dy: Any) -> Any:
        return b.sub(dy, b.mul(dy, b.square(y)))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        y, dy = (conjugate(t) for t in node.inputs)
        return [make("Mul", make("Mul", make("Mul", dz, -2), dy), y), make("TanhGrad", y, dz)]


sigmoid = unary("Sigmoid", "sigmoid", "1 / (1 + exp(-x))")
tanh = also_sparse(unary("Tanh", "tanh", "The hyperbolic tangent of x."))


def _on_features(op: str, name: str, doc: str) -> Callable[..., Any]:
    def function(features, name=None):
        return make(op, features, name=name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


relu = _on_features("Relu", "relu", "max(features, 0)")
relu6 = _on_features("Relu6", "relu6", "min(max(features, 0), 6)")
elu = _on_features("Elu", "elu", "features where positive, else exp(features) - 1")
selu = _on_features("Selu", "selu", "The self-normalising activation: an elu, scaled.")
softplus = _on_features("Softplus", "softplus", "log(exp(features) + 1)")
softsign = _on_features("Softsign", "softsign", "features / (1 + |features|)")


def leaky_relu(features, alpha=0.2, name=None):
    """features where positive, else alpha * features."""
    with name_scope(name, "LeakyRelu", [features, alpha]) as scope:
        features = convert(features, name="features")
        if features.dtype.is_integer:
            features = cast(features, float32)
        return make("LeakyRelu", features, alpha=float(np.float32(alpha)), name=scope)


def crelu(features, name=None, axis=-1):
    """relu of features and of -features, side by side along `axis`."""
    with name_scope(name, "CRelu", [features]) as scope:
        features = convert(features, name="features")
        both = make("ConcatV2", [features, make("Neg", features)], axis, name=scope)
        return make("Relu", both)


def log_sigmoid(x, name=None):
    """log(sigmoid(x)), exact for large negative x."""
    with name_scope(name, "LogSigmoid", [x]) as scope:
        x = convert(x, name="x")
        return make("Neg", make("Softplus", make("Neg", x)), name=scope)
