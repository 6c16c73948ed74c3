"""Runs bound plans: one native call a step, in which every thread walks the same list of kernel calls."""

from __future__ import annotations

import _thread
import ctypes
import itertools
import math
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from graphflow.config import options
from graphflow.runtime import layout
from graphflow.runtime.buffers import HEAD, Array, address, aligned
from graphflow.runtime.entries import NOTHING, STATUS, Argument, Call, Chain, Entry, Find, Jump, Measure, Row, Size, Slot, Status
from graphflow.runtime.jit import Jit, default_jit
from graphflow.runtime.room import LIMITED, apart, cramped
from graphflow.runtime.threads import SPIN, Pool

WORTH_A_THREAD = 4e-6  # seconds of work that pay for waking a thread and meeting it at the barriers
MEETING = 0.4e-6  # seconds that it takes threads to meet
HOLD_LOCK = 20e-6  # seconds of work below which giving up the interpreter's lock costs more than it is worth
SLICE = 50e-3  # seconds after which a loop comes back to Python
LOCKED_SLICE = 1e-3  # the same where it holds the interpreter's lock
TICKS = 1 << 14  # words that timed runs are given at once to leave their ticks in


class Failure(NamedTuple):
    """What a run-time check reported: which call of the plan, which of its kernel's checks, and the value it wants shown."""

    call: int
    check: int
    value: int


class Moved(NamedTuple):
    """Of what a chain's record has taken, the `ticks` of each thread that belong to another record, whose phase was done in the chain."""

    chain: int
    other: int
    ticks: Array


class Timing:
    """What a timed run spent where, [record, thread].

    ticks   the block that the native walk has filled: [thread, record, layout.Times]
    rate    ticks in a second
    calls   for each record the entry of the plan's list that it belongs to; it never falls
    moved   what in `ticks` stands at a chain and belongs elsewhere; `start` and `busy` have it there, as if the phases of a chain had
            been done one after the other

    A run pays for no arithmetic on them: what is asked for is computed then.
    """

    def __init__(self, ticks: Array, rate: float, calls: Array, moved: Sequence[Moved] = ()) -> None:
        self.ticks = ticks
        self.rate = rate
        self.calls = calls
        self.moved = tuple(moved)

    @property
    def times(self) -> Array:
        """How often the thread was in the record."""
        return self.ticks[..., layout.Times.CALLS].T

    @cached_property
    def start(self) -> Array:
        """When it entered the record first, in seconds since the first entry of all; NaN where it had no part in it."""
        entered = self.times > 0
        first = self.ticks[..., layout.Times.FIRST].T
        start = np.where(entered, (first - first.min(where=entered, initial=np.iinfo(np.int64).max)) / self.rate, np.nan)
        for chain, other, _ in self.moved:
            early, late = min(chain, other), max(chain, other)
            start[early] = start[chain]
            start[late] = start[chain] + self.busy[early]
        return start

    @cached_property
    def busy(self) -> Array:
        """The seconds that it was in the record, all its times together."""
        busy: Array = self.ticks[..., layout.Times.TOTAL].T / self.rate
        for chain, other, ticks in self.moved:
            busy[other] = ticks / self.rate
            busy[chain] -= busy[other]
        return busy


