"""tf.train.QueueRunner: threads that run a queue's enqueue operations until the data are at their end or the coordinator stops."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

from graphflow import errors
from graphflow.compat import logging
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.graph.sessions import get_default_session
from graphflow.io.schema import QueueRunnerDef
from graphflow.ops.variable_protos import prepend_scope, strip_scope
from graphflow.runtime.session import BaseSession


class QueueRunner:
    """One thread for each of `enqueue_ops`, and one that cancels the queue when the coordinator stops.

    queue_closed_exception_types: errors that mean the end of the data (OutOfRangeError by default); the last thread to meet one closes
    the queue.
    """

    def __init__(
        self,
        queue: Any = None,
        enqueue_ops: Sequence[Any] | None = None,
        close_op: Any = None,
        cancel_op: Any = None,
        queue_closed_exception_types: tuple[type[errors.OpError], ...] | None = None,
        queue_runner_def: QueueRunnerDef | None = None,
        import_scope: str | None = None,
    ) -> None:
        if queue_runner_def:
            if queue or enqueue_ops:
                raise ValueError("queue_runner_def and queue are mutually exclusive.")
            self._from_def(queue_runner_def, import_scope)
        else:
            if not queue or not enqueue_ops:
                raise ValueError("Must provide queue and enqueue_ops.")
            closed = queue_closed_exception_types
            if closed is not None and not (
                isinstance(closed, tuple) and closed and all(issubclass(t, errors.OpError) for t in closed)
            ):
                raise TypeError(
                    f"queue_closed_exception_types, when provided, must be a tuple of tf.error types, but saw: {closed}"
                )
            self._queue = queue
            self._enqueue_ops = list(enqueue_ops)
            self._close_op = queue.close() if close_op is None else close_op
            self._cancel_op = queue.close(cancel_pending_enqueues=True) if cancel_op is None else cancel_op
            self._closed_types = closed or (errors.OutOfRangeError,)
        self._lock = threading.Lock()
        self._running: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._raised: list[Exception] = []

    def _from_def(self, proto: QueueRunnerDef, scope: str | None) -> None:
        def element(name: str) -> Any:
            return get_default_graph().as_graph_element(prepend_scope(name, scope))

        self._queue = element(proto.queue_name)
        self._enqueue_ops = [element(name) for name in proto.enqueue_op_name]
        self._close_op = element(proto.close_op_name)
        self._cancel_op = element(proto.cancel_op_name)
        codes = [errors.exception_type_from_error_code(code) for code in proto.queue_closed_exception_types]
        self._closed_types = tuple(codes) or (errors.OutOfRangeError,)

    @property
    def queue(self) -> Any:
        """The queue."""
        return self._queue

    @property
    def enqueue_ops(self) -> list[Any]:
        """What its threads run."""
        return self._enqueue_ops

    @property
    def close_op(self) -> Any:
        """Closes the queue."""
        return self._close_op

    @property
    def cancel_op(self) -> Any:
        """Closes the queue and cancels pending enqueues."""
        return self._cancel_op

    @property
    def queue_closed_exception_types(self) -> tuple[type[errors.OpError], ...]:
        """The errors that mean the end of the data."""
        return self._closed_types

    @property
    def exceptions_raised(self) -> list[Exception]:
        """Errors of threads that had no coordinator to report them to."""
        return self._raised

    @property
    def name(self) -> str:
        """The queue's name."""
        return str(self._queue.name)

    def _left(self, session: Any) -> int:
        """Notes that one thread has ended; how many still run."""
        with self._lock:
            self._running[session] -= 1
            return self._running[session]

    def _run(self, session: Any, enqueue_op: Any, coord: Any = None) -> None:
        counted = False
        try:
            enqueue = session.make_callable(enqueue_op)
            while not (coord and coord.should_stop()):
                try:
                    enqueue()
                except self._closed_types:
                    counted = True
                    if not self._left(session):
                        self._quietly(session, self._close_op)
                    return
        except Exception as error:
            if coord:
                coord.request_stop(error)
                return
            logging.error("Exception in QueueRunner: %s", error)
            with self._lock:
                self._raised.append(error)
            raise
        finally:
            if not counted:
                self._left(session)

    @staticmethod
    def _quietly(session: Any, operation: Any) -> None:
        try:
            session.run(operation)
        except Exception as error:  # closing a queue that is closed, or a session that is
            logging.vlog(1, "Ignored exception: %s", error)

    def _close_on_stop(self, session: Any, coord: Any) -> None:
        coord.wait_for_stop()
        self._quietly(session, self._cancel_op)

    def create_threads(self, sess: Any, coord: Any = None, daemon: bool = False, start: bool = False) -> list[threading.Thread]:
        """The threads for a session; none while those of an earlier call still run in it."""
        with self._lock:
            if self._running.get(sess, 0) > 0:
                return []
            self._running[sess] = len(self._enqueue_ops)
            self._raised = []
        threads = [
            threading.Thread(target=self._run, args=(sess, op, coord), name=f"QueueRunnerThread-{self.name}-{op.name}")
            for op in self._enqueue_ops
        ]
        if coord:
            name = f"QueueRunnerThread-{self.name}-close_on_stop"
            threads.append(threading.Thread(target=self._close_on_stop, args=(sess, coord), name=name))
        for thread in threads:
            if coord:
                coord.register_thread(thread)
            if daemon:
                thread.daemon = True
            if start:
                thread.start()
        return threads

    def to_proto(self, export_scope: str | None = None) -> QueueRunnerDef | None:
        """The message that names its operations; None where it is not in the scope."""
        if export_scope is not None and not self.queue.name.startswith(export_scope):
            return None
        return QueueRunnerDef(
            queue_name=strip_scope(self.queue.name, export_scope),
            enqueue_op_name=[strip_scope(op.name, export_scope) for op in self._enqueue_ops],
            close_op_name=strip_scope(self._close_op.name, export_scope),
            cancel_op_name=strip_scope(self._cancel_op.name, export_scope),
            queue_closed_exception_types=[errors.error_code_from_exception_type(t) for t in self._closed_types],
        )

    @staticmethod
    def from_proto(queue_runner_def: QueueRunnerDef, import_scope: str | None = None) -> QueueRunner:
        """The queue runner whose operations are in the graph already."""
        return QueueRunner(queue_runner_def=queue_runner_def, import_scope=import_scope)


