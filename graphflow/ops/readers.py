"""tf.TFRecordReader and its kin: records out of the files whose names a queue gives."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import make
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.io.records import TFRecordOptions

__all__ = ["FixedLengthRecordReader", "IdentityReader", "ReaderBase", "TFRecordReader", "TextLineReader", "WholeFileReader"]


class ReaderBase:
    """A reader, which stays in the session between runs. `queue` is a queue of file names, or its queue_ref."""

    def __init__(self, reader_ref: Tensor, supports_serialize: bool = False) -> None:
        self._reader_ref = reader_ref
        self._supports_serialize = supports_serialize

    @property
    def reader_ref(self) -> Tensor:
        """The tensor that stands for the reader."""
        return self._reader_ref

    @property
    def supports_serialize(self) -> bool:
        """Whether its state can be saved."""
        return self._supports_serialize

    def read(self, queue: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
        """Key and value of the next record, scalar strings. Takes a file name from the queue where one is needed: a run waits for it, and
        raises OutOfRangeError if the queue is closed and empty."""
        return make("ReaderReadV2", self._reader_ref, _queue(queue), name=name)  # type: ignore[no-any-return]

    def read_up_to(self, queue: Any, num_records: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values of the next records of one file, vectors of 1 to num_records strings."""
        return make("ReaderReadUpToV2", self._reader_ref, _queue(queue), num_records, name=name)  # type: ignore[no-any-return]

    def num_records_produced(self, name: str | None = None) -> Tensor:
        """How many records have been read (int64)."""
        return make("ReaderNumRecordsProducedV2", self._reader_ref, name=name)  # type: ignore[no-any-return]

    def num_work_units_completed(self, name: str | None = None) -> Tensor:
        """How many files have been read to the end (int64)."""
        return make("ReaderNumWorkUnitsCompletedV2", self._reader_ref, name=name)  # type: ignore[no-any-return]

    def serialize_state(self, name: str | None = None) -> Tensor:
        """The state as a string, where the reader supports it."""
        return make("ReaderSerializeStateV2", self._reader_ref, name=name)  # type: ignore[no-any-return]

    def restore_state(self, state: Any, name: str | None = None) -> Operation:
        """Gives the reader a state that was saved."""
        return make("ReaderRestoreStateV2", self._reader_ref, state, name=name)  # type: ignore[no-any-return]

    def reset(self, name: str | None = None) -> Operation:
        """Makes the reader as it was at first."""
        return make("ReaderResetV2", self._reader_ref, name=name)  # type: ignore[no-any-return]


def _queue(queue: Any) -> Tensor:
    return queue if isinstance(queue, Tensor) else queue.queue_ref


class WholeFileReader(ReaderBase):
    """Each file's name as key and its contents as value."""

    def __init__(self, name=None):
        super().__init__(make("WholeFileReaderV2", name=name), supports_serialize=True)


class IdentityReader(ReaderBase):
    """What the queue gives, as key and as value."""

    def __init__(self, name=None):
        super().__init__(make("IdentityReaderV2", name=name), supports_serialize=True)


class TextLineReader(ReaderBase):
    """The lines of files without their ends, after the first skip_header_lines; keys are "file:line"."""

    def __init__(self, skip_header_lines=None, name=None):
        super().__init__(make("TextLineReaderV2", skip_header_lines=skip_header_lines or 0, name=name))


class FixedLengthRecordReader(ReaderBase):
    """Pieces of record_bytes, each hop_bytes (default: record_bytes) behind the one before, between a header and a footer that are left
    out; encoding: "", "ZLIB" or "GZIP". Keys are "file:number"."""

    def __init__(self, record_bytes, header_bytes=None, footer_bytes=None, hop_bytes=None, name=None, encoding=None):
        sizes = {"header_bytes": header_bytes or 0, "footer_bytes": footer_bytes or 0, "hop_bytes": hop_bytes or 0}
        super().__init__(make("FixedLengthRecordReaderV2", record_bytes=record_bytes, encoding=encoding or "", name=name, **sizes))


class TFRecordReader(ReaderBase):
    """The records of TFRecord files; keys are "file:offset"."""

    def __init__(self, name=None, options=None):
        kind = TFRecordOptions.get_compression_type_string(options)
        super().__init__(make("TFRecordReaderV2", compression_type=kind, name=name))