class NativePlan:
    """A list of calls in native form. Made by `Executor.plan`; run by one thread at a time (hold `lock` where there may be several).

    After a failed check no record behind the next barrier is executed, so a call that updates a variable must stand behind a barrier
    that follows every call that can fail, if a failed step is to leave variables alone. A Jump and a Pause are such barriers.

    A step that an exception leaves at a Pause or between two time slices is over; the next one starts with the first record.
    """

    def __init__(self, executor: Executor, entries: Sequence[Entry], slots: int, cost: float, keep: Sequence[object], flush: bool) -> None:
        self.executor = executor
        self.lock = threading.Lock()
        self.keep = tuple(keep)
        self.slots = slots
        self.sizes = aligned((1 + max((e.number for e in entries if isinstance(e, Measure)), default=-1),), np.int64, 0)
        self._pool = executor.pool
        self._build(entries)
        self.threads = judge(entries, cost, self._pool.threads)
        self._locked = self.threads == 1 and cost < HOLD_LOCK
        flushing, pool, head = int(flush), self._pool.address, HEAD
        self._block = aligned((layout.Plan.WORDS,), np.int64, 0)
        self._block[: layout.Plan.HEAD + 1] = (
            address(self._records), len(self._records), self.threads, 0, flushing, pool, 0, self._slice(),
            address(self._table), address(self._patches), len(self._patches), head,
        )  # fmt: skip
        self._address = ctypes.c_void_p(address(self._block))
        self._enter = executor.enter_locked if self._locked else executor.enter
        self._slots: Any = self._table.data
        self._pack = struct.Struct(f"={slots}q").pack_into
        self._wants_workers = self.threads > 1
        self._ticks: Iterator[tuple[int, Any]] = iter(())  # zeros for the next timed runs, and where they are

    def _build(self, entries: Sequence[Entry]) -> None:
        records: list[tuple[int, int, int, int]] = []
        owners: list[int] = []
        firsts: list[int] = []
        readers: dict[int, list[int]] = {n: [address(self.sizes) + n * layout.WORD] for n in range(len(self.sizes))}
        words = sum([len(e.arguments) if isinstance(e, Call) else isinstance(e, Jump) for e in entries])
        chains = [f for e in entries if isinstance(e, Call) for f in e.functions if isinstance(f, Chain)]
        words += sum(layout.Chain.LINKS + sum(layout.Link.SIZE + len(k.arguments) for k in c.links) for c in chains)
        row_readers: dict[int, list[int]] = {}
        kinds = {*map(type, entries)}
        if Measure in kinds:
            used = [a.number for e in entries if isinstance(e, Call) for a in e.arguments if isinstance(a, Size)]
            words += sum(5 + used.count(e.number) for e in entries if isinstance(e, Measure))
        if Find in kinds:
            words += sum(isinstance(a, Row) for e in entries if isinstance(e, Call) for a in e.arguments)
            words += sum(7 for e in entries if isinstance(e, Find))
        finds: list[tuple[Find, int, int]] = []
        self._arguments = aligned((words + 1,), np.int64, 0)
        self._statuses = aligned((len(entries), 8), np.int64, 0)
        start, first_status = address(self._arguments), address(self._statuses)
        patches: list[tuple[int, int, int]] = []
        held = [0] * (words + 1)  # what goes into the arguments
        position = 0
        measures: list[tuple[int, Measure, int]] = []
        self._chains: list[tuple[int, Array]] = []  # their records, and the ticks that their links take, by thread
        self._idle: list[int] = []  # the records of phases that are done in a chain elsewhere, one for each chain

        def block(number: int, arguments: Sequence[Argument]) -> tuple[int, int]:
            """Lays out one argument block; its address, and the status block's where one of the arguments is that."""
            nonlocal position
            first, status = start + position * layout.WORD, 0
            for argument in arguments:
                if type(argument) is int:
                    held[position] = argument
                elif isinstance(argument, Slot):
                    if not 0 <= argument.number < self.slots:
                        raise ValueError(f"call {number} uses slot {argument.number}, the plan has {self.slots}")
                    patches.append((start + position * layout.WORD, argument.number, argument.offset))
                elif isinstance(argument, Size):
                    readers[argument.number].append(start + position * layout.WORD)
                elif isinstance(argument, Row):
                    row_readers.setdefault(argument.number, []).append(start + position * layout.WORD)
                elif isinstance(argument, Status):
                    status = first_status + number * 8 * layout.WORD
                    held[position] = status
                else:
                    held[position] = argument
                position += 1
            return first, status

        def chained(number: int, chain: Chain) -> int:
            """Lays out the arguments of a chain; their address."""
            ticks = aligned((self._pool.threads, len(chain.links)), np.int64, 0)
            self._chains.append((len(records), ticks))
            described = [chain.shares, len(chain.links), address(ticks)]
            for link in chain.links:
                moved = [word for pair in link.moved for word in pair]
                described += link.function, block(number, link.arguments)[0], len(link.arguments), len(link.moved), *moved
                described += [0] * (2 * layout.Link.MOST_MOVED - len(moved))
            return block(number, described)[0]

        for number, (entry, after) in enumerate(zip(entries, (*entries[1:], None), strict=True) if entries else ()):
            firsts.append(len(records))
            if isinstance(entry, Call):
                arguments, status = block(number, entry.arguments)
                # in the end, and at a Jump or a Pause, all threads meet anyway
                meet = entry.barrier and isinstance(after, (Call, Measure, Find))
                last = len(entry.functions) - 1
                for phase, (function, parallel) in enumerate(zip(entry.functions, entry.parallel, strict=True)):
                    flags = (layout.Record.PARALLEL if parallel else 0) | entry.owner << layout.Record.OWNER_SHIFT
                    flags |= layout.Record.BARRIER if phase < last or meet else 0
                    if isinstance(function, Chain):
                        records.append((self.executor.chain, chained(number, function), flags, status))
                    elif function == NOTHING:
                        self._idle.append(len(records))
                        records.append((self.executor.nothing, arguments, flags, status))
                    else:
                        records.append((function, arguments, flags, status))
            elif isinstance(entry, Jump):
                if not 0 <= entry.target <= len(entries):
                    raise ValueError(f"entry {number} jumps to entry {entry.target} of {len(entries)}")
                flags = layout.Record.JUMP | (layout.Record.ON if entry.on else 0) | (layout.Record.BACK if entry.target <= number else 0)
                records.append((entry.target, block(number, (entry.place,))[0], flags, 0))
            elif isinstance(entry, Measure):  # its arguments are written when all readers have got their places
                measures.append((number, entry, len(records)))
                records.append((0, 0, layout.Record.BARRIER if isinstance(after, (Call, Measure, Find)) else 0, 0))
            elif isinstance(entry, Find):
                finds.append((entry, number, len(records)))
                records.append((0, 0, layout.Record.BARRIER if isinstance(after, (Call, Measure)) else 0, 0))
            else:
                records.append((0, 0, layout.Record.PAUSE, 0))
            owners += [number] * (len(records) - len(owners))
        firsts.append(len(records))
        for number, measure, record in measures:
            targets = readers[measure.number]
            arguments, status = block(number, (measure.place, len(targets), measure.limit, STATUS, *targets))
            records[record] = (self.executor.measure, arguments, records[record][2], status)
        for find, number, record in finds:
            targets = row_readers.get(find.number, [])
            status = first_status + number * 8 * layout.WORD
            described = (find.place, find.at, int(find.wide), find.rows, find.size, STATUS, len(targets), *targets)
            records[record] = (self.executor.rows, *block(number, described)[:1], records[record][2], status)
        self._arguments[...] = held
        self._records = aligned((len(records), layout.Record.WORDS), np.int64)
        jump = layout.Record.JUMP
        rows = [(firsts[function] if flags & jump else function, *rest, flags, status) for function, *rest, flags, status in records]
        self._records[...] = np.array(rows, np.int64).reshape(self._records.shape)
        self._patches = aligned((len(patches), layout.Patch.WORDS), np.int64)
        self._patches[...] = np.array(patches, np.int64).reshape(-1, layout.Patch.WORDS)
        self._table = aligned((max(self.slots, 1),), np.int64, 0)
        self._owners = np.array(owners, np.int64)
        self._pauses = {record: owners[record] for record, (_, _, flags, _) in enumerate(records) if flags & layout.Record.PAUSE}
        self._loops = any(flags & layout.Record.BACK for _, _, flags, _ in records)

    def _slice(self) -> int:
        """Ticks after which a loop comes back to Python."""
        if not self._loops:
            return 0
        return int(self.executor.ticks_per_second() * (LOCKED_SLICE if self._locked else SLICE))

    def run(self, arrays: Sequence[Array] = (), python: Callable[[int], None] | None = None) -> Failure | None:
        """Run one step on the arrays of the slots (dense, of the right type and size: nothing is checked here). At a Pause `python` is
        called with its number in the list."""
        size = _thread.stack_size()
        if (size or LIMITED) and cramped(size):
            failure: Failure | None = apart(self.run, arrays, python)
            return failure
        if self._wants_workers and not self._pool.running:
            self._pool.start()
        self._pack(self._slots, 0, *map(_handle, arrays))
        try:
            record = self._enter(self._address)
            return self._go_on(record, python) if record else None
        except BaseException:  # a KeyboardInterrupt, perhaps before the failure that the step reports was read
            self._statuses.fill(0)
            raise

    def _go_on(self, record: int, python: Callable[[int], None] | None) -> Failure | None:
        """The rest of a step that has come back at ~`record`, or has failed at `record` - 1. Between two entries the interpreter does
        what it has to: raise KeyboardInterrupt, let other threads run."""
        while record < 0:
            at = ~record
            if at not in self._pauses and self._locked:  # the loop is longer than was thought
                self._locked, self._enter = False, self.executor.enter
                self._block[layout.Plan.SLICE] = self._slice()
            while at in self._pauses:
                assert python is not None, "a plan with a Pause needs a function to call there"
                python(self._pauses[at])
                at += 1
            if at == len(self._records):
                return None
            if self._wants_workers and not self._pool.running:
                self._pool.start()
            record = (self.executor.resume_locked if self._locked else self.executor.resume)(self._address, at)
        return self._failure(record) if record else None

    def _failure(self, record: int) -> Failure:
        """Read the status block of the call that failed, and clean all of them for the next run."""
        call = int(self._owners[record - 1])
        check, value = (int(word) for word in self._statuses[call, :2])
        self._statuses.fill(0)
        return Failure(call, check - 1, value)

    def run_timed(self, arrays: Sequence[Array] = (), python: Callable[[int], None] | None = None) -> tuple[Failure | None, Timing]:
        """`run`, and how long every thread was in every record."""
        place, ticks = next(self._ticks, (0, None))
        if ticks is None:
            shape = self.threads, len(self._records), layout.Times.WORDS
            blocks = aligned((1 + TICKS // max(math.prod(shape), 1), *shape), np.int64, 0)
            self._ticks = zip(itertools.count(address(blocks), blocks.strides[0]), blocks, strict=False)
            place, ticks = next(self._ticks)
        self._block[layout.Plan.TIMES] = place
        for _, taken in self._chains:
            taken.fill(0)
        try:
            failure = self.run(arrays, python)
        finally:
            self._block[layout.Plan.TIMES] = 0
        # of a chain's links the second one's ticks belong to the other call where that comes after it, the first one's where before
        moved = [
            Moved(chain, other, taken[: len(ticks), int(other > chain)].copy())
            for (chain, taken), other in zip(self._chains, self._idle, strict=True)
        ]
        return failure, Timing(ticks, self.executor.ticks_per_second(), self._owners, moved)


def judge(entries: Sequence[Entry], cost: float, most: int) -> int:
    """How many threads a plan is worth that takes `cost` seconds on one.

    Each thread must pay for being woken. In loops it must also pay for the meetings, whose number grows with the rounds as the work does:
    rounds of a microsecond are run alone, however many they are.
    """
    if all(isinstance(e, (Call, Measure)) for e in entries):
        return max(1, min(most, int(cost / WORTH_A_THREAD)))
    equal = cost / max(sum(e.weight for e in entries if isinstance(e, Call)), 1e-9)
    shared = meetings = 0.0
    wakes = 1.0
    for entry in entries:
        if isinstance(entry, Call):
            shared += entry.weight * (equal if entry.cost is None else entry.cost) if any(entry.parallel) else 0
            meetings += entry.weight * (len(entry.functions) - 1 + entry.barrier)
        elif isinstance(entry, (Jump, Measure)):
            meetings += entry.weight
        else:
            wakes += entry.weight

    def saved(threads: int) -> float:
        return shared * (1 - 1 / threads) - (meetings * MEETING + (threads - 1) * wakes * WORTH_A_THREAD if threads > 1 else 0)

    return max(range(1, most + 1), key=saved)


class Executor:
    """Makes and runs plans with one pool of workers."""

    def __init__(
        self,
        jit: Jit,
        threads: int | None = None,
        *,
        spin: float = SPIN,
        parking: str = "auto",
        back_off: bool = True,
        flush_denormals: bool = True,
    ) -> None:
        """`threads` is the caller's thread and the workers; None takes the options'. `spin`: seconds a worker waits awake for the next
        step. `parking`: how it sleeps then ("auto", "futex", "pipe"). `back_off`: leave the workers out where other processes take
        their cores. `flush_denormals`: treat denormal floats as zero inside kernels, as TensorFlow does."""
        self.jit = jit
        self.flush_denormals = flush_denormals
        self.pool = Pool(jit, threads, spin, parking, back_off)
        code = self.pool.code
        enter, resume = code["graphflow.enter"], code["graphflow.resume"]
        self.enter: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(enter)
        self.enter_locked: Any = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(enter)
        self.resume: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(resume)
        self.resume_locked: Any = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)(resume)
        self.measure: int = code["graphflow.measure"]
        self.rows: int = code["graphflow.rows"]
        self.chain: int = code["graphflow.chain"]
        self.nothing: int = code["graphflow.nothing"]
        self._ticks_per_second = 0.0

    @property
    def threads(self) -> int:
        """How many threads a plan may use, the caller's included."""
        return self.pool.threads

    def plan(
        self, entries: Sequence[Entry], slots: int = 0, cost: float = 1.0, keep: Sequence[object] = (), flush: bool | None = None
    ) -> NativePlan:
        """The native form of calls, jumps and pauses.

        slots   how many arrays a run is given
        cost    estimated seconds of one run on one thread: short plans run on the calling thread only (see `judge`)
        keep    objects that the addresses among the arguments belong to: Code, arenas, constants
        flush   whether denormal floats count as zero; the executor's setting where it is None
        """
        return NativePlan(self, entries, slots, cost, keep, self.flush_denormals if flush is None else flush)

    def run(self, plan: NativePlan, arrays: Sequence[Array] = ()) -> Failure | None:
        """Run one step of `plan`."""
        return plan.run(arrays)

    def close(self) -> None:
        """Send the workers away. Plans stay usable: the next one that is worth threads starts new workers."""
        self.pool.stop()

    def ticks_per_second(self) -> float:
        """The rate of the clock that `run_timed` reads, measured once."""
        if not self._ticks_per_second:
            start, first = time.perf_counter(), self.pool.clock(0)
            while (elapsed := time.perf_counter() - start) < 2e-3:
                pass
            self._ticks_per_second = (self.pool.clock(0) - first) / elapsed
        return self._ticks_per_second


@lru_cache(maxsize=4)
def _executor_for(jit: Jit, threads: int) -> Executor:
    return Executor(jit, threads)


def default_executor() -> Executor:
    """The executor of the options in force; the same one every time."""
    return _executor_for(default_jit(), options().threads)


_handle = id if HEAD >= 0 else address
