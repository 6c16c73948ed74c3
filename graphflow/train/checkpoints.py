"""Checkpoints of a folder: the file `checkpoint` that says which is the latest, removing old ones, and looking into them."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphflow import errors
from graphflow.compat import logging
from graphflow.io.checkpoint import CheckpointReader
from graphflow.io.files import make_parents, write_atomically
from graphflow.io.schema import CheckpointState, SaverDef
from graphflow.io.text import ParseError, from_text, to_text


def _state_path(folder: str, latest_filename: str | None) -> str:
    return os.path.join(folder, latest_filename or "checkpoint")


def meta_graph_filename(checkpoint_filename: str, meta_graph_suffix: str = "meta") -> str:
    """The name of the file with the graph of a checkpoint."""
    base = checkpoint_filename
    head, dash, shards = base.rpartition("-?????-of-")  # of an old sharded checkpoint
    return f"{head if dash and shards.isdigit() else base}.{meta_graph_suffix}"


def generate_checkpoint_state_proto(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> CheckpointState:
    """The contents of the file `checkpoint`; where `save_dir` is relative, so are the paths, to it."""
    paths = all_model_checkpoint_paths if isinstance(all_model_checkpoint_paths, list) else list(all_model_checkpoint_paths or ())
    if not paths or paths[-1] != model_checkpoint_path:
        logging.info("%s is not in all_model_checkpoint_paths. Manually adding it.", model_checkpoint_path)
        paths.append(model_checkpoint_path)  # to the caller's list, as TensorFlow does
    times = all_model_checkpoint_timestamps
    if times and len(times) != len(paths):
        raise ValueError(f"Checkpoint timestamps, if provided, must match checkpoint paths (got paths {paths} and timestamps {times})")
    if not os.path.isabs(save_dir):
        paths = [p if os.path.isabs(p) else os.path.relpath(p, save_dir or ".") for p in paths]
        model_checkpoint_path = paths[-1]
    return CheckpointState(
        model_checkpoint_path=model_checkpoint_path,
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=times,
        last_preserved_timestamp=last_preserved_timestamp,
    )


def update_checkpoint_state(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> None:
    """Writes the file `checkpoint`."""
    write_checkpoint_state(
        save_dir, model_checkpoint_path, all_model_checkpoint_paths, latest_filename, False, all_model_checkpoint_timestamps,
        last_preserved_timestamp,
    )  # fmt: skip


def write_checkpoint_state(
    save_dir: str,
    latest: str,
    paths: Sequence[str] | None,
    latest_filename: str | None,
    relative: bool,
    times: Sequence[float] | None = None,
    preserved: float | None = None,
) -> None:
    """Writes the file `checkpoint`; with `relative`, so that the folder may be moved."""
    if relative:
        latest, *others = (os.path.relpath(p, save_dir) if os.path.isabs(p) else p for p in (latest, *(paths or ())))
        paths = others
    state = generate_checkpoint_state_proto(save_dir, latest, paths, times, preserved)
    path = _state_path(save_dir, latest_filename)
    if path == state.model_checkpoint_path:
        raise RuntimeError(
            f"Save path '{latest}' conflicts with path used for checkpoint state.  Please use a different save path."
        )
    make_parents(path)
    write_atomically(path, to_text(state).encode())


def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> CheckpointState | None:
    """The contents of the file `checkpoint` of a folder, with whole paths; None where there is none or it cannot be read."""
    checkpoint_dir = os.fspath(checkpoint_dir)
    path = _state_path(checkpoint_dir, latest_filename)
    try:
        with open(path, "rb") as file:
            state = from_text(file.read(), CheckpointState())
    except FileNotFoundError:
        return None
    except (OSError, ParseError) as error:
        logging.warning("%s: %s", type(error).__name__, error)
        logging.warning("%s: Checkpoint ignored", path)
        return None
    assert isinstance(state, CheckpointState)
    if not state.model_checkpoint_path:
        raise ValueError("Invalid checkpoint state loaded from " + checkpoint_dir)
    state.model_checkpoint_path = os.path.join(checkpoint_dir, state.model_checkpoint_path)
    state.all_model_checkpoint_paths = [os.path.join(checkpoint_dir, p) for p in state.all_model_checkpoint_paths]
    return state


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The prefix of the latest checkpoint of a folder; None where there is none."""
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    if state is not None:
        if checkpoint_exists(state.model_checkpoint_path):
            return state.model_checkpoint_path  # type: ignore[no-any-return]
        logging.error("Couldn't match files for checkpoint %s", state.model_checkpoint_path)
    return None


