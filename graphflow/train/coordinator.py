"""tf.train.Coordinator: several Python threads that stop together, and whose first error reaches the main thread.

    coord = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(sess, coord)
    try:
        while not coord.should_stop():
            sess.run(train_op)
    except tf.errors.OutOfRangeError:
        pass
    finally:
        coord.request_stop()
    coord.join(threads)
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.compat import logging
from graphflow.errors import OutOfRangeError


class Coordinator:
    """A stop signal that threads share, with the error that caused it.

    clean_stop_exception_types: errors that mean "no more data" and are not raised by `join`; OutOfRangeError by default.
    """

    def __init__(self, clean_stop_exception_types: Iterable[type[BaseException]] | None = None) -> None:
        self._clean = tuple((OutOfRangeError,) if clean_stop_exception_types is None else clean_stop_exception_types)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._joined = False
        self._registered: set[threading.Thread] = set()

    def request_stop(self, ex: Any = None) -> None:
        """Asks all threads to stop. `ex`, an exception or the result of `sys.exc_info()`, is raised by `join`; only the first one counts.
        After `join` there is nobody left to tell, so it is raised here."""
        with self._lock:
            error = self._reported(ex)
            if self._joined and error is not None:
                raise error
            if self._stop.is_set():
                return
            if error is not None and self._error is None:
                logging.info("Error reported to Coordinator: %s, %s", type(error), error)
                self._error = error
            self._stop.set()

    def _reported(self, ex: Any) -> BaseException | None:
        """The exception that was reported, unless it is one of a clean end."""
        if ex is None or not isinstance(ex, tuple):
            error = ex
        elif len(ex) == 3 and isinstance(ex[1], BaseException):
            error = ex[1]
        else:
            error = ValueError(f"ex must be a tuple or sys.exc_info must return the current exception: {ex}")
        return None if isinstance(error, self._clean) else error

    def clear_stop(self) -> None:
        """Forgets a stop and its error, so that the coordinator serves another round."""
        with self._lock:
            self._joined = False
            self._error = None
            self._stop.clear()

    def should_stop(self) -> bool:
        """Whether a stop was requested."""
        return self._stop.is_set()

    @contextmanager
    def stop_on_exception(self) -> Iterator[None]:
        """Turns an exception of the block into a request to stop; it does not leave the block."""
        try:
            yield
        except BaseException:
            self.request_stop(ex=sys.exc_info())

    def wait_for_stop(self, timeout: float | None = None) -> bool:
        """Waits until a stop is requested, at most `timeout` seconds; whether it was."""
        return self._stop.wait(timeout)

    def register_thread(self, thread: threading.Thread) -> None:
        """Makes `join` wait for a thread as well."""
        with self._lock:
            self._registered.add(thread)

    def join(
        self, threads: Iterable[threading.Thread] | None = None, stop_grace_period_secs: float = 120, ignore_live_threads: bool = False
    ) -> None:
        """Waits for the threads. Once a stop is requested they have `stop_grace_period_secs` to end.

        Raises the error that was reported with the stop; RuntimeError for threads that still run, unless they are to be ignored.
        """
        with self._lock:
            waited = [*self._registered.union(threads or ())]
        while any(t.is_alive() for t in waited) and not self.wait_for_stop(1.0):
            pass
        deadline = time.monotonic() + stop_grace_period_secs
        for thread in waited:
            while thread.is_alive() and time.monotonic() < deadline:
                thread.join(min(1.0, max(0.001, deadline - time.monotonic())))
        left = " ".join(t.name for t in waited if t.is_alive())
        with self._lock:
            self._joined = True
            self._registered = set()
            if self._error is not None:
                raise self._error
        if left and not ignore_live_threads:
            raise RuntimeError(f"Coordinator stopped with threads still running: {left}")
        if left:
            logging.info("Coordinator stopped with threads still running: %s", left)

    @property
    def joined(self) -> bool:
        """Whether `join` has ended."""
        return self._joined

    def raise_requested_exception(self) -> None:
        """Raises the error that was reported, if there is one."""
        with self._lock:
            if self._error is not None:
                raise self._error


class LooperThread(threading.Thread):
    """A daemon thread that calls `run_loop` every `timer_interval_secs` (None: without a pause) until its coordinator stops."""

    def __init__(
        self,
        coord: Coordinator,
        timer_interval_secs: float | None,
        target: Callable[..., Any] | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(coord, Coordinator):
            raise ValueError(f"'coord' argument must be a Coordinator: {coord}")
        if not target and (args or kwargs):
            raise ValueError("'args' and 'kwargs' argument require that you also pass 'target'")
        super().__init__(daemon=True)
        self._coord = coord
        self._interval = timer_interval_secs
        self._call = (target, tuple(args or ()), dict(kwargs or {}))
        coord.register_thread(self)

    @staticmethod
    def loop(coord: Coordinator, timer_interval_secs: float | None, target: Any, args: Any = None, kwargs: Any = None) -> LooperThread:
        """Starts a thread that calls `target(*args, **kwargs)` again and again."""
        looper = LooperThread(coord, timer_interval_secs, target=target, args=args, kwargs=kwargs)
        looper.start()
        return looper

    def run(self) -> None:
        """The thread's work."""
        with self._coord.stop_on_exception():
            self.start_loop()
            if self._interval is None:
                while not self._coord.should_stop():
                    self.run_loop()
            else:
                due = time.time()  # a fixed beat: slow calls do not shift those that follow
                while not self._coord.wait_for_stop(due - time.time()):
                    due += self._interval
                    self.run_loop()
            self.stop_loop()

    def start_loop(self) -> None:
        """Called once before the first `run_loop`."""

    def stop_loop(self) -> None:
        """Called once after the last `run_loop`."""

    def run_loop(self) -> None:
        """Called again and again; by default calls the target."""
        target, args, kwargs = self._call
        if target:
            target(*args, **kwargs)
