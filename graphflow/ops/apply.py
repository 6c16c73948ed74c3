"""The optimizers' updates: a variable and its slots from their old values and a gradient, as elementwise expressions.

Each op lists the variables it changes in `updates` (argument numbers) and gives their new values in that order. Because these are ordinary
values, a gradient that is used only here fuses into its update and is never written to memory.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphflow.dtypes import FLOATING
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

    @property
    def operands(self) -> tuple[str, ...]:
        """What rows.RowUpdate must know of each operand of `step`."""
        names = [argument.split(":")[0] for argument in self.arguments]
        return tuple("table" if k in self.updates else "number" if n in self.scalars else "row" for k, n in enumerate(names))

    def step(self, b: Any, *operands: Any) -> Any:
        """The new values of the variables, by arithmetic that ProgramBuilder and rows.Formulas both have."""
        raise NotImplementedError

    def prepared(self, b: Any, *operands: Any) -> tuple[Any, ...]:
        """The operands as `step` wants them."""
        return operands

    def decompose(self, b: Any, *operands: Any) -> Any:
        return self.step(b, *self.prepared(b, *operands))

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

    def step(self, b: Any, var: Any, alpha: Any, delta: Any) -> Any:
        return b.sub(var, b.mul(delta, alpha))


class ApplyProximalGradientDescent(Update):
    """The gradient step, then shrinking by l1 and scaling by l2."""

    arguments = ("var: Ref(T)", "alpha: T", "l1: T", "l2: T", "delta: T")
    scalars = ("alpha", "l1", "l2")

    def step(self, b: Any, var: Any, alpha: Any, l1: Any, l2: Any, delta: Any) -> Any:
        return _shrink(b, b.sub(var, b.mul(delta, alpha)), b.mul(alpha, l1), b.add(b.mul(l2, alpha), 1))


class ApplyMomentum(Update):
    """accum = accum * momentum + grad; var -= lr * accum, or with Nesterov lr * (grad + accum * momentum)."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "momentum: T")
    scalars = ("lr", "momentum")
    updates = (0, 1)
    use_nesterov: bool = False

    def step(self, b: Any, var: Any, accum: Any, lr: Any, grad: Any, momentum: Any) -> Any:
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

    def step(self, b: Any, var: Any, accum: Any, lr: Any, grad: Any) -> Any:
        new = b.add(accum, b.square(grad)) if self.update_slots else accum
        return b.sub(var, b.mul(b.mul(grad, lr), b.rsqrt(new))), new


class ApplyAdagradDA(Update):
    """Dual averaging: var is computed afresh from the sums of gradients and of their squares, with l1 and l2 of all steps so far."""

    arguments = (
        "var: Ref(T)", "gradient_accumulator: Ref(T)", "gradient_squared_accumulator: Ref(T)", "grad: T", "lr: T", "l1: T", "l2: T",
        "global_step: int64",
    )  # fmt: skip
    scalars = ("lr", "l1", "l2", "global_step")
    updates = (0, 1, 2)

    def prepared(self, b: Any, *operands: Any) -> tuple[Any, ...]:
        return (*operands[:-1], b.cast(operands[-1], operands[0].dtype))

    def step(self, b: Any, var: Any, total: Any, squares: Any, grad: Any, lr: Any, l1: Any, l2: Any, global_step: Any) -> Any:
        total, squares = b.add(total, grad), b.add(squares, b.square(grad))
        kept = b.mul(b.sign(total), b.maximum(b.sub(b.abs(total), b.mul(l1, global_step)), 0))
        scale = b.add(b.mul(b.mul(l2, global_step), lr), b.sqrt(squares))
        return b.div(b.neg(b.mul(lr, kept)), scale), total, squares


class ApplyProximalAdagrad(Update):
    """Adagrad's step, then shrinking by l1 and scaling by l2, both at the element's own rate."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "l1: T", "l2: T", "grad: T")
    scalars = ("lr", "l1", "l2")
    updates = (0, 1)

    def step(self, b: Any, var: Any, accum: Any, lr: Any, l1: Any, l2: Any, grad: Any) -> Any:
        new = b.add(accum, b.square(grad))
        rate = b.mul(b.rsqrt(new), lr)
        return _shrink(b, b.sub(var, b.mul(grad, rate)), b.mul(rate, l1), b.add(b.mul(l2, rate), 1)), new


class ApplyAdadelta(Update):
    """Steps scaled by the ratio of the running sizes of updates and gradients."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "accum_update: Ref(T)", "lr: T", "rho: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "epsilon")
    updates = (0, 1, 2)

    def step(self, b: Any, var: Any, accum: Any, accum_update: Any, lr: Any, rho: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(1, rho)
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

    def step(self, b: Any, var: Any, m: Any, v: Any, beta1_power: Any, beta2_power: Any, lr: Any, beta1: Any, beta2: Any,
                  epsilon: Any, grad: Any) -> Any:  # fmt: skip
        rate = b.div(b.mul(b.sqrt(b.sub(1, beta2_power)), lr), b.sub(1, beta1_power))
        rest = b.sub(1, beta1)
        new_m = b.add(m, b.mul(b.sub(grad, m), rest))
        new_v = b.add(v, b.mul(b.sub(b.square(grad), v), b.sub(1, beta2)))
        direction = b.add(b.mul(grad, rest), b.mul(beta1, new_m)) if self.use_nesterov else new_m
        return b.sub(var, b.div(b.mul(direction, rate), b.add(b.sqrt(new_v), epsilon))), new_m, new_v


class ApplyRMSProp(Update):
    """ms follows the gradient's square; mom = momentum * mom + lr * grad / sqrt(ms + epsilon); var -= mom"""

    arguments = ("var: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "momentum", "epsilon")
    updates = (0, 1, 2)

    def step(self, b: Any, var: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(1, rho)
        new_ms = b.add(ms, b.mul(b.sub(b.square(grad), ms), rest))
        new_mom = b.add(b.mul(mom, momentum), b.div(b.mul(grad, lr), b.sqrt(b.add(new_ms, epsilon))))
        return b.sub(var, new_mom), new_ms, new_mom


class ApplyCenteredRMSProp(Update):
    """RMSProp with the gradient's running mean mg taken out of its size."""

    arguments = ("var: Ref(T)", "mg: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T")
    scalars = ("lr", "rho", "momentum", "epsilon")
    updates = (0, 1, 2, 3)

    def step(self, b: Any, var: Any, mg: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Any:
        rest = b.sub(1, rho)
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

    def step(self, b: Any, var: Any, accum: Any, linear: Any, grad: Any, lr: Any, l1: Any, l2: Any, lr_power: Any) -> Any:
        return _follow(b, var, accum, linear, grad, grad, lr, l1, l2, lr_power)


class ApplyFtrlV2(Update):
    """ApplyFtrl with a second l2 that acts on the gradient only."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "lr: T", "l1: T", "l2: T", "l2_shrinkage: T", "lr_power: T",
    )  # fmt: skip
    scalars = ("lr", "l1", "l2", "l2_shrinkage", "lr_power")
    updates = (0, 1, 2)

    def step(self, b: Any, var: Any, accum: Any, linear: Any, grad: Any, lr: Any, l1: Any, l2: Any, l2_shrinkage: Any,
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
    return b.select(b.greater(b.abs(new_linear), l1), minimum, 0), new, new_linear


def _shrink(b: Any, x: Any, by: Any, over: Any) -> Any:
    """Towards zero by `by`, no further, then divided by `over`."""
    return b.div(b.mul(b.sign(x), b.maximum(b.sub(b.abs(x), by), 0)), over)
