"""What a hook of a monitored session is, and what it is told.

    class Log(tf.train.SessionRunHook):
        def before_run(self, run_context):
            return tf.train.SessionRunArgs(loss)
        def after_run(self, run_context, run_values):
            print(run_values.results)
"""

from __future__ import annotations

from typing import Any, NamedTuple


class SessionRunArgs(NamedTuple):
    """What a hook adds to a run: fetches, feeds, RunOptions."""

    fetches: Any
    feed_dict: Any = None
    options: Any = None


class SessionRunValues(NamedTuple):
    """What a hook gets after a run: the values of its fetches, the options of the run and its metadata."""

    results: Any
    options: Any
    run_metadata: Any


class SessionRunContext:
    """The run that is about to begin, or has just ended."""

    def __init__(self, original_args: SessionRunArgs, session: Any) -> None:
        self._original_args = original_args
        self._session = session
        self._stop_requested = False

    @property
    def original_args(self) -> SessionRunArgs:
        """What the caller of `run` asked for."""
        return self._original_args

    @property
    def session(self) -> Any:
        """The session, without hooks."""
        return self._session

    @property
    def stop_requested(self) -> bool:
        """Whether a hook asked for the end of the loop."""
        return self._stop_requested

    def request_stop(self) -> None:
        """Makes `should_stop` of the monitored session true."""
        self._stop_requested = True


class SessionRunHook:
    """Calls around every `run` of a monitored session. The base class does nothing."""

    def begin(self) -> None:
        """Before the session is made; the last time that the graph may change."""

    def after_create_session(self, session: Any, coord: Any) -> None:
        """After the session was made, or made again; the graph is finalised."""

    def before_run(self, run_context: SessionRunContext) -> SessionRunArgs | None:
        """Before each run: what it shall fetch and feed besides."""
        return None

    def after_run(self, run_context: SessionRunContext, run_values: SessionRunValues) -> None:
        """After each run that raised nothing."""

    def end(self, session: Any) -> None:
        """After the last run, unless it raised an error."""
