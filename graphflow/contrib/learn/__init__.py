"""tf.contrib.learn: its data sets, and its preprocessing of texts."""

from __future__ import annotations

import importlib
from typing import Any

from graphflow.missing import missing

_MODULES = ("datasets", "preprocessing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # loaded when asked for: reading data is no part of building graphs
        return importlib.import_module(f"{__name__}.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module 'graphflow.contrib.learn' has no attribute '{name}'")
    raise missing("contrib.learn", name, _MODULES)
