"""The optimizers. Each is told by its slots, its hyperparameters, and which update operation takes them in which order.

`_hyper` names the hyperparameters in the order in which TensorFlow makes their tensors, because later names are numbered after them.
"""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import apply, make
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.scopes import colocate_with, control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops import apply as updates
from graphflow.ops.apply_sparse import SPARSE
from graphflow.ops.initializers import constant_initializer, ones_initializer
from graphflow.ops.logic import cast
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.scatter import scatter_add
from graphflow.ops.source import constant, group, identity
from graphflow.ops.state import assign_sub
from graphflow.train.optimizer import Optimizer, operation_of


class _Standard(Optimizer):
    """An optimizer whose step is one Apply operation (`_op`) a variable.

    `_hyper`: ((attribute that holds the value, name of its tensor), ...). `_order`: the operation's inputs after the variable: a slot,
    a hyperparameter's attribute, or "grad". `_zero_slots`: the slots that begin with zeros.
    """

    _op: type[updates.Update]
    _hyper: tuple[tuple[str, str], ...] = ()
    _order: tuple[str, ...] = ()
    _zero_slots: tuple[str, ...] = ()

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            for slot in self._zero_slots:
                self._zeros_slot(variable, slot, self._name)

    def _prepare(self) -> None:
        self._tensors = {attribute: self._as_tensor(getattr(self, attribute), name) for attribute, name in self._hyper}

    def _operands(self, var: Any, grad: Any, indices: Any = None) -> list[Any]:
        """The operation's inputs after the variable itself."""
        operands = []
        for name in self._order:
            if name == "grad":
                operands += [grad] if indices is None else [grad, indices]
            elif name in self._tensors:
                operands.append(cast(self._tensors[name], var.dtype.base_dtype))
            else:
                slot = self.get_slot(var, name)
                assert slot is not None, f"{self._name} has no slot '{name}' for {var.op.name}"
                operands.append(slot._ref())
        return operands

    def _fields(self) -> dict[str, Any]:
        return {"use_locking": self._use_locking}

    def _apply_dense(self, grad: Tensor, var: Any) -> Any:
        return operation_of(apply(self._op(**self._fields()), var._ref(), *self._operands(var, grad)))

    def _apply_sparse(self, grad: IndexedSlices, var: Any) -> Any:
        update = SPARSE[self._op](**self._fields())
        return operation_of(apply(update, var._ref(), *self._operands(var, grad.values, grad.indices)))


class GradientDescentOptimizer(_Standard):
    """w -= learning_rate * gradient"""

    _op = updates.ApplyGradientDescent
    _hyper = (("_learning_rate", "learning_rate"),)
    _order = ("_learning_rate", "grad")

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate

    def _apply_sparse_duplicate_indices(self, grad: IndexedSlices, var: Any) -> Any:
        # Subtracting is as good one after the other: what stands for one row need not be summed before.
        rate = cast(self._tensors["_learning_rate"], var.dtype.base_dtype)
        if isinstance(var, ResourceVariable):
            return make("ScatterAdd", var._ref(), grad.indices, -grad.values * rate)
        return var.scatter_sub(IndexedSlices(grad.values * rate, grad.indices, grad.dense_shape), use_locking=self._use_locking)


class MomentumOptimizer(_Standard):
    """accumulation = momentum * accumulation + gradient; w -= learning_rate * accumulation (see ApplyMomentum for Nesterov's form)"""

    _op = updates.ApplyMomentum
    _hyper = (("_learning_rate", "learning_rate"), ("_momentum", "momentum"))
    _order = ("momentum", "_learning_rate", "grad", "_momentum")
    _zero_slots = ("momentum",)

    def __init__(self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
                 use_nesterov: bool = False) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._momentum, self._use_nesterov = learning_rate, momentum, use_nesterov

    def _fields(self) -> dict[str, Any]:
        return {"use_locking": self._use_locking, "use_nesterov": self._use_nesterov}


