"""NumPy as it was when TensorFlow 1.15's programs were written.

A program of that time says `np.int` or `np.product`, which later NumPys took away, and prints fetched scalars in a list as `[0.5]`, where
NumPy 2 prints `[np.float32(0.5)]`. The import hook gives the names and the text back; a NumPy that still has a name keeps its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

# "1.25": the last version whose scalars print as plain numbers; arrays print alike in all of them.
TEXT_OF = "1.25"

_NAMES: dict[str, Any] = {
    "bool": bool, "int": int, "float": float, "complex": complex, "object": object, "str": str, "long": int, "unicode": str,
    "float_": np.float64, "complex_": np.complex128, "cfloat": np.complex128, "singlecomplex": np.complex64, "longfloat": np.longdouble,
    "string_": np.bytes_, "unicode_": np.str_,
    "Inf": np.inf, "Infinity": np.inf, "infty": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan, "NAN": np.nan,
    "PZERO": 0.0, "NZERO": -0.0,
    "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any, "round_": np.round, "row_stack": np.vstack,
    "asscalar": lambda array: array.item(),
    "asfarray": lambda array, dtype=np.float64: np.asarray(array, dtype if np.issubdtype(dtype, np.inexact) else np.float64),
}  # fmt: skip

_given: list[str] = []
_text: Any = None


def give() -> None:
    """Gives the names that this NumPy lacks, and the text of scalars where this NumPy's is another. Calling it again changes nothing."""
    global _text
    for name, value in _NAMES.items():
        with warnings.catch_warnings():  # asking a NumPy that is about to drop a name warns
            warnings.simplefilter("ignore")
            present = hasattr(np, name)
        if not present:
            setattr(np, name, value)
            _given.append(name)
    if _text is None and repr(np.float64(0.5)) != "0.5":
        _text = np.get_printoptions()["legacy"]
        np.set_printoptions(legacy=TEXT_OF)


def take_back() -> None:
    """NumPy as it came."""
    global _text
    while _given:
        delattr(np, _given.pop())
    if _text is not None:
        np.set_printoptions(legacy=_text)
        _text = None
