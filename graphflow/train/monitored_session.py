"""tf.train.MonitoredTrainingSession: a session that initialises or restores itself, calls hooks and goes on after a broken connection.

    with tf.train.MonitoredTrainingSession(checkpoint_dir=folder, hooks=[tf.train.StopAtStepHook(1000)]) as sess:
        while not sess.should_stop():
            sess.run(train_op)

The session is made of layers, each with `run`, `should_stop` and `close`: Recoverable(Coordinated(Hooked(Session))).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphflow import errors
from graphflow.compat import logging
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import get_collection
from graphflow.runtime.messages import RunMetadata, RunOptions
from graphflow.train.coordinator import Coordinator
from graphflow.train.queue_runner import start_queue_runners
from graphflow.train.saving_hooks import CheckpointSaverHook, StepCounterHook, SummarySaverHook
from graphflow.train.scaffold import Scaffold
from graphflow.train.session_manager import SessionManager
from graphflow.train.session_run_hook import SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues

PREEMPTED = (errors.AbortedError, errors.UnavailableError)  # the session is lost, the training is not
USE_DEFAULT = object()


class SessionCreator:
    """Makes sessions."""

    def create_session(self) -> Any:
        """A session that is ready."""
        raise NotImplementedError(f"create_session is not implemented for {self}.")


class _ScaffoldSessionCreator(SessionCreator):
    def __init__(self, scaffold: Scaffold | None, master: str, config: Any) -> None:
        self._scaffold = scaffold or Scaffold()
        self._master = master
        self._config = config
        self._manager: SessionManager | None = None

    def _ready_manager(self) -> SessionManager:
        scaffold = self._scaffold.finalize()
        if self._manager is None:
            self._manager = SessionManager(
                local_init_op=scaffold.local_init_op,
                ready_op=scaffold.ready_op,
                ready_for_local_init_op=scaffold.ready_for_local_init_op,
                graph=get_default_graph(),
            )
        return self._manager


class ChiefSessionCreator(_ScaffoldSessionCreator):
    """Makes sessions that restore or initialise the model."""

    def __init__(
        self,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
    ) -> None:
        super().__init__(scaffold, master, config)
        self._source = {"checkpoint_dir": checkpoint_dir, "checkpoint_filename_with_path": checkpoint_filename_with_path}

    def create_session(self) -> Any:
        manager = self._ready_manager()
        scaffold = self._scaffold
        return manager.prepare_session(
            self._master, saver=scaffold.saver, config=self._config, init_op=scaffold.init_op,
            init_feed_dict=scaffold.init_feed_dict, init_fn=scaffold.init_fn, **self._source,  # type: ignore[arg-type]
        )  # fmt: skip


class WorkerSessionCreator(_ScaffoldSessionCreator):
    """Makes sessions that wait until the chief has initialised the model."""

    def __init__(self, scaffold: Scaffold | None = None, master: str = "", config: Any = None, max_wait_secs: float = 1800) -> None:
        super().__init__(scaffold, master, config)
        self._max_wait_secs = max_wait_secs

    def create_session(self) -> Any:
        return self._ready_manager().wait_for_session(self._master, config=self._config, max_wait_secs=self._max_wait_secs)


# -- the layers --------------------------------------------------------------------------------------------------------------------


class StepContext:
    """What `run_step_fn` hands to its function: the session without hooks, and `run_with_hooks`."""

    def __init__(self, session: Any, run_with_hooks_fn: Callable[..., Any]) -> None:
        self._session = session
        self._run_with_hooks = run_with_hooks_fn

    @property
    def session(self) -> Any:
        """The session, without hooks."""
        return self._session

    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """`session.run` with the hooks around it."""
        return self._run_with_hooks(*args, **kwargs)

    def request_stop(self) -> None:
        """Ends the loop; the function does not return."""
        raise StopIteration("step_fn has requested the iterations to stop.")


class _WrappedSession:
    """A session around another one."""

    def __init__(self, sess: Any) -> None:
        self._sess = sess

    @property
    def graph(self) -> Any:
        return self._sess.graph

    @property
    def sess_str(self) -> Any:
        return self._sess.sess_str

    def should_stop(self) -> bool:
        if self._check_stop() or not self._sess:
            return True
        return isinstance(self._sess, _WrappedSession) and self._sess.should_stop()

    def _check_stop(self) -> bool:
        return False

    def close(self) -> None:
        if self._sess:
            try:
                self._sess.close()
            except PREEMPTED as error:
                logging.warning("The session was lost while it was being closed: %s", error)
            finally:
                self._sess = None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._sess.run(*args, **kwargs)

    def run_step_fn(self, step_fn: Callable[[StepContext], Any], raw_session: Any, run_with_hooks: Any) -> Any:
        return step_fn(StepContext(raw_session, run_with_hooks or self.run))


class _RecoverableSession(_WrappedSession):
    """Makes a new session, and tries again, where one is lost."""

    def __init__(self, sess_creator: Any) -> None:
        self._creator = sess_creator
        super().__init__(self._create())

    def _create(self) -> Any:
        while True:
            try:
                return self._creator.create_session()
            except PREEMPTED as error:
                logging.info("A session was lost while it was being made; another one will be made. Error: %s", error)

    def _check_stop(self) -> bool:
        try:
            return not self._sess or self._sess._check_stop()
        except PREEMPTED as error:
            logging.info("The session was lost; another one will be made. Error: %s", error)
            self.close()
            self._sess = self._create()
            return False
        except Exception:
            return True  # the error comes again from `run` or `close`

    def _again(self, call: Callable[[Any], Any]) -> Any:
        while True:
            try:
                if not self._sess:
                    self._sess = self._create()
                return call(self._sess)
            except PREEMPTED as error:
                logging.info("The session was lost; another one will be made. Error: %s", error)
                self.close()

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        return self._again(lambda sess: sess.run(fetches, feed_dict=feed_dict, options=options, run_metadata=run_metadata))

    def run_step_fn(self, step_fn: Any, raw_session: Any, run_with_hooks: Any) -> Any:
        return self._again(lambda sess: sess.run_step_fn(step_fn, raw_session, sess.run))


class _CoordinatedSession(_WrappedSession):
    """Stops when its coordinator does, and raises what other threads reported to it."""

    def __init__(self, sess: Any, coord: Coordinator, stop_grace_period_secs: float = 120) -> None:
        super().__init__(sess)
        self._coord = coord
        self._grace = stop_grace_period_secs

    def _check_stop(self) -> bool:
        self._coord.raise_requested_exception()
        return self._coord.should_stop()

    def close(self) -> None:
        self._coord.request_stop()
        try:
            self._coord.join(stop_grace_period_secs=self._grace, ignore_live_threads=True)
        finally:
            try:
                super().close()
            except Exception as error:
                logging.info("Ignoring an error of closing the session: %s", error)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._sess.run(*args, **kwargs)
        except PREEMPTED:
            raise
        except Exception as error:
            # another thread's lost session is the cause of ours; any other report of theirs is not
            try:
                self._coord.raise_requested_exception()
            except PREEMPTED:
                raise
            except Exception as other:
                logging.info("An error of another thread, besides this one's: %s", other)
            raise error


class _HookedSession(_WrappedSession):
    """Calls hooks before and after each run."""

    def __init__(self, sess: Any, hooks: Sequence[SessionRunHook]) -> None:
        super().__init__(sess)
        self._hooks = hooks
        self._should_stop = False

    def _check_stop(self) -> bool:
        return self._should_stop

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        if self.should_stop():
            raise RuntimeError("Run called even after should_stop requested.")
        context = SessionRunContext(SessionRunArgs(fetches, feed_dict), self._sess)
        options = options or RunOptions()
        wanted: dict[Any, Any] = {"caller": fetches}
        feeds = self._before_run(context, wanted, feed_dict, options)
        run_metadata = run_metadata or RunMetadata()
        results = self._sess.run(fetches=wanted, feed_dict=feeds, options=options, run_metadata=run_metadata)
        for hook in self._hooks:
            hook.after_run(context, SessionRunValues(results.get(hook), options, run_metadata))
        self._should_stop = self._should_stop or context.stop_requested
        return results["caller"]

    def _before_run(self, context: SessionRunContext, wanted: dict[Any, Any], given: Mapping[Any, Any] | None, options: Any) -> Any:
        """Asks the hooks; adds their fetches and options, and gives all feeds."""
        feeds: dict[Any, Any] = {}
        for hook in self._hooks:
            request = hook.before_run(context)
            if request is None:
                continue
            if request.fetches is not None:
                wanted[hook] = request.fetches
            if request.feed_dict:
                _refuse_both(feeds, request.feed_dict, "Same tensor is fed by two hooks.")
                feeds.update(request.feed_dict)
            if request.options:
                _merge_options(options, request.options)
        if given:
            _refuse_both(given, feeds, "Same tensor is fed by a SessionRunHook and user.")
            feeds.update(given)
        return feeds


def _refuse_both(one: Mapping[Any, Any], other: Mapping[Any, Any], what: str) -> None:
    both = [key for key in one if key in other]
    if both:
        raise RuntimeError(f"{what} Conflict(s): {both}")


def _merge_options(options: RunOptions, other: RunOptions) -> None:
    """The more demanding of both."""
    for field in ("trace_level", "timeout_in_ms", "inter_op_thread_pool", "output_partition_graphs", "report_tensor_allocations_upon_oom"):
        setattr(options, field, max(getattr(options, field), getattr(other, field)))
    options.debug_options.debug_tensor_watch_opts.extend(other.debug_options.debug_tensor_watch_opts)
    options.debug_options.reset_disk_byte_usage |= other.debug_options.reset_disk_byte_usage


# -- monitored sessions ----------------------------------------------------------------------------------------------------------------


class _CoordinatedSessionCreator(SessionCreator):
    def __init__(self, session_creator: Any, hooks: Sequence[SessionRunHook], stop_grace_period_secs: float) -> None:
        self._creator = session_creator
        self._hooks = hooks
        self._grace = stop_grace_period_secs
        self.coord: Coordinator | None = None
        self.tf_sess: Any = None

    def create_session(self) -> _CoordinatedSession:
        self.tf_sess = self._creator.create_session()
        self.coord = Coordinator(clean_stop_exception_types=[])  # the loop ends by the exceptions of `run`
        if get_collection(GraphKeys.QUEUE_RUNNERS):
            start_queue_runners(sess=self.tf_sess, coord=self.coord)
        for hook in self._hooks:
            hook.after_create_session(self.tf_sess, self.coord)
        return _CoordinatedSession(_HookedSession(self.tf_sess, self._hooks), self.coord, self._grace)


class _MonitoredSession:
    """The common part of monitored sessions."""

    StepContext = StepContext

    def __init__(
        self, session_creator: Any, hooks: Sequence[SessionRunHook] | None, should_recover: bool, stop_grace_period_secs: float = 120
    ) -> None:
        self._graph_was_finalized = get_default_graph().finalized
        self._hooks = hooks or []
        for hook in self._hooks:
            hook.begin()
        self._coordinated_creator = _CoordinatedSessionCreator(
            session_creator or ChiefSessionCreator(), self._hooks, stop_grace_period_secs
        )
        self._sess: Any
        if should_recover:
            self._sess = _RecoverableSession(self._coordinated_creator)
        else:
            self._sess = self._coordinated_creator.create_session()

    @property
    def graph(self) -> Any:
        """The graph; None after closing."""
        return None if self._is_closed() else self._tf_sess().graph

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """`Session.run` with the hooks around it."""
        return self._sess.run(fetches, feed_dict=feed_dict, options=options, run_metadata=run_metadata)

    def run_step_fn(self, step_fn: Callable[..., Any]) -> Any:
        """Calls `step_fn(step_context)`, which may run the session with hooks or without."""
        parameters = tuple(inspect.signature(getattr(step_fn, "__func__", step_fn)).parameters)
        if parameters not in (("step_context",), ("self", "step_context")):
            raise ValueError(
                "`step_fn` may either have one `step_context` argument, or `self` and `step_context` arguments if it's an instance "
                f"method. Got {parameters} instead."
            )
        return self._sess.run_step_fn(step_fn, self._tf_sess(), run_with_hooks=None)

    def should_stop(self) -> bool:
        """Whether the loop should end."""
        return self._sess is None or self._sess.should_stop()

    def close(self) -> None:
        """Ends the hooks and the session."""
        self._close_internal()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, exception_type: Any, exception_value: Any, traceback: Any) -> bool:
        if exception_type in (errors.OutOfRangeError, StopIteration):
            exception_type = None  # the data are at their end
        self._close_internal(exception_type)
        return exception_type is None

    def _close_internal(self, exception_type: Any = None) -> None:
        try:
            if not exception_type:
                for hook in self._hooks:
                    hook.end(self._tf_sess())
        finally:
            try:
                if self._sess is None:
                    raise RuntimeError("Session is already closed.")
                self._sess.close()
            finally:
                self._sess = None
                self._coordinated_creator.tf_sess = None
                self._coordinated_creator.coord = None
                if not self._graph_was_finalized:
                    get_default_graph()._unsafe_unfinalize()

    def _is_closed(self) -> bool:
        return self._coordinated_creator.tf_sess is None

    def _tf_sess(self) -> Any:
        return self._coordinated_creator.tf_sess


class MonitoredSession(_MonitoredSession):
    """A session with hooks that goes on in a new one where it is lost (AbortedError, UnavailableError)."""

    def __init__(
        self, session_creator: Any = None, hooks: Sequence[SessionRunHook] | None = None, stop_grace_period_secs: float = 120
    ) -> None:
        super().__init__(session_creator, hooks, True, stop_grace_period_secs)


class SingularMonitoredSession(_MonitoredSession):
    """A session with hooks that does not recover; `raw_session` is the session without them."""

    def __init__(
        self,
        hooks: Sequence[SessionRunHook] | None = None,
        scaffold: Scaffold | None = None,
        master: str = "",
        config: Any = None,
        checkpoint_dir: str | None = None,
        stop_grace_period_secs: float = 120,
        checkpoint_filename_with_path: str | None = None,
    ) -> None:
        creator = ChiefSessionCreator(scaffold, master, config, checkpoint_dir, checkpoint_filename_with_path)
        super().__init__(creator, hooks, False, stop_grace_period_secs)

    def raw_session(self) -> Any:
        """The session, without hooks."""
        return self._tf_sess()


def MonitoredTrainingSession(
    master: str = "",
    is_chief: bool = True,
    checkpoint_dir: str | None = None,
    scaffold: Scaffold | None = None,
    hooks: Sequence[SessionRunHook] | None = None,
    chief_only_hooks: Sequence[SessionRunHook] | None = None,
    save_checkpoint_secs: Any = USE_DEFAULT,
    save_summaries_steps: Any = USE_DEFAULT,
    save_summaries_secs: Any = USE_DEFAULT,
    config: Any = None,
    stop_grace_period_secs: float = 120,
    log_step_count_steps: int | None = 100,
    max_wait_secs: float = 7200,
    save_checkpoint_steps: Any = USE_DEFAULT,
    summary_dir: str | None = None,
) -> MonitoredSession:
    """A MonitoredSession that saves checkpoints (every 600 s) and summaries (every 100 steps) and logs its speed, each by a hook; None
    or 0 leaves one out."""
    summaries = _period(save_summaries_steps, save_summaries_secs, {"save_steps": 100})
    checkpoints = _period(save_checkpoint_steps, save_checkpoint_secs, {"save_secs": 600})
    scaffold = scaffold or Scaffold()
    if not is_chief:
        waiting = WorkerSessionCreator(scaffold, master, config, max_wait_secs)
        return MonitoredSession(waiting, hooks, stop_grace_period_secs)
    found: list[SessionRunHook] = list(chief_only_hooks or ())
    creator = ChiefSessionCreator(scaffold, master, config, checkpoint_dir)
    summary_dir = summary_dir or checkpoint_dir
    if summary_dir and log_step_count_steps and log_step_count_steps > 0:
        found.append(StepCounterHook(output_dir=summary_dir, every_n_steps=log_step_count_steps))
    if summary_dir and summaries:
        found.append(SummarySaverHook(scaffold=scaffold, output_dir=summary_dir, **summaries))
    if checkpoint_dir and checkpoints:
        found.append(CheckpointSaverHook(checkpoint_dir, scaffold=scaffold, **checkpoints))
    found += hooks or ()
    return MonitoredSession(creator, found, stop_grace_period_secs)


def _period(steps: Any, secs: Any, default: dict[str, Any]) -> dict[str, Any] | None:
    """How often something shall happen; None for never. One that is given switches the other's default off."""
    if steps is USE_DEFAULT and secs is USE_DEFAULT:
        return default
    period = {"save_steps": None if steps is USE_DEFAULT else steps, "save_secs": None if secs is USE_DEFAULT else secs}
    return period if any(p and p > 0 for p in period.values()) else None
