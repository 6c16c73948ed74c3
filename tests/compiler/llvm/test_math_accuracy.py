"""Vector functions against numpy in higher precision, in units in the last place, over the whole range and at the
edges.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from graphflow.compiler.llvm.builder import FunctionBuilder, module, vector
from graphflow.compiler.llvm.functions import apply
from graphflow.compiler.llvm.target import target
from graphflow.kernel.functions import FUNCTIONS
from tests.compiler.llvm.native import compile_text

Array = np.ndarray[Any, Any]


@cache
def compiled(function: str, type_: str, name: str) -> Any:
    """void f(x, y, out, vectors) over whole vectors, as an engine and a callable."""
    described = target(name)
    llvm_type = "float" if type_ == "f32" else "double"
    lanes = described.lanes(type_)
    wide = vector(llvm_type, lanes)
    b = FunctionBuilder("f", [("ptr", "x"), ("ptr", "y"), ("ptr", "out"), ("i64", "count")], described.attributes)
    x, y, out, count = b.params
    with b.loop("i", b.i64(0), count, b.i64(lanes)) as loop:
        arguments = [b.load(wide, b.element(p, loop.index, llvm_type)) for p in (x, y)[: FUNCTIONS[function][0]]]
        b.store(apply(b, described, function, type_, arguments), b.element(out, loop.index, llvm_type))
    engine = compile_text(module([b]), name)
    return engine, ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(engine.get_function_address("f"))


def evaluate(function: str, x: Array, y: Array | None = None, name: str = "native") -> Array:
    _, call = compiled(function, "f32" if x.dtype == np.float32 else "f64", name)
    count = -(-x.size // 16) * 16
    xs, ys, out = np.zeros(count, x.dtype), np.ones(count, x.dtype), np.zeros(count, x.dtype)
    xs[: x.size] = x
    if y is not None:
        ys[: x.size] = y
    call(xs.ctypes.data, ys.ctypes.data, out.ctypes.data, count)
    return out[: x.size]


def units(got: Array, exact: Array) -> Array:
    """The distance in units in the last place of the exact result; infinite where one is special and the other is not
    the same.
    """
    dtype = got.dtype
    rounded = exact.astype(dtype)
    with np.errstate(all="ignore"):
        spacing = np.abs(np.spacing(rounded)).astype(exact.dtype)
        distance = np.abs(got.astype(exact.dtype) - exact) / spacing
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    distance[~np.isfinite(rounded) | ~np.isfinite(got)] = np.inf
    # one step across the largest number is an overflow, not an error
    edge = np.finfo(dtype).max
    distance[
        (np.abs(got) == np.inf) & (np.abs(rounded) == edge) | (np.abs(rounded) == np.inf) & (np.abs(got) == edge)
    ] = 1
    distance[same] = np.minimum(distance[same], 0.5)
    return distance


def everywhere(dtype: Any, count: int = 200_000) -> Array:
    """Numbers of every exponent and both signs, and the special ones."""
    rng = np.random.default_rng(1)
    info = np.finfo(dtype)
    integer = np.uint32 if dtype == np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(integer).max, count, dtype=integer, endpoint=True)
    common = (rng.standard_normal(count) * np.exp(rng.uniform(-6, 5, count))).astype(dtype)
    special = np.array(
        [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, info.tiny, -info.tiny, info.tiny / 4, info.max, -info.max, 0.5, 2],
        dtype,
    )
    return np.concatenate([bits.view(dtype), common, special])


def scalar(function: Callable[[float], float]) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        def one(v: float) -> float:
            try:
                return function(v)
            except (ValueError, OverflowError):
                return math.inf if function is math.lgamma else math.nan

        return np.array([one(float(v)) for v in x])

    return run


def _sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, np.ones_like(z)) / (1 + z)


LIMITS: dict[str, tuple[float, float]] = {
    "exp": (1.0, 1.0), "expm1": (1.5, 2.0), "log": (1.0, 1.0), "log1p": (1.0, 1.0), "tanh": (2.0, 3.0), "sigmoid": (2.0, 2.0),
    "sin": (1.6, 1.0), "cos": (1.6, 1.0), "tan": (0.51, 3.0), "asin": (0.51, 3.0), "acos": (0.51, 3.0), "atan": (0.51, 2.0),
    "sinh": (0.51, 4.0), "cosh": (0.51, 3.0), "asinh": (0.51, 4.0), "acosh": (0.51, 4.0), "atanh": (0.51, 3.0),
    "sqrt": (0.75, 0.5), "rsqrt": (1.5, 1.5), "floor": (0.5, 0.5), "ceil": (0.5, 0.5), "rint": (0.5, 0.5), "trunc": (0.5, 0.5),
}  # fmt: skip
NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("function", LIMITS)
def test_largest_error(function: str, dtype: Any) -> None:
    x = everywhere(dtype, 60_000 if dtype == np.float64 else 200_000)
    if function in ("sin", "cos", "tan"):
        x = x[~(np.abs(x) > 1e5)]  # numpy's own long double reduction is not exact further out
    wide = np.float64 if dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        exact = correct(function, x.astype(wide))
    errors = units(evaluate(function, x), exact)
    worst = int(np.argmax(errors))
    assert errors[worst] <= LIMITS[function][dtype == np.float64], f"{function}({x[worst]!r}): {errors[worst]} units"


def test_square_roots_of_vectors_are_rounded_correctly() -> None:
    """From an estimate where there is one; below 2^-102 the last correction underflows."""
    x = np.abs(everywhere(np.float32, 400_000))
    x = np.concatenate([x[(x >= 2.0**-102) | (x == 0)], np.arange(1000, dtype=np.float32) ** 2, np.array([-0.0], np.float32)])
    np.testing.assert_array_equal(evaluate("sqrt", x).view(np.uint32), np.sqrt(x).view(np.uint32))


def correct(function: str, x: Array) -> Array:
    if function == "sigmoid":
        return _sigmoid(x)
    if function == "rsqrt":
        return 1 / np.sqrt(x)
    result: Array = getattr(np, NUMPY.get(function, function))(x)
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize(
    ("function", "reference", "limits"), [("erf", math.erf, (1.5, 2.5)), ("erfc", math.erfc, (0.51, 4.0))]
)
def test_error_functions(
    function: str, reference: Callable[[float], float], limits: tuple[float, float], dtype: Any
) -> None:
    x = everywhere(dtype, 15_000)
    errors = units(evaluate(function, x), scalar(reference)(x))
    worst = int(np.argmax(errors))
    assert errors[worst] <= limits[dtype == np.float64], f"{function}({x[worst]!r}): {errors[worst]} units"


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_lgamma(dtype: Any) -> None:
    x = np.concatenate([everywhere(dtype, 5_000), np.linspace(-30.3, 60, 5_000).astype(dtype)])
    exact = scalar(math.lgamma)(x).astype(dtype)
    got = evaluate("lgamma", x)
    close = np.abs(got - exact) <= (2e-6 if dtype == np.float32 else 3e-14) * np.maximum(1, np.abs(exact))
    assert (close | (got == exact) | (np.isnan(got) & np.isnan(exact))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
def test_pow_and_atan2(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    special = np.array(
        [0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 2.5, -1.5, np.inf, -np.inf, np.nan, 1e30, -1e-30], dtype
    )
    x, y = (g.ravel() for g in np.meshgrid(special, special))
    random_x, random_y = np.exp(rng.uniform(-20, 20, 50_000)).astype(dtype), rng.uniform(-6, 6, 50_000).astype(dtype)
    x, y = np.concatenate([x, random_x, random_x]), np.concatenate([y, random_y, np.round(random_y)])
    wide = np.float64 if dtype == np.float32 else np.longdouble
    for function, reference in (("pow", np.power), ("atan2", np.arctan2)):
        with np.errstate(all="ignore"):
            exact = reference(x.astype(wide), y.astype(wide))
        errors = units(evaluate(function, x, y), exact)
        worst = int(np.argmax(errors))
        limit = 0.6 if dtype == np.float32 else 8.0 if function == "pow" else 3.0
        assert errors[worst] <= limit, f"{function}({x[worst]!r}, {y[worst]!r}): {errors[worst]}"
        signs = np.signbit(evaluate(function, x, y)) == np.signbit(exact)
        assert (signs | np.isnan(exact)).all()


@pytest.mark.parametrize("name", ["avx2", "sse2"])
@pytest.mark.parametrize(
    "function",
    ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "sin", "atan", "floor", "ceil", "rint", "trunc", "pow"],
)
def test_narrow_targets_stay_close(function: str, name: str) -> None:
    """Without fused multiply-add the errors are a little larger."""
    for dtype in (np.float32, np.float64):
        x = everywhere(dtype, 20_000)
        if function == "sin":
            x = x[~(np.abs(x) > 1e5)]
        y = np.full_like(x, 1.7)
        wide = np.float64 if dtype == np.float32 else np.longdouble
        with np.errstate(all="ignore"):
            exact = np.power(x.astype(wide), y.astype(wide)) if function == "pow" else correct(function, x.astype(wide))
        errors = units(evaluate(function, x, y, name), exact)
        worst = int(np.argmax(errors))
        assert errors[worst] <= (32 if function == "pow" else 4), f"{function}({x[worst]!r}): {errors[worst]} units"


def test_signs_of_zero_are_kept() -> None:
    for dtype in (np.float32, np.float64):
        zeros = np.array([0.0, -0.0], dtype)
        for function in (
            "expm1",
            "log1p",
            "tanh",
            "sin",
            "tan",
            "asin",
            "atan",
            "sinh",
            "asinh",
            "atanh",
            "erf",
            "sqrt",
            "floor",
            "rint",
            "trunc",
        ):
            np.testing.assert_array_equal(np.signbit(evaluate(function, zeros)), [False, True], err_msg=function)


def test_huge_angles_use_the_exact_reduction() -> None:
    x = np.array([1e6, 2.0**30, 1e22, -1e300, 3.0, np.inf], np.float64)
    for function in ("sin", "cos", "tan"):
        expected = [getattr(math, function)(v) if math.isfinite(v) else math.nan for v in x]
        np.testing.assert_allclose(evaluate(function, x), expected, rtol=1e-13)


def test_huge_angles_in_single_precision() -> None:
    x = np.array([7e4, 1e6, 2.0**30, -1e30, 3.0, np.nan], np.float32)
    for function in ("sin", "cos"):
        expected = getattr(np, function)(x.astype(np.longdouble)).astype(np.float32)
        np.testing.assert_allclose(evaluate(function, x), expected, rtol=1e-6)
