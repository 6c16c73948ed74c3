"""Ops that change variables: assignments, scatters, optimizers' updates."""

from __future__ import annotations

from tests.golden.describe import FLOATS, NUMBERS, Family, awkward, kept, some, typed

exact = Family(dtypes=NUMBERS)
update = Family(ulps=32, of_largest=True, dtypes=FLOATS)

for shape in ((), (3,), (2, 3)):
    exact("Assign", ref=kept(some(*shape)), value=some(*shape))
    exact("AssignAdd", ref=kept(some(*shape)), value=some(*shape))
    exact("AssignSub", ref=kept(some(*shape)), value=some(*shape))
exact("AssignAdd", ref=kept(awkward()), value=awkward())
for name in ("ScatterAdd", "ScatterSub", "ScatterMul", "ScatterDiv", "ScatterMax", "ScatterMin", "ScatterUpdate"):
    exact.dtypes = NUMBERS[:4] if name in ("ScatterMax", "ScatterMin") else NUMBERS
    for shape, at, updates in (((4,), [2, 0], (2,)), ((4, 3), [1, 1, 3], (3, 3)), ((4, 2), [[0], [3]], (2, 1, 2)), ((4, 2), 2, (2,)), ((3, 2), [], (0, 2))):
        if name == "ScatterUpdate" and at == [1, 1, 3]:
            at = [1, 2, 3]
        exact(name, ref=kept(some(*shape)), indices=typed(at, "int32"), updates=some(*updates, low=1, high=3), ulps=2)
        exact(name, ref=kept(some(*shape)), indices=typed(at, "int64"), updates=some(*updates, low=1, high=3), ulps=2)
    exact(name, ref=kept(some(4, 2)), indices=typed([3, 1]), updates=some(low=1, high=3), ulps=2)  # one number for all rows
exact.dtypes = NUMBERS
for name in ("ScatterNdAdd", "ScatterNdSub", "ScatterNdUpdate"):
    for shape, at, updates in (((8,), [[4], [3], [1]], (3,)), ((3, 2), [[2], [0]], (2, 2)), ((3, 2), [[2, 1], [0, 0]], (2,))):
        exact(name, ref=kept(some(*shape)), indices=typed(at), updates=some(*updates), ulps=1)

for shape in ((5,), (2, 3), (17,), ()):

    def slot(low=0.5, shape=shape):
        return kept(some(*shape, low=low))

    def row(shape=shape):
        return some(*shape)

    def number(value):
        return some(low=value, high=value)

    update("ApplyGradientDescent", var=slot(-3), alpha=number(0.1), delta=row())
    for nesterov in (False, True):
        update("ApplyMomentum", var=slot(-3), accum=slot(-3), lr=number(0.1), grad=row(), momentum=number(0.9), use_nesterov=nesterov)
        update("ApplyAdam", var=slot(-3), m=slot(-3), v=slot(), beta1_power=number(0.81), beta2_power=number(0.998), lr=number(0.01), beta1=number(0.9),
               beta2=number(0.999), epsilon=number(1e-8), grad=row(), use_nesterov=nesterov)  # fmt: skip
    for slots in (False, True):
        update("ApplyAdagrad", var=slot(-3), accum=slot(), lr=number(0.1), grad=row(), update_slots=slots)
    update("ApplyAdadelta", var=slot(-3), accum=slot(), accum_update=slot(), lr=number(0.5), rho=number(0.95), epsilon=number(1e-6), grad=row())
    common = {"lr": number(0.1), "rho": number(0.9), "momentum": number(0.5), "epsilon": number(1e-3)}
    update("ApplyRMSProp", var=slot(-3), ms=slot(), mom=slot(-3), grad=row(), **common)
    if shape:
        update("ApplyCenteredRMSProp", var=slot(-3), mg=slot(-0.1), ms=kept(some(*shape, low=10, high=12)), mom=slot(-3), grad=row(), **common)
    update("ApplyFtrl", var=slot(-3), accum=slot(), linear=slot(-3), grad=row(), lr=number(0.1), l1=number(0.2), l2=number(0.3), lr_power=number(-0.5))
    update("ApplyFtrl", var=slot(-3), accum=slot(), linear=slot(-3), grad=row(), lr=number(0.1), l1=number(0.0), l2=number(0.3), lr_power=number(-0.7),
           ulps=64)  # fmt: skip
    update("ApplyFtrlV2", var=slot(-3), accum=slot(), linear=slot(-3), grad=row(), lr=number(0.1), l1=number(0.2), l2=number(0.3),
           l2_shrinkage=number(0.1), lr_power=number(-0.5), ulps=64)  # fmt: skip
    update("ApplyProximalGradientDescent", var=slot(-3), alpha=number(0.1), l1=number(0.3), l2=number(0.2), delta=row())
    update("ApplyProximalAdagrad", var=slot(-3), accum=slot(), lr=number(0.1), l1=number(0.3), l2=number(0.2), grad=row())
for shape, at in (((4, 2), [2, 0]), ((5,), [4, 1]), ((3, 2, 2), [1])):
    rows = (len(at), *shape[1:])
    for index in ("int32", "int64"):
        where = {"grad": some(*rows), "indices": typed(at, index)}

        def slot(low=0.5, shape=shape):
            return kept(some(*shape, low=low))

        update("SparseApplyMomentum", var=slot(-3), accum=slot(-3), lr=number(0.1), momentum=number(0.9), use_nesterov=index == "int64", **where)
        update("SparseApplyAdagrad", var=slot(-3), accum=slot(), lr=number(0.1), **where)
        update("SparseApplyAdadelta", var=slot(-3), accum=slot(), accum_update=slot(), lr=number(0.5), rho=number(0.95), epsilon=number(1e-6), **where)
        common = {"lr": number(0.1), "rho": number(0.9), "momentum": number(0.5), "epsilon": number(1e-3)}
        update("SparseApplyRMSProp", var=slot(-3), ms=slot(), mom=slot(-3), **common, **where)
        update("SparseApplyCenteredRMSProp", var=slot(-3), mg=slot(-0.1), ms=kept(some(*shape, low=10, high=12)), mom=slot(-3), **common, **where)
        update("SparseApplyFtrl", var=slot(-3), accum=slot(), linear=slot(-3), lr=number(0.1), l1=number(0.2), l2=number(0.3), lr_power=number(-0.5),
               ulps=64, **where)  # fmt: skip
        update("SparseApplyFtrlV2", var=slot(-3), accum=slot(), linear=slot(-3), lr=number(0.1), l1=number(0.2), l2=number(0.3),
               l2_shrinkage=number(0.1), lr_power=number(-0.5), ulps=64, **where)  # fmt: skip
