"""Reading checkpoints of either format: V2 (see bundle.py), and V1, a single table with the tensors in it."""

from __future__ import annotations

import glob
import mmap
import os
from typing import Any, Protocol

import numpy as np

from graphflow.dtypes import DType, as_dtype
from graphflow.errors import InvalidArgumentError, NotFoundError
from graphflow.io.bundle import Bundle, index_path, missing
from graphflow.io.files import named_errors
from graphflow.io.schema import SavedSliceMeta, SavedTensorSlices
from graphflow.io.slices import Part, bounds_of, slice_key
from graphflow.io.table import Table, lost
from graphflow.io.tensors import to_array
from graphflow.io.wire import DecodeError

Array = np.ndarray[Any, Any]


class Source(Protocol):
    """A checkpoint of either format."""

    names: set[bytes]

    def describe(self, key: bytes) -> tuple[DType, tuple[int, ...]]:
        """Type and shape of a tensor."""

    def read(self, key: bytes) -> Array:
        """The value of a tensor."""


class OldCheckpoint:
    """A checkpoint of the V1 format: a file, or a pattern for several that hold parts of it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._tables: list[Table] = []
        for name in [path] if os.path.isfile(path) else sorted(glob.glob(path)):
            with named_errors(name), open(name, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._tables.append(Table(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"", name))
        self._tensors: dict[bytes, SavedSliceMeta] = {}
        self._parts: dict[bytes, list[tuple[Table, Any]]] = {}  # the slices of each tensor, and the file that has them
        for table in self._tables:
            for tensor in self._record(table, b"").meta.tensor:
                key = tensor.name.encode()
                self._tensors.setdefault(key, tensor)
                self._parts.setdefault(key, []).extend((table, part) for part in tensor.slice)
        self.names = set(self._tensors)

    def _record(self, table: Table, key: bytes) -> SavedTensorSlices:
        value = table.get(key)
        if value is None:
            raise lost(f"{self._path}: there is no record {key!r}")
        try:
            return SavedTensorSlices.FromString(value)  # type: ignore[no-any-return]
        except DecodeError as error:
            raise lost(f"{self._path}: record {key!r}: {error}") from None

    def describe(self, key: bytes) -> tuple[DType, tuple[int, ...]]:
        """Type and shape of a tensor."""
        if key not in self._tensors:
            raise NotFoundError(None, None, f"{key.decode(errors='replace')} not found in checkpoint file {self._path}")
        tensor = self._tensors[key]
        try:
            return as_dtype(tensor.type), tuple(d.size for d in tensor.shape.dim)
        except TypeError:
            raise lost(f"{self._path}: {key!r} has the type number {tensor.type}") from None

    def read(self, key: bytes) -> Array:
        """The value of a tensor."""
        dtype, shape = self.describe(key)
        whole: Array | None = None
        filled = count = 0
        for table, proto in self._parts[key]:
            part = Part(shape, bounds_of(proto))
            if len(part.bounds) != len(shape):
                raise lost(f"{self._path}: {key!r} does not fit its parts")
            data = self._record(table, slice_key(key, part.bounds)).data.data
            data.dtype = int(dtype)
            try:
                value = to_array(data, part.shape)
            except ValueError as error:
                raise lost(f"{self._path}: {key!r}: {error}") from None
            if value.shape == shape:
                return value
            if whole is None:
                count = int(np.prod(shape, dtype=object))
                if count > 1 << 40:
                    raise lost(f"{self._path}: {key!r} has the shape {shape}")
                whole = np.empty(shape, value.dtype)
            whole[part.index] = value
            filled += value.size
        if whole is None or filled != count:
            raise NotFoundError(None, None, f"{key.decode(errors='replace')}: the checkpoint does not have all its parts")
        return whole


def open_checkpoint(prefix: str) -> Source:
    """The checkpoint with this prefix (or, in the old format, file name). NotFoundError if there is none."""
    if os.path.exists(index_path(prefix)):
        return Bundle(prefix)
    if os.path.isfile(prefix) or "?" in prefix and glob.glob(prefix):
        return OldCheckpoint(prefix)
    raise missing(prefix)


def read_part(source: Source, name: bytes, part: Part | None) -> Array:
    """A tensor, or a part of it."""
    if part is None:
        return source.read(name)
    _, shape = source.describe(name)
    if shape != part.full_shape:
        shown = name.decode(errors="replace")
        raise InvalidArgumentError(None, None, f"Shape of tensor {shown} in the checkpoint is {shape}, not {part.full_shape}")
    return np.ascontiguousarray(source.read(name)[part.index])


class CheckpointReader:
    """`tf.train.NewCheckpointReader(prefix)`: what a checkpoint holds."""

    def __init__(self, filepattern: str | bytes) -> None:
        self._source = open_checkpoint(os.fspath(filepattern).decode() if isinstance(filepattern, bytes) else os.fspath(filepattern))

    def _names(self) -> list[bytes]:
        return sorted(self._source.names)

    def has_tensor(self, tensor_str: str | bytes) -> bool:
        """Whether there is a tensor of that name."""
        return _key(tensor_str) in self._source.names

    def get_tensor(self, tensor_str: str | bytes) -> Any:
        """The value of a tensor, as numpy's array, or a scalar."""
        value = self._source.read(_key(tensor_str))
        return value if value.ndim else value[()]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        """The shapes of all tensors by name."""
        return {name.decode(): list(self._source.describe(name)[1]) for name in self._names()}

    def get_variable_to_dtype_map(self) -> dict[str, DType]:
        """The types of all tensors by name."""
        return {name.decode(): self._source.describe(name)[0] for name in self._names()}

    def debug_string(self) -> bytes:
        """One line for each tensor: name, type, shape."""
        lines = []
        for name in self._names():
            dtype, shape = self._source.describe(name)
            kind = _DT.get(dtype.name, "DT_" + dtype.name.upper())
            lines.append(f"{name.decode()} ({kind}) [{','.join(map(str, shape))}]\n")
        return "".join(lines).encode()


_DT = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}


def _key(name: str | bytes) -> bytes:
    return name.encode() if isinstance(name, str) else bytes(name)
