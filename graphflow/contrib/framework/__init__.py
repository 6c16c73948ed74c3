"""tf.contrib.framework: argument scopes, model variables, the global step."""

from graphflow.contrib.framework.arg_scope import add_arg_scope, arg_scope, arg_scoped_arguments, has_arg_scope
from graphflow.contrib.framework.shape_checks import with_same_shape, with_shape
from graphflow.contrib.framework.variables import (
    assert_or_get_global_step,
    filter_variables,
    get_local_variables,
    get_model_variables,
    get_name_scope,
    get_trainable_variables,
    get_unique_variable,
    get_variables,
    get_variables_by_name,
    get_variables_by_suffix,
    get_variables_to_restore,
    local_variable,
    model_variable,
    variable,
)
from graphflow.missing import names_of
from graphflow.ops.weights import remove_squeezable_dimensions
from graphflow.train.checkpoints import list_variables, load_checkpoint, load_variable
from graphflow.train.training_util import assert_global_step, create_global_step, get_global_step, get_or_create_global_step
from graphflow.train.warm_start import assign_from_checkpoint, assign_from_checkpoint_fn, init_from_checkpoint

__all__ = [
    "add_arg_scope",
    "arg_scope",
    "arg_scoped_arguments",
    "assert_global_step",
    "assert_or_get_global_step",
    "assign_from_checkpoint",
    "assign_from_checkpoint_fn",
    "create_global_step",
    "filter_variables",
    "get_global_step",
    "get_local_variables",
    "get_model_variables",
    "get_name_scope",
    "get_or_create_global_step",
    "get_trainable_variables",
    "get_unique_variable",
    "get_variables",
    "get_variables_by_name",
    "get_variables_by_suffix",
    "get_variables_to_restore",
    "has_arg_scope",
    "init_from_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "local_variable",
    "model_variable",
    "remove_squeezable_dimensions",
    "variable",
    "with_same_shape",
    "with_shape",
]  # fmt: skip

globals()["__getattr__"] = names_of("contrib.framework")
