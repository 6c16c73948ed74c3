"""TFRecord files: byte strings with their length and checksums, plain or compressed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from graphflow.errors import DataLossError
from graphflow.io.crc32c import masked_crc32c
from graphflow.io.files import named_errors
from graphflow.missing import names_of

__all__ = ["TFRecordCompressionType", "TFRecordOptions", "TFRecordWriter", "tf_record_iterator"]

_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_CHUNK = 1 << 18  # bytes that are read at once from a compressed file
_WINDOW = {"ZLIB": 15, "GZIP": 31}  # zlib's window bits; 16 more for gzip's header


class TFRecordCompressionType:
    """How a file of records is compressed."""

    NONE, ZLIB, GZIP = 0, 1, 2


class TFRecordOptions:
    """How a file of records is compressed, in detail."""

    compression_type_map = {TFRecordCompressionType.ZLIB: "ZLIB", TFRecordCompressionType.GZIP: "GZIP", TFRecordCompressionType.NONE: ""}

    def __init__(
        self,
        compression_type: Any = None,
        flush_mode: int | None = None,
        input_buffer_size: int | None = None,
        output_buffer_size: int | None = None,
        window_bits: int | None = None,
        compression_level: int | None = None,
        compression_method: int | None = None,
        mem_level: int | None = None,
        compression_strategy: int | None = None,
    ) -> None:
        self.get_compression_type_string(compression_type)
        self.compression_type = compression_type
        self.flush_mode = flush_mode
        self.input_buffer_size = input_buffer_size
        self.output_buffer_size = output_buffer_size
        self.window_bits = window_bits
        self.compression_level = compression_level
        self.compression_method = compression_method
        self.mem_level = mem_level
        self.compression_strategy = compression_strategy

    @classmethod
    def get_compression_type_string(cls, options: Any) -> str:
        """ "ZLIB", "GZIP" or "" for options, a number or such a string."""
        if not options:
            return ""
        if isinstance(options, TFRecordOptions):
            return cls.get_compression_type_string(options.compression_type)
        if options in cls.compression_type_map:
            return cls.compression_type_map[options]
        if options in cls.compression_type_map.values():
            return str(options)
        raise ValueError(f'Not a valid compression_type: "{options}"')

    def compressor(self) -> Any:
        """A zlib compressor with these options."""
        bits = _WINDOW[self.get_compression_type_string(self)]
        return zlib.compressobj(
            zlib.Z_DEFAULT_COMPRESSION if self.compression_level is None else self.compression_level,
            self.compression_method or zlib.DEFLATED,
            bits if self.window_bits is None else self.window_bits + bits - 15,
            self.mem_level or 8,
            self.compression_strategy or zlib.Z_DEFAULT_STRATEGY,
        )


def framed(record: bytes) -> bytes:
    """A record as it stands in a file."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), record, _CRC.pack(masked_crc32c(record))))


class TFRecordWriter:
    """Writes records to a new file."""

    def __init__(self, path: Any, options: Any = None) -> None:
        if not isinstance(options, TFRecordOptions):
            options = TFRecordOptions(options)
        self._name = _text(path)
        with named_errors(self._name):
            self._file: BinaryIO | None = open(self._name, "wb")
        self._compressor = options.compressor() if options.get_compression_type_string(options) else None

    def __enter__(self) -> TFRecordWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def write(self, record: bytes) -> None:
        """Appends a record."""
        if not isinstance(record, (bytes, bytearray, memoryview)):
            raise TypeError(f"expected bytes, {type(record).__name__} found")
        data = framed(bytes(record))
        self._put(data if self._compressor is None else self._compressor.compress(data))

    def _put(self, data: bytes) -> None:
        from graphflow.errors import FailedPreconditionError

        if self._file is None:
            raise FailedPreconditionError(None, None, "Writer is closed.")
        with named_errors(self._name):
            self._file.write(data)

    def flush(self) -> None:
        """Hands what has been written to the system."""
        if self._compressor is not None:
            self._put(self._compressor.flush(zlib.Z_SYNC_FLUSH))
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file is None:
            return
        if self._compressor is not None:
            self._put(self._compressor.flush())
        with named_errors(self._name):
            self._file.close()
        self._file = None


class _Inflated:
    """A compressed file, read like a plain one."""

    def __init__(self, file: BinaryIO, bits: int) -> None:
        self._file, self._bits = file, bits
        self._engine = zlib.decompressobj(bits)
        self._ready = b""

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end."""
        parts, have = [self._ready], len(self._ready)
        while have < size:
            data = self._engine.unconsumed_tail or self._engine.unused_data or self._file.read(_CHUNK)
            if not data:
                break
            if self._engine.eof:  # several compressed parts one behind the other
                self._engine = zlib.decompressobj(self._bits)
            try:
                part = self._engine.decompress(data, max(size - have, _CHUNK))
            except zlib.error as error:
                raise DataLossError(None, None, f"inflate() failed: {error}") from None
            parts.append(part)
            have += len(part)
        whole = b"".join(parts)
        self._ready = whole[size:]
        return whole[:size]


def opened(file: BinaryIO, kind: str) -> Any:
    """An open file as one to read from: itself, or what it holds compressed as `kind`, "ZLIB" or "GZIP"."""
    return _Inflated(file, _WINDOW[kind]) if kind else file


def read_records(file: Any) -> Iterator[bytes]:
    """The records of an open file. DataLossError where it is damaged or cut off."""
    offset = 0
    while True:
        head = file.read(12)
        if not head:
            return
        if len(head) < 12:
            raise DataLossError(None, None, f"truncated record at {offset}")
        if masked_crc32c(head[:8]) != _CRC.unpack(head[8:])[0]:
            raise DataLossError(None, None, f"corrupted record at {offset}")
        (length,) = _LENGTH.unpack(head[:8])
        data = file.read(length + 4)
        if len(data) < length + 4:
            raise DataLossError(None, None, f"truncated record at {offset}' failed with Read less bytes than requested")
        record = data[:length]
        if masked_crc32c(record) != _CRC.unpack(data[length:])[0]:
            raise DataLossError(None, None, f"corrupted record at {offset + 12}")
        yield record
        offset += 16 + length


def tf_record_iterator(path: Any, options: Any = None) -> Iterator[bytes]:
    """The records of a file."""
    kind = TFRecordOptions.get_compression_type_string(options)
    name = _text(path)
    with named_errors(name):
        file = open(name, "rb")
    with file:
        yield from read_records(opened(file, kind))


def _text(path: Any) -> str:
    return path.decode() if isinstance(path, bytes) else str(path)

globals()["__getattr__"] = names_of("python_io")
