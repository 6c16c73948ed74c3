"""The exponential of matrices, by Pade approximants with scaling and squaring.

Source: Higham, "The scaling and squaring method for the matrix exponential revisited" (2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import complex64, complex128, float32, float64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.control_flow.while_loop import while_loop
from graphflow.ops.diagonal import eye
from graphflow.ops.linalg.functions import matrix_solve
from graphflow.ops.logic import cast
from graphflow.ops.matmul import matmul
from graphflow.ops.reductions import reduce_max, reduce_sum
from graphflow.ops.shape import shape
from graphflow.ops.unary import abs

# Per degree the coefficients of the numerator, lowest power first; the denominator has the odd ones negated.
_PADE = {
    3: (120.0, 60.0, 12.0, 1.0),
    5: (30240.0, 15120.0, 3360.0, 420.0, 30.0, 1.0),
    7: (17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0),
    9: (17643225600.0, 8821612800.0, 2075673600.0, 302702400.0, 30270240.0, 2162160.0, 110880.0, 3960.0, 90.0, 1.0),
    13: (64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
         670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0),
}  # fmt: skip

# The norms up to which each degree gives every digit, and the norm beyond which a matrix is halved first.
_BOUNDS = {
    float32: ((4.258730016922831e-1, 1.880152677804762), (3, 5, 7), 3.925724783138660),
    float64: ((1.495585217958292e-2, 2.539398330063230e-1, 9.504178996162932e-1, 2.097847961257068), (3, 5, 7, 9, 13), 5.371920351148152),
}  # fmt: skip


def _approximant(x: Any, degree: int) -> tuple[Any, Any]:
    """The odd part of a Pade numerator and the even one."""
    b = _PADE[degree]
    identity = eye(shape(x)[-1], batch_shape=shape(x)[:-2], dtype=x.dtype.base_dtype)
    square = matmul(x, x)
    odd, even = identity * b[1], identity * b[0]
    power = square
    for k in range(2, degree, 2):
        odd, even = odd + power * b[k + 1], even + power * b[k]
        if k + 2 < degree:
            power = matmul(power, square)
    return matmul(x, odd), even


def expm(input, name=None):
    """The exponentials of square matrices [..., M, M]: the sum of input^k / k!."""
    with name_scope(name, "matrix_exponential", [input]):
        x = convert_to_tensor(input, name="input")
        dtype = x.dtype.base_dtype
        if dtype not in (float32, float64, complex64, complex128):
            raise ValueError(f"tf.linalg.expm does not support matrices of type {dtype}")
        if x.shape.as_list()[-2:] == [0, 0]:
            return x
        norm = reduce_max(reduce_sum(abs(x), axis=-2), axis=-1)
        real = norm.dtype.base_dtype
        bounds, degrees, largest = _BOUNDS[real]
        halvings = make("Maximum", make("Floor", make("Log", norm / largest) / np.log(2.0)), 0.0)
        scale = cast(make("Pow", convert_to_tensor(2.0, real), halvings), dtype)
        scaled = x / make("ExpandDims", make("ExpandDims", scale, -1), -1)
        parts = [_approximant(scaled if d == degrees[-1] else x, d) for d in degrees]
        odd, even = parts[-1]
        wide = make("ExpandDims", make("ExpandDims", norm, -1), -1)
        for bound, (o, e) in zip(reversed(bounds), reversed(parts[:-1]), strict=True):
            odd, even = (make("SelectV2", wide < bound, p, q) for p, q in ((o, odd), (e, even)))
        result = matrix_solve(even - odd, odd + even)
        most = reduce_max(halvings)
        count = make("ExpandDims", make("ExpandDims", halvings, -1), -1)

        def again(step: Any, value: Any) -> Any:
            return step + 1, make("SelectV2", step < count, matmul(value, value), value)

        _, result = while_loop(lambda step, value: step < most, again, [convert_to_tensor(0.0, real), result])
        result.set_shape(x.shape)
        return result
