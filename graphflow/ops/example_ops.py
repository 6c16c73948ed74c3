"""The operations that take serialized Examples apart; `ops/examples.py` has the functions that make them.

A dense feature gives one tensor for the batch, its rows filled from the default where an Example has none. A sparse one gives the parts of
a SparseTensor: as many values as each Example has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.graph.op import TensorSpec
from graphflow.io.example import Example, Feature, Features, SequenceExample
from graphflow.io.wire import DecodeError
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank
from graphflow.ops.text import refused
from graphflow.shapes import TensorShape, as_shape

Array = np.ndarray[Any, Any]
Where = Callable[[int], tuple[str, str]]  # what an error says of the Example of that number, before the key and behind it

_KINDS = {"bytes_list": dtypes.string, "float_list": dtypes.float32, "int64_list": dtypes.int64}
_SHORT = {dtypes.float32: "float"}


def _short(dtype: DType) -> str:
    return _SHORT.get(dtype, dtype.name)


def _array(values: Sequence[Any], dtype: DType) -> Array:
    out = np.empty(len(values), dtype.as_numpy_dtype)
    out[:] = values
    return out


def _list_of(feature: Feature | None) -> tuple[DType, list[Any]] | None:
    """The type and the values of a feature; None where it has no list."""
    kind = None if feature is None else feature.WhichOneof("kind")
    return None if kind is None else (_KINDS[kind], getattr(feature, kind).value)


class Dense(NamedTuple):
    """A feature of one shape; its first size is None where Examples may have different numbers of rows."""

    key: str
    dtype: DType
    sizes: tuple[int | None, ...]
    default: Array  # the value of an Example without it; empty: there must be one; a scalar to pad with where rows differ

    @property
    def varies(self) -> bool:
        return bool(self.sizes) and self.sizes[0] is None

    def collect(self, features: Sequence[Features], where: Where) -> Array:
        """The batch's tensor."""
        rows = []
        for number, found in enumerate(features):
            given = _list_of(found.feature.get(self.key))
            if given is None and not self.varies and not self.default.size:
                what = f"{where(number)[0]}Feature: {self.key} (data type: {_short(self.dtype)})"
                raise refused(f"{what} is required but could not be found.")
            rows.append(None if given is None else self._row(given, f"Key: {self.key}".join(where(number))))
        return self.padded(rows) if self.varies else np.stack([self._filled(row) for row in rows])

    def _filled(self, row: Array | None) -> Array:
        return self.default.reshape(self.sizes) if row is None else row

    def _row(self, given: tuple[DType, list[Any]], what: str) -> Array:
        dtype, values = given
        if dtype is not self.dtype:
            mismatch = f"Data type: {_short(dtype)} but expected type: {_short(self.dtype)}"
            raise refused(f"{what}.  Data types don't match. {mismatch}")
        if self.varies:
            stride = prod(self.sizes[1:])
            if len(values) % stride if stride else values:
                shape = str(as_shape(self.sizes)).replace(" ", "").replace("(", "[").replace(")", "]")
                raise refused(
                    f"{what}.  Number of {_short(dtype)} values is not a multiple of stride length. "
                    f"Saw {len(values)} values but output shape is: {shape}"
                )
            return _array(values, dtype).reshape(-1, *self.sizes[1:])
        if len(values) != prod(self.sizes):
            sizes = f"Values size: {len(values)} but output shape: [{','.join(map(str, self.sizes))}]"
            raise refused(f"{what}.  Number of {_short(dtype)} values != expected.  {sizes}")
        return _array(values, dtype).reshape(self.sizes)

    def padded(self, rows: Sequence[Array | None]) -> Array:
        """Rows of different lengths below each other, the shorter ones filled up with the default."""
        longest = max((len(row) for row in rows if row is not None), default=0)
        out = np.full((len(rows), longest, *self.sizes[1:]), self.default.reshape(-1)[0], self.dtype.as_numpy_dtype)
        for place, row in zip(out, rows, strict=True):
            if row is not None:
                place[: len(row)] = row
        return out


