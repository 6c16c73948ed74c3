"""Which variables have no value yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.graph.build import make, name_scope
from graphflow.graph.graph import get_default_graph
from graphflow.graph.op import Effect, TensorSpec
from graphflow.graph.scopes import colocate_with, device
from graphflow.graph.tensor import Tensor
from graphflow.ops import state
from graphflow.ops.families import HostOp
from graphflow.ops.source import constant
from graphflow.ops.variables import global_variables, local_variables

__all__ = ["assert_variables_initialized", "report_uninitialized_variables"]


class UninitializedNames(HostOp):
    """Those of `names` whose variable has no value yet."""

    effect = Effect.HOST
    arguments = ("initialized: N*bool",)
    results = ("names_left: string",)
    names: tuple[str, ...]

    def infer(self, *initialized: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.string, (None,))

    def run(self, *initialized: Any) -> Any:
        left = [name.encode() for name, done in zip(self.names, initialized, strict=True) if not done]
        return np.array(left, dtype=object)


def _all_known_variables() -> list[Any]:
    found: list[Any] = global_variables() + local_variables()
    return found or [op.outputs[0] for op in get_default_graph().get_operations() if op.type == "VariableV2"]


def report_uninitialized_variables(
    var_list: Sequence[Any] | None = None, name: str = "report_uninitialized_variables"
) -> Tensor:
    """A tensor with the names of the variables that have no value yet; empty when all have one."""
    variables = _all_known_variables() if var_list is None else list(var_list)
    with name_scope(name):
        flags = [state.is_variable_initialized(v) for v in variables]
        with device("/cpu:0"):
            if not variables:
                return constant([], dtype=dtypes.string)
            return make("UninitializedNames", flags, names=tuple(v.op.name for v in variables), name="names")  # type: ignore[no-any-return]


def assert_variables_initialized(var_list: Sequence[Any] | None = None) -> Tensor | None:
    """A tensor that can only be computed when all variables are initialised; None where there are no variables."""
    variables = _all_known_variables() if var_list is None else list(var_list)
    if not variables:
        return None
    ranks = []
    for variable in variables:
        with colocate_with(variable.op):
            ranks.append(make("Rank", variable))
    return ranks[0] if len(ranks) == 1 else make("Pack", ranks, axis=0, name="stack")
