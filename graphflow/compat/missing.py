"""The error for a name that TensorFlow 1.15 has and graphflow lacks: it says so, and names what is nearest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path


class MissingName(AttributeError):
    """A public name of TensorFlow 1.15 that is not here."""


@cache
def tensorflow_names() -> frozenset[str]:
    """The public names of TensorFlow 1.15 below `tf` ("nn.relu"), and its modules ("python/ops/nn_ops")."""
    import gzip  # not at the top: only needed where something is missing

    data = (Path(__file__).parent / "tensorflow_names.txt.gz").read_bytes()
    return frozenset(gzip.decompress(data).decode().split())


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
    if not name.startswith("_") and (full in names or namespace.startswith("contrib") or full.replace(".", "/") in names):
        return MissingName(f"TensorFlow 1.15 has tf.{full}, but graphflow does not have it yet{hint}")
    return AttributeError(f"module 'tensorflow{'.' if namespace else ''}{namespace}' has no attribute '{name}'{hint}")