def _sparse(key: str, dtype: DType, features: Sequence[Features], where: Where) -> tuple[Array, Array, Array]:
    """Indices, values and shape of the values that the Examples have of a feature."""
    rows: list[list[Any]] = []
    for number, found in enumerate(features):
        given = _list_of(found.feature.get(key))
        if given is not None and given[0] is not dtype:
            mismatch = f"Expected type: {_short(dtype)}, Actual type: {_short(given[0])}"
            raise refused(f"{f'Key: {key}'.join(where(number))}.  Data types don't match. {mismatch}")
        rows.append([] if given is None else given[1])
    return _ragged(rows, dtype)


def _ragged(rows: Sequence[Sequence[Any]], dtype: DType) -> tuple[Array, Array, Array]:
    lengths = np.array([len(row) for row in rows], np.int64)
    starts = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(len(rows)), lengths)
    indices = np.stack([owner, np.arange(lengths.sum()) - starts[owner]], axis=1).astype(np.int64)
    return indices, _array([v for row in rows for v in row], dtype), np.array([len(rows), lengths.max(initial=0)], np.int64)


def _keys(values: Sequence[Any]) -> list[str]:
    return [key.decode() if isinstance(key, bytes) else key for key in (v.item() if isinstance(v, np.ndarray) else v for v in values)]


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _sizes(shape: TensorShape) -> tuple[int | None, ...]:
    return tuple(as_shape(shape).as_list())


def _sparse_specs(types: Sequence[DType], rank: int) -> tuple[TensorSpec, ...]:
    """The specs of the indices, of the values and of the shapes of SparseTensors."""
    indices = [TensorSpec(dtypes.int64, (None, rank)) for _ in types]
    shapes = [TensorSpec(dtypes.int64, (rank,)) for _ in types]
    return (*indices, *(TensorSpec(t, (None,)) for t in types), *shapes)


def _by_part(tensors: Sequence[tuple[Array, Array, Array]]) -> list[Array]:
    return [part for parts in zip(*tensors, strict=True) for part in parts] if tensors else []


class _Parse(HostOp, abstract=True):
    least = 0


class ParseExample(_Parse):
    """The features of a batch of Examples."""

    arguments = ("serialized: string", "names: string", "sparse_keys: Nsparse*string", "dense_keys: Ndense*string",
                 "dense_defaults: list(Tdense)")  # fmt: skip
    results = ("sparse_indices: Nsparse*int64", "sparse_values: list(sparse_types)", "sparse_shapes: Nsparse*int64",
               "dense_values: list(Tdense)")  # fmt: skip
    sparse_types: tuple[DType, ...]
    dense_shapes: tuple[TensorShape, ...]

    def infer(self, serialized: TensorSpec, names: TensorSpec, *rest: TensorSpec) -> tuple[TensorSpec, ...]:
        for spec in (serialized, names):
            need_rank(spec, 1)
        batch = None if serialized.dims is None else serialized.dims[0]
        defaults = rest[len(rest) - len(self.dense_shapes) :]
        dense = (TensorSpec(d.dtype, (batch, *_sizes(s))) for d, s in zip(defaults, self.dense_shapes, strict=True))
        return (*_sparse_specs(self.sparse_types, 2), *dense)

    def run(self, serialized: Array, names: Array, *rest: Any) -> Any:
        if names.size and len(names) != len(serialized):
            raise refused(f"Expected len(names) == len(serialized), but got: {len(names)} vs. {len(serialized)}")
        columns = len(self.sparse_types), len(self.dense_shapes)
        sparse_keys, dense_keys = _keys(rest[: columns[0]]), _keys(rest[columns[0] : sum(columns)])

        def where(number: int) -> tuple[str, str]:
            return f"Name: {_text(names[number]) if names.size else '<unknown>'}, ", f", Index: {number}"

        features = [_parsed(Example, text, "example").features for text in serialized]
        sparse = [_sparse(key, t, features, where) for key, t in zip(sparse_keys, self.sparse_types, strict=True)]
        dense = _dense(dense_keys, self.dense_shapes, rest[sum(columns) :])
        return (*_by_part(sparse), *(column.collect(features, where) for column in dense))


