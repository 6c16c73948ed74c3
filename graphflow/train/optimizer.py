"""The base of the optimizers: gradients of a loss for the trainable variables, and the operations that apply them.

    minimize = compute_gradients, then apply_gradients:
        slots are made            _create_slots(variables)
        hyperparameters become tensors   _prepare()
        one update a variable     _apply_dense(gradient, variable) or _apply_sparse(...), named update_NAME
        one operation for all     _finish(updates, name), then global_step += 1
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphflow import dtypes
from graphflow.autodiff.gradients import gradients
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices, convert_to_tensor_or_indexed_slices
from graphflow.graph.literal import flatten
from graphflow.graph.scopes import colocate_with, control_dependencies, get_collection_ref, init_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.distinct import unique
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.shape import shape
from graphflow.ops.source import group
from graphflow.ops.source import tuple as tuple_of
from graphflow.ops.variables import Variable, trainable_variables
from graphflow.train import slots

FLOATING = frozenset((dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64))


def _key(variable: Any) -> tuple[Any, str]:
    return variable.op.graph, variable.op.name


def _describe(variables: Iterable[Any]) -> list[str]:
    return [str(v) for v in variables]


class Optimizer:
    """Base class; a subclass says in `_create_slots`, `_prepare`, `_apply_dense` and `_apply_sparse` what its step is."""

    # How far the computation of gradients is kept apart from their use.
    GATE_NONE = 0
    GATE_OP = 1
    GATE_GRAPH = 2

    def __init__(self, use_locking: bool, name: str) -> None:
        if not name:
            raise ValueError("Must specify the optimizer name")
        self._use_locking = use_locking
        self._name = name
        self._slots: dict[str, dict[Any, Variable]] = {}
        self._non_slot_dict: dict[tuple[str, Any], Variable] = {}

    def get_name(self) -> str:
        """The name that its operations and slots carry."""
        return self._name

    def minimize(self, loss: Any, global_step: Any = None, var_list: Any = None, gate_gradients: int = GATE_OP,
                 aggregation_method: int | None = None, colocate_gradients_with_ops: bool = False, name: str | None = None,
                 grad_loss: Any = None) -> Any:  # fmt: skip
        """The operation that takes one step down the gradient of `loss` for `var_list` (default: all trainable variables).

        global_step: a variable to count the steps. name: of the operation, default the optimizer's. grad_loss: the gradient to begin
        with in place of ones.
        """
        grads_and_vars = self.compute_gradients(
            loss, var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops, grad_loss
        )
        if not any(g is not None for g, _ in grads_and_vars):
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not support gradients, between variables "
                f"{_describe(v for _, v in grads_and_vars)} and loss {loss}."
            )
        return self.apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def compute_gradients(self, loss: Any, var_list: Any = None, gate_gradients: int = GATE_OP, aggregation_method: int | None = None,
                          colocate_gradients_with_ops: bool = False, grad_loss: Any = None) -> list[tuple[Any, Any]]:  # fmt: skip
        """Pairs of (gradient, variable); a gradient is a tensor, IndexedSlices, or None where the loss does not depend on the variable."""
        if gate_gradients not in (Optimizer.GATE_NONE, Optimizer.GATE_OP, Optimizer.GATE_GRAPH):
            raise ValueError(
                f"gate_gradients must be one of: Optimizer.GATE_NONE, Optimizer.GATE_OP, Optimizer.GATE_GRAPH.  Not {gate_gradients}"
            )
        loss = self._call_if_callable(loss)
        self._assert_valid_dtypes([loss])
        if grad_loss is not None:
            self._assert_valid_dtypes([grad_loss])
        variables = trainable_variables() if var_list is None else list(flatten(var_list))
        targets = [_target(v) for v in variables]
        if not variables:
            raise ValueError("No variables to optimize.")
        found = gradients(loss, targets, grad_ys=grad_loss, gate_gradients=gate_gradients == Optimizer.GATE_OP,
                          aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops)  # fmt: skip
        if gate_gradients == Optimizer.GATE_GRAPH:
            found = tuple_of(found)
        pairs = list(zip(found, variables, strict=True))
        self._assert_valid_dtypes([v for g, v in pairs if g is not None])
        return pairs

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> Any:
        """The operation that applies pairs of (gradient, variable); pairs without a gradient are left out."""
        pairs = [(_as_gradient(g), v) for g, v in grads_and_vars]
        if not pairs:
            raise ValueError("No variables provided.")
        for _, variable in pairs:
            _target(variable)
        used = [(g, v) for g, v in pairs if g is not None]
        if not used:
            raise ValueError(f"No gradients provided for any variable: {_describe(v for _, v in pairs)}.")
        with init_scope():
            self._create_slots([v for _, v in used])
        updates = []
        with name_scope(name, self._name) as scope:
            self._prepare()
            for gradient, variable in used:
                with name_scope("update_" + variable.op.name), colocate_with(variable):
                    updates.append(self._update(gradient, variable))
            if global_step is None:
                done = self._finish(updates, scope)
            else:
                with control_dependencies([self._finish(updates, "update")]), colocate_with(global_step):
                    done = make("AssignAdd", global_step._ref(), 1, name=scope)
        done = done.op if isinstance(done, Tensor) else done
        train_ops = get_collection_ref(GraphKeys.TRAIN_OP)
        if done not in train_ops:
            train_ops.append(done)
        return done

    def _update(self, gradient: Any, variable: Any) -> Any:
        if not isinstance(variable, Variable):
            raise NotImplementedError("Trying to update a Tensor ", variable)
        if isinstance(gradient, IndexedSlices):
            if variable.constraint is not None:
                raise RuntimeError("Cannot use a constraint function on a sparse variable.")
            return self._apply_sparse_duplicate_indices(gradient, variable)
        update = self._apply_dense(gradient, variable)
        if variable.constraint is None:
            return update
        with control_dependencies([update]):
            return variable.assign(variable.constraint(variable))

    def get_slot(self, var: Any, name: str) -> Variable | None:
        """The slot called `name` that the optimizer keeps for `var`, or None."""
        return self._slots.get(name, {}).get(_key(var))

    def get_slot_names(self) -> list[str]:
        """The names that `get_slot` knows."""
        return sorted(self._slots)

    def variables(self) -> list[Variable]:
        """All variables the optimizer keeps in the default graph, by name."""
        graph = get_default_graph()
        kept = [*self._non_slot_dict.values(), *(v for named in self._slots.values() for v in named.values())]
        return sorted((v for v in kept if v.op.graph is graph), key=lambda v: v.name)

    # -- for subclasses ------------------------------------------------------------------------------------------------------------

    def _valid_dtypes(self) -> frozenset[Any]:
        return FLOATING

    def _assert_valid_dtypes(self, tensors: Iterable[Any]) -> None:
        valid = self._valid_dtypes()
        for tensor in tensors:
            dtype = tensor.dtype.base_dtype
            if dtype not in valid:
                raise ValueError(f"Invalid type {dtype!r} for {tensor.name}, expected: {list(valid)}.")

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        """Make the slots; the base has none."""

    def _prepare(self) -> None:
        """Make tensors of the hyperparameters."""

    def _apply_dense(self, grad: Tensor, var: Any) -> Any:
        raise NotImplementedError

    def _apply_sparse_duplicate_indices(self, grad: IndexedSlices, var: Any) -> Any:
        """The update for rows that may be named twice: what stands for one row is summed before, because each row takes one step."""
        rows, places = unique(grad.indices)
        summed = make("UnsortedSegmentSum", grad.values, places, shape(rows)[0])
        return self._apply_sparse(IndexedSlices(summed, rows, grad.dense_shape), var)

    def _apply_sparse(self, grad: IndexedSlices, var: Any) -> Any:
        raise NotImplementedError

    def _finish(self, update_ops: list[Any], name_scope: str) -> Any:
        return group(*update_ops, name=name_scope)

    def _slot_dict(self, slot_name: str) -> dict[Any, Variable]:
        return self._slots.setdefault(slot_name, {})

    def _get_or_make_slot(self, var: Any, val: Any, slot_name: str, op_name: str) -> Variable:
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_slot(var, val, op_name)
        return named[_key(var)]

    def _get_or_make_slot_with_initializer(self, var: Any, initializer: Any, shape: Any, dtype: Any, slot_name: str,
                                           op_name: str) -> Variable:  # fmt: skip
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_slot_with_initializer(var, initializer, shape, dtype, op_name)
        return named[_key(var)]

    def _zeros_slot(self, var: Any, slot_name: str, op_name: str) -> Variable:
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_zeros_slot(var, op_name)
        return named[_key(var)]

    def _create_non_slot_variable(self, initial_value: Any, name: str, colocate_with: Any) -> Variable:
        key = (name, colocate_with.graph)
        if key not in self._non_slot_dict:
            with get_default_graph().colocate_with(colocate_with):
                resource = isinstance(colocate_with, ResourceVariable)
                self._non_slot_dict[key] = Variable(initial_value, name=name, trainable=False, use_resource=resource)
        return self._non_slot_dict[key]

    def _get_non_slot_variable(self, name: str, graph: Any = None) -> Variable | None:
        return self._non_slot_dict.get((name, graph))

    def _call_if_callable(self, param: Any) -> Any:
        return param() if callable(param) else param

    def _as_tensor(self, value: Any, name: str) -> Tensor:
        """A hyperparameter, which may be a function that gives it, as a tensor."""
        return convert_to_tensor(self._call_if_callable(value), name=name)


def operation_of(update: Any) -> Any:
    """An update's operation: updates of reference variables give the variable, those of resource variables give nothing."""
    return getattr(update, "op", update)


def _target(variable: Any) -> Any:
    """What to differentiate by: a variable's own memory, or a tensor."""
    if isinstance(variable, Variable):
        return variable._ref()
    if isinstance(variable, Tensor):
        return variable
    raise NotImplementedError("Trying to optimize unsupported type ", variable)


def _as_gradient(gradient: Any) -> Any:
    if gradient is None:
        return None
    try:
        return convert_to_tensor_or_indexed_slices(gradient)
    except TypeError:
        raise TypeError(f"Gradient must be convertible to a Tensor or IndexedSlices, or None: {gradient}") from None
