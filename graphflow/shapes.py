"""`tf.Dimension` and `tf.TensorShape`: sizes and shapes in a Graph, where a size is a number or unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphflow.dtypes import DType

__all__ = [
    "Dimension",
    "TensorShape",
    "dimension_at_index",
    "dimension_value",
]


class Dimension:
    """One size of a shape; `value` is None where unknown. Arithmetic and comparison with an unknown size give an unknown."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        if value is None:
            self._value: int | None = None
        elif isinstance(value, Dimension):
            self._value = value._value
        elif isinstance(value, DType):
            raise TypeError(f"Cannot convert {value} to Dimension")
        else:
            self._value = int(value)
            if not isinstance(value, (str, bytes)) and self._value != value:
                raise ValueError(f"Ambiguous dimension: {value}")
            if self._value < 0:
                raise ValueError(f"Dimension {self._value} must be >= 0")

    @property
    def value(self) -> int | None:
        """The size, or None."""
        return self._value

    def __repr__(self) -> str:
        return f"Dimension({self._value!r})"

    def __str__(self) -> str:
        return "?" if self._value is None else str(self._value)

    def __int__(self) -> int:
        return self._value  # type: ignore[return-value]  # an unknown size fails with Python's own TypeError, as in TensorFlow

    def __index__(self) -> int:
        return self._value  # type: ignore[return-value]

    __hash__ = None  # type: ignore[assignment]

    def _other(self, other: Any) -> Any:
        """The number in `other`, or NotImplemented."""
        try:
            return as_dimension(other)._value
        except (TypeError, ValueError):
            return NotImplemented

    def __eq__(self, other: object) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return None if self._value is None or value is None else self._value == value

    def __ne__(self, other: object) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return None if self._value is None or value is None else self._value != value

    def is_compatible_with(self, other: Any) -> bool:
        """Whether both may be the same size."""
        value = as_dimension(other)._value
        return self._value is None or value is None or self._value == value

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises ValueError unless both may be the same size."""
        if not self.is_compatible_with(other):
            raise ValueError(f"Dimensions {self} and {other} are not compatible")

    def merge_with(self, other: Any) -> Dimension:
        """What both together say of the size."""
        other = as_dimension(other)
        self.assert_is_compatible_with(other)
        return Dimension(other._value if self._value is None else self._value)

    def __add__(self, other: Any) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return Dimension(None if self._value is None or value is None else self._value + value)

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return Dimension(None if self._value is None or value is None else self._value - value)

    def __rsub__(self, other: Any) -> Dimension:
        value = as_dimension(other)._value
        return Dimension(None if self._value is None or value is None else value - self._value)

    def __mul__(self, other: Any) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return Dimension(None if self._value is None or value is None else self._value * value)

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __floordiv__(self, other: Any) -> Any:
        value = self._other(other)
        if value is NotImplemented:
            return NotImplemented
        return Dimension(None if self._value is None or value is None else self._value // value)

    def __rfloordiv__(self, other: Any) -> Dimension:
        value = as_dimension(other)._value
        return Dimension(None if self._value is None or value is None else value // self._value)

    def __div__(self, other: Any) -> Any:
        return self // other

    def __truediv__(self, other: Any) -> Any:
        kind = type(other).__name__
        raise TypeError(f"unsupported operand type(s) for /: 'Dimension' and '{kind}', please use // instead")

    def __rtruediv__(self, other: Any) -> Any:
        kind = type(other).__name__
        raise TypeError(f"unsupported operand type(s) for /: '{kind}' and 'Dimension', please use // instead")

    def __mod__(self, other: Any) -> Dimension:
        value = as_dimension(other)._value
        return Dimension(None if self._value is None or value is None else self._value % value)

    def __rmod__(self, other: Any) -> Dimension:
        return as_dimension(other) % self

    def __lt__(self, other: Any) -> Any:
        value = as_dimension(other)._value
        return None if self._value is None or value is None else self._value < value

    def __le__(self, other: Any) -> Any:
        value = as_dimension(other)._value
        return None if self._value is None or value is None else self._value <= value

    def __gt__(self, other: Any) -> Any:
        value = as_dimension(other)._value
        return None if self._value is None or value is None else self._value > value

    def __ge__(self, other: Any) -> Any:
        value = as_dimension(other)._value
        return None if self._value is None or value is None else self._value >= value

    def __reduce__(self) -> tuple[Any, tuple[int | None]]:
        return Dimension, (self._value,)


def as_dimension(value: Any) -> Dimension:
    """`value` as a Dimension."""
    return value if isinstance(value, Dimension) else Dimension(value)


def dimension_value(dimension: Any) -> Any:
    """The int or None in a Dimension; anything else as it is."""
    return dimension.value if isinstance(dimension, Dimension) else dimension


def dimension_at_index(shape: TensorShape, index: int) -> Dimension:
    """The size of one axis, unknown where the rank is."""
    return Dimension(None) if shape.rank is None else shape.dims[index]  # type: ignore[index]


class TensorShape:
    """The shape of a tensor as far as it is known; also its rank may be unknown. Kept as a tuple of int and None."""

    __slots__ = ("_sizes",)

    def __init__(self, dims: Any) -> None:
        if dims is None:
            self._sizes: tuple[int | None, ...] | None = None
        elif isinstance(dims, TensorShape):
            self._sizes = dims._sizes
        elif isinstance(dims, (str, bytes)):
            raise TypeError(f"A string has ambiguous TensorShape, please wrap in a list or convert to an int: {dims!s}")
        elif hasattr(dims, "unknown_rank"):  # a TensorShapeProto
            self._sizes = None if dims.unknown_rank else tuple(None if d.size == -1 else int(d.size) for d in dims.dim)
        else:
            try:
                items = iter(dims)
            except TypeError:
                items = iter((dims,))
            self._sizes = tuple(d if type(d) is int and d >= 0 else Dimension(d)._value for d in items)

    @classmethod
    def _of(cls, sizes: tuple[int | None, ...] | None) -> TensorShape:
        """A shape from sizes that are known to be valid."""
        shape = cls.__new__(cls)
        shape._sizes = sizes
        return shape

    @property
    def sizes(self) -> tuple[int | None, ...] | None:
        """The sizes as a tuple of int and None, or None where the rank is unknown."""
        return self._sizes

    @property
    def rank(self) -> int | None:
        """The number of axes, or None."""
        return None if self._sizes is None else len(self._sizes)

    ndims = rank

    @property
    def dims(self) -> list[Dimension] | None:
        """The sizes as Dimensions, or None."""
        return None if self._sizes is None else [Dimension(d) for d in self._sizes]

    def __repr__(self) -> str:
        return f"TensorShape({self.dims!r})"

    def __str__(self) -> str:
        if self._sizes is None:
            return "<unknown>"
        shown = ["?" if d is None else str(d) for d in self._sizes]
        return f"({shown[0]},)" if len(shown) == 1 else f"({', '.join(shown)})"

    def __len__(self) -> int:
        if self._sizes is None:
            raise ValueError("Cannot take the length of shape with unknown rank.")
        return len(self._sizes)

    def __bool__(self) -> bool:
        return self._sizes is not None

    def __iter__(self) -> Iterator[Dimension]:
        if self._sizes is None:
            raise ValueError("Cannot iterate over a shape with unknown rank.")
        return iter([Dimension(d) for d in self._sizes])

    def __getitem__(self, key: Any) -> Any:
        if self._sizes is not None:
            return TensorShape._of(self._sizes[key]) if isinstance(key, slice) else Dimension(self._sizes[key])
        if not isinstance(key, slice):
            return Dimension(None)
        start = 0 if key.start is None else key.start
        if key.step is not None:
            raise ValueError("Steps are not yet handled")
        if key.stop is None or start < 0 or key.stop < 0:
            return unknown_shape()
        return unknown_shape(rank=key.stop - start)

    def num_elements(self) -> int | None:
        """How many elements, None where that is not known."""
        total = 1
        for d in self._sizes if self._sizes is not None else (None,):
            if d is None:
                return None
            total *= d
        return total

    def merge_with(self, other: Any) -> TensorShape:
        """What both together say of the shape."""
        other = as_shape(other)
        if self._sizes is None or self._sizes == other._sizes:
            return other  # type: ignore[no-any-return]
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {other} are not compatible")
        if other._sizes is None:
            return self
        return TensorShape._of(tuple(b if a is None else a for a, b in zip(self._sizes, other._sizes, strict=True)))

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def concatenate(self, other: Any) -> TensorShape:
        """The axes of both, one after the other."""
        other = as_shape(other)
        if self._sizes is None or other._sizes is None:
            return unknown_shape()
        return TensorShape._of(self._sizes + other._sizes)

    __concat__ = concatenate

    def assert_same_rank(self, other: Any) -> None:
        """Raises ValueError if both ranks are known and differ."""
        other = as_shape(other)
        if None not in (self.rank, other.rank) and self.rank != other.rank:
            raise ValueError(f"Shapes {self} and {other} must have the same rank")

    def assert_has_rank(self, rank: int) -> None:
        """Raises ValueError if the rank is known and not `rank`."""
        if self.rank not in (None, rank):
            raise ValueError(f"Shape {self} must have rank {rank}")

    def with_rank(self, rank: int) -> TensorShape:
        """This shape, with the rank filled in."""
        self.assert_has_rank(rank)
        return unknown_shape(rank=rank) if self._sizes is None else self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """This shape; ValueError if it has fewer axes."""
        if self.rank is not None and self.rank < rank:
            raise ValueError(f"Shape {self} must have rank at least {rank}")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """This shape; ValueError if it has more axes."""
        if self.rank is not None and self.rank > rank:
            raise ValueError(f"Shape {self} must have rank at most {rank}")
        return self

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor could have both shapes."""
        other = as_shape(other)
        if self._sizes is None or other._sizes is None:
            return True
        return len(self._sizes) == len(other._sizes) and all(
            a is None or b is None or a == b for a, b in zip(self._sizes, other._sizes, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises ValueError unless a tensor could have both shapes."""
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {other} are incompatible")

    def most_specific_compatible_shape(self, other: Any) -> TensorShape:
        """The tightest shape that both fit."""
        other = as_shape(other)
        if self._sizes is None or other._sizes is None or self.rank != other.rank:
            return unknown_shape()
        return TensorShape._of(tuple(a if a == b else None for a, b in zip(self._sizes, other._sizes, strict=True)))

    def is_fully_defined(self) -> bool:
        """Whether every size is known."""
        return self._sizes is not None and None not in self._sizes

    def assert_is_fully_defined(self) -> None:
        """Raises ValueError unless every size is known."""
        if not self.is_fully_defined():
            raise ValueError(f"Shape {self} is not fully defined")

    def as_list(self) -> list[int | None]:
        """The sizes as int and None."""
        if self._sizes is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return list(self._sizes)

    def __eq__(self, other: object) -> bool:
        """Equal ranks and sizes; a shape with an unknown size equals only itself."""
        try:
            other = as_shape(other)
        except TypeError:
            return NotImplemented
        return self is other or (self._sizes == other._sizes and (self._sizes is None or None not in self._sizes))

    def __ne__(self, other: object) -> Any:
        """None, not False, where an unknown size decides."""
        try:
            other = as_shape(other)
        except TypeError:
            return NotImplemented
        if self._sizes is None or other._sizes is None:
            raise ValueError("The inequality of unknown TensorShapes is undefined.")
        if len(self._sizes) != len(other._sizes):
            return True
        for a, b in zip(self._sizes, other._sizes, strict=True):
            if a is None or b is None:
                return None
            if a != b:
                return True
        return False

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return TensorShape, (self._sizes,)


def as_shape(shape: Any) -> TensorShape:
    """`shape` as a TensorShape."""
    return shape if isinstance(shape, TensorShape) else TensorShape(shape)


def unknown_shape(rank: int | None = None, ndims: int | None = None) -> TensorShape:
    """A shape of which at most the rank is known."""
    rank = ndims if rank is None else rank
    return TensorShape._of(None if rank is None else (None,) * rank)


def scalar() -> TensorShape:
    """The shape of one number."""
    return TensorShape._of(())
