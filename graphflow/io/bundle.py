"""Checkpoints in TensorFlow's V2 format, the *tensor bundle*: a table `PREFIX.index` and data files `PREFIX.data-00000-of-00001`.

Saving over a checkpoint of the same prefix must not lose it before the new one stands. The index names its data files by numbers only, so
the new data first get a name that the old index does not use; replacing the index is the moment at which the new checkpoint holds. Then
the data take their usual name in the same manner.
"""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.errors import InvalidArgumentError, NotFoundError, OpError
from graphflow.io.crc32c import crc32c, mask
from graphflow.io.files import make_parents, named_errors, sync_folder, write_new
from graphflow.io.schema import BundleEntryProto, BundleHeaderProto, TensorShapeDim, TensorShapeProto, VersionDef
from graphflow.io.slices import Part, bounds_of, proto_of, slice_key
from graphflow.io.table import Pair, Table, lost, write_table
from graphflow.io.wire import DecodeError, put_varint, take_varint

Array = np.ndarray[Any, Any]
Item = tuple[str, DType, Array, Part | None]


def data_path(prefix: str, shard: int, shards: int) -> str:
    """The name of a data file."""
    return f"{prefix}.data-{shard:05d}-of-{shards:05d}"


def index_path(prefix: str) -> str:
    """The name of the index, the file by which a checkpoint is known."""
    return prefix + ".index"


def shape_proto(shape: Iterable[int]) -> TensorShapeProto:
    """A shape as a message."""
    return TensorShapeProto(dim=[TensorShapeDim(size=n) for n in shape])


# -- writing ---------------------------------------------------------------------------------------------------------------------


def _string_parts(array: Array) -> tuple[list[bytes], int]:
    """Strings in the file: their lengths, the checksum of these, and the bytes; and the checksum of it all."""
    values = [v.encode() if isinstance(v, str) else bytes(v) for v in array.ravel().tolist()]
    lengths = bytearray()
    for value in values:
        put_varint(lengths, len(value))
    crc = crc32c(b"".join(struct.pack("<I" if len(v) <= 0xFFFFFFFF else "<Q", len(v)) for v in values))
    check = struct.pack("<I", mask(crc))
    body = b"".join(values)
    return [bytes(lengths), check, body], crc32c(body, crc32c(check, crc))


def _raw(array: Array, dtype: DType) -> Any:
    array = np.ascontiguousarray(array, np.dtype(dtype.as_numpy_dtype).newbyteorder("<"))
    return memoryview(array.reshape(-1).view(np.uint8))


def _laid_out(items: Sequence[Item]) -> tuple[dict[bytes, BundleEntryProto], list[Any]]:
    """The entries of the index, and the data they speak of."""
    entries: dict[bytes, BundleEntryProto] = {}
    parts: list[Any] = []
    offset = 0
    for name, dtype, array, part in items:
        key = name.encode()
        if part is not None:
            whole = entries.setdefault(key, BundleEntryProto(dtype=int(dtype), shape=shape_proto(part.full_shape)))
            whole.slices.append(proto_of(part.bounds))
            key = slice_key(key, part.bounds)
        if key in entries:
            raise InvalidArgumentError(None, None, f"Adding duplicate key: {name}")
        if dtype is dtypes.string:
            pieces, crc = _string_parts(array)
        else:
            pieces = [_raw(array, dtype)]
            crc = crc32c(pieces[0])
        size = sum(len(p) for p in pieces)
        entries[key] = BundleEntryProto(dtype=int(dtype), shape=shape_proto(array.shape), offset=offset, size=size, crc32c=mask(crc))
        parts += pieces
        offset += size
    return entries, parts


def _index(entries: dict[bytes, BundleEntryProto], shards: int) -> bytes:
    header = BundleHeaderProto(num_shards=shards, version=VersionDef(producer=1))
    pairs: list[Pair] = [(b"", header.SerializeToString())]
    pairs += [(key, entries[key].SerializeToString()) for key in sorted(entries)]
    return write_table(pairs)


def _commit(prefix: str, entries: dict[bytes, BundleEntryProto], shards: int) -> None:
    """Makes the data files, which are in place, the checkpoint."""
    temporary = write_new(index_path(prefix), (_index(entries, shards),))
    sync_folder(prefix)
    os.replace(temporary, index_path(prefix))
    sync_folder(prefix)


