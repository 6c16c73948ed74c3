"""Readers' operations: records out of the files whose names a queue gives. `ops/readers.py` has the classes for programs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphflow.dtypes import int64, string
from graphflow.errors import InvalidArgumentError, UnimplementedError
from graphflow.graph.op import TensorSpec
from graphflow.io.files import named_errors
from graphflow.io.records import opened, read_records
from graphflow.io.schema import ReaderBaseState
from graphflow.io.wire import DecodeError
from graphflow.ops.queue_ops import HandleOp, QueueOp
from graphflow.ops.queue_state import Deadline

Record = tuple[bytes, bytes]  # key and value


class Reader:
    """What a reader holds between runs: the file it is at, and how many records and files it has done. Subclasses say what records a file
    has. `whole`: a file is one record, so nothing is left of it after a read, and the state can be saved."""

    whole = False

    def __init__(self, name: str, settings: Any) -> None:
        self.name, self.settings = name, settings
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """As if nothing had been read."""
        self.produced = self.started = self.completed = 0
        self.work = b""
        self._records: Iterator[Record] | None = None

    def records(self, work: bytes) -> Iterator[Record]:
        """The records of a file."""
        raise NotImplementedError

    def read(self, queue: Any, most: int) -> list[Record]:
        """The next records, at least one and at most `most`, all of one file; asks the queue for the next file where one is at its end."""
        found: list[Record] = []
        while len(found) < most:
            if self._records is None:
                if found:
                    break
                self.work = queue.dequeue(1)[0][0].item()
                self.started += 1
                self._records = self.records(self.work)
            try:
                found.append(next(self._records))
                self.produced += 1
                if self.whole:
                    self._finish()
            except StopIteration:
                self._finish()
            except BaseException:
                self._records = None  # a generator that has failed is at its end
                raise
        return found

    def _finish(self) -> None:
        self._records = None
        self.completed += 1

    # -- its state as a string ---------------------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """How far it is, for `restore`."""
        if not self.whole:
            raise UnimplementedError(None, None, "Reader SerializeState")
        return ReaderBaseState(
            work_started=self.started, work_finished=self.completed, num_records_produced=self.produced, current_work=self.work
        ).SerializeToString()

    def restore(self, state: bytes) -> None:
        """Goes back to where it was saved."""
        if not self.whole:
            raise UnimplementedError(None, None, "Reader RestoreState")
        try:
            found = ReaderBaseState.FromString(state)
        except DecodeError:
            text = state.decode("utf-8", "replace")
            raise InvalidArgumentError(None, None, f"Could not parse state for {self.name}: {text}") from None
        self.started, self.completed = found.work_started, found.work_finished
        self.produced, self.work = found.num_records_produced, found.current_work
        self._records = None


class Identities(Reader):
    whole = True

    def records(self, work: bytes) -> Iterator[Record]:
        yield work, work


class WholeFiles(Reader):
    whole = True

    def records(self, work: bytes) -> Iterator[Record]:
        name = work.decode()
        with named_errors(name), open(name, "rb") as file:
            data = file.read()
        yield work, data


class TextLines(Reader):
    def records(self, work: bytes) -> Iterator[Record]:
        name = work.decode()
        with named_errors(name):
            file = open(name, "rb")
        with file:
            for number, line in enumerate(file, 1):
                if number > self.settings.skip_header_lines:
                    yield b"%b:%d" % (work, number), line.removesuffix(b"\n").replace(b"\r", b"")


class FixedLengthRecords(Reader):
    def records(self, work: bytes) -> Iterator[Record]:
        name, own = work.decode(), self.settings
        size, hop = own.record_bytes, own.hop_bytes or own.record_bytes
        with named_errors(name):
            raw = open(name, "rb")
        with raw:
            file = opened(raw, own.encoding)
            file.read(own.header_bytes)
            ahead, number = b"", 0  # what has been read behind the last record: the footer can only be known at the end
            while True:
                ahead += file.read(size + own.footer_bytes - len(ahead))
                if len(ahead) < size + own.footer_bytes:
                    return
                yield b"%b:%d" % (work, number), ahead[:size]
                number += 1
                if hop > len(ahead):
                    file.read(hop - len(ahead))
                ahead = ahead[hop:]


class TFRecords(Reader):
    def records(self, work: bytes) -> Iterator[Record]:
        name, offset = work.decode(), 0
        with named_errors(name):
            raw = open(name, "rb")
        with raw:
            for record in read_records(opened(raw, self.settings.compression_type)):
                yield b"%b:%d" % (work, offset), record
                offset += len(record) + 16


# -- the operations ---------------------------------------------------------------------------------------------------------------


class _Reader(HandleOp, abstract=True):
    """A reader."""

    results = ("reader_handle: resource",)
    reader: type[Reader] = Reader

    def new(self, name: str, deadline: Deadline) -> Reader:
        return type(self).reader(f"{self.type.removesuffix('V2')} '{name}'", self)


class IdentityReaderV2(_Reader):
    """What the queue gives, as key and as value."""

    reader = Identities


class WholeFileReaderV2(_Reader):
    """The contents of each file."""

    reader = WholeFiles


class TextLineReaderV2(_Reader):
    """The lines of files."""

    reader = TextLines
    skip_header_lines: int = 0


class TFRecordReaderV2(_Reader):
    """The records of TFRecord files."""

    reader = TFRecords
    compression_type: str = ""


class FixedLengthRecordReaderV2(_Reader):
    """Pieces of one size."""

    reader = FixedLengthRecords
    record_bytes: int
    header_bytes: int = 0
    footer_bytes: int = 0
    hop_bytes: int = 0
    encoding: str = ""

    def infer(self) -> TensorSpec:
        if self.record_bytes < 1:  # 0 would give empty records for ever
            raise ValueError(f"record_bytes must be > 0, got {self.record_bytes}")
        for name in ("header_bytes", "footer_bytes", "hop_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        return super().infer()


class _OfReader(QueueOp, abstract=True):
    """Python with a reader, which serves one at a time."""

    concurrent = True
    arguments = ("reader_handle: resource",)

    def run(self, reader_handle: Any, *rest: Any) -> Any:
        reader: Reader = reader_handle.item()
        with reader.lock:
            return self.answer(reader, *rest)

    def answer(self, reader: Reader, *rest: Any) -> Any:
        """The results."""
        raise NotImplementedError


class ReaderReadV2(_OfReader):
    """The next record, of the next file if need be; waits for one."""

    arguments = ("reader_handle: resource", "queue_handle: resource")
    results = ("key: string", "value: string")

    def infer(self, reader_handle: TensorSpec, queue_handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(string, ()), TensorSpec(string, ())

    def answer(self, reader: Reader, *rest: Any) -> Any:
        return tuple(np.array(part, object) for part in reader.read(rest[0].item(), 1)[0])


class ReaderReadUpToV2(_OfReader):
    """The next records of one file, at most `num_records`."""

    arguments = ("reader_handle: resource", "queue_handle: resource", "num_records: int64")
    results = ("keys: string", "values: string")

    def infer(self, reader_handle: TensorSpec, queue_handle: TensorSpec, num_records: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(string, (None,)), TensorSpec(string, (None,))

    def answer(self, reader: Reader, *rest: Any) -> Any:
        found = reader.read(rest[0].item(), int(rest[1]))
        parts = np.empty((2, len(found)), object)
        for number, record in enumerate(found):
            parts[:, number] = record
        return parts[0], parts[1]


class ReaderNumRecordsProducedV2(_OfReader):
    """How many records have been read."""

    results = ("records_produced: int64",)

    def infer(self, reader_handle: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, ())

    def answer(self, reader: Reader, *rest: Any) -> Any:
        return np.array(reader.produced, np.int64)


class ReaderNumWorkUnitsCompletedV2(_OfReader):
    """How many files have been read to the end."""

    results = ("units_completed: int64",)

    def infer(self, reader_handle: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, ())

    def answer(self, reader: Reader, *rest: Any) -> Any:
        return np.array(reader.completed, np.int64)


class ReaderSerializeStateV2(_OfReader):
    """The reader's state as a string; UnimplementedError for readers that stop inside files."""

    results = ("state: string",)

    def infer(self, reader_handle: TensorSpec) -> TensorSpec:
        return TensorSpec(string, ())

    def answer(self, reader: Reader, *rest: Any) -> Any:
        return np.array(reader.save(), object)


class ReaderRestoreStateV2(_OfReader):
    """Gives the reader a state that was saved."""

    arguments = ("reader_handle: resource", "state: string")
    results = ()

    def infer(self, reader_handle: TensorSpec, state: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def answer(self, reader: Reader, *rest: Any) -> Any:
        reader.restore(rest[0].item())
        return ()


class ReaderResetV2(_OfReader):
    """Makes the reader as it was at first."""

    results = ()

    def infer(self, reader_handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def answer(self, reader: Reader, *rest: Any) -> Any:
        reader.reset()
        return ()
