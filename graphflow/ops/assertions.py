"""The assert_* functions: operations that fail a run, or errors at once where the answer is already known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.convert import constant_value
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.ops.reductions import reduce_all
from graphflow.ops.source import no_op, with_dependencies
from graphflow.ops.watching import Assert

__all__ = [
    "assert_equal", "assert_greater", "assert_greater_equal", "assert_integer", "assert_less", "assert_less_equal", "assert_near",
    "assert_negative", "assert_non_negative", "assert_non_positive", "assert_none_equal", "assert_positive", "assert_proper_iterable",
    "assert_rank", "assert_rank_at_least", "assert_rank_in", "assert_same_float_dtype", "assert_scalar", "assert_type",
    "is_non_decreasing", "is_numeric_tensor", "is_strictly_increasing",
]  # fmt: skip

NUMERIC = frozenset(
    (dtypes.float32, dtypes.float64, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.qint8, dtypes.qint32,
     dtypes.quint8, dtypes.complex64)
)  # fmt: skip
Data = Sequence[Any] | None


def _known(value: Any) -> Any:
    contents = constant_value(value)
    return None if contents is None or contents.dtype == object and value.dtype != dtypes.string else contents


def _shown(value: Any) -> str:
    contents = _known(value) if isinstance(value, Tensor) else None
    return str(value) if contents is None else str(contents)


def _compare(
    sign: str, test: str, known: Callable[..., Any], x: Any, y: Any, data: Data, summarize: int | None, message: str | None,
    name: str | None, default_name: str,
) -> Operation:  # fmt: skip
    with name_scope(name, default_name, [x, y, data]):
        x = convert_to_tensor(x, name="x")
        y = convert_to_tensor(y, name="y")
        if data is None:
            data = [f"Condition x {sign} y did not hold element-wise:", f"x ({x.name}) = ", x, f"y ({y.name}) = ", y]
        if message is not None:
            data = [message, *data]
        condition = reduce_all(make(test, x, y))
        left, right = _known(x), _known(y)
        if left is not None and right is not None and not np.all(known(left, right)):
            raise InvalidArgumentError(None, None, "\n".join(map(_shown, data)))
        return Assert(condition, data, summarize=summarize)


def _binary(name: str, sign: str, test: str, known: Callable[..., Any]) -> Any:
    default_name = name

    def check(
        x: Any, y: Any, data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None
    ) -> Operation:
        return _compare(sign, test, known, x, y, data, summarize, message, name, default_name)

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"An operation that fails unless x {sign} y for all elements; fails at once where they are constants."
    return check


assert_none_equal = _binary("assert_none_equal", "!=", "NotEqual", np.not_equal)
assert_less = _binary("assert_less", "<", "Less", np.less)
assert_less_equal = _binary("assert_less_equal", "<=", "LessEqual", np.less_equal)
assert_greater = _binary("assert_greater", ">", "Greater", np.greater)
assert_greater_equal = _binary("assert_greater_equal", ">=", "GreaterEqual", np.greater_equal)


def assert_equal(
    x: Any, y: Any, data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None
) -> Operation:
    """An operation that fails unless x == y for all elements; fails at once where they are constants."""
    with name_scope(name, "assert_equal", [x, y, data]):
        if x is y:
            return no_op()
    return _compare("==", "Equal", np.equal, x, y, data, summarize, message, name, "assert_equal")


def _unary(name: str, sign: str, strict: bool, zero_first: bool) -> Any:
    default_name = name

    def check(x: Any, data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None) -> Operation:
        with name_scope(name, default_name, [x, data]):
            x = convert_to_tensor(x, name="x")
            if data is None:
                text, value = f"Condition x {sign} 0 did not hold element-wise:", f"x ({x.name}) = "
                data = [message or "", text + value, x] if sign == "<=" else [message or "", text, value, x]
            zero = convert_to_tensor(0, dtype=x.dtype)
            pair = (zero, x) if zero_first else (x, zero)
            result: Operation = (assert_less if strict else assert_less_equal)(*pair, data=data, summarize=summarize)
            return result

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"An operation that fails unless x {sign} 0 for all elements; fails at once where x is a constant."
    return check


assert_negative = _unary("assert_negative", "<", True, False)
assert_positive = _unary("assert_positive", ">", True, True)
assert_non_negative = _unary("assert_non_negative", ">=", False, True)
assert_non_positive = _unary("assert_non_positive", "<=", False, False)


def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, data: Data = None, summarize: int | None = None, message: str | None = None,
    name: str | None = None,
) -> Operation:  # fmt: skip
    """An operation that fails unless |x - y| < atol + rtol * |y| for all elements; both are ten times the type's epsilon by default."""
    with name_scope(name, "assert_near", [x, y, rtol, atol, data]):
        x = convert_to_tensor(x, name="x")
        y = convert_to_tensor(y, name="y", dtype=x.dtype)
        epsilon = 10 * np.finfo(x.dtype.as_numpy_dtype).eps
        rtol = convert_to_tensor(epsilon if rtol is None else rtol, name="rtol", dtype=x.dtype)
        atol = convert_to_tensor(epsilon if atol is None else atol, name="atol", dtype=x.dtype)
        if data is None:
            text = f"x and y not equal to tolerance rtol = {rtol}, atol = {atol}"
            data = [message or "", text, f"x ({x.name}) = ", x, f"y ({y.name}) = ", y]
        tolerance = atol + rtol * make("Abs", y)
        difference = make("Abs", x - y)
        return Assert(reduce_all(make("Less", difference, tolerance)), data, summarize=summarize)


