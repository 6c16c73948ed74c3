"""Modified Bessel functions of the first kind, scaled: e^-|x| I0(x) and e^-|x| I1(x), and without the scale.

As in Moshier's Cephes, Chebyshev series in two ranges: up to 8 in x, beyond in 1/x of the function times the root of x. The coefficients
here are interpolated from the functions themselves, computed with some thousand bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import FLOATING
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case
from graphflow.kernel.expr import Expr, call, const, maximum, select
from graphflow.ops.broadcast import like
from graphflow.ops.families import Elementwise
from graphflow.ops.unary import ANY, also_sparse, unary

_NEAR_0 = (
    0.33839763720473803, -0.3046826723431984, 0.17162090152220877, -0.09490109704804764, 0.04930528423967071, -0.02373741480589947,
    0.010546460394594998, -0.004324309995050576, 0.0016394756169413357, -0.0005763755745385824, 0.00018850288509584168,
    -5.754195010082111e-05, 1.644844807072902e-05, -4.416738358458818e-06, 1.1173875391202119e-06, -2.6707938539408173e-07,
    6.046995022543385e-08, -1.3000250099711765e-08, 2.659823724415119e-09, -5.189795599888116e-10, 9.675809027696187e-11,
    -1.726826319198467e-11, 2.9550530696465656e-12, -4.856452931496549e-13, 7.67623992437479e-14, -1.1685456927900314e-14,
    1.7155150274876056e-15, -2.4296609284675993e-16, 3.313909115292464e-17,
)  # fmt: skip
_FAR_0 = (
    0.4022452055070544, 0.003369116478255694, 6.889758346916825e-05, 2.8913705208347312e-06, 2.0489185894693423e-07,
    2.2666689904994906e-08, 3.396232025694526e-09, 4.940602387611666e-10, 1.1889147108302406e-11, -3.14991652386198e-11,
    -1.3215811710295448e-11, -1.7941786252809071e-12, 7.180124863227189e-13, 3.852777472057589e-13, 1.5400983439939342e-14,
    -4.150563085499742e-14, -9.554971580910035e-15, 3.811662857673597e-15, 1.7726559569845548e-15, -3.424285761461237e-16,
    -2.827901591447985e-16, 3.487169487465396e-17, 4.457895307571048e-17,
)  # fmt: skip
_NEAR_1 = (
    0.12629359322181682, -0.17641651835783406, 0.1026436586898471, -0.05294598120809499, 0.024726449030626516, -0.010564084894626197,
    0.004156422944312888, -0.0015135724506312532, 0.0005122859561685758, -0.00016176081582589674, 4.781565107550054e-05,
    -1.327316365603947e-05, 3.4702513081377394e-06, -8.568720264695789e-07, 2.003294753552716e-07, -4.4450591287965696e-08,
    9.38153738648897e-09, -1.8872497516521977e-09, 3.6255902804541565e-10, -6.663489714616872e-11, 1.1736186265080944e-11,
    -1.983974554195696e-12, 3.2237953987458247e-13, -5.04221429510852e-14, 7.600948408008346e-15, -1.1056838315296839e-15,
    1.5543799971109994e-16, -2.1026745882640752e-17,
)  # fmt: skip
_FAR_1 = (
    0.38928811750914005, -0.009761097491361469, -0.00011058893876262371, -3.882564808877712e-06, -2.5122362378698817e-07,
    -2.631468846887488e-08, -3.835380385982171e-09, -5.589743462726967e-10, -1.897495812735189e-11, 3.2526035861491394e-11,
    1.4125807567842574e-11, 2.0356284516594267e-12, -7.198551462949751e-13, -4.083551843525014e-13, -2.1015295039695963e-14,
    4.2724460704745044e-14, 1.0420156574536756e-14, -3.814418190694634e-15, -1.8802567675912074e-15, 3.3094750064075556e-16,
    2.962405210961523e-16, -3.187502262002937e-17, -4.651800696111725e-17,
)  # fmt: skip


def _series(t: Expr, coefficients: Sequence[float]) -> Expr:
    """The Chebyshev series at t, by Clenshaw's recurrence."""
    later, latest = const(0, t.type), const(coefficients[-1], t.type)
    for c in reversed(coefficients[1:-1]):
        later, latest = latest, 2 * t * latest - later + c
    return t * latest - later + coefficients[0]


class BesselI0e(Elementwise):
    """e^-|x| I0(x)"""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": FLOATING}
    order: ClassVar[int] = 0
    series: ClassVar[tuple[Sequence[float], Sequence[float]]] = (_NEAR_0, _FAR_0)
    cases = (*ANY, Case((65,), low=-12, high=12), Case([0.0, 8.0, -8.0, 1e4]), Case([np.nan, np.inf, -np.inf], gradient=False))

    def reference(self, x: Any) -> Any:
        # The mean of e^(|x| (cos a - 1)) cos(order a) over a circle: the trapezoid rule converges faster than any power.
        angles = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
        size = np.abs(np.asarray(x, np.float64))[..., None]
        with np.errstate(invalid="ignore"):
            mean = np.mean(np.exp(size * (np.cos(angles) - 1)) * np.cos(self.order * angles), -1)
        mean = np.where(np.isinf(x), 0, mean)
        return (np.sign(x) * mean if self.order else mean).astype(np.asarray(x).dtype)

    def scalar(self, x: Expr) -> Expr:
        near, far = self.series
        size = call("abs", x)
        small = _series(size / 4 - 1, near)
        outside = maximum(size, 8)
        large = _series(16 / outside - 1, far) / call("sqrt", outside)
        if self.order:
            small, large = small * x, select(x < 0, -large, large)
        return select(call("le", size, const(8, x.type)), small, select(call("eq", x, x), large, x))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y = node.inputs[0], node.outputs[0]
        return [make("Mul", dy, make("Sub", make("BesselI1e", x), make("Mul", make("Sign", x), y)))]


class BesselI1e(BesselI0e):
    """e^-|x| I1(x)"""

    order = 1
    series = (_NEAR_1, _FAR_1)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y = node.inputs[0], node.outputs[0]
        least = np.finfo(x.dtype.as_numpy_dtype).eps  # below it the slope is 1/2, and the formula divides by 0
        apart = make("Greater", make("Abs", x), like(x, least))
        safe = make("Select", apart, x, make("AddV2", make("ZerosLike", x), like(x, least)))
        slope = make("Sub", make("BesselI0e", safe), make("Mul", y, make("AddV2", make("Sign", safe), make("Reciprocal", safe))))
        return [make("Mul", dy, make("Select", apart, slope, make("AddV2", make("ZerosLike", x), like(x, 0.5))))]


bessel_i0e = also_sparse(unary("BesselI0e", "bessel_i0e", "e^-|x| I0(x), the scaled modified Bessel function of order 0."))
bessel_i1e = also_sparse(unary("BesselI1e", "bessel_i1e", "e^-|x| I1(x), the scaled modified Bessel function of order 1."))


def bessel_i0(x, name=None):
    """The modified Bessel function of order 0 of the first kind."""
    with name_scope(name, "bessel_i0", [x]):
        x = convert(x, name="x")
        return make("Mul", make("Exp", make("Abs", x)), bessel_i0e(x))


def bessel_i1(x, name=None):
    """The modified Bessel function of order 1 of the first kind."""
    with name_scope(name, "bessel_i1", [x]):
        x = convert(x, name="x")
        return make("Mul", make("Exp", make("Abs", x)), bessel_i1e(x))
