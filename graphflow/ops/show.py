"""Arrays as TensorFlow's kernels print them, for Print, Assert and StringFormat."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_ESCAPES = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 39: "\\'", 92: "\\\\"}


def number(value: Any) -> str:
    """The shortest text of 6 (or 15) digits that gives the number back, else 9 (or 17) digits."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (complex, np.complexfloating)):
        return "?"
    if isinstance(value, np.float64):
        few, many, kind = 15, 17, np.float64
    else:
        few, many, kind = 6, 9, np.float32
    exact = kind(value)
    text = f"{float(exact):.{few}g}"
    return text if math.isnan(exact) or kind(text) == exact else f"{float(exact):.{many}g}"


def _element(value: Any, quoted: bool) -> str:
    if isinstance(value, (bytes, str)):
        data = value.encode() if isinstance(value, str) else value
        if quoted:
            return '"' + data.decode("utf-8", "replace") + '"'
        return "".join(_ESCAPES.get(b, chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data)
    return number(value)


def summarize(array: Array, most: int) -> str:
    """The first `most` elements (all where it is negative), as Print and Assert show them."""
    most = array.size if most < 0 else most
    flat = array.ravel()
    if array.ndim == 0:
        return "" if not most else _element(flat[0], False)
    at = 0

    def dimension(axis: int) -> str:
        nonlocal at
        if at >= most:
            return ""
        out = []
        if axis == array.ndim - 1:
            for k in range(array.shape[axis]):
                if at >= most:
                    out.append("..." if axis else "")
                    break
                out.append((" " if k else "") + _element(flat[at], False))
                at += 1
            return "".join(out)
        for _ in range(array.shape[axis]):
            if at < most:
                out.append("[" + dimension(axis + 1) + "]")
        return "".join(out)

    text = dimension(0)
    return text + ("..." if array.size > most else "")


def summarize_ends(array: Array, ends: int) -> str:
    """The first and last `ends` elements of every dimension (all where it is negative), as tf.print shows them."""
    rank = array.ndim

    def dimension(axis: int, part: Array) -> str:
        if axis == rank:
            return _element(part[()] if isinstance(part, np.ndarray) else part, True)
        count = array.shape[axis]
        shown = count if ends < 0 else ends
        gap = " " if axis == rank - 1 else "\n" * (rank - 1 - axis) + " " * (axis + 1)
        items = [dimension(axis + 1, part[k]) for k in range(min(shown, count))]
        if count > 2 * shown:
            items.append("...")
        items += [dimension(axis + 1, part[k]) for k in range(max(shown, count - shown), count)]
        return "[" + gap.join(items) + "]"

    return dimension(0, array)
