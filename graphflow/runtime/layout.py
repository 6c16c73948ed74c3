"""What the native part of the executor and Python share: the memory layout of plans and of the pool, and what the records mean.

A plan is an array of i64 (`Plan` has the indices of its fields) and an array of records of four i64 (`Record`). Every thread walks all
records. A PARALLEL record is called by all of them, each with its own number; any other by its owner alone, as thread 0 of 1. At a BARRIER
all threads wait for each other. When a record's status block is found non-zero the plan's FAILED field is set, and from there on records
are passed over without calling them: threads stay in step at the barriers, and what comes behind the next barrier does not happen.

At a JUMP the walk goes on at another record where a byte, which a record before it has written, is as the JUMP wants it. Threads must all
go the same way, and none of them may look for itself: a fast one may be past the JUMP, and have failed or be writing the byte of the next
round, while a slow one has yet to come. So all meet, thread 0 decides and says where to go. After a failure that is the end: no loop goes
on with values that were never made. At a PAUSE all leave the walk, so that Python can do what the record stands for; and now and then at
a JUMP backward, so that an endless loop does not keep signals and other Python threads waiting. `enter` then returns ~record, and
`resume` goes on wherever it is told to: the plan holds nothing of a walk that was left, and the next `enter` starts at the first record.

A pool is an array of i64 in cache lines of eight: settings, the line of the running step, then Pool.LINES lines per thread: the first is
where its next job is announced, the others are its flags, for the rounds of a barrier and for the meeting at a JUMP. Numbers only ever
grow: MEETINGS counts all that ever took place, and a flag's value is the number of the meeting it was set for, so that nothing has to be
reset, and the number of threads and of meetings may differ from step to step.
"""

from __future__ import annotations

WORD = 8
LINE = 8  # words


class Plan:
    """Fields of a plan."""

    RECORDS, COUNT, THREADS, FAILED, FLUSH, POOL, TIMES, SLICE = range(8)
    SLOTS, PATCHES, PATCH_COUNT, HEAD = range(8, 12)
    ALONE, PENALTY, REST, SPENT = range(12, 16)  # of driver's `_back_off`
    AT, BASE, DECISION, STOPPED = range(16, 20)  # of this walk: first record, first meeting, where a JUMP leads, ~record it was left at
    START, SEEN, STRIDE, LEFT = range(20, 24)  # of walk's `_look`
    WORDS = 24


class Record:
    """Fields of a record, and its flags. Of a JUMP, FUNCTION is the number of the record it leads to, ARGUMENTS[0] its byte's address."""

    FUNCTION, ARGUMENTS, FLAGS, STATUS = range(4)
    WORDS = 4
    PARALLEL, BARRIER, JUMP, PAUSE = 1, 2, 4, 8
    ON, BACK = 16, 32  # of a JUMP: taken where the byte is not zero (otherwise where it is); leads backward
    OWNER_SHIFT = 8


class Times:
    """What a timed walk notes of a record and a thread, in ticks: when it was called first, how long in all, how often."""

    FIRST, TOTAL, CALLS = range(3)
    WORDS = 3


class Patch:
    """arguments[TARGET] = address of slot SLOT + OFFSET bytes."""

    TARGET, SLOT, OFFSET = range(3)
    WORDS = 3


class Chain:
    """The arguments of the kernel that does shares of several kernels in turn: how many shares and how many kernels there are, and the
    address of a word for each thread and kernel, to which the ticks are added that it takes; then for each kernel a Link."""

    SHARES, COUNT, TICKS, LINKS = range(4)


class Link:
    """FUNCTION with WORDS arguments at ARGUMENTS, of which MOVED are the addresses of buffers that each thread has one share of: pairs of
    the number of such an argument and the bytes of a share."""

    FUNCTION, ARGUMENTS, WORDS, MOVED, FIRST = range(5)
    MOST_MOVED = 2
    SIZE = FIRST + 2 * MOST_MOVED
    MOST_WORDS = 64


class Pool:
    """Fields of the pool, lines and words of its threads, and how a worker sleeps."""

    WORKERS, PAUSES, PARKING, YIELD, WAIT, WAKE, PATIENCE, LONGEST_REST = range(8)
    BUSY, STEP, EXITED, TROUBLE, MEETINGS = range(8, 13)
    THREADS = 16  # the first thread's first line

    JOB, JOB_PLAN, JOB_PARKED, JOB_WAIT_FILE, JOB_WAKE_FILE = range(5)  # in a thread's first line
    ROUNDS = 9  # of the barrier, a line each: 2**9 threads
    COUNCIL = ROUNDS + 1  # the line for meetings at a JUMP: a thread has come; of thread 0, it has decided
    LINES = COUNCIL + 1
    THREAD_WORDS = LINES * LINE

    PARK_NEVER, PARK_FUTEX, PARK_PIPE = range(3)


MAX_THREADS = 1 << Pool.ROUNDS
JOB_SHIFT = 16  # a job is step << JOB_SHIFT | threads; 0 threads is the order to leave
MOST_STRIDE = 64  # jumps backward between two looks at the clock
JUST_RESTED = -1  # the value of Plan.REST after steps alone
FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE = 128, 129


def architecture(triple: str) -> str:
    """ "x86_64" or "aarch64", the two this driver knows special instructions of; the name itself for others."""
    name = triple.partition("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
