"""`tf.summary.FileWriter`."""

from __future__ import annotations

import os
import threading
import time
import warnings
from typing import Any, ClassVar

from graphflow.compat import logging
from graphflow.graph.graph import Graph
from graphflow.graph.nodedef import GraphDef
from graphflow.graph.protobuf import graph_to_proto
from graphflow.io import schema
from graphflow.io.event_schema import Event, RunMetadata, SessionLog, Summary, TaggedRunMetadata
from graphflow.io.events import EventFileWriter


class SummaryToEventTransformer:
    """Turns summaries, graphs and the like into events for an event writer."""

    def __init__(self, event_writer: Any, graph: Any = None, graph_def: Any = None) -> None:
        self.event_writer = event_writer
        self._run_tags: set[str] = set()
        self._seen_tags: set[str] = set()
        if graph is not None or graph_def is not None:
            self.add_graph(graph=graph, graph_def=graph_def)
            meta = schema.MetaGraphDef(graph_def=_message(graph if graph_def is None else graph_def))
            meta.meta_info_def.tensorflow_version = "1.15.5"
            self.add_meta_graph(meta)

    def add_summary(self, summary: Any, global_step: Any = None) -> None:
        """Adds a Summary, or the bytes of one. Only the first value of a tag keeps its metadata."""
        summary = Summary.FromString(summary if isinstance(summary, bytes) else summary.SerializeToString())
        for value in summary.value:
            if value.tag in self._seen_tags:
                value.ClearField("metadata")
            self._seen_tags.add(value.tag)
        self._add_event(Event(summary=summary), global_step)

    def add_session_log(self, session_log: SessionLog, global_step: Any = None) -> None:
        """Adds a start, stop or checkpoint."""
        self._add_event(Event(session_log=session_log), global_step)

    def add_graph(self, graph: Any, global_step: Any = None, graph_def: Any = None) -> None:
        """Adds a graph, for TensorBoard's graph tab."""
        if graph is not None and graph_def is not None:
            raise ValueError("Please pass only graph, or graph_def (deprecated), but not both.")
        given = graph_def if graph is None else graph
        if isinstance(given, Graph):
            if graph is None:
                logging.warning("When passing a `Graph` object, please use the `graph` named argument instead of `graph_def`.")
            _write_plugin_assets(given, self.event_writer.get_logdir())
        elif isinstance(given, (GraphDef, schema.GraphDef)):
            logging.warning("Passing a `GraphDef` to the SummaryWriter is deprecated. Pass a `Graph` object instead, such as `sess.graph`.")
        else:
            raise TypeError("The passed graph must be an instance of `Graph` or the deprecated `GraphDef`")
        self._add_event(Event(graph_def=_message(given).SerializeToString()), global_step)

    def add_meta_graph(self, meta_graph_def: Any, global_step: Any = None) -> None:
        """Adds a MetaGraphDef."""
        if not isinstance(meta_graph_def, schema.MetaGraphDef):
            raise TypeError(f"meta_graph_def must be type MetaGraphDef, saw type: {type(meta_graph_def)}")
        self._add_event(Event(meta_graph_def=meta_graph_def.SerializeToString()), global_step)

    def add_run_metadata(self, run_metadata: RunMetadata, tag: str, global_step: Any = None) -> None:
        """Adds the times of a traced run, which TensorBoard shows in the graph under `tag`."""
        if tag in self._run_tags:
            raise ValueError("The provided tag was already used for this event type")
        self._run_tags.add(tag)
        tagged = TaggedRunMetadata(tag=tag, run_metadata=run_metadata.SerializeToString())
        self._add_event(Event(tagged_run_metadata=tagged), global_step)

    def _add_event(self, event: Event, step: Any) -> None:
        event.wall_time = time.time()
        if step is not None:
            event.step = int(step)
        self.event_writer.add_event(event)


class FileWriter(SummaryToEventTransformer):
    """Writes event files for TensorBoard to a folder."""

    def __init__(
        self,
        logdir: Any,
        graph: Any = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        graph_def: Any = None,
        filename_suffix: str | None = None,
        session: Any = None,
    ) -> None:
        self._closed = False
        super().__init__(EventFileWriter(logdir, max_queue, flush_secs, filename_suffix), graph, graph_def)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def get_logdir(self) -> str:
        """The folder."""
        return str(self.event_writer.get_logdir())

    def _warn_if_closed(self) -> None:
        if self._closed:
            warnings.warn(
                "Attempting to use a closed FileWriter. The operation will be a noop unless the FileWriter is explicitly reopened.",
                stacklevel=3,
            )

    def _add_event(self, event: Event, step: Any) -> None:
        self._warn_if_closed()
        super()._add_event(event, step)

    def add_event(self, event: Event) -> None:
        """Adds an event as it is."""
        self._warn_if_closed()
        self.event_writer.add_event(event)

    def flush(self) -> None:
        """Hands all that has been added to the system."""
        self._warn_if_closed()
        self.event_writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self.event_writer.close()
        self._closed = True

    def reopen(self) -> None:
        """Goes on, in a new file, after `close`."""
        self.event_writer.reopen()
        self._closed = False


class FileWriterCache:
    """One FileWriter for each folder."""

    _cache: ClassVar[dict[str, FileWriter]] = {}
    _lock = threading.RLock()

    @staticmethod
    def clear() -> None:
        """Closes and forgets all writers."""
        with FileWriterCache._lock:
            for writer in FileWriterCache._cache.values():
                writer.close()
            FileWriterCache._cache.clear()

    @staticmethod
    def get(logdir: str) -> FileWriter:
        """The writer for a folder, with the default graph."""
        from graphflow.graph.graph import get_default_graph

        with FileWriterCache._lock:
            if logdir not in FileWriterCache._cache:
                FileWriterCache._cache[logdir] = FileWriter(logdir, graph=get_default_graph())
            return FileWriterCache._cache[logdir]


def _message(graph: Any) -> schema.GraphDef:
    """A Graph, with shapes, or a GraphDef of either kind as a message."""
    if isinstance(graph, Graph):
        graph = graph.as_graph_def(add_shapes=True)
    return graph_to_proto(graph) if isinstance(graph, GraphDef) else graph


_ASSETS = "__tensorboard_plugin_asset__"


def _write_plugin_assets(graph: Graph, logdir: str) -> None:
    """Writes the files that plugins have put into the graph's collections."""
    for name in graph.get_collection(_ASSETS):
        for container in graph.get_collection(_ASSETS + name):
            folder = os.path.join(logdir, "plugins", container.plugin_name)
            os.makedirs(folder, exist_ok=True)
            for file_name, content in container.assets().items():
                with open(os.path.join(folder, file_name), "w") as file:
                    file.write(content)
