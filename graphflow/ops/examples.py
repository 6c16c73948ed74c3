"""tf.parse_example and its kin: tensors from serialized tf.train.Example and SequenceExample messages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.dtypes import DType, as_dtype, int64, string
from graphflow.graph.build import convert, convert_to_tensor, make, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.reshape import expand_dims
from graphflow.ops.sparse import SparseTensor
from graphflow.shapes import TensorShape, as_shape

__all__ = [
    "FixedLenFeature", "FixedLenSequenceFeature", "SparseFeature", "VarLenFeature", "parse_example", "parse_single_example",
    "parse_single_sequence_example",
]  # fmt: skip


class VarLenFeature(NamedTuple):
    """As many values as each Example has: a SparseTensor."""

    dtype: Any


class FixedLenFeature(NamedTuple):
    """Values of one shape: a tensor. default_value: for Examples that lack them; None: they must be there."""

    shape: Any
    dtype: Any
    default_value: Any = None


class FixedLenSequenceFeature(NamedTuple):
    """Any number of rows of one shape: a tensor with one dimension more. allow_missing: none at all is as good. default_value: what
    shorter ones are filled up with, by default 0 or the empty string."""

    shape: Any
    dtype: Any
    allow_missing: bool = False
    default_value: Any = None


class SparseFeature(NamedTuple):
    """A SparseTensor of shape `size` whose values and positions are features of their own. index_key: a name, or one for each dimension."""

    index_key: Any
    value_key: str
    dtype: Any
    size: Any
    already_sorted: bool = False


class _Raw:
    """The operands that the operations take, from a dict of features."""

    def __init__(self, features: Mapping[str, Any] | None, allowed: Sequence[type]) -> None:
        self.sparse: dict[str, DType] = {}
        self.dense: dict[str, tuple[DType, Any]] = {}  # key -> type and shape
        self.defaults: dict[str, Any] = {}
        for key in sorted(features or {}):
            feature = features[key]  # type: ignore[index]
            if type(feature) not in (VarLenFeature, SparseFeature, FixedLenFeature, FixedLenSequenceFeature):
                raise ValueError(f"Invalid feature {key}:{feature}.")
            if type(feature) not in allowed:
                raise ValueError(f"Unsupported {type(feature).__name__} {feature}.")
            if isinstance(feature, SparseFeature):
                self._add_parts(key, feature)
                continue
            if not feature.dtype:
                raise ValueError(f"Missing type for feature {key}.")
            if isinstance(feature, VarLenFeature):
                self.sparse[key] = as_dtype(feature.dtype)
            else:
                self._add_dense(key, feature)

    def _add_dense(self, key: str, feature: Any) -> None:
        if feature.shape is None:
            raise ValueError(f"Missing shape for feature {key}.")
        if isinstance(feature, FixedLenFeature):
            shape = as_shape(feature.shape)
            if shape.ndims and shape.dims[0].value is None:
                raise ValueError(f"First dimension of shape for feature {key} unknown. Consider using FixedLenSequenceFeature.")
            if not shape.is_fully_defined():
                raise ValueError(f"All dimensions of shape for feature {key} need to be known but received {feature.shape}.")
        self.dense[key] = as_dtype(feature.dtype), feature.shape
        if getattr(feature, "allow_missing", False):
            self.defaults[key] = None
        if feature.default_value is not None:
            self.defaults[key] = feature.default_value

    def _add_parts(self, key: str, feature: SparseFeature) -> None:
        for name in ("index_key", "value_key"):
            if not getattr(feature, name):
                raise ValueError(f"Missing {name} for SparseFeature {feature}.")
        if not feature.dtype:
            raise ValueError(f"Missing type for feature {key}.")
        positions = [feature.index_key] if isinstance(feature.index_key, str) else sorted(feature.index_key)
        for part, dtype in (*((k, int64) for k in positions), (feature.value_key, as_dtype(feature.dtype))):
            present = self.sparse.setdefault(part, dtype)
            if present != dtype:
                raise ValueError(f"Conflicting type {present.name} vs {dtype.name} for feature {part}.")

    def checked(self, required: bool = True) -> _Raw:
        """Itself; ValueError where no feature, or one twice, is asked for."""
        if required and not (self.sparse or self.dense):
            raise ValueError("Must provide at least one sparse key or dense key")
        both = self.sparse.keys() & self.dense.keys()
        if both:
            raise ValueError(f"Dense and sparse keys must not intersect; intersection: {both}")
        return self

    @property
    def shapes(self) -> tuple[TensorShape, ...]:
        return tuple(as_shape(shape) for _, shape in self.dense.values())

    def default_tensors(self, reshaped: bool = True) -> list[Tensor]:
        """What stands for a dense feature that is missing; an empty tensor where it must not be."""
        made = []
        for (key, (dtype, _)), shape in zip(self.dense.items(), self.shapes, strict=True):
            default = self.defaults.get(key)
            name = re.sub(r"[^A-Za-z0-9_.\-/]", "_", key)
            if shape.ndims and shape.dims[0].value is None:
                if default is None:
                    made.append(convert("" if dtype is string else 0, dtype))
                else:
                    made.append(make("Reshape", convert(default, dtype, f"padding_{name}"), []))
            elif default is None:
                made.append(convert([], dtype))
            elif isinstance(default, Tensor):
                made.append(default)
            else:
                value = convert(default, dtype, f"key_{name}")
                made.append(make("Reshape", value, shape.as_list()) if reshaped else value)
        return made

    def named(self, outputs: Sequence[Any]) -> dict[str, Any]:
        """The results of an operation by their keys."""
        count = len(self.sparse)
        indices, values, shapes = (outputs[k * count : (k + 1) * count] for k in range(3))
        tensors: list[Any] = [SparseTensor(*parts) for parts in zip(indices, values, shapes, strict=True)]
        return dict(zip((*self.sparse, *self.dense), (*tensors, *outputs[3 * count :]), strict=True))


def _with_rows(features: Mapping[str, Any]) -> dict[str, Any]:
    """Features whose sequences have their leading unknown dimension."""
    grown = dict(features)
    for key, feature in features.items():
        if isinstance(feature, FixedLenSequenceFeature):
            if not feature.allow_missing:
                raise ValueError("Unsupported: FixedLenSequenceFeature requires allow_missing to be True.")
            grown[key] = feature._replace(shape=[None, *as_shape(feature.shape).as_list()])
    return grown


def _merged(features: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors that were asked for, SparseFeatures put together from their parts."""
    from graphflow.ops.sparse_functions import sparse_merge  # few programs use it

    tensors = dict(found)
    for key in sorted(features):
        feature = features[key]
        if isinstance(feature, SparseFeature):
            ids = feature.index_key if isinstance(feature.index_key, str) else list(feature.index_key)
            parts = tensors[ids] if isinstance(ids, str) else [tensors[k] for k in ids]
            tensors[key] = sparse_merge(parts, tensors[feature.value_key], feature.size, already_sorted=feature.already_sorted)
    return {key: tensors[key] for key in tensors if key in features}


