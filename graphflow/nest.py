"""tf.nest: structures of lists, tuples and dicts with values at their leaves. Dicts are walked in the order of their sorted keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphflow.missing import names_of

__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]


def is_nested(seq):
    """Whether it is a list, a tuple or a dict."""
    return isinstance(seq, (list, tuple, Mapping))


is_sequence = is_nested  # its name in tensorflow.python.util.nest


def is_composite(value: Any) -> bool:
    """Whether it is a value made of several tensors (IndexedSlices, SparseTensor), a structure where `expand_composites` is true."""
    return hasattr(type(value), "_from_components")


def _has_children(structure: Any, expand_composites: bool) -> bool:
    return is_nested(structure) or (expand_composites and is_composite(structure))


def _children(structure: Any) -> list[Any]:
    if is_composite(structure):
        parts: list[Any] = structure._components
        return parts
    return [structure[key] for key in sorted(structure)] if isinstance(structure, Mapping) else list(structure)


def _like(structure: Any, children: list[Any]) -> Any:
    if is_composite(structure):
        return structure._from_components(children)
    if isinstance(structure, Mapping):
        filled = dict(zip(sorted(structure), children, strict=True))
        return type(structure)((key, filled[key]) for key in structure)
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*children)
    return type(structure)(children)


def flatten(structure, expand_composites=False):
    """The leaves in order."""
    if not _has_children(structure, expand_composites):
        return [structure]
    return [leaf for child in _children(structure) for leaf in flatten(child, expand_composites)]


def _packed(structure: Any, leaves: Iterator[Any], expand_composites: bool) -> Any:
    if not _has_children(structure, expand_composites):
        return next(leaves)
    return _like(structure, [_packed(child, leaves, expand_composites) for child in _children(structure)])


def pack_sequence_as(structure, flat_sequence, expand_composites=False):
    """A structure like `structure` with other leaves."""
    if not is_nested(flat_sequence):
        raise TypeError("flat_sequence must be a sequence")
    leaves = list(flat_sequence)
    if not _has_children(structure, expand_composites):
        if len(leaves) != 1:
            raise ValueError(f"Structure is a scalar but len(flat_sequence) == {len(leaves)} > 1")
        return leaves[0]
    wanted = len(flatten(structure, expand_composites))
    if wanted != len(leaves):
        raise ValueError(
            f"Could not pack sequence. Structure had {wanted} elements, but flat_sequence had {len(leaves)} elements.  "
            f"Structure: {structure}, flat_sequence: {flat_sequence}."
        )
    return _packed(structure, iter(leaves), expand_composites)


def assert_same_structure(nest1, nest2, check_types=True, expand_composites=False):
    """ValueError unless both have the same shape, TypeError unless of the same types where `check_types`."""
    if _has_children(nest1, expand_composites) != _has_children(nest2, expand_composites):
        raise ValueError(
            f"The two structures don't have the same nested structure.\n\nFirst structure: {nest1}\n\nSecond structure: {nest2}"
        )
    if not _has_children(nest1, expand_composites):
        return
    if check_types and type(nest1) is not type(nest2) and not (isinstance(nest1, Mapping) and isinstance(nest2, Mapping)):
        raise TypeError(
            f"The two structures don't have the same nested structure.\n\nFirst structure: {nest1}\n\nSecond structure: {nest2}\n\nMore "
            f"specifically: they don't have the same sequence type: {type(nest1)} and {type(nest2)}."
        )
    first, second = _children(nest1), _children(nest2)
    keys_differ = isinstance(nest1, Mapping) and isinstance(nest2, Mapping) and set(nest1) != set(nest2)
    if len(first) != len(second) or keys_differ:
        raise ValueError(
            f"The two structures don't have the same number of elements or keys.\n\nFirst structure: {nest1}\n\nSecond structure: {nest2}"
        )
    for a, b in zip(first, second, strict=True):
        assert_same_structure(a, b, check_types, expand_composites)


def map_structure(func, *structure, **kwargs):
    """A structure whose leaves are `func` of the leaves of the given ones."""
    check_types = kwargs.pop("check_types", True)
    expand = kwargs.pop("expand_composites", False)
    if kwargs:
        raise ValueError(f"Only valid keyword arguments are `check_types` and `expand_composites`, not: `{'`, `'.join(kwargs)}`")
    if not callable(func):
        raise TypeError(f"func must be callable, got: {func}")
    if not structure:
        raise ValueError("Must provide at least one structure")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types, expand)
    apply: Callable[..., Any] = func
    flat = [flatten(s, expand) for s in structure]
    return pack_sequence_as(structure[0], [apply(*leaves) for leaves in zip(*flat, strict=True)], expand)


# -- what tensorflow.python.util.nest has beside ---------------------------------------------------------------------------------


def assert_shallow_structure(shallow_tree, input_tree, check_types=True, expand_composites=False):
    """ValueError or TypeError unless `input_tree` has the structure `shallow_tree` at least down to the latter's leaves."""
    if not is_nested(shallow_tree):
        return
    if not is_nested(input_tree):
        raise TypeError(f"If shallow structure is a sequence, input must also be a sequence. Input has type: {type(input_tree)}.")
    if check_types and type(shallow_tree) is not type(input_tree):
        raise TypeError(
            "The two structures don't have the same sequence type. Input structure has type "
            f"{type(input_tree)}, while shallow structure has type {type(shallow_tree)}."
        )
    if len(shallow_tree) != len(input_tree):
        raise ValueError(
            "The two structures don't have the same sequence length. Input structure has length "
            f"{len(input_tree)}, while shallow structure has length {len(shallow_tree)}."
        )
    for shallow, deep in zip(_children(shallow_tree), _children(input_tree), strict=True):
        assert_shallow_structure(shallow, deep, check_types)


