"""What a queue holds between runs: tuples of arrays, and the threads that wait to put some in or take some out.

Those that wait are served in the order they came, as in TensorFlow: each side has a line, and only who stands in front of it may go on. A
dequeue of several tuples takes them as they come and gives them back if the queue is closed before there are enough.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow.errors import CancelledError, DeadlineExceededError, InvalidArgumentError, OutOfRangeError
from graphflow.ops import philox

Tuple = tuple[np.ndarray[Any, Any], ...]
Shape = tuple[int | None, ...]


class Deadline(threading.local):
    """How many seconds a queue's operation may wait: a session's setting, which a run may change for the thread it is called from."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Another limit for what this thread runs meanwhile."""
        before, self.seconds = self.seconds, seconds
        try:
            yield
        finally:
            self.seconds = before

    def wait(self, condition: threading.Condition, until: Callable[[], bool]) -> None:
        """Waits at a condition that is held. Raises DeadlineExceededError when the time is over."""
        if not condition.wait_for(until, self.seconds):
            raise DeadlineExceededError(None, None, "Timed out waiting for notification")


class Attempt:
    """An operation that waits for its turn. `taken`: the tuples that it has got so far."""

    what = "Enqueue"

    def __init__(self) -> None:
        self.done = False
        self.error: Exception | None = None
        self.taken: list[Tuple] = []

    def go_on(self, queue: QueueState) -> bool:
        """Does what can be done now; whether that was anything."""
        raise NotImplementedError


class Enqueue(Attempt):
    """Tuples that are put in as there is room."""

    def __init__(self, elements: Sequence[Tuple]) -> None:
        super().__init__()
        self.waiting = deque(elements)

    def go_on(self, queue: QueueState) -> bool:
        if queue.closed:
            self.done, self.error = True, CancelledError(None, None, f"{queue.kind} '{queue.name}' is closed.")
            return True
        before = len(self.waiting)
        while self.waiting and len(queue.held) < queue.capacity:
            queue.put(self.waiting.popleft())
        self.done = not self.waiting
        return len(self.waiting) < before


class Close(Attempt):
    """The end of the enqueuing, once those that came before are served."""

    def go_on(self, queue: QueueState) -> bool:
        queue.closed = self.done = True
        return True


class Dequeue(Attempt):
    """`count` tuples to take out; `fewer`: what is left once the queue is closed."""

    what = "Dequeue"

    def __init__(self, count: int, fewer: bool) -> None:
        super().__init__()
        self.count, self.fewer = count, fewer

    def go_on(self, queue: QueueState) -> bool:
        left = len(self.taken) + len(queue.held)
        if queue.closed and left < self.count:
            if not self.fewer or not left:
                queue.give_back(self.taken)
                self.taken = []
                self.done = True
                sizes = f"(requested {self.count}, current size {left})"
                self.error = OutOfRangeError(None, None, f"{queue.kind} '{queue.name}' is closed and has insufficient elements {sizes}")
                return True
            self.count = left
        before = len(self.taken)
        while len(self.taken) < self.count and queue.ready():
            self.taken.append(queue.take())
        self.done = len(self.taken) == self.count
        return len(self.taken) > before


