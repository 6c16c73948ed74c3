"""`tf.compat`, and the import hook that lets a program written for TensorFlow import graphflow.

    import graphflow.compat
    graphflow.compat.install()
    import tensorflow as tf                                                # graphflow
    from tensorflow.examples.tutorials.mnist import input_data             # graphflow.data.mnist

`graphflow run PROGRAM.py` does the same without an edit.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphflow.compat.hook import install, uninstall

bytes_or_text_types = (bytes, str)
integral_types = (int, np.integer)
real_types = (int, float, np.integer, np.floating)
complex_types = (int, float, complex, np.number)


def as_bytes(bytes_or_text: bytes | bytearray | str, encoding: str = "utf-8") -> bytes:
    """Text encoded; bytes as they are."""
    if isinstance(bytes_or_text, str):
        return bytes_or_text.encode(encoding)
    if isinstance(bytes_or_text, (bytes, bytearray)):
        return bytes(bytes_or_text)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


def as_text(bytes_or_text: bytes | str, encoding: str = "utf-8") -> str:
    """Bytes decoded; text as it is."""
    if isinstance(bytes_or_text, str):
        return bytes_or_text
    if isinstance(bytes_or_text, bytes):
        return bytes_or_text.decode(encoding)
    raise TypeError(f"Expected binary or unicode string, got {bytes_or_text!r}")


as_str = as_text


def as_str_any(value: Any) -> str:
    """`str(value)`, with bytes decoded."""
    return as_text(value) if isinstance(value, bytes) else str(value)


def path_to_str(path: Any) -> Any:
    """A path object as text; anything else as it is."""
    return as_str_any(os.fspath(path)) if isinstance(path, os.PathLike) else path


def dimension_value(dimension: Any) -> int | None:
    """The number in a Dimension (or the number itself)."""
    return getattr(dimension, "value", dimension)


def dimension_at_index(shape: Any, index: int) -> Any:
    """Dimension `index` of a TensorShape, unknown where the rank is."""
    from graphflow.shapes import Dimension

    return Dimension(None) if shape.ndims is None else shape.dims[index]


def forward_compatible(year: int, month: int, day: int) -> bool:
    """Whether graphs may use what TensorFlow added until that day: never, names stay those of 1.15."""
    return False


def __getattr__(name: str) -> Any:
    if name == "v1":  # not at the top: graphflow itself imports this package
        import graphflow

        return graphflow
    raise AttributeError(f"module 'graphflow.compat' has no attribute {name!r}")
