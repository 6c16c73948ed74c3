"""The recorded calls, a family of ops a file."""

from __future__ import annotations

import importlib

from tests.golden.describe import Family

_MODULES = ("elementwise", "arrays", "reductions", "nn", "state", "programs", "refusals")
_LOADED = [importlib.import_module(__name__ + "." + name) for name in _MODULES]
FAMILIES = list({id(value): value for module in _LOADED for value in vars(module).values() if isinstance(value, Family)}.values())
PROGRAMS = {name: program for module in _LOADED for name, program in getattr(module, "PROGRAMS", {}).items()}