def write_bundle(prefix: str, items: Sequence[Item]) -> None:
    """Writes a checkpoint: (name, type, value, part) for each tensor."""
    entries, parts = _laid_out(items)
    make_parents(prefix)
    path = data_path(prefix, 0, 1)
    with named_errors(path):
        temporary = write_new(path, parts)
        if not os.path.exists(index_path(prefix)):
            os.replace(temporary, path)
            _commit(prefix, entries, 1)
        else:
            _replace(prefix, entries, temporary)
        _tidy(prefix, {path})


def _replace(prefix: str, entries: dict[bytes, BundleEntryProto], temporary: str) -> None:
    path, other = data_path(prefix, 0, 1), data_path(prefix, 1, 2)
    if other in _files_in_use(prefix):  # left by a process that was killed below
        other = data_path(prefix, 2, 3)
    shard, shards = (1, 2) if other == data_path(prefix, 1, 2) else (2, 3)
    os.replace(temporary, other)
    for entry in entries.values():
        entry.shard_id = shard
    _commit(prefix, entries, shards)
    os.link(other, temporary)
    os.replace(temporary, path)
    for entry in entries.values():
        entry.shard_id = 0
    _commit(prefix, entries, 1)


def _files_in_use(prefix: str) -> set[str]:
    """The data files that a present index speaks of; all of them where it cannot be read."""
    found = set(glob.glob(glob.escape(prefix) + ".data-?????-of-?????"))
    if not os.path.exists(index_path(prefix)):
        return set()
    try:
        bundle = Bundle(prefix)
        return {data_path(prefix, bundle.entry(key).shard_id, bundle.shards) for key in bundle.keys} & found
    except OpError:
        return found


def _tidy(prefix: str, used: set[str]) -> None:
    """Removes data files of earlier checkpoints of this prefix."""
    for path in set(glob.glob(glob.escape(prefix) + ".data-?????-of-?????")) - used:
        os.unlink(path)


def merge_bundles(sources: Sequence[str], prefix: str, delete_old: bool = True) -> None:
    """Joins checkpoints that were written part by part into one with several data files."""
    bundles = [Bundle(source) for source in sources]
    taken = _files_in_use(prefix)
    files = [(n, k) for n, bundle in enumerate(bundles) for k in range(bundle.shards)]
    shards = len(files)
    while any(data_path(prefix, k, shards) in taken for k in range(len(files))):
        shards += 1
    place = {file: k for k, file in enumerate(files)}
    entries: dict[bytes, BundleEntryProto] = {}
    for number, bundle in enumerate(bundles):
        for key in bundle.keys:
            entry = bundle.entry(key)
            if key in entries:
                if not entry.slices or not entries[key].slices:
                    twice = f"Duplicate tensor keyed by {key.decode()} encountered, when merging prefix: {sources[number]}"
                    raise InvalidArgumentError(None, None, twice)
                entries[key].slices.extend(entry.slices)
                continue
            if not entry.slices:
                entry.shard_id = place[number, entry.shard_id]
            entries[key] = entry
    make_parents(prefix)
    with named_errors(prefix):
        for (number, shard), k in place.items():
            os.replace(data_path(sources[number], shard, bundles[number].shards), data_path(prefix, k, shards))
        _commit(prefix, entries, shards)
        _tidy(prefix, {data_path(prefix, k, shards) for k in range(len(files))})
        if delete_old:
            for source in sources:
                os.unlink(index_path(source))
            for folder in {os.path.dirname(s) for s in sources} - {os.path.dirname(prefix), ""}:
                if not os.listdir(folder):
                    os.rmdir(folder)


# -- reading ---------------------------------------------------------------------------------------------------------------------