def _dense(keys: Sequence[str], shapes: Sequence[TensorShape], defaults: Sequence[Array]) -> list[Dense]:
    given = zip(keys, shapes, defaults, strict=True)
    return [Dense(key, dtypes.as_dtype(d.dtype), _sizes(s), d) for key, s, d in given]


def _parsed(kind: Any, text: bytes, what: str) -> Any:
    try:
        return kind.FromString(text)
    except DecodeError:
        raise refused(f"Could not parse {what} input, value: '{_text(text)}'") from None


class ParseSingleExample(_Parse):
    """The features of one Example: as ParseExample, without the batch."""

    arguments = ("serialized: string", "dense_defaults: list(Tdense)")
    results = ("sparse_indices: num_sparse*int64", "sparse_values: list(sparse_types)", "sparse_shapes: num_sparse*int64",
               "dense_values: list(Tdense)")  # fmt: skip
    num_sparse: int
    sparse_keys: tuple[str, ...]
    dense_keys: tuple[str, ...]
    sparse_types: tuple[DType, ...]
    dense_shapes: tuple[TensorShape, ...]

    def infer(self, serialized: TensorSpec, *defaults: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(serialized, 0)
        dense = (TensorSpec(d.dtype, _sizes(s)) for d, s in zip(defaults, self.dense_shapes, strict=True))
        return (*_sparse_specs(self.sparse_types, 1), *dense)

    def run(self, serialized: Array, *defaults: Any) -> Any:
        def where(number: int) -> tuple[str, str]:
            return "", ""

        features = [_parsed(Example, serialized.item(), "example").features]
        sparse = [_sparse(key, t, features, where) for key, t in zip(_keys(self.sparse_keys), self.sparse_types, strict=True)]
        dense = [column.collect(features, where)[0, ...] for column in _dense(_keys(self.dense_keys), self.dense_shapes, defaults)]
        return (*_by_part([(at[:, 1:], values, shape[1:]) for at, values, shape in sparse]), *dense)


# -- sequences --------------------------------------------------------------------------------------------------------------------


class _Steps(NamedTuple):
    """What to make of the feature list of a name: a feature for each step of a sequence."""

    key: str
    dtype: DType
    sizes: tuple[int, ...] | None  # of a dense list's steps; None for a sparse one

    def rows(self, example: SequenceExample, optional: bool, where: str) -> list[list[Any]]:
        """The values of each step."""
        found = example.feature_lists.feature_list.get(self.key)
        if found is None:
            if self.sizes is not None and not optional:
                hint = "Did you mean to include it in feature_list_dense_missing_assumed_empty or feature_list_dense_defaults?"
                raise refused(f"{where}Feature list '{self.key}' is required but could not be found.  {hint}")
            return []
        return [self._step(feature, number, where) for number, feature in enumerate(found.feature)]

    def _step(self, feature: Feature, number: int, where: str) -> list[Any]:
        given = _list_of(feature)
        if given is None and self.sizes is None:
            return []
        if given is None or given[0] is not self.dtype:
            expected = f"Data types don't match. Expected type: {_short(self.dtype)}  Feature is: {feature}"
            raise refused(f"{where}Feature list: {self.key}, Index: {number}.  {expected}")
        if self.sizes is not None and len(given[1]) != prod(self.sizes):
            sizes = f"values size: {len(given[1])} but output shape: [{','.join(map(str, self.sizes))}]"
            raise refused(f"{where}Key: {self.key}, Index: {number}.  Number of {_short(self.dtype)} values != expected.  {sizes}")
        return given[1]

    def stacked(self, rows: Sequence[Sequence[Any]]) -> Array:
        """The tensor of a dense list: one row a step."""
        assert self.sizes is not None
        return _array([v for row in rows for v in row], self.dtype).reshape(len(rows), *self.sizes)


class _ParseSequence(_Parse, abstract=True):
    """SequenceExamples, with the fields that one and a batch of them share."""

    context_sparse_types: tuple[DType, ...] = ()
    feature_list_dense_types: tuple[DType, ...] = ()
    context_dense_shapes: tuple[TensorShape, ...] = ()
    feature_list_sparse_types: tuple[DType, ...] = ()
    feature_list_dense_shapes: tuple[TensorShape, ...] = ()

    def _context(
        self, sparse: Sequence[str], dense: Sequence[str], defaults: Sequence[Array], examples: Sequence[Any], names: Sequence[str]
    ) -> tuple[list[tuple[Array, Array, Array]], list[Array]]:
        features = [example.context for example in examples]

        def where(number: int) -> tuple[str, str]:
            return f"Name: {names[number]}, ", f", Index: {number}"

        for column in (columns := _dense(dense, self.context_dense_shapes, defaults)):
            for number, found in enumerate(features):
                if not column.default.size and _list_of(found.feature.get(column.key)) is None:
                    raise refused(f"{where(number)[0]}Context feature '{column.key}' is required but could not be found.")
        parts = [_sparse(key, t, features, where) for key, t in zip(sparse, self.context_sparse_types, strict=True)]
        return parts, [column.collect(features, where) for column in columns]

    def _lists(self, sparse: Sequence[str], dense: Sequence[str]) -> tuple[list[_Steps], list[_Steps]]:
        shapes = [tuple(n or 0 for n in _sizes(shape)) for shape in self.feature_list_dense_shapes]
        return (
            [_Steps(key, t, None) for key, t in zip(sparse, self.feature_list_sparse_types, strict=True)],
            [_Steps(key, t, s) for key, t, s in zip(dense, self.feature_list_dense_types, shapes, strict=True)],
        )


class ParseSingleSequenceExample(_ParseSequence):
    """The features of one SequenceExample: its context's, and with a dimension for the steps those of its feature lists."""

    arguments = (
        "serialized: string", "feature_list_dense_missing_assumed_empty: string", "context_sparse_keys: Ncontext_sparse*string",
        "context_dense_keys: Ncontext_dense*string", "feature_list_sparse_keys: Nfeature_list_sparse*string",
        "feature_list_dense_keys: Nfeature_list_dense*string", "context_dense_defaults: list(Tcontext_dense)", "debug_name: string",
    )  # fmt: skip
    results = (
        "context_sparse_indices: Ncontext_sparse*int64", "context_sparse_values: list(context_sparse_types)",
        "context_sparse_shapes: Ncontext_sparse*int64", "context_dense_values: list(Tcontext_dense)",
        "feature_list_sparse_indices: Nfeature_list_sparse*int64", "feature_list_sparse_values: list(feature_list_sparse_types)",
        "feature_list_sparse_shapes: Nfeature_list_sparse*int64", "feature_list_dense_values: list(feature_list_dense_types)",
    )  # fmt: skip

    def infer(self, serialized: TensorSpec, *rest: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(serialized, 0)
        defaults = rest[len(rest) - 1 - len(self.context_dense_shapes) : -1]
        dense = (TensorSpec(d.dtype, _sizes(s)) for d, s in zip(defaults, self.context_dense_shapes, strict=True))
        lists = zip(self.feature_list_dense_types, self.feature_list_dense_shapes, strict=True)
        return (
            *_sparse_specs(self.context_sparse_types, 1), *dense, *_sparse_specs(self.feature_list_sparse_types, 2),
            *(TensorSpec(t, (None, *_sizes(s))) for t, s in lists),
        )  # fmt: skip

    def run(self, serialized: Array, optional: Array, *rest: Any) -> Any:
        given = iter(rest)
        counts = (self.context_sparse_types, self.context_dense_shapes, self.feature_list_sparse_types, self.feature_list_dense_types)
        keys = [_keys([next(given) for _ in count]) for count in counts]
        defaults = [next(given) for _ in self.context_dense_shapes]
        name = _text(next(given).item())
        example = _parsed(SequenceExample, serialized.item(), "example")
        context, context_dense = self._context(keys[0], keys[1], defaults, [example], [name])
        sparse, dense = self._lists(keys[2], keys[3])
        where, may_lack = f"Name: {name}, ", set(_keys(list(optional)))
        return (
            *_by_part([(at[:, 1:], values, shape[1:]) for at, values, shape in context]),
            *(column[0, ...] for column in context_dense),
            *_by_part([_ragged(steps.rows(example, True, where), steps.dtype) for steps in sparse]),
            *(steps.stacked(steps.rows(example, steps.key in may_lack, where)) for steps in dense),
        )


class ParseSequenceExample(_ParseSequence):
    """The same of a batch of SequenceExamples, shorter lists filled up with zeros, and how many steps each dense list has."""

    arguments = ("serialized: string", "debug_name: string", "context_dense_defaults: list(Tcontext_dense)")
    results = (*ParseSingleSequenceExample.results, "feature_list_dense_lengths: Nfeature_list_dense*int64")
    feature_list_dense_missing_assumed_empty: tuple[str, ...]
    context_sparse_keys: tuple[str, ...]
    context_dense_keys: tuple[str, ...]
    feature_list_sparse_keys: tuple[str, ...]
    feature_list_dense_keys: tuple[str, ...]
    Ncontext_sparse: int = 0
    Ncontext_dense: int = 0
    Nfeature_list_sparse: int = 0
    Nfeature_list_dense: int = 0

    def infer(self, serialized: TensorSpec, debug_name: TensorSpec, *defaults: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(serialized, 1)
        batch = None if serialized.dims is None else serialized.dims[0]
        dense = (TensorSpec(d.dtype, (batch, *_sizes(s))) for d, s in zip(defaults, self.context_dense_shapes, strict=True))
        lists = zip(self.feature_list_dense_types, self.feature_list_dense_shapes, strict=True)
        return (
            *_sparse_specs(self.context_sparse_types, 2), *dense, *_sparse_specs(self.feature_list_sparse_types, 3),
            *(TensorSpec(t, (batch, None, *_sizes(s))) for t, s in lists),
            *(TensorSpec(dtypes.int64, (batch,)) for _ in self.feature_list_dense_types),
        )  # fmt: skip

    def run(self, serialized: Array, debug_name: Array, *defaults: Any) -> Any:
        names = [_text(n) for n in debug_name] or [""] * len(serialized)
        examples = [_parsed(SequenceExample, text, "example") for text in serialized]
        optional = set(_keys(self.feature_list_dense_missing_assumed_empty))
        context, context_dense = self._context(
            _keys(self.context_sparse_keys), _keys(self.context_dense_keys), defaults, examples, names
        )
        sparse, dense = self._lists(_keys(self.feature_list_sparse_keys), _keys(self.feature_list_dense_keys))

        def rows(steps: _Steps) -> list[list[list[Any]]]:
            found = zip(examples, names, strict=True)
            return [steps.rows(example, steps.key in optional, f"Name: {name}, ") for example, name in found]

        values, lengths = [], []
        for steps in dense:
            stacked = [steps.stacked(given) for given in rows(steps)]
            filler = np.array(b"" if steps.dtype is dtypes.string else 0, object)
            values.append(Dense(steps.key, steps.dtype, (None, *(steps.sizes or ())), filler).padded(stacked))
            lengths.append(np.array([len(row) for row in stacked], np.int64))
        return (
            *_by_part(context), *context_dense, *_by_part([_nested(rows(steps), steps.dtype) for steps in sparse]), *values, *lengths,
        )  # fmt: skip


def _nested(examples: Sequence[Sequence[Sequence[Any]]], dtype: DType) -> tuple[Array, Array, Array]:
    """Indices, values and shape of lists of lists: by Example, step and value."""
    parts = [_ragged(rows, dtype) for rows in examples]
    indices = [np.insert(at, 0, number, axis=1) for number, (at, _, _) in enumerate(parts)]
    shape = np.max([s for _, _, s in parts], axis=0, initial=0) if parts else np.zeros(2, np.int64)
    values = [v for _, part, _ in parts for v in part]
    return np.concatenate([np.zeros((0, 3), np.int64), *indices]), _array(values, dtype), np.array([len(examples), *shape], np.int64)
