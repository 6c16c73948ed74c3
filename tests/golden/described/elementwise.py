"""Elementwise ops: one element of the result from one element of each input."""

from __future__ import annotations

from tests.golden.describe import FLOATS, INTEGERS, Family, awkward, of, some, typed

exact = Family()
few = Family(ulps=4)
rough = Family(ulps=64, of_largest=True)  # functions with cancellation inside, and powers of large exponents

SHAPES = ((), (0,), (1,), (17,), (3, 5), (2, 0, 3), (2, 1, 3, 2))
PAIRS = (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (5,)), ((2, 1, 3), (4, 1)), ((0,), (1,)), ((0, 3), (3,)), ((1, 1), ()))

for name in ("Abs", "Neg", "Sign", "Square", "Ceil", "Floor", "Rint", "Round", "IsFinite", "IsInf", "IsNan"):
    ulps = 1 if name in ("Neg", "Round") else 0  # whose zeros have one sign in TensorFlow's vector code and another in its scalar code
    exact(name, x=awkward(), ulps=ulps)
    exact(name, x=of([1e-40, -1e-40, 1e-310]), dtypes=FLOATS, ulps=ulps)
    for shape in SHAPES:
        exact(name, x=some(*shape), ulps=ulps)
for name in ("Sqrt", "Rsqrt", "Inv", "Reciprocal"):
    if name not in ("Sqrt", "Rsqrt"):
        few(name, x=awkward())
    for shape in SHAPES:
        few(name, x=some(*shape, low=0.1, high=9))
for name in ("Sqrt", "Rsqrt"):
    few(name, x=of([0.0, 1.0, 2.5, 1e-7, 20.0, 1e10, 1e-30, float("nan"), -1.0]))
    few(name, x=awkward(), dtypes="float64", gradient=False)
    few(name, x=awkward(), dtypes="float32", differs="TensorFlow's square root of float32 is an approximation: sqrt(inf) is NaN")
for name in ("Exp", "Expm1", "Log", "Log1p", "Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Sigmoid", "Erf", "Erfc"):
    family = rough if name == "Sigmoid" else few  # TensorFlow's is a quotient of polynomials in float32: 3e-5 off at -7, and 0 at -20
    family(name, x=awkward())
    for shape in ((), (0,), (17,), (3, 5)):
        family(name, x=some(*shape))
few("Log", x=some(17, low=0.01, high=2))
few("Log1p", x=some(17, low=-0.9, high=0.1))
for name in ("Acos", "Asin", "Atanh"):
    few(name, x=awkward())
    few(name, x=some(17, low=-1, high=1))
few("Acosh", x=awkward())
few("Acosh", x=some(17, low=1, high=5))
for name in ("Lgamma", "Digamma"):
    rough(name, x=awkward(), ulps=512)
    rough(name, x=some(17), ulps=512)
    rough(name, x=some(3, 5, low=0.1, high=30), ulps=512)