def _up_to(shallow: Any, tree: Any) -> list[Any]:
    if not is_nested(shallow):
        return [tree]
    return [part for s, t in zip(_children(shallow), _children(tree), strict=True) for part in _up_to(s, t)]


def flatten_up_to(shallow_tree, input_tree, check_types=True, expand_composites=False):
    """What stands in `input_tree` where `shallow_tree` has its leaves."""
    assert_shallow_structure(shallow_tree, input_tree, check_types)
    return _up_to(shallow_tree, input_tree)


def map_structure_up_to(shallow_tree, func, *inputs, **kwargs):
    """A structure like `shallow_tree` whose leaves are `func` of what the inputs have there."""
    if not inputs:
        raise ValueError("Cannot map over no sequences")
    check_types = kwargs.pop("check_types", True)
    flat = [flatten_up_to(shallow_tree, tree, check_types) for tree in inputs]
    return pack_sequence_as(shallow_tree, [func(*parts) for parts in zip(*flat, strict=True)])


def get_traverse_shallow_structure(traverse_fn, structure, expand_composites=False):
    """The upper part of `structure`, with bools at its leaves: whether `traverse_fn` wants to go below. It gives one bool for a
    whole structure, or bools for its children."""
    wanted = traverse_fn(structure)
    if not is_nested(structure):
        if not isinstance(wanted, bool):
            raise TypeError(f"traverse_fn returned structure: {wanted} for non-structure: {structure}")
        return wanted
    if isinstance(wanted, bool):
        if not wanted:
            return False
        return _like(structure, [get_traverse_shallow_structure(traverse_fn, child) for child in _children(structure)])
    assert_shallow_structure(wanted, structure)
    below = []
    for want, child in zip(_children(wanted), _children(structure), strict=True):
        if not isinstance(want, bool):
            raise TypeError(f"traverse_fn didn't return a depth=1 structure of bools.  saw: {wanted} for structure: {structure}")
        below.append(get_traverse_shallow_structure(traverse_fn, child) if want else False)
    return _like(structure, below)

globals()["__getattr__"] = names_of("nest")