class AdamOptimizer(_Standard):
    """Steps scaled by running means of the gradient and its square, see ApplyAdam."""

    _op = updates.ApplyAdam
    _hyper = (("_lr", "learning_rate"), ("_beta1", "beta1"), ("_beta2", "beta2"), ("_epsilon", "epsilon"))
    _zero_slots = ("m", "v")

    def __init__(self, learning_rate: Any = 0.001, beta1: Any = 0.9, beta2: Any = 0.999, epsilon: Any = 1e-8,
                 use_locking: bool = False, name: str = "Adam") -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._beta1, self._beta2, self._epsilon = learning_rate, beta1, beta2, epsilon

    def _get_beta_accumulators(self) -> tuple[Any, Any]:
        graph = get_default_graph()
        return self._get_non_slot_variable("beta1_power", graph), self._get_non_slot_variable("beta2_power", graph)

    def _create_slots(self, var_list: Any) -> None:
        first = min(var_list, key=lambda v: v.name)
        self._create_non_slot_variable(self._call_if_callable(self._beta1), "beta1_power", first)
        self._create_non_slot_variable(self._call_if_callable(self._beta2), "beta2_power", first)
        super()._create_slots(var_list)

    def _operands(self, var: Any, grad: Any, indices: Any = None) -> list[Any]:
        slots = [self.get_slot(var, name)._ref() for name in self._zero_slots]  # type: ignore[union-attr]
        numbers = [*self._get_beta_accumulators(), *self._tensors.values()]
        return [*slots, *(cast(n, var.dtype.base_dtype) for n in numbers), grad]

    def _apply_sparse(self, grad: IndexedSlices, var: Any) -> Any:
        # The running means of rows that are not named decay too, so that every row takes a step, as in TensorFlow.
        numbers = [*self._get_beta_accumulators(), *self._tensors.values()]
        beta1_power, beta2_power, rate, beta1, beta2, epsilon = (cast(n, var.dtype.base_dtype) for n in numbers)
        rate = rate * make("Sqrt", 1 - beta2_power) / (1 - beta1_power)
        means = []
        for name, beta, power in (("m", beta1, 1), ("v", beta2, 2)):
            slot = self.get_slot(var, name)
            assert slot is not None
            share = (grad.values * grad.values if power == 2 else grad.values) * (1 - beta)
            with control_dependencies([slot.assign(slot * beta, use_locking=self._use_locking)]):
                means.append(scatter_add(slot, grad.indices, share, use_locking=self._use_locking))
        length = make("Sqrt", means[1])
        update = assign_sub(var, rate * means[0] / (length + epsilon), use_locking=self._use_locking)
        return group(update, *means)

    def _finish(self, update_ops: list[Any], name_scope: str) -> Any:
        beta1_power, beta2_power = self._get_beta_accumulators()
        with control_dependencies(update_ops), colocate_with(beta1_power):
            powers = [
                beta1_power.assign(beta1_power * self._tensors["_beta1"], use_locking=self._use_locking),
                beta2_power.assign(beta2_power * self._tensors["_beta2"], use_locking=self._use_locking),
            ]
        return group(*update_ops, *map(operation_of, powers), name=name_scope)


class AdagradOptimizer(_Standard):
    """Steps that shrink with the sum of squared gradients."""

    _op = updates.ApplyAdagrad
    _hyper = (("_learning_rate", "learning_rate"),)
    _order = ("accumulator", "_learning_rate", "grad")

    def __init__(self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
                 name: str = "Adagrad") -> None:  # fmt: skip
        if initial_accumulator_value <= 0.0:
            raise ValueError(f"initial_accumulator_value must be positive: {initial_accumulator_value}")
        super().__init__(use_locking, name)
        self._learning_rate, self._initial_accumulator_value = learning_rate, initial_accumulator_value

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            dtype = variable.dtype.base_dtype
            begin = constant_initializer(self._initial_accumulator_value, dtype=dtype)
            self._get_or_make_slot_with_initializer(variable, begin, variable.get_shape(), dtype, "accumulator", self._name)