# -- ranks and types ---------------------------------------------------------------------------------------------------------------------


def _rank_check(
    x: Any, ranks: Sequence[Any], words: str, static: Callable[[int, Any], bool], dynamic: Callable[[Any], Any], given: Any,
    data: Data, summarize: int | None, message: str,
) -> Operation:  # fmt: skip
    """`static` decides where everything is known, else `dynamic` makes the condition from the rank's tensor."""
    if data is None:
        data = [message, f"Tensor {x.name} must have rank{words}", *ranks, "Received shape: ", make("Shape", x)]
    for rank in ranks:
        assert_type(rank, dtypes.int32)
    known = [_known(r) for r in ranks]
    if all(k is not None for k in known):
        if any(k.ndim for k in known):
            raise ValueError("Rank must be a scalar.")
        if x.shape.ndims is not None:
            if static(x.shape.ndims, known):
                return no_op(name="static_checks_determined_all_ok")
            raise ValueError(
                f"{message}.  Tensor {x.name} must have rank{words} {given(known)}.  Received rank {x.shape.ndims}, shape {x.shape}"
            )
    condition = dynamic(make("Rank", x))
    for rank, k in zip(ranks, known, strict=True):
        if k is None:
            check = assert_rank(rank, 0, data=["Rank must be a scalar. Received rank: ", rank])
            condition = with_dependencies([check], condition)
    return Assert(condition, data, summarize=summarize)


def assert_rank(
    x: Any, rank: Any, data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None
) -> Operation:
    """An operation that fails unless x has this rank; ValueError at once where the rank is known."""
    with name_scope(name, "assert_rank", (x, rank, *(data or ()))):
        x, rank = convert_to_tensor(x, name="x"), convert_to_tensor(rank, name="rank")
        return _rank_check(
            x, [rank], "", lambda r, k: r == k[0], lambda r: make("Equal", r, rank), lambda k: int(k[0]), data, summarize, message or ""
        )


def assert_rank_at_least(
    x: Any, rank: Any, data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None
) -> Operation:
    """An operation that fails unless x has this rank or a higher one; ValueError at once where the rank is known."""
    with name_scope(name, "assert_rank_at_least", (x, rank, *(data or ()))):
        x, rank = convert_to_tensor(x, name="x"), convert_to_tensor(rank, name="rank")
        return _rank_check(
            x, [rank], " at least", lambda r, k: r >= k[0], lambda r: make("GreaterEqual", r, rank), lambda k: int(k[0]), data, summarize,
            message or "",
        )  # fmt: skip