_ANY = (VarLenFeature, SparseFeature, FixedLenFeature, FixedLenSequenceFeature)


def parse_example(serialized, features, name=None, example_names=None):
    """The features of a batch of Examples.

    serialized: a vector of strings. features: what to get, by key: FixedLenFeature, FixedLenSequenceFeature, VarLenFeature or
    SparseFeature. example_names: a vector of names for messages. Returns a dict of tensors, with the batch as first dimension, and
    SparseTensors. A run raises InvalidArgumentError for an Example that lacks a required feature or has one of another type or size.
    """
    if not features:
        raise ValueError(f"Missing: features was {features}.")
    raw = _Raw(_with_rows(features), _ANY).checked()
    return _merged(features, _batch(raw, serialized, example_names, name))


def _batch(raw: _Raw, serialized: Any, names: Any, name: str | None) -> dict[str, Any]:
    with name_scope(name, "ParseExample", [serialized, names]):
        defaults = raw.default_tensors()
        fields = {"sparse_types": tuple(raw.sparse.values()), "dense_shapes": raw.shapes}
        keys = list(raw.sparse), list(raw.dense)
        return raw.named(make("ParseExample", serialized, [] if names is None else names, *keys, defaults, name=name, **fields))


def parse_single_example(serialized, features, name=None, example_names=None):
    """The same of one Example, a scalar string, without the dimension of the batch."""
    if not features:
        raise ValueError("Missing features.")
    raw = _Raw(_with_rows(features), _ANY).checked()
    if example_names is not None:
        return _merged(features, _one_of_batch(raw, serialized, example_names, name))
    with name_scope(name, "ParseSingleExample", [serialized]):
        serialized = convert_to_tensor(serialized, name="serialized")
        fields = {"num_sparse": len(raw.sparse), "sparse_keys": tuple(raw.sparse), "sparse_types": tuple(raw.sparse.values()),
                  "dense_keys": tuple(raw.dense), "dense_shapes": raw.shapes}  # fmt: skip
        found = make("ParseSingleExample", serialized, raw.default_tensors(), name=name, **fields)
        outputs = raw.named(found if isinstance(found, (list, tuple)) else [found])
    return _merged(features, outputs)