class AdagradDAOptimizer(Optimizer):
    """Dual averaging (Duchi, Hazan, Singer 2011): the weights follow from the sums of all gradients so far, so that with l1 those of rare
    features stay at zero. `global_step` counts the steps from 0."""

    def __init__(self, learning_rate: Any, global_step: Any, initial_gradient_squared_accumulator_value: float = 0.1,
                 l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, use_locking: bool = False,
                 name: str = "AdagradDA") -> None:  # fmt: skip
        if initial_gradient_squared_accumulator_value <= 0.0:
            raise ValueError(f"initial_gradient_squared_accumulator_value must be positive: {initial_gradient_squared_accumulator_value}")
        super().__init__(use_locking, name)
        self._learning_rate, self._global_step = learning_rate, global_step
        self._initial_squares = initial_gradient_squared_accumulator_value
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            dtype, shape = variable.dtype.base_dtype, variable.get_shape()
            with colocate_with(variable):
                total = constant(0.0, dtype, shape)
                squares = constant(self._initial_squares, dtype, shape)
            self._get_or_make_slot(variable, total, "gradient_accumulator", self._name)
            self._get_or_make_slot(variable, squares, "gradient_squared_accumulator", self._name)

    def _prepare(self) -> None:
        self._rate = self._as_tensor(self._learning_rate, "learning_rate")
        with colocate_with(self._rate):
            self._step = identity(self._global_step) + 1

    def _apply(self, kind: str, var: Any, grads: list[Any]) -> Any:
        step = identity(self._step)
        slots = [self.get_slot(var, name)._ref() for name in ("gradient_accumulator", "gradient_squared_accumulator")]  # type: ignore[union-attr]
        numbers = [cast(n, var.dtype.base_dtype) for n in (self._rate, self._l1, self._l2)]
        return operation_of(make(kind, var._ref(), *slots, *grads, *numbers, step, use_locking=self._use_locking))

    def _apply_dense(self, grad: Tensor, var: Any) -> Any:
        return self._apply("ApplyAdagradDA", var, [grad])

    def _apply_sparse(self, grad: IndexedSlices, var: Any) -> Any:
        return self._apply("SparseApplyAdagradDA", var, [grad.values, grad.indices])


class AdadeltaOptimizer(_Standard):
    """Steps scaled by the ratio of the running sizes of updates and gradients."""

    _op = updates.ApplyAdadelta
    _hyper = (("_lr", "lr"), ("_rho", "rho"), ("_epsilon", "epsilon"))
    _order = ("accum", "accum_update", "_lr", "_rho", "_epsilon", "grad")
    _zero_slots = ("accum", "accum_update")

    def __init__(self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: Any = 1e-8, use_locking: bool = False,
                 name: str = "Adadelta") -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._lr, self._rho, self._epsilon = learning_rate, rho, epsilon


class RMSPropOptimizer(_Standard):
    """Steps scaled by the running size of the gradient, with momentum; `centered` takes the gradient's mean out of its size."""

    _hyper = (("_learning_rate", "learning_rate"), ("_decay", "decay"), ("_momentum", "momentum"), ("_epsilon", "epsilon"))

    def __init__(self, learning_rate: Any, decay: Any = 0.9, momentum: Any = 0.0, epsilon: Any = 1e-10, use_locking: bool = False,
                 centered: bool = False, name: str = "RMSProp") -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate, self._decay, self._momentum, self._epsilon = learning_rate, decay, momentum, epsilon
        self._op = updates.ApplyCenteredRMSProp if centered else updates.ApplyRMSProp
        self._order = (*(("mg",) if centered else ()), "rms", "momentum", "_learning_rate", "_decay", "_momentum", "_epsilon", "grad")
        self._zero_slots = ("mg", "momentum") if centered else ("momentum",)

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            dtype = variable.dtype.base_dtype
            ones = ones_initializer(dtype=dtype)
            self._get_or_make_slot_with_initializer(variable, ones, variable.get_shape(), dtype, "rms", self._name)
            super()._create_slots([variable])


