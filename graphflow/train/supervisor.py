"""tf.train.Supervisor: the older way to a session that restores itself and saves, in threads, while the program trains.

    sv = tf.train.Supervisor(logdir=folder)
    with sv.managed_session() as sess:
        while not sv.should_stop():
            sess.run(train_op)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from graphflow import dtypes
from graphflow.compat import logging
from graphflow.errors import AbortedError
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.importer import write_graph
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.io.event_schema import SessionLog, Summary, SummaryValue
from graphflow.ops.resources import tables_initializer
from graphflow.ops.source import group
from graphflow.ops.variable_checks import report_uninitialized_variables
from graphflow.ops.variables import global_variables, global_variables_initializer, local_variables_initializer
from graphflow.summary.ops import merge_all
from graphflow.summary.writer import FileWriter
from graphflow.train.coordinator import Coordinator, LooperThread
from graphflow.train.meta_graph import export_meta_graph
from graphflow.train.saver import Saver
from graphflow.train.session_manager import SessionManager
from graphflow.train.training_util import global_step as global_step_value

DEFAULT = 0  # TensorFlow's value of Supervisor.USE_DEFAULT


class Supervisor:
    """Operations that are not given are taken from the graph's collections, or made; then the graph is finalised.

    logdir: the folder of checkpoints and events; without one there are no standard services. save_model_secs, save_summaries_secs: how
    often these write; 0 switches them off.
    """

    USE_DEFAULT = DEFAULT

    def __init__(
        self,
        graph: Graph | None = None,
        ready_op: Any = DEFAULT,
        ready_for_local_init_op: Any = DEFAULT,
        is_chief: bool = True,
        init_op: Any = DEFAULT,
        init_feed_dict: Any = None,
        local_init_op: Any = DEFAULT,
        logdir: str | None = None,
        summary_op: Any = DEFAULT,
        saver: Any = DEFAULT,
        global_step: Any = DEFAULT,
        save_summaries_secs: float = 120,
        save_model_secs: float = 600,
        recovery_wait_secs: float = 30,
        stop_grace_secs: float = 120,
        checkpoint_basename: str = "model.ckpt",
        session_manager: SessionManager | None = None,
        summary_writer: Any = DEFAULT,
        init_fn: Callable[[Any], Any] | None = None,
        local_init_run_options: Any = None,
    ) -> None:
        self._graph = graph or get_default_graph()
        with self._graph.as_default():
            self._ready_op = _given_or(ready_op, GraphKeys.READY_OP, report_uninitialized_variables)
            self._ready_for_local_init_op = _given_or(ready_for_local_init_op, GraphKeys.READY_FOR_LOCAL_INIT_OP, lambda: None)
            self._init_op = _given_or(init_op, GraphKeys.INIT_OP, global_variables_initializer)
            self._local_init_op = _given_or(
                local_init_op, GraphKeys.LOCAL_INIT_OP, lambda: group(local_variables_initializer(), tables_initializer())
            )
            self._saver = _given_or(saver, GraphKeys.SAVERS, lambda: Saver() if global_variables() else None)
            self._summary_op = _given_or(summary_op, GraphKeys.SUMMARY_OP, merge_all)
            self._global_step = _given_or(global_step, GraphKeys.GLOBAL_STEP, _global_step_tensor)
            saver_def = self._saver.saver_def if self._saver else None
            self._meta_graph_def = export_meta_graph(saver_def=saver_def, graph=self._graph, collection_list=[])
        self._init_feed_dict = init_feed_dict
        self._is_chief = is_chief
        self._coord = Coordinator()
        self._stop_grace_secs = stop_grace_secs
        self._init_fn = init_fn
        self._logdir = logdir if is_chief else None
        self._save_summaries_secs = save_summaries_secs if is_chief else None
        self._save_model_secs = save_model_secs if is_chief else None
        self._save_path = os.path.join(logdir, checkpoint_basename) if is_chief and logdir else None
        self._summary_writer: Any = None
        self._graph_added = False
        if is_chief:
            if summary_writer is not DEFAULT:
                self._summary_writer = summary_writer
            elif self._logdir:
                self._summary_writer = FileWriter(self._logdir)
        self._session_manager = session_manager or SessionManager(
            self._local_init_op, self._ready_op, self._ready_for_local_init_op, self._graph, recovery_wait_secs, local_init_run_options
        )
        if not is_chief:
            for op in self._graph.get_operations():
                if op.type in ("Variable", "VariableV2") and not op.device:
                    raise ValueError(f"When using replicas, all Variables must have their device set: {op}")
        self._graph.finalize()

    # -- what it has -----------------------------------------------------------------------------------------------------------

    @property
    def is_chief(self) -> bool:
        """Whether it initialises, restores and saves."""
        return self._is_chief

    @property
    def session_manager(self) -> SessionManager:
        """Makes its sessions."""
        return self._session_manager

    @property
    def coord(self) -> Coordinator:
        """The stop signal of its threads."""
        return self._coord

    @property
    def init_op(self) -> Any:
        """Initialises the model."""
        return self._init_op

    @property
    def init_feed_dict(self) -> Any:
        """What is fed to init_op."""
        return self._init_feed_dict

    @property
    def ready_op(self) -> Any:
        """The names of what is not initialised."""
        return self._ready_op

    @property
    def ready_for_local_init_op(self) -> Any:
        """The names of what must be initialised before local_init_op and is not."""
        return self._ready_for_local_init_op

    @property
    def summary_writer(self) -> Any:
        """The writer of its events; None without a logdir."""
        return self._summary_writer

    @property
    def summary_op(self) -> Any:
        """All summaries, merged."""
        return self._summary_op

    @property
    def save_summaries_secs(self) -> float | None:
        """How often summaries are written."""
        return self._save_summaries_secs

    @property
    def global_step(self) -> Any:
        """The global step; None where the graph has none."""
        return self._global_step

    @property
    def saver(self) -> Any:
        """Saves the model; None where there are no variables."""
        return self._saver

    @property
    def save_model_secs(self) -> float | None:
        """How often the model is saved."""
        return self._save_model_secs

    @property
    def save_path(self) -> str | None:
        """The prefix of its checkpoints."""
        return self._save_path

    # -- sessions and services -------------------------------------------------------------------------------------------------

    def prepare_or_wait_for_session(
        self,
        master: str = "",
        config: Any = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        start_standard_services: bool = True,
    ) -> Any:
        """A session that is ready, with the services and queue runners started; who is not the chief waits for the chief."""
        self._coord.clear_stop()
        if self._summary_writer:
            self._summary_writer.reopen()
        if self._is_chief:
            session = self._session_manager.prepare_session(
                master, init_op=self._init_op, saver=self._saver, checkpoint_dir=self._logdir, wait_for_checkpoint=wait_for_checkpoint,
                max_wait_secs=max_wait_secs, config=config, init_feed_dict=self._init_feed_dict, init_fn=self._init_fn,
            )  # fmt: skip
            self._write_graph()
            if start_standard_services:
                logging.info("Starting standard services.")
                self.start_standard_services(session)
        else:
            session = self._session_manager.wait_for_session(master, config=config, max_wait_secs=max_wait_secs)
        if start_standard_services:
            logging.info("Starting queue runners.")
            self.start_queue_runners(session)
        return session

    def _write_graph(self) -> None:
        if self._logdir:
            write_graph(self._graph.as_graph_def(add_shapes=True), self._logdir, "graph.pbtxt")
        if self._summary_writer and not self._graph_added:
            self._summary_writer.add_graph(self._graph)
            self._summary_writer.add_meta_graph(self._meta_graph_def)
            self._graph_added = True

    def start_standard_services(self, sess: Any) -> list[LooperThread] | None:
        """Starts the threads that write summaries, the speed and checkpoints."""
        if not self._is_chief:
            raise RuntimeError("Only chief supervisor can start standard services. Because only chief supervisors can write events.")
        if not self._logdir:
            logging.warning("Standard services need a 'logdir' passed to the SessionManager")
            return None
        if self._global_step is not None and self._summary_writer:
            step = global_step_value(sess, self._global_step)
            self._summary_writer.add_session_log(SessionLog(status=SessionLog.START), step)
        threads: list[LooperThread] = []
        if self._save_summaries_secs and self._summary_writer:
            if self._summary_op is not None:
                threads.append(_SummaryThread(self, sess))
            if self._global_step is not None:
                threads.append(_StepCounterThread(self, sess))
        if self._saver and self._save_model_secs:
            threads.append(_CheckpointThread(self, sess))
        for thread in threads:
            thread.start()
        return threads

    def start_queue_runners(self, sess: Any, queue_runners: Sequence[Any] | None = None) -> list[Any]:
        """Starts the queue runners of the graph, or the given ones."""
        runners = self._graph.get_collection(GraphKeys.QUEUE_RUNNERS) if queue_runners is None else queue_runners
        return [t for runner in runners for t in runner.create_threads(sess, coord=self._coord, daemon=True, start=True)]

    def loop(self, timer_interval_secs: float | None, target: Any, args: Any = None, kwargs: Any = None) -> LooperThread:
        """A thread that calls a function again and again until the end."""
        return LooperThread.loop(self._coord, timer_interval_secs, target, args, kwargs)

    @contextmanager
    def managed_session(
        self, master: str = "", config: Any = None, start_standard_services: bool = True, close_summary_writer: bool = True
    ) -> Iterator[Any]:
        """A session for a block; the end of the block, or an error in it, stops all threads. OutOfRangeError ends it quietly."""
        session: Any = None
        try:
            session = self.prepare_or_wait_for_session(master=master, config=config, start_standard_services=start_standard_services)
            yield session
        except Exception as error:
            self.request_stop(error)
        finally:
            try:
                self.stop(close_summary_writer=close_summary_writer)
            finally:
                if session is not None:
                    session.close()

    def stop(self, threads: Any = None, close_summary_writer: bool = True, ignore_live_threads: bool = False) -> None:
        """Stops and waits for the threads; raises the error that one of them reported."""
        self._coord.request_stop()
        try:
            self._coord.join(threads, stop_grace_period_secs=self._stop_grace_secs, ignore_live_threads=ignore_live_threads)
        finally:
            if close_summary_writer and self._summary_writer:
                self._summary_writer.add_session_log(SessionLog(status=SessionLog.STOP))
                self._summary_writer.close()
                self._graph_added = False

    def request_stop(self, ex: Any = None) -> None:
        """Asks all threads to stop."""
        self._coord.request_stop(ex)

    def should_stop(self) -> bool:
        """Whether a stop was requested."""
        return self._coord.should_stop()

    def stop_on_exception(self) -> AbstractContextManager[None]:
        """Turns an exception of the block into a request to stop."""
        return self._coord.stop_on_exception()

    def wait_for_stop(self) -> None:
        """Waits until a stop is requested."""
        self._coord.wait_for_stop()

    def summary_computed(self, sess: Any, summary: Any, global_step: int | None = None) -> None:
        """Writes a summary that the program has computed."""
        if not self._summary_writer:
            raise RuntimeError("Writing a summary requires a summary writer.")
        if global_step is None and self._global_step is not None:
            global_step = global_step_value(sess, self._global_step)
        self._summary_writer.add_summary(summary, global_step)

    PrepareSession = prepare_or_wait_for_session
    StartQueueRunners = start_queue_runners
    StartStandardServices = start_standard_services
    Stop = stop
    RequestStop = request_stop
    Loop = loop
    ShouldStop = should_stop
    StopOnException = stop_on_exception
    WaitForStop = wait_for_stop
    SummaryComputed = summary_computed


def basic_train_loop(supervisor: Supervisor, train_step_fn: Callable[..., Any], args: Sequence[Any] | None = None,
                     kwargs: Mapping[str, Any] | None = None, master: str = "") -> None:  # fmt: skip
    """Calls `train_step_fn(session, *args, **kwargs)` in a managed session until the supervisor is to stop; after an AbortedError in a new
    session."""
    while True:
        try:
            with supervisor.managed_session(master) as session:
                while not supervisor.should_stop():
                    train_step_fn(session, *(args or ()), **(kwargs or {}))
            return
        except AbortedError:
            continue


def _given_or(given: Any, key: str, make_default: Callable[[], Any]) -> Any:
    """What was given, else the first of a collection, else a new one that is put there."""
    if given is not DEFAULT:
        return given
    found = get_collection(key)
    if len(found) > 1:
        logging.info("Found %d %s operations. Returning the first one.", len(found), key)
    if found:
        return found[0]
    item = make_default()
    if item is not None:
        add_to_collection(key, item)
    return item


def _global_step_tensor() -> Any:
    try:
        step = get_default_graph().get_tensor_by_name("global_step:0")
    except KeyError:
        return None
    if step.dtype.base_dtype in (dtypes.int32, dtypes.int64):
        return step
    logging.warning("Found 'global_step' is not an int type: %s", step.dtype)
    return None


class _SummaryThread(LooperThread):
    """Writes all summaries."""

    def __init__(self, sv: Supervisor, sess: Any) -> None:
        super().__init__(sv.coord, sv.save_summaries_secs)
        self._sv, self._sess = sv, sess

    def run_loop(self) -> None:
        step = None
        if self._sv.global_step is None:
            summaries = self._sess.run(self._sv.summary_op)
        else:
            summaries, step = self._sess.run([self._sv.summary_op, self._sv.global_step])
        logging.info("Recording summary at step %s.", step)
        self._sv.summary_writer.add_summary(summaries, step)


class _StepCounterThread(LooperThread):
    """Writes the number of steps per second."""

    def __init__(self, sv: Supervisor, sess: Any) -> None:
        super().__init__(sv.coord, sv.save_summaries_secs)
        self._sv, self._sess = sv, sess
        self._tag = f"{sv.global_step.op.name}/sec"

    def start_loop(self) -> None:
        self._time, self._step = time.time(), global_step_value(self._sess, self._sv.global_step)

    def run_loop(self) -> None:
        before, since = self._step, self._time
        self.start_loop()
        seconds = self._time - since
        speed = (self._step - before) / seconds if seconds > 0 else float("inf")
        self._sv.summary_writer.add_summary(Summary(value=[SummaryValue(tag=self._tag, simple_value=speed)]), self._step)
        logging.log_first_n(logging.INFO, "%s: %g", 10, self._tag, speed)


class _CheckpointThread(LooperThread):
    """Saves the model."""

    def __init__(self, sv: Supervisor, sess: Any) -> None:
        super().__init__(sv.coord, sv.save_model_secs)
        self._sv, self._sess = sv, sess

    def run_loop(self) -> None:
        sv = self._sv
        logging.info("Saving checkpoint to path %s", sv.save_path)
        sv.saver.save(self._sess, sv.save_path, global_step=sv.global_step)
        if sv.summary_writer and sv.global_step is not None:
            log = SessionLog(status=SessionLog.CHECKPOINT, checkpoint_path=sv.save_path)
            sv.summary_writer.add_session_log(log, global_step_value(self._sess, sv.global_step))