def add_queue_runner(qr: Any, collection: str = GraphKeys.QUEUE_RUNNERS) -> None:
    """Makes a queue runner known to `start_queue_runners`."""
    add_to_collection(collection, qr)


def start_queue_runners(
    sess: Any = None, coord: Any = None, daemon: bool = True, start: bool = True, collection: str = GraphKeys.QUEUE_RUNNERS
) -> list[threading.Thread]:
    """Starts the threads of all queue runners of the graph; the result is to be joined by the coordinator."""
    sess = sess or get_default_session()
    if sess is None:
        raise ValueError(
            "Cannot start queue runners: No default session is registered. Use `with sess.as_default()` or pass an explicit "
            "session to tf.start_queue_runners(sess=sess)"
        )
    if not isinstance(sess, BaseSession):
        if type(sess).__name__ in ("MonitoredSession", "SingularMonitoredSession"):
            return []  # it has started them itself
        raise TypeError(f"sess must be a `tf.Session` object. Given class: {type(sess)}")
    runners = get_collection(collection)
    if not runners:
        logging.warning(
            "`tf.train.start_queue_runners()` was called when no queue runners were defined. You can safely remove the call to "
            "this deprecated function."
        )
    with sess.graph.as_default():
        return [t for runner in runners for t in runner.create_threads(sess, coord=coord, daemon=daemon, start=start)]
