"""The native part of the executor: the code that walks a plan, and the protocol between the caller and its workers.

Everything here is generated once per process (or loaded from the disk cache) as LLVM text; system functions come in as addresses in the
pool's memory, so that the object has no imports.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

from graphflow.compiler.llvm.builder import Reg
from graphflow.runtime import layout, walk
from graphflow.runtime.layout import (
    FUTEX_CALL,
    FUTEX_WAIT_PRIVATE,
    FUTEX_WAKE_PRIVATE,
    JOB_SHIFT,
    JUST_RESTED,
    Chain,
    Link,
    Patch,
    Plan,
    Pool,
    architecture,
)
from graphflow.runtime.walk import Native, internal, walking

FUNCTIONS = (
    "graphflow.enter", "graphflow.resume", "graphflow.worker", "graphflow.stop", "graphflow.pauses", "graphflow.measure", "graphflow.rows",
    "graphflow.chain", "graphflow.nothing",
)  # fmt: skip


def driver_key(triple: str) -> str:
    """The key of `driver_text` for the Jit: the text is a function of these files and the architecture."""
    digest = sha256()
    for module in (layout, walk, sys.modules[__name__]):
        digest.update(Path(str(module.__file__)).read_bytes())
    return f"driver {digest.hexdigest()} {architecture(triple)}"


def _wake(machine: str) -> str:
    """Wake one worker that may be asleep."""
    b = Native(machine, "graphflow.wake", [("ptr", "pool"), ("ptr", "line")])
    pool, line = b.params
    parking = b.get(pool, Pool.PARKING)
    with b.when(b.compare("icmp eq", parking, b.i64(Pool.PARK_FUTEX)), "futex"):
        number, call = b.i64(FUTEX_CALL.get(machine, 0)), b.get(pool, Pool.WAKE, "ptr")
        b.run("i64 (i64, ...)", call.ref, number, line, b.i64(FUTEX_WAKE_PRIVATE), b.i64(1))
    with b.when(b.compare("icmp eq", parking, b.i64(Pool.PARK_PIPE)), "pipe"):
        file = b.convert("trunc", b.get(line, Pool.JOB_WAKE_FILE), "i32")
        b.run("i64", b.get(pool, Pool.WAKE, "ptr").ref, file, line, b.i64(1))
    return internal(b)


def _park(machine: str) -> str:
    """Sleep until the job differs from `seen`, or for no reason at all: the caller looks again."""
    b = Native(machine, "graphflow.park", [("ptr", "pool"), ("ptr", "line"), ("i64", "seen")])
    pool, line, seen = b.params
    parking = b.get(pool, Pool.PARKING)
    parked = b.word(line, Pool.JOB_PARKED)
    b.put_atomic(parked, b.i64(1), "seq_cst")
    with b.when(b.compare("icmp eq", parking, b.i64(Pool.PARK_FUTEX)), "futex"):  # the kernel compares the job's low half
        number, call = b.i64(FUTEX_CALL.get(machine, 0)), b.get(pool, Pool.WAIT, "ptr")
        low = b.binary("and", seen, b.i64(0xFFFFFFFF))
        b.run("i64 (i64, ...)", call.ref, number, line, b.i64(FUTEX_WAIT_PRIVATE), low, Reg("ptr", "null"))
    with b.when(b.compare("icmp eq", parking, b.i64(Pool.PARK_PIPE)), "pipe"):
        unchanged = b.compare("icmp eq", b.get_atomic(line, "seq_cst"), seen)
        with b.when(unchanged, "sleep"):
            byte = b.alloca("i64", align=8)
            file = b.convert("trunc", b.get(line, Pool.JOB_WAIT_FILE), "i32")
            b.run("i64", b.get(pool, Pool.WAIT, "ptr").ref, file, byte, b.i64(1))
    b.put_atomic(parked, b.i64(0), "seq_cst")
    return internal(b)


def _announce(machine: str) -> str:
    """Give a job to workers 1 … count."""
    b = Native(machine, "graphflow.announce", [("ptr", "pool"), ("i64", "count"), ("ptr", "plan"), ("i64", "job")])
    pool, count, plan, job = b.params
    for asleep_only in (False, True):  # all jobs first: a system call must not delay those who are awake
        with b.loop("worker", b.i64(1), b.add(count, b.i64(1)), b.i64(1)) as loop:
            line = b.thread_block(pool, loop.index)
            if asleep_only:
                sleeping = b.compare("icmp ne", b.get_atomic(b.word(line, Pool.JOB_PARKED), "seq_cst"), b.i64(0))
                with b.when(sleeping, "asleep"):
                    b.put(pool, Pool.TROUBLE, b.i64(1))
                    b.run("void", "@graphflow.wake", pool, line)
            else:
                b.put(line, Pool.JOB_PLAN, plan)
                b.instruction("i64", f"atomicrmw xchg ptr {line.ref}, i64 {job.ref} seq_cst")
    return internal(b)


def _next_job(b: Native, pool: Reg, threads: Reg) -> Reg:
    """The job of a new step; only the owner of BUSY may ask."""
    step = b.add(b.get(pool, Pool.STEP), b.i64(1))
    b.put(pool, Pool.STEP, step)
    return b.binary("or", b.binary("shl", step, b.i64(JOB_SHIFT)), threads)


def _try_busy(b: Native, pool: Reg) -> Reg:
    """Become the one who may use the workers: i1."""
    pair = b.instruction("{i64, i1}", f"cmpxchg ptr {b.word(pool, Pool.BUSY).ref}, i64 0, i64 1 seq_cst seq_cst")
    return b.instruction("i1", f"extractvalue {{i64, i1}} {pair.ref}, 1")


def _enter(machine: str) -> str:
    """Run a plan: fill in the addresses of this run, and `go` from the first record."""
    b = Native(machine, "graphflow.enter", [("ptr", "plan")])
    (plan,) = b.params
    slots, patches, head = b.get(plan, Plan.SLOTS, "ptr"), b.get(plan, Plan.PATCHES, "ptr"), b.get(plan, Plan.HEAD)
    by_value = b.compare("icmp slt", head, b.i64(0))
    with b.loop("patch", b.i64(0), b.get(plan, Plan.PATCH_COUNT), b.i64(1)) as loop:
        patch = b.word(patches, b.mul(loop.index, b.i64(Patch.WORDS)))
        slot = b.word(slots, b.get(patch, Patch.SLOT))
        value = b.load("i64", slot)
        # a slot holds an address, or an ndarray object whose address field lies `head` bytes behind its beginning
        field = b.add(value, head)
        source = b.select(by_value, slot, b.convert("inttoptr", field, "ptr"))
        b.store(b.add(b.load("i64", source), b.get(patch, Patch.OFFSET)), b.get(patch, Patch.TARGET, "ptr"))
    b.put(plan, Plan.SPENT, b.i64(0))
    return b.finish(b.run("i64", "@graphflow.go", plan, b.i64(0)))


def _resume(machine: str) -> str:
    """Go on with a run that `enter` or `resume` has left, at a record."""
    b = Native(machine, "graphflow.resume", [("ptr", "plan"), ("i64", "at")])
    return b.finish(b.run("i64", "@graphflow.go", *b.params))


def _go(machine: str) -> str:
    """Call the workers if they are free, and walk. Returns 0 where the step is done, FAILED where it has failed, and ~record where the
    walk was left before that record."""
    b = Native(machine, "graphflow.go", [("ptr", "plan"), ("i64", "at")])
    plan, at = b.params
    start = b.clock()
    b.put(plan, Plan.FAILED, b.i64(0))
    b.put(plan, Plan.STOPPED, b.i64(0))
    b.put(plan, Plan.AT, at)
    b.put(plan, Plan.START, start)
    b.put(plan, Plan.SEEN, start)
    b.put(plan, Plan.STRIDE, b.i64(1))
    b.put(plan, Plan.LEFT, b.i64(1))
    pool = b.get(plan, Plan.POOL, "ptr")
    wished, able = b.get(plan, Plan.THREADS), b.add(b.get(pool, Pool.WORKERS), b.i64(1))
    threads = b.select(b.compare("icmp slt", wished, able), wished, able)
    rest = b.get(plan, Plan.REST)
    taken = b.alloca("i64", align=8)
    b.store(b.i64(0), taken)
    many, rested = b.compare("icmp sgt", threads, b.i64(1)), b.compare("icmp sle", rest, b.i64(0))
    with b.when(b.binary("and", many, rested), "many"):
        with b.when(_try_busy(b, pool), "free"):
            # `stop` may have sent the workers away between reading their number and taking the pool
            still = b.compare("icmp sge", b.add(b.get(pool, Pool.WORKERS), b.i64(1)), threads)
            with b.when(still, "together"):
                b.store(b.i64(1), taken)
                with b.when(b.compare("icmp eq", b.get(plan, Plan.SPENT), b.i64(0)), "fresh"):
                    b.put(pool, Pool.TROUBLE, b.i64(0))
                b.put(plan, Plan.BASE, b.get(pool, Pool.MEETINGS))
                job = _next_job(b, pool, threads)
                b.run("void", "@graphflow.announce", pool, b.binary("sub", threads, b.i64(1)), plan, job)
                b.put(pool, Pool.MEETINGS, b.run("i64", "@graphflow.step", plan, b.i64(0), threads, pool))
                with b.when(_finished(b, plan, start), "finished"):
                    b.put(plan, Plan.REST, b.i64(0))
                    crowded = b.compare("icmp ne", b.get(pool, Pool.TROUBLE), b.i64(0))
                    warm = b.compare("icmp ne", rest, b.i64(JUST_RESTED))
                    with b.when(b.binary("and", crowded, warm), "crowded"):
                        _back_off(b, plan, pool)
            b.put_atomic(b.word(pool, Pool.BUSY), b.i64(0), "release")
    with b.when(b.compare("icmp eq", b.load("i64", taken), b.i64(0)), "alone"):
        b.run("i64", "@graphflow.step", plan, b.i64(0), b.i64(1), pool)
        with b.when(b.compare("icmp sgt", rest, b.i64(0)), "resting"):
            with b.when(_finished(b, plan, start), "over"):
                last = b.compare("icmp eq", rest, b.i64(1))
                b.put(plan, Plan.REST, b.select(last, b.i64(JUST_RESTED), b.binary("sub", rest, b.i64(1))))
                b.put(plan, Plan.ALONE, b.get(plan, Plan.SPENT))
    failed = b.get(plan, Plan.FAILED)
    return internal(b, b.select(b.compare("icmp ne", failed, b.i64(0)), failed, b.get(plan, Plan.STOPPED)))


def _finished(b: Native, plan: Reg, start: Reg) -> Reg:
    """Add the time since `start` to what the step has taken; whether it has come to its end."""
    b.put(plan, Plan.SPENT, b.add(b.get(plan, Plan.SPENT), b.binary("sub", b.clock(), start)))
    return b.compare("icmp eq", b.get(plan, Plan.STOPPED), b.i64(0))


def _back_off(b: Native, plan: Reg, pool: Reg) -> None:
    """Judge a step in which threads had to be woken or to wait long: would one thread alone have been faster?

    So it is where other processes have the cores, and where a short step comes so rarely that the workers sleep every time: to wake a
    thread takes from 5 us on a bare machine to 200 us on some virtual ones, all of it the caller's time. If the step took longer than
    the last one alone, the next 1, 3, 7, … steps are run alone; if not, all is well. The comparison grows stricter with time, so that
    a step alone is tried again now and then. The first step after such a rest is not judged, because the workers had gone to sleep
    over it. Steps in quick succession on free cores never come here.
    """
    alone, penalty = b.get(plan, Plan.ALONE), b.get(plan, Plan.PENALTY)
    worse = b.compare("icmp sgt", b.get(plan, Plan.SPENT), alone)
    more = b.add(b.binary("shl", penalty, b.i64(1)), b.i64(1))
    most = b.get(pool, Pool.LONGEST_REST)
    rest = b.select(worse, b.select(b.compare("icmp slt", more, most), more, most), b.i64(0))
    b.put(plan, Plan.PENALTY, rest)
    b.put(plan, Plan.REST, rest)
    b.put(plan, Plan.ALONE, b.binary("sub", alone, b.binary("ashr", alone, b.i64(10))))


def _worker(machine: str) -> str:
    """A worker's life: wait for a job, spinning first and then asleep, until the job is to leave."""
    b = Native(machine, "graphflow.worker", [("ptr", "pool"), ("i64", "thread")])
    pool, thread = b.params
    line = b.thread_block(pool, thread)
    seen, left = b.alloca("i64", align=8), b.alloca("i64", align=8)
    b.store(b.i64(0), seen)
    with b.forever("life") as leave:
        last = b.load("i64", seen)
        b.store(b.get(pool, Pool.PAUSES), left)
        with b.forever("idle") as called:
            b.leave_if(b.compare("icmp ne", b.get_atomic(line, "acquire"), last), called)
            b.pause()
            rest = b.binary("sub", b.load("i64", left), b.i64(1))
            b.store(rest, left)
            with b.when(b.compare("icmp slt", rest, b.i64(0)), "tired"):
                b.run("void", "@graphflow.park", pool, line, last)
        job = b.get_atomic(line, "acquire")
        b.store(job, seen)
        threads = b.binary("and", job, b.i64((1 << JOB_SHIFT) - 1))
        b.leave_if(b.compare("icmp eq", threads, b.i64(0)), leave)
        b.run("i64", "@graphflow.step", b.get(line, Pool.JOB_PLAN, "ptr"), thread, threads, pool)
    b.instruction("i64", f"atomicrmw add ptr {b.word(pool, Pool.EXITED).ref}, i64 1 seq_cst")
    return b.finish()


