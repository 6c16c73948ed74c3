"""The error for a name that TensorFlow 1.15 has and graphflow lacks: it says so, and names what is nearest.

A module that stands for a public namespace ends with `globals()["__getattr__"] = names_of("nn")`, so that `tf.nn.no_such_name` fails with
that error where it is used. `from tensorflow.nn import no_such_name` gives something that fails where it is used, not where it is imported:
many programs import what they never need.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

# What a namespace has that stands below it, so that it cannot import it: a module, or "module:name".
_ELSEWHERE = {
    "debugging.assert_all_finite": "graphflow.ops.watching:verify_tensor_all_finite",
    "debugging.assert_shapes": "graphflow.ops.shape_assertions:assert_shapes",
    "io.gfile": "graphflow.compat.io_gfile",
    "io.match_filenames_once": "graphflow.train.input:match_filenames_once",
    "io.parse_sequence_example": "graphflow.ops.examples:parse_sequence_example",
    "io.write_graph": "graphflow.graph.importer:write_graph",
    **{
        f"io.{name}": f"graphflow.io.records:{name}"
        for name in ("TFRecordCompressionType", "TFRecordOptions", "TFRecordWriter", "tf_record_iterator")
    },
}


class MissingName(AttributeError):
    """A public name of TensorFlow 1.15 that is not here."""


@cache
def tensorflow_names() -> frozenset[str]:
    """The public names of TensorFlow 1.15 below `tf` ("nn.relu"), and its modules ("python/ops/nn_ops")."""
    import gzip  # not at the top: only needed where something is missing

    data = (Path(__file__).parent / "compat" / "tensorflow_names.txt.gz").read_bytes()
    return frozenset(gzip.decompress(data).decode().split())


@cache
def namespaces() -> frozenset[str]:
    """The public namespaces of TensorFlow 1.15 below `tf`: "nn", "nn.rnn_cell"."""
    public = (name.split(".")[:-1] for name in tensorflow_names() if "/" not in name)
    return frozenset(".".join(parts[: n + 1]) for parts in public for n in range(len(parts)))


def is_module(name: str) -> bool:
    """Whether TensorFlow 1.15 has a private or contributed module of that name."""
    return name.replace(".", "/") + ("" if "." in name else "/") in tensorflow_names()


def missing(namespace: str, name: str, present: Iterable[str]) -> AttributeError:
    """The error to raise where `namespace` ("" for tf itself) has no `name`; `present` are the names it has."""
    full = f"{namespace}.{name}" if namespace else name
    from difflib import get_close_matches

    near = get_close_matches(name, [p for p in present if not p.startswith("_")], 1, 0.7)
    nearest = f"{namespace + '.' if namespace else ''}{near[0]}" if near else _elsewhere(namespace, name)
    hint = f"; the nearest name that is here: tf.{nearest}" if nearest else ""
    names = tensorflow_names()
    known = full in names or full in namespaces() or namespace.startswith("contrib") or full.replace(".", "/") in names
    if known and not name.startswith("_"):
        return MissingName(f"TensorFlow 1.15 has tf.{full}, but graphflow does not have it yet{hint}")
    return AttributeError(f"module 'tensorflow{'.' if namespace else ''}{namespace}' has no attribute '{name}'{hint}")


_BEHIND_IMPORTS = ("examples", "python", "core", "contrib")  # packages whose modules the import hook finds, see compat/hook.py
_USUAL = ("layers", "nn", "train", "losses", "metrics", "initializers", "math", "image", "contrib.layers", "contrib.rnn", "")


def _elsewhere(namespace: str, name: str) -> str:
    """What has the same name in another namespace, where one has it: "layers.Dense" for keras.layers.Dense; else ""."""
    present = importlib.import_module("graphflow")
    tail = namespace.rpartition(".")[2]
    if namespace and "." in namespace and tail in _USUAL:
        places: tuple[str, ...] = (tail, *_USUAL)
    else:
        places = _USUAL if namespace.startswith(("keras", "contrib", "python", "compat")) else ()
    for place in dict.fromkeys(places):
        found: Any = present
        for part in place.split(".") if place else ():
            found = getattr(found, part)
        for wanted in (name, f"{name}Optimizer"):
            if not wanted.startswith("_") and wanted in (vars(found) if place else dir(found)):
                return f"{place}.{wanted}" if place else wanted
    return ""


class Lacking:
    """What an import gives for a name that is not here: it raises `error` when it is called, asked for an attribute, or inherited from."""

    def __init__(self, error: MissingName) -> None:
        self.__dict__["_error"] = error

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise self.__dict__["_error"]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._fail()

    __call__ = __getitem__ = __iter__ = __enter__ = __mro_entries__ = __instancecheck__ = __subclasscheck__ = __setattr__ = _fail

    def __repr__(self) -> str:
        return f"<{self.__dict__['_error']}>"


def lacking(error: AttributeError) -> Lacking:
    """For a module's `__getattr__`: a placeholder where the program's statement is `from ... import name`; else raises the error."""
    import dis

    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("graphflow"):
        frame = frame.f_back
    if isinstance(error, MissingName) and frame is not None:
        if dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM":
            return Lacking(error)
    raise error


@cache
def alias_namespace(name: str, aliases: bool = False) -> ModuleType:
    """A namespace of TensorFlow without a module here: its names are those of `tf` (aliases), or missing."""
    module = ModuleType(f"tensorflow.{name}", f"tf.{name}")
    module.__path__ = []  # what is imported from below it is asked of the import hook
    module.ported = aliases  # type: ignore[attr-defined]
    module.__dict__["__getattr__"] = names_of(name, aliases)
    return module


def names_of(namespace: str, aliases: bool = False) -> Callable[[str], Any]:
    """A module's `__getattr__`, for the names it has not. aliases: TensorFlow has the same names in `tf`, so they are looked up there."""
    caller = sys._getframe(1).f_globals
    module = caller if caller["__name__"].startswith("graphflow.") else {"__name__": f"graphflow.{namespace}"}

    def lookup(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module '{module['__name__']}' has no attribute '{name}'")
        full = f"{namespace}.{name}"
        if full in _ELSEWHERE:
            path, _, member = _ELSEWHERE[full].partition(":")
            found = importlib.import_module(path)
            return getattr(found, member) if member else found
        if aliases and full in tensorflow_names():
            try:
                return getattr(importlib.import_module("graphflow"), name)
            except AttributeError:
                pass
        if full in namespaces() and full.split(".")[0] not in _BEHIND_IMPORTS:
            return alias_namespace(full)
        return lacking(missing(namespace, name, (n for n, value in module.items() if not isinstance(value, ModuleType))))

    return lookup
