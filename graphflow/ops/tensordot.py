"""Contractions over any axes, as reshapes around a matrix product: tensordot and einsum."""

from __future__ import annotations

import re
import string
from typing import Any

import numpy as np

from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.diagonal import trace
from graphflow.ops.distinct import setdiff1d
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat, stack
from graphflow.ops.logic import where
from graphflow.ops.matmul import matmul
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_prod, reduce_sum
from graphflow.ops.reshape import expand_dims, reshape, transpose
from graphflow.ops.shape import rank, shape

__all__ = ["einsum", "tensordot"]


def _matrix(x: Any, axes: Any, first: bool) -> tuple[Any, Any, list[int | None] | None]:
    """x as a matrix, the contracted `axes` as its rows (`first`) or its columns; the free sizes, and what is known of them."""
    dims = x.shape.as_list() if x.shape.ndims is not None else None
    if dims is None or not isinstance(axes, list):
        sizes, count = shape(x), rank(x)
        axes_t = convert_to_tensor(axes, dtype=int32, name="axes")
        axes_t = where(make("GreaterEqual", axes_t, 0), axes_t, axes_t + count)
        free_t = setdiff1d(range_of(count), axes_t)[0]
        known = None
    else:
        axes = [a if a >= 0 else a + len(dims) for a in axes]
        free = [a for a in range(len(dims)) if a not in axes]
        known = [dims[a] for a in free]
        if None not in dims:
            perm = [*axes, *free] if first else [*free, *axes]
            rows, columns = int(np.prod([dims[a] for a in free])), int(np.prod([dims[a] for a in axes]))
            return reshape(transpose(x, perm), [columns, rows] if first else [rows, columns]), known, known
        axes_t = convert_to_tensor(axes, dtype=int32, name="axes")
        free_t = convert_to_tensor(np.array(free, np.int32), dtype=int32, name="free")
        sizes = shape(x)
    free_sizes, axes_sizes = gather(sizes, free_t), gather(sizes, axes_t)
    rows_t, columns_t = reduce_prod(free_sizes), reduce_prod(axes_sizes)
    order = concat([axes_t, free_t] if first else [free_t, axes_t], 0)
    target = stack([columns_t, rows_t] if first else [rows_t, columns_t])
    return reshape(transpose(x, order), target), free_sizes, known


def _axes(a: Any, axes: Any) -> tuple[Any, Any]:
    """The contracted axes of both operands: lists of numbers where they are known, else tensors."""
    count = a.shape.ndims
    if isinstance(axes, (int, np.integer)):
        if axes < 0:
            raise ValueError("'axes' must be at least 0.")
        if count is None:
            of_a = rank(a)
            return range_of(of_a - axes, of_a, dtype=int32), range_of(axes, dtype=int32)
        if axes > count:
            raise ValueError(f"'axes' must not be larger than the number of dimensions of tensor {a}.")
        return list(range(count - axes, count)), list(range(axes))
    if not isinstance(axes, (list, tuple)):
        axes = convert_to_tensor(axes, name="axes", dtype=int32)
        return axes[0], axes[1]
    if len(axes) != 2:
        raise ValueError("'axes' must be an integer or have length 2.")
    first, second = ([int(x)] if isinstance(x, (int, np.integer)) else [int(v) for v in x] for x in axes)
    if len(first) != len(second):
        raise ValueError(f"Different number of contraction axes 'a' and 'b', {len(first)} != {len(second)}.")
    return first, second


def tensordot(a, b, axes, name=None):
    """The sum of products over the given axes of a and b; `axes` is a number (the last of a, the first of b), two lists, or
    a tensor [2, number of axes]."""
    with name_scope(name, "Tensordot", [a, b, axes]) as name:
        a = convert_to_tensor(a, name="a")
        b = convert_to_tensor(b, name="b")
        first, second = _axes(a, axes)
        left, left_free, left_known = _matrix(a, first, False)
        right, right_free, right_known = _matrix(b, second, True)
        product = matmul(left, right)
        if isinstance(left_free, list) and isinstance(right_free, list):
            return reshape(product, left_free + right_free, name=name)
        left_free = convert_to_tensor(left_free, dtype=int32)
        right_free = convert_to_tensor(right_free, dtype=int32)
        result = reshape(product, concat([left_free, right_free], 0), name=name)
        if left_known is not None and right_known is not None:
            result.set_shape(left_known + right_known)
        return result


