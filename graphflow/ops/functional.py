"""map_fn, scan, foldl and foldr: loops over the rows of tensors, with TensorArrays for what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.tensor import Tensor
from graphflow.nest import assert_same_structure, flatten, is_nested, map_structure, pack_sequence_as
from graphflow.ops.control_flow.while_loop import while_loop
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import constant
from graphflow.ops.tensor_array import TensorArray
from graphflow.ops.variable_scope import get_variable_scope
from graphflow.shapes import Dimension, TensorShape, dimension_value

__all__ = ["foldl", "foldr", "map_fn", "scan"]


@contextmanager
def _cached_variables() -> Iterator[None]:
    """Variables that are made in the block are read once, not in every iteration."""
    scope = get_variable_scope()
    if scope.caching_device is not None:
        yield
        return
    scope.set_caching_device(lambda op: op.device)
    try:
        yield
    finally:
        scope.set_caching_device(None)


def _packed(structure: Any, values: Sequence[Any]) -> Any:
    return pack_sequence_as(structure, values) if is_nested(structure) else values[0]


def _stacked(arrays: Sequence[TensorArray], elems: Sequence[Tensor]) -> list[Tensor]:
    """The arrays as tensors with as many rows as the `elems`."""
    results = [array.stack() for array in arrays]
    rows = Dimension(None)
    for elem in elems:
        dims = elem.shape.with_rank_at_least(1).dims
        rows = rows if dims is None else rows.merge_with(dims[0])
    for result in results:
        result.set_shape(TensorShape([rows]).concatenate(result.shape[1:]))
    return results


def map_fn(fn: Callable[..., Any], elems: Any, dtype: Any = None, parallel_iterations: int | None = None, back_prop: bool = True,
           swap_memory: bool = False, infer_shape: bool = True, name: str | None = None) -> Any:  # fmt: skip
    """`fn` of every row of `elems`, stacked.

    elems: a tensor, or a structure of tensors with equally many rows; `fn` takes the same structure of rows. dtype: the types of what `fn`
    gives, in its structure; by default those of `elems`. infer_shape: all results have one shape. TypeError: `fn` is not callable, or
    gives another structure. ValueError: a scalar among `elems`.
    """
    if not callable(fn):
        raise TypeError("fn must be callable.")
    if isinstance(elems, SparseTensor):
        raise TypeError(
            "To perform a map on the values of a sparse tensor use either SparseTensor(input.indices, fn(input.values), "
            "input.dense_shape) or SparseTensor(input.indices, map_fn(fn, input.values), input.dense_shape)"
        )
    flat = flatten(elems)
    with name_scope(name, "map", flat), _cached_variables():
        flat = [convert_to_tensor(elem, name="elem") for elem in flat]
        dtype = dtype or _packed(elems, [elem.dtype for elem in flat])
        if flat[0].shape.ndims is not None and flat[0].shape.ndims < 1:
            if len(flat) == 1:
                raise ValueError("elems must be a 1+ dimensional Tensor, not a scalar")
            raise ValueError("elements in elems must be 1+ dimensional Tensors, not scalars")
        rows = dimension_value(flat[0].shape[0]) or shape_of(flat[0])[0]
        inputs = [TensorArray(elem.dtype, size=rows, dynamic_size=False, infer_shape=True) for elem in flat]
        inputs = [array.unstack(elem) for array, elem in zip(inputs, flat, strict=True)]
        start = constant(0)
        outputs = [TensorArray(t, size=rows, dynamic_size=False, infer_shape=infer_shape) for t in flatten(dtype)]

        def body(i: Tensor, arrays: list[TensorArray]) -> Any:
            result = fn(_packed(elems, [array.read(i) for array in inputs]))
            assert_same_structure(dtype or elems, result)
            written = [array.write(i, value) for array, value in zip(arrays, flatten(result), strict=True)]
            return i + 1, written

        _, arrays = while_loop(
            lambda i, _: i < rows, body, (start, outputs), parallel_iterations=parallel_iterations or 10, back_prop=back_prop,
            swap_memory=swap_memory, maximum_iterations=rows,
        )  # fmt: skip
        results = _stacked(arrays, flat)
    return _packed(dtype, results)


def scan(fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
         swap_memory: bool = False, infer_shape: bool = True, reverse: bool = False, name: str | None = None) -> Any:  # fmt: skip
    """All values that `accumulator = fn(accumulator, row)` takes on over the rows of `elems`, stacked.

    initializer: the first accumulator, of the structure that `fn` gives; by default the first row (the last where `reverse`), which then
    is the first result too. reverse: from the last row to the first. TypeError: `fn` is not callable, or gives another structure.
    """
    if not callable(fn):
        raise TypeError("fn must be callable.")
    flat = flatten(elems)
    with name_scope(name, "scan", flat), _cached_variables():
        flat = [convert_to_tensor(elem, name="elem") for elem in flat]
        rows = dimension_value(flat[0].shape[0])
        if rows is None:
            rows = shape_of(flat[0])[0]
        inputs = [
            TensorArray(elem.dtype, size=rows, dynamic_size=False, element_shape=elem.shape[1:], infer_shape=True) for elem in flat
        ]
        inputs = [array.unstack(elem) for array, elem in zip(inputs, flat, strict=True)]
        structure = elems if initializer is None else initializer
        if initializer is None:
            first = [array.read(rows - 1 if reverse else 0) for array in inputs]
        else:
            first = [convert_to_tensor(value) for value in flatten(initializer)]
        outputs = [
            TensorArray(
                value.dtype, size=rows, element_shape=value.shape if infer_shape else None, dynamic_size=False, infer_shape=infer_shape
            )
            for value in first
        ]
        if initializer is None:
            outputs = [array.write(rows - 1 if reverse else 0, value) for array, value in zip(outputs, first, strict=True)]

        def body(i: Tensor, accumulator: list[Tensor], arrays: list[TensorArray]) -> Any:
            row = _packed(elems, [array.read(i) for array in inputs])
            result = fn(_packed(structure, accumulator), row)
            assert_same_structure(structure, result)
            values = flatten(result)
            written = [array.write(i, value) for array, value in zip(arrays, values, strict=True)]
            return i - 1 if reverse else i + 1, values, written

        done = 1 if initializer is None else 0
        start = rows - 1 - done if reverse else done
        condition = (lambda i, _, __: i >= 0) if reverse else (lambda i, _, __: i < rows)
        _, _, arrays = while_loop(
            condition, body, (start, first, outputs), parallel_iterations=parallel_iterations, back_prop=back_prop,
            swap_memory=swap_memory, maximum_iterations=rows,
        )  # fmt: skip
        results = _stacked(arrays, flat)
    return _packed(structure, results)


def foldl(fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Any:  # fmt: skip
    """The last value of `accumulator = fn(accumulator, row)` over the rows of `elems`, from first to last.

    initializer: the first accumulator; by default the first row. TypeError: `fn` is not callable.
    """
    with _fold(fn, elems, name, "foldl") as (inputs, rows):
        if initializer is None:
            initializer, start = map_structure(lambda array: array.read(0), inputs), constant(1)
        else:
            start = constant(0)

        def body(i: Tensor, accumulator: Any) -> Any:
            accumulator = fn(accumulator, map_structure(lambda array: array.read(i), inputs))
            return [i + 1, accumulator]

        return while_loop(
            lambda i, _: i < rows, body, [start, initializer], parallel_iterations=parallel_iterations, back_prop=back_prop,
            swap_memory=swap_memory, maximum_iterations=rows,
        )[1]  # fmt: skip


def foldr(fn: Callable[..., Any], elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
          swap_memory: bool = False, name: str | None = None) -> Any:  # fmt: skip
    """The last value of `accumulator = fn(accumulator, row)` over the rows of `elems`, from last to first.

    initializer: the first accumulator; by default the last row. TypeError: `fn` is not callable.
    """
    with _fold(fn, elems, name, "foldr") as (inputs, rows):
        start = rows
        if initializer is None:
            start = rows - 1
            initializer = map_structure(lambda array: array.read(start), inputs)

        def body(i: Tensor, accumulator: Any) -> Any:
            i = i - 1
            return [i, fn(accumulator, map_structure(lambda array: array.read(i), inputs))]

        return while_loop(
            lambda i, _: i > 0, body, [start, initializer], parallel_iterations=parallel_iterations, back_prop=back_prop,
            swap_memory=swap_memory, maximum_iterations=rows,
        )[1]  # fmt: skip


@contextmanager
def _fold(fn: Callable[..., Any], elems: Any, name: str | None, default: str) -> Iterator[tuple[Any, Any]]:
    """The scope of a fold, and in it the rows of `elems` as TensorArrays, and how many."""
    if not callable(fn):
        raise TypeError("fn must be callable.")
    with name_scope(name, default, [elems]), _cached_variables():
        flat = [convert_to_tensor(elem, name="elem") for elem in flatten(elems)]
        rows = dimension_value(flat[0].shape[0]) or shape_of(flat[0])[0]
        yield map_structure(lambda elem: TensorArray(elem.dtype, size=rows, infer_shape=True).unstack(elem), elems), rows