def _matches(pattern: str) -> list[str]:
    """Files of that name; `?` and `*` stand for others, as TensorFlow has it."""
    return [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether there is a checkpoint with that prefix."""
    return bool(_matches(checkpoint_prefix + ".index") or _matches(checkpoint_prefix))


def get_checkpoint_mtimes(checkpoint_prefixes: Iterable[str]) -> list[float]:
    """When those checkpoints that exist were written."""
    found = (_matches(prefix + ".index") or _matches(prefix) for prefix in checkpoint_prefixes)
    return [os.stat(paths[0]).st_mtime for paths in found if paths]


def remove_checkpoint(checkpoint_prefix: str, checkpoint_format_version: int = SaverDef.V2, meta_graph_suffix: str = "meta") -> None:
    """Deletes the files of a checkpoint. The index goes first: without it nobody takes the rest for a checkpoint."""
    names = _matches(checkpoint_prefix) or [checkpoint_prefix]
    if checkpoint_format_version == SaverDef.V2:
        names = [checkpoint_prefix + ".index", *glob.glob(glob.escape(checkpoint_prefix) + ".data-?????-of-?????")]
    for name in (*names, meta_graph_filename(checkpoint_prefix, meta_graph_suffix)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


# -- looking into checkpoints --------------------------------------------------------------------------------------------------


def NewCheckpointReader(filepattern: str) -> CheckpointReader:
    """What a checkpoint holds. NotFoundError where there is none."""
    return CheckpointReader(filepattern)


def load_checkpoint(ckpt_dir_or_file: str) -> CheckpointReader:
    """What a checkpoint holds, given its prefix or the folder whose latest one it is."""
    prefix: str | None = os.fspath(ckpt_dir_or_file)
    if os.path.isdir(ckpt_dir_or_file):
        prefix = latest_checkpoint(ckpt_dir_or_file)
    if prefix is None:
        raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {ckpt_dir_or_file}")
    return NewCheckpointReader(prefix)


def load_variable(ckpt_dir_or_file: str, name: str) -> Any:
    """The value of a variable in a checkpoint; the name may end in ":0"."""
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int]]]:
    """Names and shapes of the variables in a checkpoint."""
    return sorted(load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map().items())


def checkpoints_iterator(
    checkpoint_dir: str,
    min_interval_secs: float = 0,
    timeout: float | None = None,
    timeout_fn: Any = None,
) -> Iterator[str]:
    """Each new latest checkpoint of a folder, waited for; ends when none has come for `timeout` seconds (and `timeout_fn` agrees)."""
    import time

    last: str | None = None
    while True:
        begun = time.time()
        while (found := latest_checkpoint(checkpoint_dir)) is None or found == last:
            if timeout is not None and time.time() - begun + 1 > timeout:
                found = None
                break
            time.sleep(1)
        if found is None:
            if timeout_fn is None or timeout_fn():
                return
            continue
        last, at = found, time.time()
        yield found
        time.sleep(max(0.0, min_interval_secs - (time.time() - at)))


def object_graph_keys(path: str) -> dict[str, str]:
    """Variable names -> keys, for a checkpoint that was written by objects (TensorFlow 2). NotFoundError for one that was not."""
    from graphflow.io.schema import TrackableObjectGraph

    data = NewCheckpointReader(path).get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH")
    try:
        graph = TrackableObjectGraph.FromString(data)
    except ValueError as error:
        raise errors.DataLossError(None, None, f"{path}: {error}") from None
    return {a.full_name: a.checkpoint_key for node in graph.nodes for a in node.attributes}