def _stop(machine: str) -> str:
    """Send all workers away and wait until they have left. Returns 1, or 0 where a step kept the pool busy for `pauses` pauses.

    The caller has set WORKERS to 0, so that no new step asks for them.
    """
    b = Native(machine, "graphflow.stop", [("ptr", "pool"), ("i64", "workers"), ("i64", "pauses")])
    pool, workers, pauses = b.params
    left, done = b.alloca("i64", align=8), b.alloca("i64", align=8)
    b.store(pauses, left)
    b.store(b.i64(0), done)
    with b.forever("claim") as claimed:
        b.store(b.convert("zext", _try_busy(b, pool), "i64"), done)
        b.leave_if(b.compare("icmp ne", b.load("i64", done), b.i64(0)), claimed)
        rest = b.binary("sub", b.load("i64", left), b.i64(1))
        b.store(rest, left)
        b.leave_if(b.compare("icmp slt", rest, b.i64(0)), claimed)
        b.pause()
    with b.when(b.compare("icmp ne", b.load("i64", done), b.i64(0)), "mine"):
        b.put(pool, Pool.EXITED, b.i64(0))
        job = _next_job(b, pool, b.i64(0))
        b.run("void", "@graphflow.announce", pool, workers, Reg("ptr", "null"), job)
        b.run("void", "@graphflow.await", b.word(pool, Pool.EXITED), workers, pool)
        with b.loop("worker", b.i64(1), b.add(workers, b.i64(1)), b.i64(1)) as loop:
            b.put(b.thread_block(pool, loop.index), Pool.JOB, b.i64(0))  # where the next ones start
        b.put_atomic(b.word(pool, Pool.BUSY), b.i64(0), "release")
    return b.finish(b.load("i64", done))