class Bundle:
    """A checkpoint that is read: `keys`, `describe(key)` and `read(key)`. What is not as it was written is a DataLossError."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        path = index_path(prefix)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            raise missing(prefix) from None
        except (OSError, ValueError):
            with named_errors(path):
                raise
        self._values = dict(Table(data, path))
        try:
            header = BundleHeaderProto.FromString(self._values.pop(b""))
        except (KeyError, DecodeError) as error:
            raise lost(f"Unable to read the header of {path}: {error}") from None
        self.shards: int = header.num_shards
        if header.endianness:
            raise InvalidArgumentError(None, None, f"{path}: the data are big-endian")
        if header.version.min_consumer > 1:
            raise InvalidArgumentError(None, None, f"{path}: written for readers of version {header.version.min_consumer}, not 1")
        self.keys = list(self._values)
        self.names = {key for key in self.keys if not key.startswith(b"\0")}

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    def entry(self, key: bytes) -> BundleEntryProto:
        """What the index says about a key."""
        if key not in self._values:
            raise NotFoundError(None, None, f"Key {key.decode(errors='replace')} not found in checkpoint")
        try:
            return BundleEntryProto.FromString(self._values[key])  # type: ignore[no-any-return]
        except DecodeError as error:
            raise lost(f"{self.prefix}: the entry of {key!r}: {error}") from None

    def describe(self, key: bytes) -> tuple[DType, tuple[int, ...]]:
        """Type and shape of a tensor."""
        entry = self.entry(key)
        shape = tuple(d.size for d in entry.shape.dim)
        try:
            dtype = as_dtype(entry.dtype)
        except TypeError:
            raise lost(f"{self.prefix}: {key!r} has the type number {entry.dtype}") from None
        if any(n < 0 for n in shape) or entry.shape.unknown_rank:
            raise lost(f"{self.prefix}: {key!r} has the shape {shape}")
        return dtype, shape

    def read(self, key: bytes) -> Array:
        """The value of a tensor."""
        entry = self.entry(key)
        dtype, shape = self.describe(key)
        if not entry.slices:
            return self._read(entry, dtype, shape)
        count = 1
        for n in shape:
            count *= n
        parts = []
        for proto in entry.slices:
            part = Part(shape, bounds_of(proto))
            own = slice_key(key, part.bounds)
            if len(part.bounds) != len(shape) or self.describe(own) != (dtype, part.shape):
                raise lost(f"{self.prefix}: {key!r} does not fit its parts")
            parts.append((part, self.read(own)))
        if sum(value.size for _, value in parts) != count:
            raise NotFoundError(None, None, f"Key {key.decode(errors='replace')}: the checkpoint does not have all its parts")
        whole = np.empty(shape, parts[0][1].dtype if parts else dtype.as_numpy_dtype)
        for part, value in parts:
            whole[part.index] = value
        return whole

    def _read(self, entry: BundleEntryProto, dtype: DType, shape: tuple[int, ...]) -> Array:
        path = data_path(self.prefix, entry.shard_id, self.shards)
        count = 1
        for n in shape:
            count *= n
        element = 0 if dtype is dtypes.string else np.dtype(dtype.as_numpy_dtype).itemsize
        if dtype.as_numpy_dtype is np.object_ and element:
            raise InvalidArgumentError(None, None, f"{self.prefix}: tensors of type {dtype.name} cannot be read")
        with named_errors(path), open(path, "rb") as file:
            room = os.fstat(file.fileno()).st_size
            if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > room:
                raise lost(f"{path}: {entry.size} bytes at {entry.offset} of a file of {room} bytes: it is truncated")
            if element and entry.size != count * element or not element and entry.size < count:
                raise lost(f"{path}: {entry.size} bytes for {dtype.name} of shape {shape}")
            file.seek(entry.offset)
            data = np.empty(entry.size, np.uint8)
            if file.readinto(memoryview(data)) != entry.size:
                raise lost(f"{path}: it is truncated")
        if element:
            self._check(entry, crc32c(data), path)
            return data.view(np.dtype(dtype.as_numpy_dtype).newbyteorder("<")).astype(dtype.as_numpy_dtype, copy=False).reshape(shape)
        return self._strings(entry, memoryview(data), count, path).reshape(shape)

    def _check(self, entry: BundleEntryProto, found: int, path: str) -> None:
        if mask(found) != entry.crc32c:
            raise lost(
                f"{path}: Checksum does not match: stored {entry.crc32c} vs. calculated on the restored bytes {mask(found)}"
            )

    def _strings(self, entry: BundleEntryProto, data: memoryview, count: int, path: str) -> Array:
        lengths, at = [], 0
        try:
            for _ in range(count):
                size, at = take_varint(data, at)
                lengths.append(size)
        except (IndexError, DecodeError):
            raise lost(f"{path}: the lengths of {count} strings are cut off") from None
        body = at + 4
        if body + sum(lengths) != len(data):
            raise lost(f"{path}: {count} strings do not fill their {len(data)} bytes")
        crc = crc32c(b"".join(struct.pack("<I" if n <= 0xFFFFFFFF else "<Q", n) for n in lengths))
        if data[at:body] != struct.pack("<I", mask(crc)):
            raise lost(f"{path}: The length checksum does not match")
        self._check(entry, crc32c(data[at:], crc), path)
        out = np.empty(count, object)
        for number, size in enumerate(lengths):
            out[number] = bytes(data[body : body + size])
            body += size
        return out


def missing(prefix: str) -> NotFoundError:  # type: ignore[valid-type]
    """The error for a checkpoint that is not there."""
    return NotFoundError(
        None, None, f"Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {prefix}"
    )
