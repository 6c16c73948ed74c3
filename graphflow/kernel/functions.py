"""The functions of scalar expressions: how many arguments, which type, and what they mean in numpy.

The numpy meaning is what the interpreter computes; the vector code of the same functions is in compiler/llvm/functions.py and math.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _trunc_div(a: Any, b: Any) -> Any:
    if np.issubdtype(np.result_type(a), np.floating):
        return np.divide(a, b)
    q = np.floor_divide(np.abs(a.astype(object)), np.abs(b.astype(object))) * np.sign(a.astype(object)) * np.sign(b.astype(object))
    return q.astype(np.int64).astype(a.dtype) if a.dtype.kind == "i" else np.floor_divide(a, b)


def _erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def _lgamma(x: Any) -> Any:
    def one(v: float) -> float:
        try:
            return math.lgamma(v)
        except ValueError:
            return math.inf

    return np.vectorize(one, otypes=[x.dtype])(x)


# name -> (number of arguments, type rule, numpy meaning). The rule: "same" as the arguments, or a fixed type.
# "div" on integers truncates toward zero and must be guarded by check(); "floordiv"/"floormod" round down.
FUNCTIONS: dict[str, tuple[int, str, Callable[..., Any]]] = {
    "add": (2, "same", np.add), "sub": (2, "same", np.subtract), "mul": (2, "same", np.multiply),
    "div": (2, "same", _trunc_div), "floordiv": (2, "same", np.floor_divide), "floormod": (2, "same", np.mod),
    "rem": (2, "same", np.fmod), "pow": (2, "same", np.power), "atan2": (2, "same", np.arctan2),
    "max": (2, "same", np.maximum), "min": (2, "same", np.minimum),  # NaN travels, as in TensorFlow
    "neg": (1, "same", np.negative), "abs": (1, "same", np.abs), "sign": (1, "same", np.sign),
    "fma": (3, "same", lambda a, b, c: a * b + c),
    "sqrt": (1, "same", np.sqrt), "rsqrt": (1, "same", lambda x: 1 / np.sqrt(x)),
    "exp": (1, "same", np.exp), "expm1": (1, "same", np.expm1), "log": (1, "same", np.log), "log1p": (1, "same", np.log1p),
    "tanh": (1, "same", np.tanh), "sigmoid": (1, "same", lambda x: 0.5 + 0.5 * np.tanh(0.5 * x)),
    "sin": (1, "same", np.sin), "cos": (1, "same", np.cos), "tan": (1, "same", np.tan),
    "asin": (1, "same", np.arcsin), "acos": (1, "same", np.arccos), "atan": (1, "same", np.arctan),
    "sinh": (1, "same", np.sinh), "cosh": (1, "same", np.cosh),
    "asinh": (1, "same", np.arcsinh), "acosh": (1, "same", np.arccosh), "atanh": (1, "same", np.arctanh),
    "erf": (1, "same", _erf), "erfc": (1, "same", lambda x: 1 - _erf(x)), "lgamma": (1, "same", _lgamma),
    "floor": (1, "same", np.floor), "ceil": (1, "same", np.ceil), "rint": (1, "same", np.rint), "trunc": (1, "same", np.trunc),
    "isnan": (1, "bool", np.isnan), "isinf": (1, "bool", np.isinf), "isfinite": (1, "bool", np.isfinite),
    "lt": (2, "bool", np.less), "le": (2, "bool", np.less_equal), "eq": (2, "bool", np.equal), "ne": (2, "bool", np.not_equal),
    "and": (2, "same", np.bitwise_and), "or": (2, "same", np.bitwise_or), "xor": (2, "same", np.bitwise_xor),
    "not": (1, "same", np.invert), "shl": (2, "same", np.left_shift), "shr": (2, "same", np.right_shift),
    "mulhi": (2, "same", lambda a, b: ((a.astype(np.uint64) * b.astype(np.uint64)) >> np.uint64(32)).astype(np.uint32)),
    "bitcast_f32": (1, "f32", lambda x: x.view(np.float32)), "bitcast_u32": (1, "u32", lambda x: x.view(np.uint32)),
    "bitcast_f64": (1, "f64", lambda x: x.view(np.float64)), "bitcast_u64": (1, "u64", lambda x: x.view(np.uint64)),
    "select": (3, "second", np.where),
    "check": (3, "third", lambda condition, shown, value: value),  # value; where condition is false the step fails, showing `shown`
}  # fmt: skip
