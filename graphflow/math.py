"""tf.math: arithmetic, functions, comparisons and reductions."""

from graphflow.missing import names_of
from graphflow.nn.cross_entropy import in_top_k, log_softmax, softmax
from graphflow.nn.moments import l2_normalize, zero_fraction
from graphflow.ops.activation import log_sigmoid, sigmoid, softplus, softsign, tanh
from graphflow.ops.arithmetic import (
    accumulate_n,
    add,
    add_n,
    atan2,
    maximum,
    minimum,
    multiply,
    multiply_no_nan,
    pow,
    scalar_mul,
    squared_difference,
    subtract,
)  # fmt: skip
from graphflow.ops.assertions import is_non_decreasing, is_strictly_increasing
from graphflow.ops.bessel import bessel_i0, bessel_i0e, bessel_i1, bessel_i1e
from graphflow.ops.bits import nextafter
from graphflow.ops.choose import top_k
from graphflow.ops.complex_numbers import angle, conj, imag, real
from graphflow.ops.confusion import confusion_matrix
from graphflow.ops.division import div_no_nan as divide_no_nan
from graphflow.ops.division import divide, floordiv, floormod, mod, reciprocal_no_nan, truediv, xdivy, xlogy
from graphflow.ops.logic import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
)  # fmt: skip
from graphflow.ops.ordering import bincount
from graphflow.ops.reductions import (
    argmax,
    argmin,
    count_nonzero,
    reduce_all,
    reduce_any,
    reduce_euclidean_norm,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_std,
    reduce_sum,
    reduce_variance,
)  # fmt: skip
from graphflow.ops.reshape import invert_permutation
from graphflow.ops.rounding import ceil, floor, is_finite, is_inf, is_nan, rint, round
from graphflow.ops.scans import cumprod, cumsum, cumulative_logsumexp
from graphflow.ops.segments import (
    segment_max,
    segment_mean,
    segment_min,
    segment_prod,
    segment_sum,
    unsorted_segment_max,
    unsorted_segment_mean,
    unsorted_segment_min,
    unsorted_segment_prod,
    unsorted_segment_sqrt_n,
    unsorted_segment_sum,
)  # fmt: skip
from graphflow.ops.special import betainc, igamma, igammac, lbeta, polygamma, zeta
from graphflow.ops.trigonometry import acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan
from graphflow.ops.unary import (
    abs,
    digamma,
    erf,
    erfc,
    exp,
    expm1,
    lgamma,
    log,
    log1p,
    negative,
    polyval,
    reciprocal,
    rsqrt,
    sign,
    sqrt,
    square,
)  # fmt: skip

__all__ = [
    "abs", "accumulate_n", "acos", "acosh", "add", "add_n", "angle", "argmax", "argmin", "asin",
    "asinh", "atan", "atan2", "atanh", "bessel_i0", "bessel_i0e",
    "bessel_i1", "bessel_i1e", "betainc", "bincount", "ceil", "confusion_matrix", "conj", "cos", "cosh",
    "count_nonzero", "cumprod", "cumsum", "cumulative_logsumexp", "digamma", "divide", "divide_no_nan", "equal", "erf", "erfc", "exp",
    "expm1", "floor", "floordiv", "floormod", "greater", "greater_equal", "igamma", "igammac", "imag", "in_top_k",
    "invert_permutation", "is_finite", "is_inf", "is_nan", "is_non_decreasing", "is_strictly_increasing",
    "l2_normalize", "lbeta", "less", "less_equal", "lgamma",
    "log", "log1p", "log_sigmoid", "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor",
    "maximum", "minimum", "mod", "multiply", "multiply_no_nan", "negative", "nextafter", "not_equal", "polygamma",
    "polyval", "pow", "real", "reciprocal", "reciprocal_no_nan", "reduce_all", "reduce_any", "reduce_euclidean_norm",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_std", "reduce_sum",
    "reduce_variance", "rint", "round", "rsqrt", "scalar_mul", "segment_max", "segment_mean", "segment_min",
    "segment_prod", "segment_sum", "sigmoid", "sign", "sin", "sinh", "softmax", "softplus", "softsign", "sqrt",
    "square", "squared_difference", "subtract", "tan", "tanh", "top_k", "truediv", "unsorted_segment_max",
    "unsorted_segment_mean", "unsorted_segment_min", "unsorted_segment_prod", "unsorted_segment_sqrt_n",
    "unsorted_segment_sum", "xdivy", "xlogy", "zero_fraction", "zeta",
]  # fmt: skip

globals()["__getattr__"] = names_of("math")
