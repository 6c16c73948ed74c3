"""tf.train.Saver: writes variables to checkpoints, reads them back, and removes old checkpoints.

    saver = tf.train.Saver(max_to_keep=3)
    path = saver.save(sess, "folder/model.ckpt", global_step=step)       folder/model.ckpt-1000.index, ...
    saver.restore(sess, tf.train.latest_checkpoint("folder"))

What is written when: the data and the index of a checkpoint (see io/bundle.py), its graph, then the file `checkpoint`; only then are old
checkpoints removed. A process that is killed in between leaves every earlier checkpoint as it was.
"""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import errors
from graphflow.compat import logging
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.io.schema import MetaGraphDef, SaverDef
from graphflow.ops.variable_protos import strip_scope
from graphflow.runtime.session import BaseSession
from graphflow.train.checkpoints import (
    checkpoint_exists,
    get_checkpoint_mtimes,
    meta_graph_filename,
    object_graph_keys,
    remove_checkpoint,
    write_checkpoint_state,
)
from graphflow.train.meta_graph import export_meta_graph, read_meta_graph, restore_graph
from graphflow.train.saveables import BulkSaverBuilder, all_saveable_objects, saveables
from graphflow.train.training_util import global_step as global_step_value

_V1_WARNING = (
    "*******************************************************",
    "TensorFlow's V1 checkpoint format has been deprecated.",
    "Consider switching to the more efficient V2 format:",
    "   `tf.train.Saver(write_version=tf.train.SaverDef.V2)`",
    "now on by default.",
    "*******************************************************",
)