def _one_of_batch(raw: _Raw, serialized: Any, names: Any, name: str | None) -> dict[str, Any]:
    """An Example with a name, as a batch of one."""
    with name_scope(name, "ParseSingleExample", [serialized, names]):
        rows = []
        for what, given in (("serialized", serialized), ("names", names)):
            tensor = convert_to_tensor(given)
            if tensor.shape.ndims not in (None, 0):
                raise ValueError(f"Input {what} must be a scalar")
            rows.append(expand_dims(tensor, 0))
        outputs = _batch(raw, *rows, name)
        for key in outputs:
            own, found = re.sub(r"[^A-Za-z0-9_.\-/]", "_", key), outputs[key]
            if isinstance(found, SparseTensor):
                indices = make("Slice", found.indices, [0, 1], [-1, -1], name=f"Slice_Indices_{own}")
                sizes = make("Slice", found.dense_shape, [1], [-1], name=f"Squeeze_Shape_{own}")
                outputs[key] = SparseTensor(indices, found.values, sizes)
            else:
                outputs[key] = make("Squeeze", found, squeeze_dims=(0,), name=f"Squeeze_{own}")
        return outputs


def _sequence_features(context: Any, lists: Any) -> tuple[_Raw, _Raw]:
    if not (context or lists):
        raise ValueError("Missing features.")
    found = _Raw(context, (VarLenFeature, FixedLenFeature)), _Raw(lists, (VarLenFeature, FixedLenSequenceFeature))
    for key, default in found[1].defaults.items():
        if default is not None:
            raise ValueError(f"Value feature_list_dense_defaults[{key}] must be None")
    return found[0].checked(False), found[1].checked(False)


def _sequence_fields(context: _Raw, lists: _Raw) -> dict[str, Any]:
    return {
        "context_sparse_types": tuple(context.sparse.values()), "context_dense_shapes": context.shapes,
        "feature_list_sparse_types": tuple(lists.sparse.values()), "feature_list_dense_shapes": lists.shapes,
        "feature_list_dense_types": tuple(dtype for dtype, _ in lists.dense.values()),
    }  # fmt: skip


def parse_single_sequence_example(serialized, context_features=None, sequence_features=None, example_name=None, name=None):
    """The features of one SequenceExample, a scalar string: a dict of those of its context (FixedLenFeature, VarLenFeature) and one of
    those of its feature lists (FixedLenSequenceFeature, VarLenFeature), which have the steps as first dimension."""
    context, lists = _sequence_features(context_features, sequence_features)
    with name_scope(name, "ParseSingleSequenceExample", [serialized]):
        found = make(
            "ParseSingleSequenceExample", serialized, list(lists.defaults), list(context.sparse), list(context.dense), list(lists.sparse),
            list(lists.dense), context.default_tensors(), example_name or "", name=name, **_sequence_fields(context, lists),
        )  # fmt: skip
        count = 3 * len(context.sparse) + len(context.dense)
        return context.named(found[:count]), lists.named(found[count:])


def parse_sequence_example(serialized, context_features=None, sequence_features=None, example_names=None, name=None):
    """The same of a vector of SequenceExamples, with the batch as first dimension, and a dict of how many steps each dense list has."""
    context, lists = _sequence_features(context_features, sequence_features)
    with name_scope(name, "ParseSequenceExample", [serialized]):
        found = make(
            "ParseSequenceExample", serialized, [] if example_names is None else example_names, context.default_tensors(False), name=name,
            feature_list_dense_missing_assumed_empty=tuple(lists.defaults),
            context_sparse_keys=tuple(context.sparse), context_dense_keys=tuple(context.dense),
            feature_list_sparse_keys=tuple(lists.sparse), feature_list_dense_keys=tuple(lists.dense),
            Ncontext_sparse=len(context.sparse), Ncontext_dense=len(context.dense),
            Nfeature_list_sparse=len(lists.sparse), Nfeature_list_dense=len(lists.dense),
            **_sequence_fields(context, lists),
        )  # fmt: skip
        count, dense = 3 * len(context.sparse) + len(context.dense), len(lists.dense)
        lengths = dict(zip(lists.dense, found[len(found) - dense :], strict=True))
        return context.named(found[:count]), lists.named(found[count : len(found) - dense]), lengths
