"""tf.train.SessionManager: makes sessions that are ready: restored from a checkpoint, or initialised."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from graphflow import errors
from graphflow.compat import logging
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.runtime.session import Session
from graphflow.train.checkpoints import get_checkpoint_state


class SessionManager:
    """Makes sessions of a graph.

    ready_op: a tensor with the names of what is not initialised (or None: always ready); the same for `ready_for_local_init_op`, which
    is asked before `local_init_op` runs. recovery_wait_secs: the pause between attempts.
    """

    def __init__(
        self,
        local_init_op: Any = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        graph: Graph | None = None,
        recovery_wait_secs: float = 30,
        local_init_run_options: Any = None,
    ) -> None:
        if ready_for_local_init_op is not None and local_init_op is None:
            raise ValueError(
                "If you pass a ready_for_local_init_op you must also pass a local_init_op , ready_for_local_init_op "
                f"[{ready_for_local_init_op}]"
            )
        self._local_init_op = local_init_op
        self._ready_op = ready_op
        self._ready_for_local_init_op = ready_for_local_init_op
        self._graph = graph or get_default_graph()
        self._wait = recovery_wait_secs
        self._local_init_run_options = local_init_run_options

    def prepare_session(
        self,
        master: str,
        init_op: Any = None,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: Any = None,
        init_feed_dict: Any = None,
        init_fn: Any = None,
    ) -> Session:
        """A session that is ready: restored from the newest checkpoint if there is one, else initialised by `init_op` and `init_fn`.
        RuntimeError where it is not ready then."""
        session, restored = self._restored(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        if not restored:
            if init_op is None and not init_fn and self._local_init_op is None:
                raise RuntimeError("Model is not initialized and no init_op or init_fn or local_init_op was given")
            if init_op is not None:
                session.run(init_op, feed_dict=init_feed_dict)
            if init_fn:
                init_fn(session)
        wrong = self._initialise_local(session)
        name = getattr(init_op, "name", init_op)
        if wrong:
            raise RuntimeError(
                f"Init operations did not make model ready for local_init.  Init op: {name}, init fn: {init_fn}, error: {wrong}"
            )
        wrong = _lacking(self._ready_op, session, "Model not ready")
        if wrong:
            raise RuntimeError(
                f"Init operations did not make model ready.  Init op: {name}, init fn: {init_fn}, local_init_op: "
                f"{self._local_init_op}, error: {wrong}"
            )
        return session

    def recover_session(
        self,
        master: str,
        saver: Any = None,
        checkpoint_dir: str | None = None,
        checkpoint_filename_with_path: str | None = None,
        wait_for_checkpoint: bool = False,
        max_wait_secs: float = 7200,
        config: Any = None,
    ) -> tuple[Session, bool]:
        """A session, and whether it was restored from a checkpoint and is ready."""
        session, restored = self._restored(
            master, saver, checkpoint_dir, checkpoint_filename_with_path, wait_for_checkpoint, max_wait_secs, config
        )
        wrong = self._initialise_local(session)
        if not restored:
            return session, False
        source = checkpoint_dir or checkpoint_filename_with_path
        if wrong:
            logging.info("Restoring model from %s did not make model ready for local init: %s", source, wrong)
            return session, False
        wrong = _lacking(self._ready_op, session, "Model not ready")
        if wrong:
            logging.info("Restoring model from %s did not make model ready: %s", source, wrong)
            return session, False
        logging.info("Restored model from %s", source)
        return session, True

    def wait_for_session(self, master: str, config: Any = None, max_wait_secs: float | None = float("inf")) -> Session:
        """A session of a model that somebody else initialises. DeadlineExceededError where that takes longer than `max_wait_secs`."""
        limit = float("inf") if max_wait_secs is None else max_wait_secs
        deadline = time.monotonic() + limit
        while True:
            session = Session(master, graph=self._graph, config=config)
            local = self._initialise_local(session)
            whole = None if local else _lacking(self._ready_op, session, "Model not ready")
            if not local and not whole:
                return session
            session.close()
            if time.monotonic() + self._wait > deadline:
                raise errors.DeadlineExceededError(None, None, f"Session was not ready after waiting {limit:g} secs.")
            logging.info("Waiting for model to be ready.  Ready_for_local_init_op:  %s, ready: %s", local, whole)
            time.sleep(self._wait)

    def _restored(
        self, master: str, saver: Any, folder: str | None, path: str | None, wait: bool, max_wait_secs: float, config: Any
    ) -> tuple[Session, bool]:
        """A new session, and whether it was restored from a checkpoint."""
        if folder and path:
            raise ValueError("Can not provide both checkpoint_dir and checkpoint_filename_with_path.")
        session = Session(master, graph=self._graph, config=config)
        if not saver or not (folder or path):
            return session, False
        if path:
            saver.restore(session, path)
            return session, True
        deadline = time.monotonic() + max_wait_secs
        while not (state := get_checkpoint_state(folder)) or not state.model_checkpoint_path:
            if not wait or time.monotonic() >= deadline:
                return session, False
            logging.info("Waiting for checkpoint to be available.")
            time.sleep(self._wait)
        saver.restore(session, state.model_checkpoint_path)
        saver.recover_last_checkpoints(state.all_model_checkpoint_paths)
        return session, True

    def _initialise_local(self, session: Session) -> str | None:
        """Runs local_init_op; else says why it cannot run yet."""
        if self._local_init_op is None:
            return None
        wrong = _lacking(self._ready_for_local_init_op, session, "Model not ready for local init")
        if wrong:
            return wrong
        logging.info("Running local_init_op.")
        session.run(self._local_init_op, options=self._local_init_run_options)
        logging.info("Done running local_init_op.")
        return None


def _lacking(ready_op: Any, session: Session, what: str) -> str | None:
    """What a ready_op says is not initialised; None where nothing is missing."""
    if ready_op is None:
        return None
    try:
        names = session.run(ready_op)
    except errors.FailedPreconditionError as error:
        if "uninitialized" not in str(error):
            logging.warning("%s : error [%s]", what, error)
            raise
        return str(error)
    if names is None or names.dtype == np.int32 or not names.size:
        return None
    return "Variables not initialized: " + ", ".join(n.decode() for n in names)
