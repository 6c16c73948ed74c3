"""Event files, which TensorBoard reads: TFRecord files of Event messages."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, BinaryIO

from graphflow.io.event_schema import Event
from graphflow.io.files import named_errors
from graphflow.io.records import framed, tf_record_iterator

VERSION = "brain.Event:2"


class EventsWriter:
    """Writes `PREFIX.out.tfevents.SECONDS.HOST`. The file is made with the first event; closing it and going on makes another one."""

    def __init__(self, prefix: Any, suffix: str = "") -> None:
        self._prefix = os.fsdecode(prefix)
        self._suffix = suffix
        self._file: BinaryIO | None = None
        self._name = ""

    @property
    def filename(self) -> str:
        """The file's name; makes the file where there is none yet."""
        if self._file is None:
            self._open()
        return self._name

    def _open(self) -> None:
        base = f"{self._prefix}.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        name, number = base + self._suffix, 0
        with named_errors(name):
            while True:
                try:
                    self._file = open(name, "xb")
                    break
                except FileExistsError:  # a second writer, or the same one again, within a second
                    number += 1
                    name = f"{base}.{number}{self._suffix}"
        self._name = name
        self.write(Event(wall_time=time.time(), file_version=VERSION).SerializeToString())

    def write(self, event: bytes) -> None:
        """Appends a serialized event."""
        if self._file is None:
            self._open()
        assert self._file is not None
        with named_errors(self._name):
            self._file.write(framed(event))

    def flush(self) -> None:
        """Hands what has been written to the system."""
        if self._file is not None:
            with named_errors(self._name):
                self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._file is not None:
            with named_errors(self._name):
                self._file.close()
            self._file = None


class EventFileWriter:
    """Writes events to files of a folder. Events are written at once and handed to the system every `flush_secs` seconds, the first one
    immediately; nothing is lost when a program ends without closing it."""

    def __init__(self, logdir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str | None = None) -> None:
        self._logdir = os.fsdecode(logdir)
        with named_errors(self._logdir):
            os.makedirs(self._logdir or ".", exist_ok=True)
        self._writer = EventsWriter(os.path.join(self._logdir, "events"), filename_suffix or "")
        self._flush_secs = flush_secs
        self._next_flush = 0.0
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, self._writer.close)

    def get_logdir(self) -> str:
        """The folder."""
        return self._logdir

    def add_event(self, event: Event) -> None:
        """Writes an event. After `close` nothing happens."""
        if self._closed:
            return
        data = event.SerializeToString()
        with self._lock:
            self._writer.write(data)
            now = time.time()
            if now > self._next_flush:
                self._writer.flush()
                self._next_flush = now + self._flush_secs

    def flush(self) -> None:
        """Hands all events to the system."""
        with self._lock:
            self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        with self._lock:
            self._writer.close()
        self._closed = True

    def reopen(self) -> None:
        """Goes on in a new file after `close`."""
        self._closed = False


def summary_iterator(path: Any) -> Iterator[Event]:
    """The events of an event file."""
    for record in tf_record_iterator(path):
        yield Event.FromString(record)
