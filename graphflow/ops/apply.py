"""The optimizers' updates: a variable and its slots from their old values and a gradient, as elementwise expressions.

Each op lists the variables it changes in `updates` (argument numbers) and gives their new values in that order. Because these are ordinary
values, a gradient that is used only here fuses into its update and is never written to memory.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphflow.dtypes import FLOATING, INDEX
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Effect, TensorSpec
from graphflow.ops.families import StateUpdate
from graphflow.ops.sizes import Dims


class Update(StateUpdate, abstract=True):
    """An update of variables of one shape. `scalars` names the arguments that are single numbers."""

    results = ("out: Ref(T)",)
    types = {"T": FLOATING}
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)
    scalars: ClassVar[tuple[str, ...]] = ()
    use_locking: bool = False

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims: Dims | None = inputs[0].dims
        for argument, spec in zip(self.arguments, inputs, strict=True):
            name = argument.split(":")[0]
            if name in self.scalars:
                if spec.rank not in (None, 0):
                    raise ValueError(f"Shape must be rank 0 but is rank {spec.rank} (input '{name}' of {self.type})")
            else:
                dims = merge_dims(dims, spec.dims)
        return TensorSpec(inputs[0].dtype, dims)


class ApplyGradientDescent(Update):
    """var -= alpha * delta"""

    arguments = ("var: Ref(T)", "alpha: T", "delta: T")
    scalars = ("alpha",)

    def decompose(self, b: Any, var: Any, alpha: Any, delta: Any) -> Any:
        return b.sub(var, b.mul(delta, alpha))


class ApplyProximalGradientDescent(Update):
    """The gradient step, then shrinking by l1 and scaling by l2."""

    arguments = ("var: Ref(T)", "alpha: T", "l1: T", "l2: T", "delta: T")
    scalars = ("alpha", "l1", "l2")

    def decompose(self, b: Any, var: Any, alpha: Any, l1: Any, l2: Any, delta: Any) -> Any:
        return _shrink(b, b.sub(var, b.mul(delta, alpha)), b.mul(alpha, l1), b.add(b.mul(l2, alpha), 1))


class ApplyMomentum(Update):
    """accum = accum * momentum + grad; var -= lr * accum, or with Nesterov lr * (grad + accum * momentum)."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "momentum: T")
    scalars = ("lr", "momentum")
    updates = (0, 1)
    use_nesterov: bool = False

    def decompose(self, b: Any, var: Any, accum: Any, lr: Any, grad: Any, momentum: Any) -> Any:
        new = b.add(b.mul(accum, momentum), grad)
        if self.use_nesterov:
            step = b.add(b.mul(grad, lr), b.mul(b.mul(new, momentum), lr))
        else:
            step = b.mul(new, lr)
        return b.sub(var, step), new


class ApplyAdagrad(Update):
    """accum += grad^2; var -= lr * grad / sqrt(accum)"""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T")
    scalars = ("lr",)
    updates = (0, 1)
    update_slots: bool = True

    def decompose(self, b: Any, var: Any, accum: Any, lr: Any, grad: Any) -> Any:
        new = b.add(accum, b.square(grad)) if self.update_slots else accum
        return b.sub(var, b.mul(b.mul(grad, lr), b.rsqrt(new))), new


