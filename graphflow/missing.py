"""The error for a name that TensorFlow 1.15 has and graphflow lacks: it says so, and names what is nearest.

A module that stands for a public namespace ends with `globals()["__getattr__"] = names_of("nn")`, so that `tf.nn.no_such_name` fails with
that error where it is used, not where it is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_MODULES = {"io.gfile": "graphflow.compat.io_gfile"}  # namespaces inside namespaces that stand below them


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
    hint = f"; the nearest name that is here: tf.{namespace + '.' if namespace else ''}{near[0]}" if near else ""
    names = tensorflow_names()
    known = full in names or full in namespaces() or namespace.startswith("contrib") or full.replace(".", "/") in names
    if known and not name.startswith("_"):
        return MissingName(f"TensorFlow 1.15 has tf.{full}, but graphflow does not have it yet{hint}")
    return AttributeError(f"module 'tensorflow{'.' if namespace else ''}{namespace}' has no attribute '{name}'{hint}")


def names_of(namespace: str, aliases: bool = False) -> Callable[[str], Any]:
    """A module's `__getattr__`, for the names it has not. aliases: TensorFlow has the same names in `tf`, so they are looked up there."""
    caller = sys._getframe(1).f_globals
    module = caller if caller["__name__"].startswith("graphflow.") else {"__name__": f"graphflow.{namespace}"}

    def lookup(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module '{module['__name__']}' has no attribute '{name}'")
        full = f"{namespace}.{name}"
        if full in _MODULES:
            return importlib.import_module(_MODULES[full])
        if aliases and full in tensorflow_names():
            try:
                return getattr(importlib.import_module("graphflow"), name)
            except AttributeError:
                pass
        raise missing(namespace, name, (n for n, value in module.items() if not isinstance(value, ModuleType)))

    return lookup
