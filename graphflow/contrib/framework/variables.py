"""Variables by kind: model variables, local ones, and those a scope or a name picks."""

from __future__ import annotations

import re
from typing import Any

from graphflow.contrib.framework.arg_scope import add_arg_scope
from graphflow.dtypes import float32
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import get_collection
from graphflow.ops.variable_scope import VariableScope, get_variable
from graphflow.ops.variables import Variable, VariableAggregation, VariableSynchronization
from graphflow.train.training_util import assert_global_step, get_global_step


@add_arg_scope
def variable(name, shape=None, dtype=None, initializer=None, regularizer=None, trainable=True, collections=None, caching_device=None,
             device=None, partitioner=None, custom_getter=None, use_resource=None,
             synchronization=VariableSynchronization.AUTO, aggregation=VariableAggregation.NONE):  # fmt: skip
    """A variable made or found by name, kept in GLOBAL_VARIABLES besides `collections`."""
    kept = list(collections if collections is not None else [GraphKeys.GLOBAL_VARIABLES])
    # In no particular order, so each once.
    kept = list(dict.fromkeys(kept))
    getter = get_variable if custom_getter is None else custom_getter
    return getter(
        name, shape=shape, dtype=dtype, initializer=initializer, regularizer=regularizer, trainable=trainable, collections=kept,
        caching_device=caching_device, partitioner=partitioner, use_resource=use_resource,
    )  # fmt: skip


@add_arg_scope
def model_variable(name, shape=None, dtype=float32, initializer=None, regularizer=None, trainable=True, collections=None,
                   caching_device=None, device=None, partitioner=None, custom_getter=None, use_resource=None,
                   synchronization=VariableSynchronization.AUTO, aggregation=VariableAggregation.NONE):  # fmt: skip
    """A variable that is part of the model: also in MODEL_VARIABLES."""
    kept = [*(collections or []), GraphKeys.GLOBAL_VARIABLES, GraphKeys.MODEL_VARIABLES]
    return variable(
        name, shape=shape, dtype=dtype, initializer=initializer, regularizer=regularizer, trainable=trainable, collections=kept,
        caching_device=caching_device, device=device, partitioner=partitioner, custom_getter=custom_getter, use_resource=use_resource,
    )  # fmt: skip


def local_variable(initial_value, validate_shape=True, name=None, use_resource=None):
    """A variable in LOCAL_VARIABLES only, which no Saver saves and no optimizer trains."""
    return Variable(initial_value, trainable=False, collections=[GraphKeys.LOCAL_VARIABLES], validate_shape=validate_shape, name=name)


def get_variables(scope=None, suffix=None, collection=GraphKeys.GLOBAL_VARIABLES):
    """The variables of a collection whose names begin with `scope` and end in `suffix`."""
    if isinstance(scope, VariableScope):
        scope = scope.name
    if suffix is not None:
        scope = f"{scope}.*{suffix}" if scope else f".*{suffix}"  # names are matched from their beginning
    return get_collection(collection, scope)


def get_model_variables(scope=None, suffix=None):
    """The model variables."""
    return get_variables(scope, suffix, GraphKeys.MODEL_VARIABLES)


def get_local_variables(scope=None, suffix=None):
    """The local variables."""
    return get_variables(scope, suffix, GraphKeys.LOCAL_VARIABLES)


def get_trainable_variables(scope=None, suffix=None):
    """The trainable variables."""
    return get_variables(scope, suffix, GraphKeys.TRAINABLE_VARIABLES)


def get_variables_by_suffix(suffix, scope=None):
    """The variables whose names end in `suffix`."""
    return get_variables(scope=scope, suffix=suffix)


def get_variables_by_name(given_name, scope=None):
    """The variables called `given_name`, in whatever scope below `scope`."""
    return get_variables(scope=scope, suffix=f"/{given_name}:|^{given_name}:")


def get_unique_variable(var_op_name):
    """The one variable of that full name; ValueError where there is none or more."""
    found = [v for v in get_collection(GraphKeys.GLOBAL_VARIABLES, var_op_name) if v.op.name == var_op_name]
    if len(found) != 1:
        raise ValueError(f"Variable {var_op_name} does not uniquely identify a variable" if found else
                         f"Couldn't find variable {var_op_name}")  # fmt: skip
    return found[0]


def get_variables_to_restore(include=None, exclude=None):
    """The global variables whose names begin with one of `include` (all if None) and with none of `exclude`."""
    chosen = get_variables() if include is None else [v for scope in _scopes(include, "include") for v in get_variables(scope)]
    refused = {id(v) for scope in _scopes(exclude or [], "exclude") for v in get_variables(scope)}
    return [v for v in chosen if id(v) not in refused]


def _scopes(value: Any, what: str) -> Any:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{what} is provided but is not a list or a tuple.")
    return value


def filter_variables(var_list, include_patterns=None, exclude_patterns=None, reg_search=True):
    """The variables whose names match one of `include_patterns` and none of `exclude_patterns`."""
    match = re.search if reg_search else re.match
    if include_patterns is not None:
        var_list = [v for v in var_list if any(match(p, v.name) for p in include_patterns)]
    if exclude_patterns is not None:
        var_list = [v for v in var_list if not any(match(p, v.name) for p in exclude_patterns)]
    return list(var_list)


def assert_or_get_global_step(graph=None, global_step_tensor=None):
    """The given global step, checked, or the graph's."""
    if global_step_tensor is None:
        return get_global_step(graph)
    assert_global_step(global_step_tensor)
    return global_step_tensor


def get_name_scope():
    """The name scope in which operations are made now."""
    return get_default_graph().get_name_scope()