class FtrlOptimizer(_Standard):
    """Follow the regularised leader, with l1 and l2."""

    _hyper = (
        ("_learning_rate", "learning_rate"), ("_l1", "l1_regularization_strength"), ("_l2", "l2_regularization_strength"),
        ("_shrinkage", "l2_shrinkage_regularization_strength"), ("_learning_rate_power", "learning_rate_power"),
    )  # fmt: skip

    def __init__(self, learning_rate: Any, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
                 l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, use_locking: bool = False,
                 name: str = "Ftrl", accum_name: str | None = None, linear_name: str | None = None,
                 l2_shrinkage_regularization_strength: float = 0.0) -> None:  # fmt: skip
        super().__init__(use_locking, name)
        for what, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0.0:
                raise ValueError(f"{what} {value:f} needs to be positive or zero")
        if learning_rate_power > 0.0:
            raise ValueError(f"learning_rate_power {learning_rate_power:f} needs to be negative or zero")
        self._learning_rate, self._learning_rate_power = learning_rate, learning_rate_power
        self._initial_accumulator_value = initial_accumulator_value
        self._l1, self._l2, self._shrinkage = l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength
        self._slot_names = (accum_name, linear_name)
        shrinks = l2_shrinkage_regularization_strength > 0.0
        self._op = updates.ApplyFtrlV2 if shrinks else updates.ApplyFtrl
        strengths = ("_l1", "_l2", "_shrinkage") if shrinks else ("_l1", "_l2")
        self._order = ("accum", "linear", "grad", "_learning_rate", *strengths, "_learning_rate_power")

    def _create_slots(self, var_list: Any) -> None:
        accum_name, linear_name = self._slot_names
        for variable in var_list:
            begin = constant(self._initial_accumulator_value, variable.dtype.base_dtype, variable.get_shape())
            self._get_or_make_slot(variable, begin, "accum", accum_name or self._name)
            self._zeros_slot(variable, "linear", linear_name or self._name)


class ProximalGradientDescentOptimizer(_Standard):
    """Gradient descent, then shrinking by l1 and scaling by l2."""

    _op = updates.ApplyProximalGradientDescent
    _hyper = (
        ("_learning_rate", "learning_rate"), ("_l1", "l1_regularization_strength"), ("_l2", "l2_regularization_strength"),
    )  # fmt: skip
    _order = ("_learning_rate", "_l1", "_l2", "grad")

    def __init__(self, learning_rate: Any, l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
                 use_locking: bool = False, name: str = "ProximalGradientDescent") -> None:  # fmt: skip
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength


class ProximalAdagradOptimizer(_Standard):
    """Adagrad, then shrinking by l1 and scaling by l2."""

    _op = updates.ApplyProximalAdagrad
    _hyper = ProximalGradientDescentOptimizer._hyper
    _order = ("accumulator", "_learning_rate", "_l1", "_l2", "grad")

    def __init__(self, learning_rate: Any, initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
                 l2_regularization_strength: float = 0.0, use_locking: bool = False, name: str = "ProximalAdagrad") -> None:  # fmt: skip
        if initial_accumulator_value <= 0.0:
            raise ValueError(f"initial_accumulator_value must be positive: {initial_accumulator_value}")
        super().__init__(use_locking, name)
        self._learning_rate, self._initial_accumulator_value = learning_rate, initial_accumulator_value
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            begin = constant(self._initial_accumulator_value, variable.dtype.base_dtype, variable.get_shape())
            self._get_or_make_slot(variable, begin, "accumulator", self._name)
