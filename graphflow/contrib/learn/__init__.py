"""tf.contrib.learn: its data sets, and its preprocessing of texts."""

from __future__ import annotations

import importlib
from typing import Any

from graphflow.missing import names_of

_MODULES = ("datasets", "preprocessing")
_missing = names_of("contrib.learn")


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # loaded when asked for: reading data is no part of building graphs
        return importlib.import_module(f"{__name__}.{name}")
    return _missing(name)
