"""Variables that begin with values from a checkpoint: for going on from somebody else's training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphflow.compat import logging
from graphflow.graph.build import make
from graphflow.graph.scopes import device
from graphflow.ops.source import group, placeholder
from graphflow.ops.state import assign
from graphflow.ops.variable_scope import _get_default_variable_store
from graphflow.ops.variables import Variable
from graphflow.train.checkpoints import NewCheckpointReader, latest_checkpoint, load_checkpoint
from graphflow.train.saver import Saver


def init_from_checkpoint(ckpt_dir_or_file: str, assignment_map: Mapping[str, Any]) -> None:
    """Replaces the initial values of variables by those in a checkpoint: names there -> variables, their names, or "scope/"."""
    prefix = latest_checkpoint(ckpt_dir_or_file) if os.path.isdir(ckpt_dir_or_file) else ckpt_dir_or_file
    shapes = load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map()
    made = _get_default_variable_store()._vars
    for source, target in sorted(assignment_map.items()):
        found = target if isinstance(target, (Variable, list)) else made.get(target)
        if found is None:
            for name, variable in _of_scope(source, target, made):
                if name not in shapes:
                    raise ValueError(f"Tensor {name} ({variable.op.name} in {source}) is not found in {ckpt_dir_or_file} checkpoint")
                _begin_with(variable, prefix, name)
            continue
        if source not in shapes:
            raise ValueError(f"Tensor {source} is not found in {ckpt_dir_or_file} checkpoint {shapes}")
        for variable in found if isinstance(found, list) else [found]:
            whole = variable._get_save_slice_info() is None
            if whole and not variable.get_shape().is_compatible_with(shapes[source]):
                raise ValueError(
                    f"Shape of variable {variable.name} ({variable.get_shape()}) doesn't match with shape of tensor {source} "
                    f"({shapes[source]}) from checkpoint reader."
                )
            _begin_with(variable, prefix, source)


def _of_scope(source: str, target: str, made: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names in the checkpoint and variables, for "scope/" -> "other/"."""
    scope = target.rpartition("/")[0]
    if not source.endswith("/"):
        raise ValueError(
            f"Assignment map with scope only name {scope} should map to scope only {source}. Should be 'scope/': 'other_scope/'."
        )
    for name in sorted(made):
        if not scope or name.startswith(scope + "/"):
            inner = name[len(scope) + 1 :] if scope else name
            yield (inner if source == "/" else source + inner), made[name]


def _begin_with(variable: Any, prefix: str | None, name: str) -> None:
    info = variable._get_save_slice_info()
    with device(variable.device), device("/cpu:0"):
        spec = "" if info is None else info.spec
        kinds = (variable.dtype.base_dtype,)
        (value,) = make("RestoreV2", prefix, [name], [spec], dtypes=kinds, name="checkpoint_initializer")
    variable._initializer_op = assign(variable._ref(), value, validate_shape=variable.get_shape().is_fully_defined()).op
    value.set_shape(variable.get_shape())
    variable._initial_value = value


def assign_from_checkpoint(model_path: str, var_list: Any, ignore_missing_vars: bool = False) -> tuple[Any, dict[Any, Any]]:
    """An operation that gives variables their values in a checkpoint, and the feeds that it needs."""
    grouped: dict[str, list[Any]] = {}
    if isinstance(var_list, Mapping):
        grouped = {name: list(v) if isinstance(v, (list, tuple)) else [v] for name, v in var_list.items()}
    else:
        for variable in var_list:
            info = variable._get_save_slice_info()
            grouped.setdefault(variable.op.name if info is None else info.full_name, []).append(variable)
    reader = NewCheckpointReader(model_path)
    feeds: dict[Any, Any] = {}
    assigns = []
    for name, variables in grouped.items():
        if not reader.has_tensor(name):
            missing = f"Checkpoint is missing variable [{name}]"
            if not ignore_missing_vars:
                raise ValueError(missing)
            logging.warning(missing)
            continue
        value = reader.get_tensor(name)
        for variable in variables:
            place = placeholder(variable.dtype.base_dtype, variable.get_shape(), "placeholder/" + variable.op.name)
            assigns.append(variable.assign(place))
            info = variable._get_save_slice_info()
            own = value
            if info is not None:
                own = value[tuple(slice(b, b + n) for b, n in zip(info.var_offset, info.var_shape, strict=True))]
            if not variable.get_shape().is_compatible_with(own.shape):
                raise ValueError(
                    f"Total size of new array must be unchanged for {name} lh_shape: [{own.shape}], rh_shape: [{variable.get_shape()}]"
                )
            feeds[place] = own
    return group(*assigns), feeds


def assign_from_checkpoint_fn(
    model_path: str, var_list: Any, ignore_missing_vars: bool = False, reshape_variables: bool = False
) -> Callable[[Any], None] | None:
    """A function of a session that gives variables their values in a checkpoint; None where it has none of them."""
    if not var_list:
        raise ValueError("var_list cannot be empty")
    if ignore_missing_vars:
        reader = NewCheckpointReader(model_path)
        named = var_list if isinstance(var_list, Mapping) else {v.op.name: v for v in var_list}
        var_list = {name: v for name, v in named.items() if reader.has_tensor(name)}
        for name in named.keys() - var_list.keys():
            logging.warning("Variable %s missing in checkpoint %s", name, model_path)
    if not var_list:
        logging.warning("No Variables to restore")
        return None
    saver = Saver(var_list, reshape=reshape_variables)
    return lambda session: saver.restore(session, model_path)