class QueueState:
    """First in, first out. Subclasses say otherwise how tuples are held, by `put`, `take` and `ready`."""

    kind = "FIFOQueue"

    def __init__(self, name: str, capacity: int, types: tuple[Any, ...], shapes: tuple[Shape | None, ...], deadline: Deadline) -> None:
        self.name, self.types, self.shapes = name, types, shapes
        self.capacity = capacity if capacity >= 0 else (1 << 62)
        self.deadline = deadline
        self.closed = False
        self.cancelled = False
        self.lock = threading.Condition()
        self.held: Any = deque()
        self.enqueuing: deque[Attempt] = deque()
        self.dequeuing: deque[Attempt] = deque()

    # -- how tuples are held -----------------------------------------------------------------------------------------------------

    def put(self, element: Tuple) -> None:
        """Adds a tuple."""
        self.held.append(element)

    def take(self) -> Tuple:
        """Takes the next tuple out."""
        return self.held.popleft()  # type: ignore[no-any-return]

    def give_back(self, elements: Sequence[Tuple]) -> None:
        """Puts back what was taken last."""
        self.held.extendleft(reversed(elements))

    def ready(self) -> bool:
        """Whether a tuple may be taken now."""
        return bool(self.held)

    # -- checking ----------------------------------------------------------------------------------------------------------------

    def check_same(self, capacity: int, types: tuple[Any, ...], shapes: tuple[Shape | None, ...]) -> None:
        """Refuse another operation that shares this queue under other terms."""
        mine = self.capacity if self.capacity < (1 << 62) else -1
        for what, had, wanted in (
            ("capacity", mine, capacity if capacity >= 0 else -1), ("component types", self.types, types),
            ("component shapes", self.shapes, shapes),
        ):  # fmt: skip
            if had != wanted:
                raise InvalidArgumentError(None, None, f"Shared queue '{self.name}' has {what} {had} but requested {what} were {wanted}")

    def check(self, arrays: Sequence[Any], many: bool) -> None:
        """Refuse components of other shapes than the queue's."""
        for number, (array, shape) in enumerate(zip(arrays, self.shapes, strict=True)):
            found = array.shape[1:] if many else array.shape
            if many and not array.ndim:
                raise InvalidArgumentError(None, None, f"Shape mismatch in tuple component {number}: a batch of rank 0 has no elements")
            if shape is None or len(shape) == len(found) and all(s is None or s == n for s, n in zip(shape, found, strict=True)):
                continue
            lead = [len(arrays[0])] if many else []
            wanted = [*lead, *("?" if n is None else n for n in shape)]
            raise InvalidArgumentError(
                None, None, f"Shape mismatch in tuple component {number}. Expected {_shown(wanted)}, got {_shown(array.shape)}"
            )
        if many and len({len(a) for a in arrays}) > 1:
            sizes = [len(a) for a in arrays]
            raise InvalidArgumentError(None, None, f"All input tensors must have the same size in the 0th dimension, but got {sizes}")

    # -- waiting -----------------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Lets those in front of the two lines go on as far as they can. Whoever changes something does this for all, so that a queue with
        waiting enqueues is full again when a dequeue returns."""
        moved = not self.cancelled
        while moved:
            moved = False
            for line in (self.enqueuing, self.dequeuing):
                while line:
                    moved |= line[0].go_on(self)
                    if not line[0].done:
                        break
                    line.popleft()
                    moved = True
        self.lock.notify_all()

    def _wait(self, line: deque[Attempt], attempt: Attempt) -> None:
        """Stands in a line until the attempt is done."""
        with self.lock:
            line.append(attempt)
            try:
                self._serve()
                self.deadline.wait(self.lock, lambda: attempt.done or self.cancelled)
                if not attempt.done:
                    raise CancelledError(None, None, f"{attempt.what} operation was cancelled")
            finally:
                if attempt in line:  # it has given up, or Ctrl-C came
                    line.remove(attempt)
                    self.give_back(attempt.taken)
                    self._serve()
        if attempt.error is not None:
            raise attempt.error

    def enqueue(self, elements: Sequence[Tuple]) -> None:
        """Puts tuples in, one after the other, as there is room."""
        self._wait(self.enqueuing, Enqueue(elements))

    def dequeue(self, count: int, fewer: bool = False) -> list[Tuple]:
        """Takes `count` tuples out; `fewer`: what is left once the queue is closed."""
        attempt = Dequeue(count, fewer)
        self._wait(self.dequeuing, attempt)
        return attempt.taken

    def close(self, cancel_pending: bool) -> None:
        """No more enqueues. Those that wait are served first, or cancelled."""
        if not cancel_pending:
            self._wait(self.enqueuing, Close())
            return
        with self.lock:
            self.closed = True
            for attempt in self.enqueuing:
                attempt.done, attempt.error = True, CancelledError(None, None, "Enqueue operation was cancelled")
            self.enqueuing.clear()
            self._serve()

    def cancel(self) -> None:
        """The session is closed: wakes everyone who waits."""
        with self.lock:
            self.cancelled = True
            self.lock.notify_all()

    def size(self) -> int:
        """How many tuples it holds."""
        with self.lock:
            return len(self.held)


def _shown(sizes: Sequence[Any]) -> str:
    return f"[{','.join(map(str, sizes))}]"


class PaddingState(QueueState):
    """First in, first out, of tuples whose components may differ in the sizes that the queue leaves open."""

    kind = "PaddingFIFOQueue"


class ShuffleState(QueueState):
    """Tuples come out in random order; before the queue is closed `least` of them always stay."""

    kind = "RandomShuffleQueue"

    def __init__(self, least: int, seeds: tuple[int, int], *settings: Any) -> None:
        super().__init__(*settings)
        self.held = []
        self.least, self.seeds = least, seeds
        if seeds == (0, 0):
            seeds = (philox.entropy(), philox.entropy())
        self.numbers = (int(n) for k in itertools.count() for n in philox.numpy_blocks([k], *seeds)[0])

    def ready(self) -> bool:
        return len(self.held) > (0 if self.closed else self.least)

    def take(self) -> Tuple:
        place = next(self.numbers) % len(self.held)
        self.held[place], self.held[-1] = self.held[-1], self.held[place]
        return self.held.pop()  # type: ignore[no-any-return]

    def give_back(self, elements: Sequence[Tuple]) -> None:
        self.held.extend(elements)


class PriorityState(QueueState):
    """The tuple with the smallest first component comes out first."""

    kind = "PriorityQueue"

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.held = []
        self.order = itertools.count()

    def put(self, element: Tuple) -> None:
        heapq.heappush(self.held, (int(element[0]), next(self.order), element))

    def take(self) -> Tuple:
        return heapq.heappop(self.held)[2]  # type: ignore[no-any-return]

    def give_back(self, elements: Sequence[Tuple]) -> None:
        for element in elements:
            self.put(element)