def _pauses(machine: str) -> str:
    """`count` pauses, to measure how long one takes."""
    b = Native(machine, "graphflow.pauses", [("i64", "count")])
    with b.loop("i", b.i64(0), b.params[0], b.i64(1)):
        b.pause()
    return b.finish(b.clock())


def _measure(machine: str) -> str:
    """A kernel of the arguments (size, count, limit, status, target …): stores the i64 at `size` at `count` places, and notes it as a
    failure where it is above the limit or negative."""
    b = Native(machine, "graphflow.measure", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    args = b.params[0]
    size, status = b.load("i64", b.get(args, 0, "ptr")), b.get(args, 3, "ptr")
    with b.when(b.compare("icmp ugt", size, b.get(args, 2)), "outgrown"):
        b.put(status, 1, size)
        b.put(status, 0, b.i64(1))
    with b.loop("target", b.i64(4), b.add(b.get(args, 1), b.i64(4)), b.i64(1)) as loop:
        b.store(size, b.load("ptr", b.word(args, loop.index)))
    return b.finish()


def _rows(machine: str) -> str:
    """A kernel: stores the address of a row of an array wherever its last arguments lead to. Before them stand the array's address, that of
    the row's number, whether that is an i64 (it is an i32 otherwise), how many rows there are, how many bytes one takes, the status block,
    and how many targets there are. A row that the array does not have fails the step."""
    b = Native(machine, "graphflow.rows", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    args = b.params[0]
    place, number = b.get(args, 1, "ptr"), b.alloca("i64", align=8)
    b.store(b.convert("sext", b.load("i32", place), "i64"), number)
    with b.when(b.compare("icmp ne", b.get(args, 2), b.i64(0)), "wide"):
        b.store(b.load("i64", place), number)
    row = b.load("i64", number)
    outside = b.compare("icmp uge", row, b.get(args, 3))  # negative numbers too
    with b.when(outside, "outside"):
        status = b.get(args, 5, "ptr")
        b.put(status, 0, b.i64(1))
        b.put(status, 1, row)
    found = b.add(b.get(args, 0), b.mul(b.select(outside, b.i64(0), row), b.get(args, 4)))
    with b.loop("target", b.i64(7), b.add(b.get(args, 6), b.i64(7)), b.i64(1)) as loop:
        b.store(found, b.load("ptr", b.word(args, loop.index)))
    return b.finish()


def _chain(machine: str) -> str:
    """A kernel that calls others: all of them for the first of this thread's shares, then for the next. Each is told that it is one of as
    many threads as there are shares. A buffer that moves lies where the thread's own share of it is, whichever share is at hand."""
    b = Native(machine, "graphflow.chain", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    args, thread, threads = b.params
    shares = b.get(args, Chain.SHARES)
    begin, end = (b.binary("udiv", b.mul(shares, t), threads) for t in (thread, b.add(thread, b.i64(1))))
    moved, count = b.alloca("i64", Link.MOST_WORDS), b.get(args, Chain.COUNT)
    with b.loop("share", begin, end, b.i64(1)) as share:
        back = b.binary("sub", thread, share.index)
        with b.loop("link", b.i64(0), count, b.i64(1)) as loop:
            link = b.word(args, b.add(b.mul(loop.index, b.i64(Link.SIZE)), b.i64(Chain.LINKS)))
            given = b.get(link, Link.ARGUMENTS, "ptr")
            with b.loop("word", b.i64(0), b.get(link, Link.WORDS), b.i64(1)) as word:
                b.store(b.load("i64", b.word(given, word.index)), b.word(moved, word.index))
            with b.loop("move", b.i64(0), b.get(link, Link.MOVED), b.i64(1)) as move:
                pair = b.word(link, b.add(b.mul(move.index, b.i64(2)), b.i64(Link.FIRST)))
                place = b.word(moved, b.get(pair, 0))
                b.store(b.add(b.load("i64", place), b.mul(back, b.get(pair, 1))), place)
            begun = b.clock()
            b.run("void", b.get(link, Link.FUNCTION, "ptr").ref, moved, share.index, shares)
            ticks = b.word(b.get(args, Chain.TICKS, "ptr"), b.add(b.mul(thread, count), loop.index))
            b.store(b.add(b.load("i64", ticks), b.binary("sub", b.clock(), begun)), ticks)
    return b.finish()


def _nothing(machine: str) -> str:
    """A kernel that does nothing: what a call is whose work is done in another one's chain."""
    return Native(machine, "graphflow.nothing", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")]).finish()


def driver_text(triple: str) -> str:
    """The module with all `FUNCTIONS`."""
    machine = architecture(triple)
    walks, declarations = walking(machine)
    inner = [*walks, _wake(machine), _park(machine), _announce(machine), _go(machine)]
    outer = [_enter(machine), _resume(machine), _worker(machine), _stop(machine), _pauses(machine), _measure(machine), _rows(machine)]
    outer += [_chain(machine), _nothing(machine)]
    probe = Native(machine, "probe", [])
    probe.pause()
    probe.clock()
    registers = ['!0 = !{!"CNTVCT_EL0"}'] if machine == "aarch64" else []
    return "\n".join([*inner, *outer, *sorted(declarations | probe.declarations), *registers]) + "\n"