class ApplyProximalAdagrad(Update):
    """Adagrad's step, then shrinking by l1 and scaling by l2, both at the element's own rate."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "l1: T", "l2: T", "grad: T")
    scalars = ("lr", "l1", "l2")
    updates = (0, 1)

    def decompose(self, b: Any, var: Any, accum: Any, lr: Any, l1: Any, l2: Any, grad: Any) -> Any:
        new = b.add(accum, b.square(grad))
        rate = b.mul(b.rsqrt(new), lr)
        return _shrink(b, b.sub(var, b.mul(grad, rate)), b.mul(rate, l1), b.add(b.mul(l2, rate), 1)), new


class ApplyAdadelta(Update):
    """Steps scaled by the ratio of the running sizes of updates and gradients."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "accum_update: Ref(T)", "lr: T", "rho: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "epsilon")
    updates = (0, 1, 2)

    def decompose(self, b: Any, var: Any, accum: Any, accum_update: Any, lr: Any, rho: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(b.constant(1, rho.dtype), rho)
        new = b.add(b.mul(accum, rho), b.mul(b.square(grad), rest))
        step = b.mul(b.mul(b.sqrt(b.add(accum_update, epsilon)), b.rsqrt(b.add(new, epsilon))), grad)
        return b.sub(var, b.mul(step, lr)), new, b.add(b.mul(accum_update, rho), b.mul(b.square(step), rest))


class ApplyAdam(Update):
    """m and v follow the gradient and its square; var -= lr_t * m / (sqrt(v) + epsilon), with the bias of the first steps taken out."""

    arguments = (
        "var: Ref(T)", "m: Ref(T)", "v: Ref(T)", "beta1_power: T", "beta2_power: T", "lr: T", "beta1: T", "beta2: T", "epsilon: T",
        "grad: T",
    )  # fmt: skip
    scalars = ("beta1_power", "beta2_power", "lr", "beta1", "beta2", "epsilon")
    updates = (0, 1, 2)
    use_nesterov: bool = False

    def decompose(self, b: Any, var: Any, m: Any, v: Any, beta1_power: Any, beta2_power: Any, lr: Any, beta1: Any, beta2: Any,
                  epsilon: Any, grad: Any) -> Any:  # fmt: skip
        one = b.constant(1, var.dtype)
        rate = b.div(b.mul(lr, b.sqrt(b.sub(one, beta2_power))), b.sub(one, beta1_power))
        rest = b.sub(one, beta1)
        new_m = b.add(m, b.mul(b.sub(grad, m), rest))
        new_v = b.add(v, b.mul(b.sub(b.square(grad), v), b.sub(one, beta2)))
        direction = b.add(b.mul(grad, rest), b.mul(beta1, new_m)) if self.use_nesterov else new_m
        return b.sub(var, b.div(b.mul(direction, rate), b.add(b.sqrt(new_v), epsilon))), new_m, new_v


class ApplyRMSProp(Update):
    """ms follows the gradient's square; mom = momentum * mom + lr * grad / sqrt(ms + epsilon); var -= mom"""

    arguments = ("var: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "momentum", "epsilon")
    updates = (0, 1, 2)

    def decompose(self, b: Any, var: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(b.constant(1, rho.dtype), rho)
        new_ms = b.add(ms, b.mul(b.sub(b.square(grad), ms), rest))
        new_mom = b.add(b.mul(mom, momentum), b.div(b.mul(grad, lr), b.sqrt(b.add(new_ms, epsilon))))
        return b.sub(var, new_mom), new_ms, new_mom


class ApplyCenteredRMSProp(Update):
    """RMSProp with the gradient's running mean mg taken out of its size."""

    arguments = ("var: Ref(T)", "mg: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "momentum", "epsilon")
    updates = (0, 1, 2, 3)

    def decompose(self, b: Any, var: Any, mg: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(b.constant(1, rho.dtype), rho)
        new_ms = b.add(ms, b.mul(b.sub(b.square(grad), ms), rest))
        new_mg = b.add(mg, b.mul(b.sub(grad, mg), rest))
        size = b.add(b.sub(new_ms, b.square(new_mg)), epsilon)
        new_mom = b.add(b.mul(mom, momentum), b.div(b.mul(grad, lr), b.sqrt(size)))
        return b.sub(var, new_mom), new_mg, new_ms, new_mom


class ApplyFtrl(Update):
    """Follow the regularised leader: var is what minimises the linear model of all gradients so far, with l1 and l2."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "lr: T", "l1: T", "l2: T", "lr_power: T")
    scalars = ("lr", "l1", "l2", "lr_power")
    updates = (0, 1, 2)

    def decompose(self, b: Any, var: Any, accum: Any, linear: Any, grad: Any, lr: Any, l1: Any, l2: Any, lr_power: Any) -> Any:
        return _follow(b, var, accum, linear, grad, grad, lr, l1, l2, lr_power)


class ApplyFtrlV2(Update):
    """ApplyFtrl with a second l2 that acts on the gradient only."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "lr: T", "l1: T", "l2: T", "l2_shrinkage: T", "lr_power: T",
    )  # fmt: skip
    scalars = ("lr", "l1", "l2", "l2_shrinkage", "lr_power")
    updates = (0, 1, 2)

    def decompose(self, b: Any, var: Any, accum: Any, linear: Any, grad: Any, lr: Any, l1: Any, l2: Any, l2_shrinkage: Any,
                  lr_power: Any) -> Any:  # fmt: skip
        shrunk = b.add(grad, b.mul(b.mul(l2_shrinkage, 2), var))
        return _follow(b, var, accum, linear, grad, shrunk, lr, l1, l2, lr_power)


def _follow(b: Any, var: Any, accum: Any, linear: Any, grad: Any, pull: Any, lr: Any, l1: Any, l2: Any, lr_power: Any) -> Any:
    """Ftrl's new variable, accumulator and linear term; `pull` is the gradient that the linear term takes in."""
    new = b.add(accum, b.square(grad))
    power = b.neg(lr_power)
    grown = b.pow(new, power)
    sigma = b.div(b.sub(grown, b.pow(accum, power)), lr)
    new_linear = b.sub(b.add(linear, pull), b.mul(sigma, var))
    quadratic = b.add(b.div(grown, lr), b.mul(l2, 2))
    minimum = b.div(b.sub(b.mul(b.sign(new_linear), l1), new_linear), quadratic)
    zero = b.broadcast(b.constant(0, var.dtype), var.shape)
    return b.select(b.greater(b.abs(new_linear), l1), minimum, zero), new, new_linear


def _shrink(b: Any, x: Any, by: Any, over: Any) -> Any:
    """Towards zero by `by`, no further, then divided by `over`."""
    return b.div(b.mul(b.sign(x), b.maximum(b.sub(b.abs(x), by), 0)), over)


class SparseUpdate(Update, abstract=True):
    """The update `dense` for the rows that `indices` names; the others keep their values.

    The rows' gradients are summed into an array of the variable's shape, so that an index may stand there twice, and the dense update is
    selected where a row was named.
    """

    types = {"T": FLOATING, "Tindices": INDEX}
    dense: ClassVar[type[Update]]
    pass_through: ClassVar[tuple[str, ...]] = ()

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims: Dims | None = inputs[0].dims
        for number in self.updates:
            dims = merge_dims(dims, inputs[number].dims)
        return TensorSpec(inputs[0].dtype, dims)

    def decompose(self, b: Any, *values: Any) -> Any:
        names = [argument.split(":")[0] for argument in self.arguments]
        given = dict(zip(names, values, strict=True))
        var, grad, indices = given["var"], given["grad"], given.pop("indices")
        rows = b.constant(var.shape[0], "int64")
        given["grad"] = b.make("UnsortedSegmentSum", grad, indices, rows)
        named = b.make("UnsortedSegmentSum", b.broadcast(b.constant(1, "int32"), indices.shape), indices, rows)
        mask = b.view(b.greater(named, 0), (var.shape[0], *(1 for _ in var.shape[1:])))
        op = self.dense(**{name: getattr(self, name) for name in self.pass_through})
        ordered = [given[argument.split(":")[0]] for argument in self.dense.arguments]
        new = op.decompose(b, *ordered)
        kept = [values[number] for number in self.updates]
        return tuple(b.select(b.broadcast(mask, old.shape), n, old) for n, old in zip(new, kept, strict=True))


class SparseApplyMomentum(SparseUpdate):
    """ApplyMomentum for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "indices: Tindices", "momentum: T")
    updates = (0, 1)
    dense = ApplyMomentum
    use_nesterov: bool = False
    pass_through = ("use_nesterov",)


class SparseApplyAdagrad(SparseUpdate):
    """ApplyAdagrad for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "indices: Tindices")
    updates = (0, 1)
    dense = ApplyAdagrad
    update_slots: bool = True
    pass_through = ("update_slots",)


class SparseApplyAdadelta(SparseUpdate):
    """ApplyAdadelta for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "accum_update: Ref(T)", "lr: T", "rho: T", "epsilon: T", "grad: T", "indices: Tindices")
    updates = (0, 1, 2)
    dense = ApplyAdadelta


class SparseApplyRMSProp(SparseUpdate):
    """ApplyRMSProp for some rows."""

    arguments = (
        "var: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T", "indices: Tindices",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyRMSProp


class SparseApplyCenteredRMSProp(SparseUpdate):
    """ApplyCenteredRMSProp for some rows."""

    arguments = (
        "var: Ref(T)", "mg: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T",
        "indices: Tindices",
    )  # fmt: skip
    updates = (0, 1, 2, 3)
    dense = ApplyCenteredRMSProp


class SparseApplyFtrl(SparseUpdate):
    """ApplyFtrl for some rows."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "indices: Tindices", "lr: T", "l1: T", "l2: T", "lr_power: T",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyFtrl


class SparseApplyFtrlV2(SparseUpdate):
    """ApplyFtrlV2 for some rows."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "indices: Tindices", "lr: T", "l1: T", "l2: T", "l2_shrinkage: T",
        "lr_power: T",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyFtrlV2

# The update of all rows -> the update of some.
SPARSE: dict[type[Update], type[SparseUpdate]] = {cls.dense: cls for cls in SparseUpdate.__subclasses__()}
