"""Moving averages of variables and tensors, kept in variables of their own."""

from __future__ import annotations

from typing import Any

from graphflow import dtypes
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import add_to_collection, init_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.initializers import zeros_initializer
from graphflow.ops.logic import cast
from graphflow.ops.source import group
from graphflow.ops.state import assign, assign_sub
from graphflow.ops.variable_scope import get_variable, variable_scope
from graphflow.ops.variables import Variable, global_variables, moving_average_variables, trainable_variables
from graphflow.train import slots
from graphflow.train.optimizer import FLOATING


def assign_moving_average(variable: Any, value: Any, decay: Any, zero_debias: bool = True, name: str | None = None) -> Any:
    """variable = decay * variable + (1 - decay) * value; with `zero_debias` corrected for having begun with zero."""
    with name_scope(name, "AssignMovingAvg", [variable, value, decay]) as scope:
        rest = convert_to_tensor(1.0 - decay, name="decay")
        if rest.dtype != variable.dtype.base_dtype:
            rest = cast(rest, variable.dtype.base_dtype)
        if zero_debias:
            return _debiased(variable, value, rest)
        return assign_sub(variable, (variable - value) * rest, name=scope)


def _debiased(average: Any, value: Any, rest: Any) -> Any:
    with variable_scope(average.op.name, values=[average, value, rest]) as scope:
        kept = {"dtype": average.dtype.base_dtype, "initializer": zeros_initializer(), "trainable": False}
        biased = get_variable("biased", shape=average.get_shape(), **kept)
        steps = get_variable("local_step", shape=[], **kept)
        moved = assign_sub(biased, (biased - value) * rest)
        factor = 1 - make("Pow", 1.0 - rest, steps.assign_add(1))
        return assign(average, moved / factor, name=scope.original_name_scope)


class ExponentialMovingAverage:
    """Averages of variables that forget at the rate `decay`; with `num_updates` faster in the beginning.

    average = ema.apply([w])          an operation to run after each training step
    ema.average(w)                    the variable that holds the average, `w/ExponentialMovingAverage`
    """

    def __init__(self, decay: Any, num_updates: Any = None, zero_debias: bool = False, name: str = "ExponentialMovingAverage") -> None:
        self._decay, self._num_updates, self._zero_debias, self._name = decay, num_updates, zero_debias, name
        self._averages: dict[Any, Variable] = {}

    @property
    def name(self) -> str:
        """What the averages' names end in."""
        return self._name

    def apply(self, var_list: Any = None) -> Any:
        """The operation that updates the averages of `var_list` (default: the trainable variables)."""
        variables = trainable_variables() if var_list is None else list(var_list)
        debias = set()
        for variable in variables:
            if variable.dtype.base_dtype not in FLOATING:
                raise TypeError(f"The variables must be half, float, or double: {variable.name}")
            if _key(variable) not in self._averages:
                average = self._make_average(variable)
                self._averages[_key(variable)] = average
                if self._zero_debias and not isinstance(variable, Variable):
                    debias.add(average)
        with name_scope(self._name) as scope:
            decay = convert_to_tensor(self._decay, name="decay")
            if self._num_updates is not None:
                seen = cast(self._num_updates, dtypes.float32, name="num_updates")
                decay = make("Minimum", decay, (1.0 + seen) / (10.0 + seen))
            averages = [self._averages[_key(v)] for v in variables]
            updates = [assign_moving_average(a, v, decay, a in debias) for a, v in zip(averages, variables, strict=True)]
            return group(*updates, name=scope)

    def _make_average(self, variable: Any) -> Variable:
        with init_scope():
            if not isinstance(variable, Variable):
                return slots.create_zeros_slot(variable, self._name)
            average = slots.create_slot(variable, variable.initialized_value(), self._name)
            add_to_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, variable)
            return average

    def average(self, var: Any) -> Variable | None:
        """The variable that holds the average of `var`, None before `apply`."""
        return self._averages.get(_key(var))

    def average_name(self, var: Any) -> str:
        """The name of the average of `var`, made or to be made."""
        if _key(var) in self._averages:
            return self._averages[_key(var)].op.name
        return get_default_graph().unique_name(f"{var.op.name}/{self._name}", mark_as_used=False)

    def variables_to_restore(self, moving_avg_variables: Any = None) -> dict[str, Any]:
        """Names in a checkpoint -> variables, such that averaged variables are restored from their averages."""
        if moving_avg_variables is None:
            moving_avg_variables = [*trainable_variables(), *moving_average_variables()]
        averaged = list(dict.fromkeys(moving_avg_variables))
        names = {self.average_name(v): v for v in averaged}
        taken = {v.name for v in averaged}
        for variable in global_variables():
            if variable.name not in taken and variable.op.name not in names:
                names[variable.op.name] = variable
        return names


def _key(variable: Any) -> Tensor:
    """Variables and tensors alike are known by their tensor, which compares by identity."""
    return variable._ref() if isinstance(variable, Variable) else variable