def _parsed(equation: str, shapes: list[Any]) -> tuple[list[str], str]:
    """The labels of each input and of the output, "..." resolved to letters of its own."""
    equation = equation.replace(" ", "")
    match = re.match(r"^([a-zA-Z,.]+)(->[a-zA-Z.]*)?$", equation)
    if not match:
        raise ValueError(f"Indices have incorrect format: {equation}")
    labels = match.group(1).split(",")
    output = match.group(2)[2:] if match.group(2) else None
    if len(shapes) != len(labels):
        raise ValueError(f'Got {len(shapes)} arguments for equation "{equation}", expecting {len(labels)}')
    spread = ""
    unused = [c for c in string.ascii_letters if c not in equation]
    for number, label in enumerate(labels):
        if "..." in label:
            if shapes[number].ndims is None:
                raise ValueError("Unable to statically infer ellipsis axes.")
            count = shapes[number].ndims - len(label.replace("...", ""))
            if count < 0:
                raise ValueError("Ellipses lengths do not match.")
            replaced = "".join(unused[-count:]) if count else ""
            labels[number] = label.replace("...", replaced)
            spread = replaced if len(replaced) > len(spread) else spread
    if output is None:
        letters = "".join(labels)
        output = spread + "".join(sorted(c for c in set(letters) - set(spread) if letters.count(c) == 1))
    return labels, output.replace("...", spread)


def einsum(equation, *inputs, **kwargs):
    """Sums of products in Einstein's notation: "ij,jk->ik"."""
    name = kwargs.pop("name", None)
    if kwargs:
        raise TypeError("invalid keyword arguments for this function: " + ", ".join(sorted(kwargs)))
    with name_scope(name, "einsum", [equation, inputs]) as name:
        tensors = [convert_to_tensor(x) for x in inputs]
        labels, output = _parsed(equation, [x.shape for x in tensors])
        if len(labels) == 1 and len(labels[0]) == 2 and labels[0][0] == labels[0][1] and "->" not in equation:
            return trace(tensors[0])
        for label in labels:
            if len(set(label)) != len(label):
                raise ValueError(f"Subscript not supported: an axis appears more than once: {label}")
        left, left_labels = tensors[0], labels[0]
        for number in range(1, len(tensors)):
            later = set(output).union(*labels[number + 1 :])
            summed = (set(left_labels) & set(labels[number])) - later
            left, left_labels = _pair(left, left_labels, tensors[number], labels[number], summed)
        missing = [a for a, c in enumerate(left_labels) if c not in output]
        if missing:
            left = reduce_sum(left, axis=missing)
            left_labels = "".join(c for c in left_labels if c in output)
        if sorted(left_labels) != sorted(output):
            raise ValueError(f"Invalid equation: {equation}")
        return _permuted(left, [left_labels.index(c) for c in output])


def _permuted(x: Any, perm: list[int]) -> Any:
    return x if perm == list(range(len(perm))) else transpose(x, perm)


def _sizes(x: Any) -> list[Any]:
    """Sizes as numbers where known, else as scalars of the shape."""
    dims = x.shape.as_list()
    if None in dims:
        whole = shape(x)
        dims = [whole[a] if d is None else d for a, d in enumerate(dims)]
    return dims


def _product(sizes: list[Any]) -> Any:
    total: Any = 1
    for size in sizes:
        total = total * size
    return total


def _shaped(x: Any, target: list[Any]) -> Any:
    have = x.shape.as_list()
    if len(have) == len(target) and all(isinstance(t, int) and t == h for h, t in zip(have, target, strict=True)):
        return x
    return reshape(x, target)


def _pair(left: Any, left_labels: str, right: Any, right_labels: str, summed: set[str]) -> tuple[Any, str]:
    """The product of two operands summed over labels that nothing later needs."""
    for x, label in ((left, left_labels), (right, right_labels)):
        if x.shape.ndims != len(label):
            raise ValueError(f"Tensor of rank {x.shape.ndims} does not match the labels '{label}'")
    shared = sorted((set(left_labels) & set(right_labels)) - summed)
    left_free = sorted(set(left_labels) - set(shared) - summed)
    right_free = sorted(set(right_labels) - set(shared) - summed)
    inner = sorted(summed)
    left = _permuted(left, [left_labels.index(c) for c in (*shared, *left_free, *inner)])
    right = _permuted(right, [right_labels.index(c) for c in (*shared, *inner, *right_free)])
    result = "".join((*shared, *left_free, *right_free))
    if not summed:
        for _ in right_free:
            left = expand_dims(left, -1)
        for _ in left_free:
            right = expand_dims(right, len(shared))
        return make("Mul", left, right), result
    batch, count = len(shared), len(inner)
    left_sizes, right_sizes = _sizes(left), _sizes(right)
    rows, depth = left_sizes[batch : len(left_sizes) - count], left_sizes[len(left_sizes) - count :]
    columns = right_sizes[batch + count :]
    left = _shaped(left, [*left_sizes[:batch], _product(rows), _product(depth)])
    right = _shaped(right, [*right_sizes[:batch], _product(right_sizes[batch : batch + count]), _product(columns)])
    return _shaped(matmul(left, right), [*left_sizes[:batch], *rows, *columns]), result
