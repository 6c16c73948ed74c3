"""tf.contrib.learn: its data sets."""

from __future__ import annotations

import importlib
from typing import Any

from graphflow.missing import missing


def __getattr__(name: str) -> Any:
    if name == "datasets":  # loaded when asked for: reading data sets is no part of building graphs
        return importlib.import_module("graphflow.contrib.learn.datasets")
    if name.startswith("__"):
        raise AttributeError(f"module 'graphflow.contrib.learn' has no attribute '{name}'")
    raise missing("contrib.learn", name, ("datasets",))