def assert_rank_in(
    x: Any, ranks: Sequence[Any], data: Data = None, summarize: int | None = None, message: str | None = None, name: str | None = None
) -> Operation:
    """An operation that fails unless x has one of these ranks; ValueError at once where the rank is known."""
    with name_scope(name, "assert_rank_in", (x, *ranks, *(data or ()))):
        x = convert_to_tensor(x, name="x")
        given = [convert_to_tensor(rank, name="rank") for rank in ranks]

        def condition(rank: Any) -> Any:
            if not given:
                return convert_to_tensor(False)
            result = make("Equal", given[0], rank)
            for other in given[1:]:
                result = make("LogicalOr", result, make("Equal", other, rank))
            return result

        return _rank_check(
            x, given, " in", lambda r, k: r in [int(v) for v in k], condition, tuple, data, summarize,
            message or "",
        )  # fmt: skip


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Operation:
    """TypeError unless x has an integer type."""
    with name_scope(name, "assert_integer", [x]):
        x = convert_to_tensor(x, name="x")
        if not x.dtype.is_integer:
            raise TypeError(f'{message or ""}  Expected "x" to be integer type.  Found: {x.name} of dtype {x.dtype}')
        return no_op("statically_determined_was_integer")


def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Operation:
    """TypeError unless the tensor has this type."""
    with name_scope(name, "assert_type", [tensor]):
        tensor = convert_to_tensor(tensor, name="tensor")
        if tensor.dtype != tf_type:
            raise TypeError(f"{message or ''}  {tensor.name} must be of type {dtypes.as_dtype(tf_type)}")
        return no_op("statically_determined_correct_type")


def assert_scalar(tensor: Any, name: str | None = None, message: str | None = None) -> Tensor:
    """The tensor; ValueError unless it has rank 0."""
    with name_scope(name, "assert_scalar", [tensor]):
        tensor = convert_to_tensor(tensor, name="tensor")
        if tensor.shape.ndims != 0:
            raise ValueError(f"{message or ''}Expected scalar shape for {tensor.name}, saw shape: {tensor.shape}.")
        return tensor  # type: ignore[no-any-return]


def assert_proper_iterable(values: Any) -> None:
    """TypeError unless `values` is a list or the like: no tensor, array or string."""
    if isinstance(values, (Tensor, SparseTensor, np.ndarray, bytes, str)):
        raise TypeError(f'Expected argument "values" to be a "proper" iterable.  Found: {type(values)}')
    if not hasattr(values, "__iter__"):
        raise TypeError(f'Expected argument "values" to be iterable.  Found: {type(values)}')


def assert_same_float_dtype(tensors: Sequence[Any] | None = None, dtype: Any = None) -> dtypes.DType:
    """The floating type that all tensors have, or float32; ValueError where they differ or it is no floating type."""
    expected = None if dtype is None else dtypes.as_dtype(dtype)
    first = None
    for tensor in tensors or ():
        if tensor is None:
            continue
        found = tensor.dtype.base_dtype
        if expected is None:
            expected, first = found, tensor
        elif found != expected:
            prefix = "" if first is None else f" to match {first}"
            raise ValueError(f"Tensor {tensor} has type {found.name}, expected {expected.name}{prefix}.")
    expected = expected or dtypes.float32
    if not expected.is_floating:
        raise ValueError(f"Expected floating point type, got {expected.name}.")
    return expected


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype in NUMERIC


def _steps(x: Any) -> Tensor:
    """What each element is more than the one before."""
    if not is_numeric_tensor(x):
        raise TypeError(f"Expected x to be numeric, instead found: {x}")
    flat = make("Reshape", x, [-1])
    return flat[1:] - flat[:-1]  # type: ignore[no-any-return]


def is_non_decreasing(x: Any, name: str | None = None) -> Tensor:
    """Whether no element (in row-major order) is smaller than the one before."""
    with name_scope(name, "is_non_decreasing", [x]):
        steps = _steps(convert_to_tensor(x, name="x"))
        return reduce_all(make("LessEqual", convert_to_tensor(0, dtype=steps.dtype), steps))  # type: ignore[no-any-return]


def is_strictly_increasing(x: Any, name: str | None = None) -> Tensor:
    """Whether every element (in row-major order) is larger than the one before."""
    with name_scope(name, "is_strictly_increasing", [x]):
        steps = _steps(convert_to_tensor(x, name="x"))
        return reduce_all(make("Less", convert_to_tensor(0, dtype=steps.dtype), steps))  # type: ignore[no-any-return]