class Saver:
    """Saves and restores variables; see the module's text."""

    def __init__(
        self,
        var_list: Any = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        saver_def: SaverDef | None = None,
        builder: Any = None,
        defer_build: bool = False,
        allow_empty: bool = False,
        write_version: int = SaverDef.V2,
        pad_step_number: bool = False,
        save_relative_paths: bool = False,
        filename: str | None = None,
    ) -> None:
        if defer_build and var_list:
            raise ValueError(
                "If `var_list` is provided then build cannot be deferred. Either set defer_build=False or var_list=None."
            )
        self._var_list = var_list
        self._reshape = reshape
        self._sharded = sharded
        self._max_to_keep = max_to_keep
        self._hours = keep_checkpoint_every_n_hours
        self._name = name
        self._restore_sequentially = restore_sequentially
        self.saver_def: Any = saver_def
        self._builder = builder
        self._is_built = False
        self._allow_empty = allow_empty
        self._is_empty = False
        self._write_version = write_version
        self._pad_step_number = pad_step_number
        self._save_relative_paths = save_relative_paths
        self._filename = filename
        self._last_checkpoints: list[tuple[str, float]] = []
        self._checkpoints_to_be_deleted: list[tuple[str, float]] = []
        self._next_checkpoint_time = 0.0
        self._by_object: Saver | None = None
        if not defer_build:
            self.build()
        if self.saver_def:
            self._check_saver_def()
            self._write_version = self.saver_def.version

    def build(self) -> None:
        """Adds the operations to the graph; with `defer_build` to be called when all variables are made."""
        if self._is_built:
            return
        self._is_built = True
        if self.saver_def is None:
            if self._builder is None:
                self._builder = BulkSaverBuilder(self._write_version)
            if self._var_list is None:
                self._var_list = all_saveable_objects()
            if not self._var_list:
                if not self._allow_empty:
                    raise ValueError("No variables to save")
                self._is_empty = True
                return
            self.saver_def = self._builder.build(
                self._var_list, self._reshape, self._sharded, self._max_to_keep, self._hours, self._name, self._restore_sequentially,
                self._filename,
            )  # fmt: skip
        elif self._name:
            own = SaverDef()
            own.CopyFrom(self.saver_def)
            for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
                setattr(own, field, f"{self._name.rstrip('/')}/{getattr(own, field)}")
            self.saver_def = own
        self._check_saver_def()
        self._next_checkpoint_time = time.time() + self.saver_def.keep_checkpoint_every_n_hours * 3600

    def _check_saver_def(self) -> None:
        if not isinstance(self.saver_def, SaverDef):
            raise ValueError(f"saver_def must be a saver_pb2.SaverDef: {self.saver_def}")
        for field in ("save_tensor_name", "restore_op_name"):
            if not getattr(self.saver_def, field):
                raise ValueError(f"saver_def must specify the {field}: {self.saver_def}")

    # -- what it is --------------------------------------------------------------------------------------------------------

    def as_saver_def(self) -> SaverDef:
        """What it is made of."""
        return self.saver_def  # type: ignore[no-any-return]

    def to_proto(self, export_scope: str | None = None) -> SaverDef | None:
        """What it is made of, with names as seen from inside a scope; None where it is not in there."""
        if export_scope is None or self.saver_def is None:
            return self.saver_def  # type: ignore[no-any-return]
        own = SaverDef()
        own.CopyFrom(self.saver_def)
        for field in ("filename_tensor_name", "save_tensor_name", "restore_op_name"):
            if not getattr(own, field).startswith(export_scope):
                return None
            setattr(own, field, strip_scope(getattr(own, field), export_scope))
        return own

    @staticmethod
    def from_proto(saver_def: SaverDef, import_scope: str | None = None) -> Saver:
        """The saver whose operations are in the graph already."""
        return Saver(saver_def=saver_def, name=import_scope)

    @property
    def last_checkpoints(self) -> list[str]:
        """The checkpoints that it has written and not yet removed, the oldest first."""
        return [path for path, _ in self._last_checkpoints]

    def set_last_checkpoints(self, last_checkpoints: list[str]) -> None:
        """Replaces that list; their age is unknown."""
        assert isinstance(last_checkpoints, list)
        self._last_checkpoints = [(path, np.inf) for path in last_checkpoints]

    def set_last_checkpoints_with_time(self, last_checkpoints_with_time: list[tuple[str, float]]) -> None:
        """Replaces that list, with the time of each."""
        assert isinstance(last_checkpoints_with_time, list)
        self._last_checkpoints = last_checkpoints_with_time

    def recover_last_checkpoints(self, checkpoint_paths: Sequence[str]) -> None:
        """Goes on with the checkpoints of an earlier process, as far as they exist."""
        found = [(path, get_checkpoint_mtimes([path])) for path in checkpoint_paths]
        self.set_last_checkpoints_with_time([(path, times[0]) for path, times in found if times])

    # -- saving ------------------------------------------------------------------------------------------------------------

    def save(
        self,
        sess: Any,
        save_path: str,
        global_step: Any = None,
        latest_filename: str | None = None,
        meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True,
        write_state: bool = True,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> str | None:
        """Writes a checkpoint; the result is its prefix, for `restore`. The variables must be initialised."""
        if not self._is_built:
            raise RuntimeError("`build()` should be called before save if defer_build==True")
        latest_filename = latest_filename or "checkpoint"
        save_path = os.fspath(save_path)
        if self._write_version != SaverDef.V2:
            for line in _V1_WARNING:
                logging.warning(line)
        if os.path.split(latest_filename)[0]:
            raise ValueError("'latest_filename' must not contain path components")
        target = save_path
        if global_step is not None:
            if not isinstance(global_step, numbers.Integral):
                global_step = global_step_value(sess, global_step)
            target = f"{save_path}-{global_step:08d}" if self._pad_step_number else f"{save_path}-{global_step:d}"
        elif os.path.basename(save_path) == latest_filename and not self._sharded:
            raise ValueError(f"'latest_filename' collides with 'save_path': '{latest_filename}' and '{save_path}'")
        sess = getattr(sess, "_sess", sess) if not isinstance(sess, BaseSession) else sess
        if not isinstance(sess, BaseSession):
            raise TypeError(f"'sess' must be a Session; {sess}")
        written: str | None = None
        if not self._is_empty:
            try:
                named = sess.run(self.saver_def.save_tensor_name, {self.saver_def.filename_tensor_name: target})
            except (errors.AlreadyExistsError, errors.FailedPreconditionError, errors.NotFoundError):
                if os.path.isdir(os.path.dirname(save_path) or "."):
                    raise
                raise ValueError(f"Parent directory of {save_path} doesn't exist, can't save.") from None
            written = named.decode() if isinstance(named, bytes) else str(named)
        if write_meta_graph:
            with sess.graph.as_default():
                name = meta_graph_filename(target, meta_graph_suffix)
                self.export_meta_graph(name, strip_default_attrs=strip_default_attrs, save_debug_info=save_debug_info)
        if written is not None and write_state:
            self._record(written)
            folder = os.path.dirname(save_path)
            write_checkpoint_state(folder, written, self.last_checkpoints, latest_filename, self._save_relative_paths)
            self._remove_old(meta_graph_suffix)
        return written

    def _record(self, path: str) -> None:
        if not self.saver_def.max_to_keep:
            return
        self._last_checkpoints = [p for p in self._last_checkpoints if p[0] != path]
        self._last_checkpoints.append((path, time.time()))
        if len(self._last_checkpoints) > self.saver_def.max_to_keep:
            self._checkpoints_to_be_deleted.append(self._last_checkpoints.pop(0))

    def _remove_old(self, meta_graph_suffix: str) -> None:
        """Removes the checkpoint that `_record` has put out, unless it is the one to keep of the last N hours."""
        if not self._checkpoints_to_be_deleted:
            return
        path, written = self._checkpoints_to_be_deleted.pop(0)
        if written > self._next_checkpoint_time:
            self._next_checkpoint_time += self.saver_def.keep_checkpoint_every_n_hours * 3600
            return
        try:
            remove_checkpoint(path, self.saver_def.version, meta_graph_suffix)
        except OSError as error:
            logging.warning("Ignoring: %s", error)

    def export_meta_graph(
        self,
        filename: str | None = None,
        collection_list: Sequence[str] | None = None,
        as_text: bool = False,
        export_scope: str | None = None,
        clear_devices: bool = False,
        clear_extraneous_savers: bool = False,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> MetaGraphDef:
        """The graph, its collections and this saver; written to a file if one is named."""
        return export_meta_graph(
            filename, None, None, self.saver_def, collection_list, as_text, get_default_graph(), export_scope, clear_devices,
            clear_extraneous_savers, strip_default_attrs, save_debug_info,
        )  # fmt: skip

    # -- restoring ---------------------------------------------------------------------------------------------------------

    def restore(self, sess: Any, save_path: Any) -> None:
        """Gives the variables their values in a checkpoint, which also initialises them. Where the checkpoint is damaged or does not
        fit, no variable changes."""
        if self._is_empty:
            return
        if save_path is None:
            raise ValueError("Can't load save_path when it is None.")
        prefix = os.fspath(save_path)
        prefix = prefix.decode() if isinstance(prefix, bytes) else prefix
        if not checkpoint_exists(prefix):
            raise ValueError("The passed save_path is not a valid checkpoint: " + prefix)
        logging.info("Restoring parameters from %s", prefix)
        try:
            sess.run(self.saver_def.restore_op_name, {self.saver_def.filename_tensor_name: prefix})
        except errors.NotFoundError as error:
            try:
                keys = object_graph_keys(prefix)
            except errors.NotFoundError:
                raise _explained(error, "a Variable name or other graph key that is missing") from None
            self._restore_by_object(sess, prefix, keys)
        except errors.InvalidArgumentError as error:
            raise _explained(error, "a mismatch between the current graph and the graph") from None

    def _restore_by_object(self, sess: Any, prefix: str, keys: dict[str, str]) -> None:
        """Restores from a checkpoint that TensorFlow 2 has written: there the keys are not the variables' names."""
        logging.warning(
            "Restoring an object-based checkpoint using a name-based saver. This may be somewhat fragile, and will re-build the Saver."
        )
        if self._by_object is None:
            with sess.graph.as_default():
                found = saveables(all_saveable_objects() if self._var_list is None else self._var_list)
                lacking = sorted({spec.name for s in found for spec in s.specs} - set(keys))
                if lacking:
                    raise errors.NotFoundError(None, None, f"Existing variables not in the checkpoint: {', '.join(lacking)}")
                for spec in (spec for s in found for spec in s.specs):
                    spec.name = keys[spec.name]
                self._by_object = Saver(found)
        self._by_object.restore(sess, prefix)


def _explained(error: Any, cause: str) -> errors.OpError:
    message = (
        f"Restoring from checkpoint failed. This is most likely due to {cause} from the checkpoint. Please ensure that you have not "
        f"altered the graph expected based on the checkpoint. Original error:\n\n{error.message}"
    )
    return type(error)(error.node_def, error.op, message)  # type: ignore[no-any-return]


def saver_or_default() -> Saver:
    """The graph's saver, made if there is none; RuntimeError where there are several."""
    found = get_collection(GraphKeys.SAVERS)
    if len(found) > 1:
        raise RuntimeError(
            f"More than one item in collection {GraphKeys.SAVERS}. Please indicate which one to use by passing it to the constructor."
        )
    if found:
        return found[0]  # type: ignore[no-any-return]
    saver = Saver(sharded=True, allow_empty=True)
    add_to_collection(GraphKeys.SAVERS, saver)
    return saver


def import_meta_graph(
    meta_graph_or_file: Any, clear_devices: bool = False, import_scope: str | None = None, **kwargs: Any
) -> Saver | None:
    """Adds the graph of a `.meta` file to the default graph, with its collections; the result is its saver, None if it has no
    variables."""
    meta = meta_graph_or_file if isinstance(meta_graph_or_file, MetaGraphDef) else read_meta_graph(meta_graph_or_file)
    scope = restore_graph(meta, clear_devices, import_scope, Saver.from_proto, **kwargs)
    if meta.HasField("saver_def"):
        return Saver(saver_def=meta.saver_def, name=scope)
    if all_saveable_objects(scope=import_scope):
        return Saver()
    logging.info("Saver not created because there are no variables in the graph to restore")
    return None