for name in ("Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "LeakyRelu"):
    ulps = 1024 if name == "Softplus" else 4  # TensorFlow takes log(1 + exp(x)), which loses digits of small results
    (rough if name == "Softplus" else few)(name, features=awkward(), ulps=ulps)
    for shape in SHAPES:
        few(name, features=some(*shape), ulps=ulps)
few("LeakyRelu", features=some(9), alpha=0.0)
few("LeakyRelu", features=some(9), alpha=1.5)
few("LeakyRelu", features=some(9), alpha=-0.5)
for name, second in (
    ("EluGrad", "outputs"), ("SeluGrad", "outputs"), ("ReluGrad", "features"), ("Relu6Grad", "features"), ("LeakyReluGrad", "features"),
    ("SoftplusGrad", "features"), ("SoftsignGrad", "features"),
):  # fmt: skip
    for shape in ((), (0,), (17,), (3, 5)):
        few(name, gradients=some(*shape), **{second: some(*shape)})
    few(name, gradients=some(27), dtypes=FLOATS, **{second: awkward()})
for name in ("SigmoidGrad", "TanhGrad", "SqrtGrad", "RsqrtGrad", "InvGrad", "ReciprocalGrad"):
    for shape in ((), (0,), (17,), (3, 5)):
        few(name, y=some(*shape, low=0.2, high=2), dy=some(*shape))

for name in ("Add", "AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference", "MulNoNan"):
    extreme = name in ("Maximum", "Minimum")
    exact(name, x=awkward(-1, 1), y=awkward(1, -1), gradient=False, dtypes=INTEGERS if extreme else None)
    if extreme:
        exact(name, x=awkward(-1, 1), y=of([float("inf"), -float("inf"), 0, 1, -2.5]), dtypes=FLOATS, gradient=False, ulps=1)
        exact(name, x=of([1.0, 2.0]), y=of(float("nan")), dtypes=FLOATS, differs="TensorFlow loses a NaN of the second operand")
    for left, right in PAIRS:
        exact(name, x=some(*left), y=some(*right), ulps=2)
for name in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"):
    exact(name, x=awkward(-1, 1), y=awkward(1, -1))
    for left, right in PAIRS:
        exact(name, x=some(*left), y=some(*right))
for name in ("Div", "RealDiv", "DivNoNan", "Xdivy"):
    few(name, x=awkward(-1, 1), y=awkward(1, -1), dtypes=FLOATS, gradient=False)
    for left, right in PAIRS:
        few(name, x=some(*left), y=some(*right, low=1, high=3))
for name in ("FloorDiv", "FloorMod", "Mod", "TruncateDiv", "TruncateMod"):
    few(name, x=awkward(-1, 1), y=of([0.5, -0.5, 3, -3, 1e10]), dtypes=FLOATS, gradient=False)
    for left, right in PAIRS:
        few(name, x=some(*left), y=some(*right, low=1, high=3))
for name in ("Div", "FloorDiv", "FloorMod", "Mod", "TruncateDiv", "TruncateMod"):
    overflows = "TensorFlow adds the magnitudes before it divides, which overflows" if name == "FloorDiv" else None
    exact(name, x=awkward(-1, 1), y=of([1, 2, 3, 7, 100]), dtypes=INTEGERS, differs=overflows)
    exact(name, x=awkward(-1, 1), y=of([-2, -3, -7, -100]), dtypes=("int32", "int64"), differs=overflows)  # it dies of INT_MIN / -1
exact("DivNoNan", x=of([1, 0, -3]), y=of([0, 0, 2]), dtypes=FLOATS)
rough("Pow", x=awkward(-1, 1), y=of([0, 1, 2, -1, 0.5, -0.5, 3, -3, float("inf"), float("nan")]), dtypes=FLOATS, gradient=False)
rough("Pow", x=some(3, 5), y=of([0, 1, 2, 3, 9]), dtypes=("int32", "int64"))
for left, right in PAIRS:
    rough("Pow", x=some(*left, low=0.3, high=3), y=some(*right), dtypes=FLOATS)
exact("FloorDiv", x=some(3, 5), y=of([-2, -3, -7, -100, 46341]), dtypes=("int32", "int64"))
few("Atan2", y=awkward(-1, 1), x=awkward(1, -1), gradient=False)
for left, right in PAIRS:
    few("Atan2", y=some(*left), x=some(*right), gradient=left == right)  # TensorFlow's gradient does not sum over what was broadcast
    few("Xlogy", x=some(*left), y=some(*right, low=0.2, high=4))
few("Xlogy", x=of([0, 0, 0, 1, 2]), y=of([0, -1, 2, 3, 0]))
for count in (1, 2, 3, 11):
    for shape in ((), (0,), (3, 5)):
        exact("AddN", inputs=[some(*shape) for _ in range(count)], ulps=4)
rough("AccumulateNV2", inputs=[some(2, 3), some(2, 3), some(2, 3)], shape=[2, 3])

for name in ("LogicalAnd", "LogicalOr"):
    for left, right in PAIRS:
        exact(name, x=some(*left), y=some(*right), dtypes="bool")
for shape in SHAPES:
    exact("LogicalNot", x=some(*shape), dtypes="bool")
    exact("Select", condition=typed(True, "bool"), x=some(*shape), y=some(*shape))
exact("Select", condition=typed([True, False, True], "bool"), x=some(3), y=some(3))
exact("Select", condition=typed([True, False, True], "bool"), x=some(3, 2), y=some(3, 2))
exact("Select", condition=typed([[True, False], [False, True]], "bool"), x=some(2, 2), y=some(2, 2))
exact("SelectV2", condition=typed([True, False, True], "bool"), t=some(3), e=some(2, 3))
exact("SelectV2", condition=typed([[True], [False]], "bool"), t=some(3), e=some())
exact("SelectV2", condition=typed(False, "bool"), t=some(3), e=some(2, 1))
for target in ("float32", "float64", "int32", "int64", "uint8", "bool", "float16", "int8", "int16", "uint16"):
    exact("cast", x=awkward(), dtype=target)
    exact("cast", x=some(3, 5), dtype=target)
    exact("cast", x=some(0, 2), dtype=target)
exact("Cast", x=some(7), DstT="int32", Truncate=True)
for target in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32"):
    exact("saturate_cast", value=some(17, low=-400, high=400), dtype=target)

for family, name in ((few, "BesselI0e"), (rough, "BesselI1e")):  # the slope of the second is a difference of like numbers
    family(name, x=awkward(finite=True), gradient=False)
    family(name, x=some(17, low=-20, high=20))
    family(name, x=some(3, 5, low=-1, high=1))
    family(name, x=some(0))
