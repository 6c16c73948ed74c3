"""Ops that write and read checkpoints. They run in Python between native segments; the files are those of `graphflow.io`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.errors import InvalidArgumentError
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Effect, TensorSpec
from graphflow.io.bundle import Item, merge_bundles, write_bundle
from graphflow.io.checkpoint import open_checkpoint, read_part
from graphflow.io.old_format import write_old
from graphflow.io.slices import parse_part
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank

__all__: list[str] = []


def _text(value: Any) -> str:
    """The file name that a string tensor of rank 0 holds."""
    item = np.asarray(value, object).ravel()[0]
    return item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item)


def _items(names: Any, parts: Any, tensors: Any) -> Iterator[Item]:
    for name, spec, tensor in zip(names.tolist(), parts.tolist(), tensors, strict=True):
        part = parse_part(spec.decode())
        if part is not None and part.shape != tensor.shape:
            wrong = f"Shape in shape_and_slice spec {list(part.shape)} does not match the shape in the checkpoint {list(tensor.shape)}"
            raise InvalidArgumentError(None, None, wrong)
        yield name.decode(), as_dtype(tensor.dtype), tensor, part


class SaveV2(HostOp):
    """Writes tensors to a checkpoint in the V2 format."""

    effect = Effect.HOST
    arguments = ("prefix: string", "tensor_names: string", "shape_and_slices: string", "tensors: list(dtypes)")
    results = ()

    def infer(self, prefix: TensorSpec, names: TensorSpec, parts: TensorSpec, *tensors: TensorSpec) -> tuple[TensorSpec, ...]:
        for spec, rank in ((prefix, 0), (names, 1), (parts, 1)):
            need_rank(spec, rank)
        return ()

    def run(self, prefix: Any, names: Any, parts: Any, *tensors: Any) -> Any:
        write_bundle(_text(prefix), list(_items(names, parts, tensors)))
        return ()


class SaveSlices(HostOp):
    """Writes tensors to a checkpoint in the V1 format."""

    effect = Effect.HOST
    arguments = ("filename: string", "tensor_names: string", "shapes_and_slices: string", "data: list(T)")
    results = ()

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run(self, filename: Any, names: Any, parts: Any, *tensors: Any) -> Any:
        write_old(_text(filename), list(_items(names, parts, tensors)))
        return ()


class RestoreV2(HostOp):
    """Reads tensors from a checkpoint of either format. All are read and checked before any is given out."""

    effect = Effect.READS
    arguments = ("prefix: string", "tensor_names: string", "shape_and_slices: string")
    results = ("tensors: list(dtypes)",)
    dtypes: tuple[DType, ...]

    def infer(self, prefix: TensorSpec, names: TensorSpec, parts: TensorSpec) -> tuple[TensorSpec, ...]:
        shapes: list[Any] = [None] * len(self.dtypes)
        if parts.value is not None and len(parts.value) == len(shapes):
            found = [parse_part(spec.decode()) for spec in parts.value.tolist()]
            shapes = [None if part is None else part.shape for part in found]
        return tuple(TensorSpec(dtype, shape) for dtype, shape in zip(self.dtypes, shapes, strict=True))

    def run(self, prefix: Any, names: Any, parts: Any) -> Any:
        source = open_checkpoint(_text(prefix))
        values = []
        for name, spec, wanted in zip(names.tolist(), parts.tolist(), self.dtypes, strict=True):
            dtype, _ = source.describe(name)
            if dtype is not wanted.base_dtype:
                wrong = f"tensor_name = {name.decode()}; expected dtype {wanted.name} does not equal original dtype {dtype.name}"
                raise InvalidArgumentError(None, None, wrong)
            values.append(read_part(source, name, parse_part(spec.decode())))
        return tuple(values)


class MergeV2Checkpoints(HostOp):
    """Joins checkpoints that were written part by part into one."""

    effect = Effect.HOST
    arguments = ("checkpoint_prefixes: string", "destination_prefix: string")
    results = ()
    delete_old_dirs: bool = True

    def infer(self, sources: TensorSpec, prefix: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run(self, sources: Any, prefix: Any) -> Any:
        merge_bundles([_text(s) for s in np.ravel(sources)], _text(prefix), self.delete_old_dirs)
        return ()


class ShardedFilename(HostOp):
    """The name of one part of a checkpoint."""

    arguments = ("basename: string", "shard: int32", "num_shards: int32")
    results = ("filename: string",)

    def infer(self, basename: TensorSpec, shard: TensorSpec, num_shards: TensorSpec) -> TensorSpec:
        for name, spec in (("basename", basename), ("shard", shard), ("num_shards", num_shards)):
            need_rank(spec, 0, f"{name} must be a scalar")
        return TensorSpec(dtypes.string, ())

    def run(self, basename: Any, shard: Any, num_shards: Any) -> Any:
        return np.array(f"{_text(basename)}-{int(shard):05d}-of-{int(num_shards):05d}".encode(), object)


class ShardedFilespec(HostOp):
    """A pattern that the names of all parts of a checkpoint fit."""

    arguments = ("basename: string", "num_shards: int32")
    results = ("filename: string",)

    def infer(self, basename: TensorSpec, num_shards: TensorSpec) -> TensorSpec:
        for name, spec in (("basename", basename), ("num_shards", num_shards)):
            need_rank(spec, 0, f"{name} must be a scalar")
        return TensorSpec(dtypes.string, ())

    def run(self, basename: Any, num_shards: Any) -> Any:
        return np.array(f"{_text(basename)}-?????-of-{int(num_shards):05d}".encode(), object)


class StringJoin(HostOp):
    """Strings one after the other, with a separator between them; those of rank 0 serve every element."""

    sized = True
    arguments = ("inputs: N*string",)
    results = ("output: string",)
    separator: str = ""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims: tuple[Any, ...] | None = ()
        for spec in inputs:
            if spec.dims != ():
                dims = spec.dims if dims == () else merge_dims(dims, spec.dims)
        return TensorSpec(dtypes.string, dims)

    def run(self, *inputs: Any) -> Any:
        if len({x.shape for x in inputs if x.ndim}) > 1:
            raise InvalidArgumentError(None, None, f"Input shapes do not match: {[x.shape for x in inputs]}")
        rows = np.broadcast_arrays(*inputs)
        joined = np.empty(rows[0].shape, object)
        for at in np.ndindex(*joined.shape):
            joined[at] = self.separator.encode().join(row[at] for row in rows)
        return joined
