"""Sorted tables of keys and values in LevelDB's file format: the index of a checkpoint, and the whole of one in the older format.

    block...  index block  footer            a block: entries, restart points, their number; then a type byte and a checksum
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphflow.errors import DataLossError
from graphflow.io.crc32c import masked_crc32c
from graphflow.io.wire import DecodeError, put_varint, take_varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5
_BLOCK = 256 << 10  # bytes after which a new block begins
_RESTART = 16  # entries between keys that are written whole

Pair = tuple[bytes, bytes]


def lost(what: str) -> DataLossError:  # type: ignore[valid-type]
    """The error for data that are not as they were written."""
    return DataLossError(None, None, what)


# -- writing ---------------------------------------------------------------------------------------------------------------------


def _block(pairs: Sequence[Pair], interval: int) -> bytes:
    out, restarts, last = bytearray(), [], b""
    for number, (key, value) in enumerate(pairs):
        shared = 0
        if number % interval:
            limit = min(len(key), len(last))
            while shared < limit and key[shared] == last[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        for size in (shared, len(key) - shared, len(value)):
            put_varint(out, size)
        out += key[shared:]
        out += value
        last = key
    restarts = restarts or [0]
    return bytes(out) + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def _separator(last: bytes, following: bytes | None) -> bytes:
    """A short key that is not before `last`, and before `following` (None: the end): what stands in the index."""
    if following is None:
        at = next((n for n, byte in enumerate(last) if byte < 255), None)
        return last if at is None else last[:at] + bytes([last[at] + 1])
    at = next((n for n, (a, b) in enumerate(zip(last, following, strict=False)) if a != b), None)
    if at is None or last[at] + 1 >= following[at]:
        return last
    return last[:at] + bytes([last[at] + 1])


def write_table(pairs: Iterable[Pair]) -> bytes:
    """The file that holds these pairs, which must be sorted by key."""
    out = bytearray()

    def place(block: bytes) -> bytes:
        handle = bytearray()
        put_varint(handle, len(out))
        put_varint(handle, len(block))
        out.extend(block)
        out.append(0)  # not compressed
        out.extend(struct.pack("<I", masked_crc32c(block + b"\0")))
        return bytes(handle)

    index: list[Pair] = []
    waiting: list[Pair] = []
    size = 0
    for pair in pairs:
        if size >= _BLOCK:
            index.append((_separator(waiting[-1][0], pair[0]), place(_block(waiting, _RESTART))))
            waiting, size = [], 0
        waiting.append(pair)
        size += len(pair[0]) + len(pair[1])
    if waiting:
        index.append((_separator(waiting[-1][0], None), place(_block(waiting, _RESTART))))
    handles = place(_block((), _RESTART)) + place(_block(index, 1))
    return bytes(out) + handles.ljust(_FOOTER - 8, b"\0") + struct.pack("<Q", _MAGIC)


# -- reading ---------------------------------------------------------------------------------------------------------------------


def _unsnap(data: memoryview) -> bytes:
    """Snappy's decompression: old TensorFlow versions compressed their blocks."""
    size, at = take_varint(data, 0)
    if size > 64 * len(data) + 64:
        raise DecodeError("a compressed block announces more than it can hold")
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            length = tag >> 2
            if length > 59:
                extra = length - 59
                length = int.from_bytes(data[at : at + extra], "little")
                at += extra
            out += data[at : at + length + 1]
            at += length + 1
            continue
        if kind == 1:
            length, offset, at = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at], at + 1
        else:
            width = 2 if kind == 2 else 4
            length, offset, at = (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little"), at + width
        if not 0 < offset <= len(out):
            raise DecodeError("a compressed block refers to what is not there")
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise DecodeError("a compressed block has the wrong length")
    return bytes(out)


def _entries(block: Any) -> Iterator[Pair]:
    if len(block) < 4:
        raise DecodeError("a block without restart points")
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise DecodeError("more restart points than fit into the block")
    at, key = 0, b""
    while at < end:
        shared, at = take_varint(block, at)
        own, at = take_varint(block, at)
        size, at = take_varint(block, at)
        if shared > len(key) or own + size > end - at:
            raise DecodeError("an entry reaches past its block")
        key = key[:shared] + bytes(block[at : at + own])
        at += own
        yield key, bytes(block[at : at + size])
        at += size


class Table:
    """A table in memory (or mapped). Every block is checked when it is read; what is wrong is a DataLossError."""

    def __init__(self, data: Any, path: str) -> None:
        self.data = memoryview(data)
        self.path = path
        self._blocks: dict[int, list[Pair]] = {}
        if len(self.data) < _FOOTER:
            raise self._wrong("file is too short to be an sstable")
        footer = self.data[-_FOOTER:]
        if struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
            raise self._wrong(
                "not an sstable (bad magic number): perhaps your file is in a different file format and you need to use a "
                "different restore operator?"
            )
        try:
            _, at = take_varint(footer, 0)
            _, at = take_varint(footer, at)
            self._index = [(key, self._handle(value)) for key, value in _entries(self._read(self._handle(footer[at:])))]
        except (IndexError, struct.error, DecodeError) as error:
            raise self._wrong(str(error)) from None
        self._last_keys = [key for key, _ in self._index]

    def _wrong(self, what: str) -> DataLossError:  # type: ignore[valid-type]
        return lost(f"Unable to open table file {self.path}: Data loss: {what}")

    def _handle(self, data: Any) -> tuple[int, int]:
        offset, at = take_varint(data, 0)
        size, at = take_varint(data, at)
        if offset + size + _TRAILER > len(self.data):
            raise DecodeError("truncated block read")
        return offset, size

    def _read(self, handle: tuple[int, int]) -> Any:
        offset, size = handle
        whole = self.data[offset : offset + size + 1]
        (stored,) = struct.unpack_from("<I", self.data, offset + size + 1)
        if masked_crc32c(whole) != stored:
            raise DecodeError("block checksum mismatch")
        if whole[size] == 0:
            return whole[:size]
        if whole[size] == 1:
            return _unsnap(whole[:size])
        raise DecodeError("bad block type")

    def _pairs(self, number: int) -> list[Pair]:
        if number not in self._blocks:
            try:
                self._blocks[number] = list(_entries(self._read(self._index[number][1])))
            except (IndexError, struct.error, DecodeError) as error:
                raise self._wrong(str(error)) from None
        return self._blocks[number]

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        number = bisect_left(self._last_keys, key)
        if number == len(self._index):
            return None
        pairs = self._pairs(number)
        at = bisect_left(pairs, (key,))  # type: ignore[arg-type]
        return pairs[at][1] if at < len(pairs) and pairs[at][0] == key else None

    def __iter__(self) -> Iterator[Pair]:
        for number in range(len(self._index)):
            yield from self._pairs(number)
