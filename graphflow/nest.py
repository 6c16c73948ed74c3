"""tf.nest: structures of lists, tuples and dicts with values at their leaves. Dicts are walked in the order of their sorted keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]


def is_nested(seq):
    """Whether it is a list, a tuple or a dict."""
    return isinstance(seq, (list, tuple, Mapping))


is_sequence = is_nested  # its name in tensorflow.python.util.nest


def _children(structure: Any) -> list[Any]:
    return [structure[key] for key in sorted(structure)] if isinstance(structure, Mapping) else list(structure)


def _like(structure: Any, children: list[Any]) -> Any:
    if isinstance(structure, Mapping):
        filled = dict(zip(sorted(structure), children, strict=True))
        return type(structure)((key, filled[key]) for key in structure)
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*children)
    return type(structure)(children)


def flatten(structure, expand_composites=False):
    """The leaves in order."""
    return [leaf for child in _children(structure) for leaf in flatten(child)] if is_nested(structure) else [structure]


def _packed(structure: Any, leaves: Iterator[Any]) -> Any:
    return _like(structure, [_packed(child, leaves) for child in _children(structure)]) if is_nested(structure) else next(leaves)


def pack_sequence_as(structure, flat_sequence, expand_composites=False):
    """A structure like `structure` with other leaves."""
    if not is_nested(flat_sequence):
        raise TypeError("flat_sequence must be a sequence")
    leaves = list(flat_sequence)
    if not is_nested(structure):
        if len(leaves) != 1:
            raise ValueError(f"Structure is a scalar but len(flat_sequence) == {len(leaves)} > 1")
        return leaves[0]
    wanted = len(flatten(structure))
    if wanted != len(leaves):
        raise ValueError(
            f"Could not pack sequence. Structure had {wanted} elements, but flat_sequence had {len(leaves)} elements.  "
            f"Structure: {structure}, flat_sequence: {flat_sequence}."
        )
    return _packed(structure, iter(leaves))


def assert_same_structure(nest1, nest2, check_types=True, expand_composites=False):
    """ValueError unless both have the same shape, TypeError unless of the same types where `check_types`."""
    if is_nested(nest1) != is_nested(nest2):
        raise ValueError(
            f"The two structures don't have the same nested structure.\n\nFirst structure: {nest1}\n\nSecond structure: {nest2}"
        )
    if not is_nested(nest1):
        return
    if check_types and type(nest1) is not type(nest2) and not (isinstance(nest1, Mapping) and isinstance(nest2, Mapping)):
        raise TypeError(f"The two structures don't have the same sequence type: {type(nest1)} and {type(nest2)}.")
    first, second = _children(nest1), _children(nest2)
    keys_differ = isinstance(nest1, Mapping) and isinstance(nest2, Mapping) and set(nest1) != set(nest2)
    if len(first) != len(second) or keys_differ:
        raise ValueError(
            f"The two structures don't have the same number of elements or keys.\n\nFirst structure: {nest1}\n\nSecond structure: {nest2}"
        )
    for a, b in zip(first, second, strict=True):
        assert_same_structure(a, b, check_types)


def map_structure(func, *structure, **kwargs):
    """A structure whose leaves are `func` of the leaves of the given ones."""
    check_types = kwargs.pop("check_types", True)
    kwargs.pop("expand_composites", None)
    if kwargs:
        raise ValueError(f"Only valid keyword arguments are `check_types` and `expand_composites`, not: `{'`, `'.join(kwargs)}`")
    if not callable(func):
        raise TypeError(f"func must be callable, got: {func}")
    if not structure:
        raise ValueError("Must provide at least one structure")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types)
    apply: Callable[..., Any] = func
    return pack_sequence_as(structure[0], [apply(*leaves) for leaves in zip(*map(flatten, structure), strict=True)])
