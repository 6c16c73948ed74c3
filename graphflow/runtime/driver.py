"""The native part of the executor: the code that walks a plan, and the protocol between the caller and its workers.

Everything here is generated once per process (or loaded from the disk cache) as LLVM text; system functions come in as addresses in the
pool's memory, so that the object has no imports.

A plan is an array of i64 (`PLAN_*` are the indices of its fields) and an array of records of four i64 (`RECORD_*`). Every thread walks all
records. A PARALLEL record is called by all of them, each with its own number; any other by its owner alone, as thread 0 of 1. At a BARRIER
all threads wait for each other. When a record's status block is found non-zero the plan's FAILED field is set, and from there on records
are passed over without calling them: threads stay in step at the barriers, and what comes behind the next barrier does not happen.

A pool is an array of i64 in cache lines of eight: settings, the line of the running step, then `LINES` lines per thread: the first is
where its next job is announced, the others are its barrier flags. Numbers only ever grow (a step's number is part of the flag values), so
that nothing has to be reset and the number of threads may differ from step to step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg

WORD = 8
LINE = 8  # words

# plan
PLAN_RECORDS, PLAN_COUNT, PLAN_THREADS, PLAN_FAILED, PLAN_FLUSH, PLAN_POOL, PLAN_WALK, PLAN_TIMES = range(8)
PLAN_SLOTS, PLAN_PATCHES, PLAN_PATCH_COUNT, PLAN_HEAD = range(8, 12)
PLAN_USED, PLAN_ALONE, PLAN_PENALTY, PLAN_REST = range(12, 16)
PLAN_WORDS = 16

# record
RECORD_FUNCTION, RECORD_ARGUMENTS, RECORD_FLAGS, RECORD_STATUS = range(4)
RECORD_WORDS = 4
PARALLEL, BARRIER, OWNER_SHIFT = 1, 2, 8

# patch: arguments[PATCH_TARGET] = address of slot PATCH_SLOT + PATCH_OFFSET bytes
PATCH_TARGET, PATCH_SLOT, PATCH_OFFSET = range(3)
PATCH_WORDS = 3

# pool
POOL_WORKERS, POOL_PAUSES, POOL_PARKING, POOL_YIELD, POOL_WAIT, POOL_WAKE, POOL_PATIENCE, POOL_LONGEST_REST = range(8)
POOL_BUSY, POOL_STEP, POOL_EXITED, POOL_TROUBLE = range(8, 12)
POOL_THREADS = 16  # the first thread's first line
LINES = 10
THREAD_WORDS = LINES * LINE
JOB, JOB_PLAN, JOB_PARKED, JOB_WAIT_FILE, JOB_WAKE_FILE = range(5)  # in a thread's first line
ROUNDS = LINES - 1  # of the barrier: 2**9 threads
MAX_THREADS = 1 << ROUNDS
JOB_SHIFT = 16  # a job is step << JOB_SHIFT | threads; 0 threads is the order to leave
STEP_SHIFT = 24  # a barrier's value is step << STEP_SHIFT | record
JUST_RESTED = -1  # the value of PLAN_REST after steps alone

# how a worker sleeps
PARK_NEVER, PARK_FUTEX, PARK_PIPE = range(3)
FUTEX_CALL = {"x86_64": 202, "aarch64": 98}
FUTEX_WAIT_PRIVATE, FUTEX_WAKE_PRIVATE = 128, 129

FUNCTIONS = ("graphflow.enter", "graphflow.worker", "graphflow.stop", "graphflow.walk", "graphflow.walk_timed", "graphflow.pauses")


def architecture(triple: str) -> str:
    """ "x86_64" or "aarch64", the two this driver knows special instructions of; the name itself for others."""
    name = triple.partition("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def driver_key(triple: str) -> str:
    """The key of `driver_text` for the Jit: the text is a function of this file and the architecture."""
    return f"driver {sha256(Path(__file__).read_bytes()).hexdigest()} {architecture(triple)}"


class _Native(FunctionBuilder):
    """FunctionBuilder plus what threads need: words of a block, atomics, waiting, the clock."""

    def __init__(self, machine: str, name: str, params: Sequence[tuple[str, str]]) -> None:
        super().__init__(name, params)
        self.machine = machine

    def word(self, base: Reg, index: int | Reg) -> Reg:
        """The address of a word of a block."""
        return self.element(base, index if isinstance(index, Reg) else self.i64(index), "i64")

    def get(self, base: Reg, index: int | Reg, type_: str = "i64") -> Reg:
        return self.load(type_, self.word(base, index), align=8)

    def put(self, base: Reg, index: int | Reg, value: Reg) -> None:
        self.store(value, self.word(base, index), align=8)

    def get_atomic(self, address: Reg, order: str) -> Reg:
        return self.instruction("i64", f"load atomic i64, ptr {address.ref} {order}, align 8")

    def put_atomic(self, address: Reg, value: Reg, order: str) -> None:
        self.emit(f"store atomic i64 {value.ref}, ptr {address.ref} {order}, align 8")

    def run(self, type_: str, callee: str, *arguments: Reg) -> Reg:
        """Call a function that this module defines, or an address in a register."""
        text = f"call {type_} {callee}({', '.join(f'{a.type} {a.ref}' for a in arguments)})"
        if type_ == "void":
            self.emit(text)
            return Reg("void", "")
        return self.instruction(type_, text)

    def pause(self) -> None:
        """Tell the core that this is a spin loop."""
        if self.machine == "x86_64":
            self.call("void", "llvm.x86.sse2.pause", ())
        elif self.machine == "aarch64":
            self.call("void", "llvm.aarch64.hint", (Reg("i32", "1"),))

    def clock(self) -> Reg:
        """A counter that runs at a constant rate on every core; 0 where programs may not read one."""
        if self.machine == "x86_64":
            return self.call("i64", "llvm.readcyclecounter", ())
        if self.machine == "aarch64":  # llvm.readsteadycounter is the constant 0 there (LLVM 22)
            self.declarations.add("declare i64 @llvm.read_volatile_register.i64(metadata)")
            return self.instruction("i64", "call i64 @llvm.read_volatile_register.i64(metadata !0)")
        return self.i64(0)

    def thread_block(self, pool: Reg, thread: Reg) -> Reg:
        """The first line of a thread."""
        return self.word(pool, self.add(self.mul(thread, self.i64(THREAD_WORDS)), self.i64(POOL_THREADS)))

    @contextmanager
    def forever(self, stem: str) -> Iterator[str]:
        """An endless loop; yields the label behind it. The body leaves by `leave_if`."""
        head, after = self.label(f"{stem}.again"), self.label(f"{stem}.done")
        self.branch(head)
        self.start(head)
        yield after
        self.branch(head)
        self.start(after)

    def leave_if(self, condition: Reg, label: str) -> None:
        stay = self.label("stay")
        self.branch_if(condition, label, stay)
        self.start(stay)


def _internal(builder: _Native, result: Reg | None = None) -> str:
    """The text of a function that only this module calls."""
    return builder.finish(result).replace("define ", "define internal ", 1)


def _await(machine: str) -> str:
    """Wait until a flag has reached a value: spin, then let others have the core. The thread that is waited for may need it: where
    there are fewer free cores than threads, spinning on would only keep it from coming."""
    b = _Native(machine, "graphflow.await", [("ptr", "flag"), ("i64", "value"), ("ptr", "pool")])
    flag, value, pool = b.params
    left = b.alloca("i64", align=8)
    b.store(b.get(pool, POOL_PATIENCE), left)
    with b.forever("wait") as done:
        b.leave_if(b.compare("icmp sge", b.get_atomic(flag, "acquire"), value), done)
        b.pause()
        rest = b.binary("sub", b.load("i64", left), b.i64(1))
        b.store(rest, left)
        with b.when(b.compare("icmp slt", rest, b.i64(0))):
            give_way = b.get(pool, POOL_YIELD, "ptr")
            with b.when(b.compare("icmp ne", give_way, Reg("ptr", "null"))):
                b.put(pool, POOL_TROUBLE, b.i64(1))
                b.run("i32", give_way.ref)
    return _internal(b)


def _barrier(machine: str) -> str:
    """All threads meet, in log2(threads) rounds: in each a thread signals the one `distance` ahead and waits for the one behind."""
    b = _Native(machine, "graphflow.barrier", [("ptr", "pool"), ("i64", "thread"), ("i64", "threads"), ("i64", "value")])
    pool, thread, threads, value = b.params
    distance, offset = b.alloca("i64", align=8), b.alloca("i64", align=8)
    b.store(b.i64(1), distance)
    b.store(b.i64(LINE), offset)
    own = b.thread_block(pool, thread)
    with b.forever("round") as done:
        step = b.load("i64", distance)
        b.leave_if(b.compare("icmp sge", step, threads), done)
        ahead = b.add(thread, step)
        wrapped = b.binary("sub", ahead, threads)
        partner = b.select(b.compare("icmp sge", ahead, threads), wrapped, ahead)
        line = b.load("i64", offset)
        b.put_atomic(b.word(b.thread_block(pool, partner), line), value, "release")
        b.run("void", "@graphflow.await", b.word(own, line), value, pool)
        b.store(b.binary("shl", step, b.i64(1)), distance)
        b.store(b.add(line, b.i64(LINE)), offset)
    return _internal(b)


def _walk(machine: str, timed: bool) -> str:
    """One thread's way through the records.

    The timed form stores the number of threads in USED
    and the clock before and after each call in TIMES: i64[records][threads][2].
    """
    name = "graphflow.walk_timed" if timed else "graphflow.walk"
    b = _Native(machine, name, [("ptr", "plan"), ("i64", "thread"), ("i64", "threads"), ("ptr", "pool"), ("i64", "base")])
    plan, thread, threads, pool, base = b.params
    records, count = b.get(plan, PLAN_RECORDS, "ptr"), b.get(plan, PLAN_COUNT)
    failed = b.word(plan, PLAN_FAILED)
    times = b.get(plan, PLAN_TIMES, "ptr")
    together = b.compare("icmp sgt", threads, b.i64(1))
    if timed:
        b.put(plan, PLAN_USED, threads)  # the same value from every thread
    with b.loop("record", b.i64(0), count, b.i64(1)) as loop:
        record = b.word(records, b.mul(loop.index, b.i64(RECORD_WORDS)))
        flags = b.get(record, RECORD_FLAGS)
        parallel = b.compare("icmp ne", b.binary("and", flags, b.i64(PARALLEL)), b.i64(0))
        owner = b.binary("lshr", flags, b.i64(OWNER_SHIFT))
        present = b.select(b.compare("icmp slt", owner, threads), owner, b.i64(0))
        mine = b.binary("or", parallel, b.compare("icmp eq", present, thread))
        healthy = b.compare("icmp eq", b.get_atomic(failed, "monotonic"), b.i64(0))
        with b.when(b.binary("and", mine, healthy), "mine"):
            share = b.select(parallel, thread, b.i64(0))
            shares = b.select(parallel, threads, b.i64(1))
            clock = b.add(b.mul(loop.index, threads), thread) if timed else b.i64(0)
            place = b.word(times, b.binary("shl", clock, b.i64(1))) if timed else times
            if timed:
                b.put(place, 0, b.clock())
            b.run("void", b.get(record, RECORD_FUNCTION, "ptr").ref, b.get(record, RECORD_ARGUMENTS, "ptr"), share, shares)
            if timed:
                b.put(place, 1, b.clock())
            status = b.get(record, RECORD_STATUS, "ptr")
            with b.when(b.compare("icmp ne", status, Reg("ptr", "null")), "checked"):
                bad = b.compare("icmp ne", b.get_atomic(status, "monotonic"), b.i64(0))
                with b.when(bad, "bad"):  # the first to say so is believed
                    number = b.add(loop.index, b.i64(1))
                    b.emit(f"cmpxchg ptr {failed.ref}, i64 0, i64 {number.ref} monotonic monotonic")
        meeting = b.compare("icmp ne", b.binary("and", flags, b.i64(BARRIER)), b.i64(0))
        with b.when(b.binary("and", meeting, together), "meet"):
            b.run("void", "@graphflow.barrier", pool, thread, threads, b.add(base, loop.index))
    with b.when(together, "leave"):
        b.run("void", "@graphflow.barrier", pool, thread, threads, b.add(base, count))
    return b.finish()


def _flush_denormals(b: _Native, enabled: Reg) -> Reg | None:
    """Have denormal floats count as zero while kernels run, as TensorFlow does; returns what was set before."""
    if b.machine == "x86_64":
        cell = b.alloca("i32", align=4)
        b.call("void", "llvm.x86.sse.stmxcsr", (cell,))
        before = b.load("i32", cell)
        bits = b.select(b.compare("icmp ne", enabled, b.i64(0)), Reg("i32", str(0x8040)), Reg("i32", "0"))
        b.store(b.binary("or", before, bits), cell)
        b.call("void", "llvm.x86.sse.ldmxcsr", (cell,))
        return before
    if b.machine == "aarch64":
        before = b.call("i64", "llvm.aarch64.get.fpcr", ())
        bits = b.select(b.compare("icmp ne", enabled, b.i64(0)), b.i64(1 << 24), b.i64(0))
        b.call("void", "llvm.aarch64.set.fpcr", (b.binary("or", before, bits),))
        return before
    return None


def _restore_denormals(b: _Native, before: Reg | None) -> None:
    if before is not None and before.type == "i32":
        cell = b.alloca("i32", align=4)
        b.store(before, cell)
        b.call("void", "llvm.x86.sse.ldmxcsr", (cell,))
    elif before is not None:
        b.call("void", "llvm.aarch64.set.fpcr", (before,))


def _step(machine: str) -> tuple[str, set[str]]:
    """Walk the plan with the floating-point mode it asks for."""
    b = _Native(machine, "graphflow.step", [("ptr", "plan"), ("i64", "thread"), ("i64", "threads"), ("ptr", "pool"), ("i64", "base")])
    plan = b.params[0]
    before = _flush_denormals(b, b.get(plan, PLAN_FLUSH))
    b.run("void", b.get(plan, PLAN_WALK, "ptr").ref, *b.params)
    _restore_denormals(b, before)
    return _internal(b), b.declarations


def _wake(machine: str) -> str:
    """Wake one worker that may be asleep."""
    b = _Native(machine, "graphflow.wake", [("ptr", "pool"), ("ptr", "line")])
    pool, line = b.params
    parking = b.get(pool, POOL_PARKING)
    with b.when(b.compare("icmp eq", parking, b.i64(PARK_FUTEX)), "futex"):
        number, call = b.i64(FUTEX_CALL.get(machine, 0)), b.get(pool, POOL_WAKE, "ptr")
        b.run("i64 (i64, ...)", call.ref, number, line, b.i64(FUTEX_WAKE_PRIVATE), b.i64(1))
    with b.when(b.compare("icmp eq", parking, b.i64(PARK_PIPE)), "pipe"):
        file = b.convert("trunc", b.get(line, JOB_WAKE_FILE), "i32")
        b.run("i64", b.get(pool, POOL_WAKE, "ptr").ref, file, line, b.i64(1))
    return _internal(b)


def _park(machine: str) -> str:
    """Sleep until the job differs from `seen`, or for no reason at all: the caller looks again."""
    b = _Native(machine, "graphflow.park", [("ptr", "pool"), ("ptr", "line"), ("i64", "seen")])
    pool, line, seen = b.params
    parking = b.get(pool, POOL_PARKING)
    parked = b.word(line, JOB_PARKED)
    b.put_atomic(parked, b.i64(1), "seq_cst")
    with b.when(b.compare("icmp eq", parking, b.i64(PARK_FUTEX)), "futex"):  # the kernel compares the job's low half
        number, call = b.i64(FUTEX_CALL.get(machine, 0)), b.get(pool, POOL_WAIT, "ptr")
        low = b.binary("and", seen, b.i64(0xFFFFFFFF))
        b.run("i64 (i64, ...)", call.ref, number, line, b.i64(FUTEX_WAIT_PRIVATE), low, Reg("ptr", "null"))
    with b.when(b.compare("icmp eq", parking, b.i64(PARK_PIPE)), "pipe"):
        unchanged = b.compare("icmp eq", b.get_atomic(line, "seq_cst"), seen)
        with b.when(unchanged, "sleep"):
            byte = b.alloca("i64", align=8)
            file = b.convert("trunc", b.get(line, JOB_WAIT_FILE), "i32")
            b.run("i64", b.get(pool, POOL_WAIT, "ptr").ref, file, byte, b.i64(1))
    b.put_atomic(parked, b.i64(0), "seq_cst")
    return _internal(b)


def _announce(machine: str) -> str:
    """Give a job to workers 1 … count."""
    b = _Native(machine, "graphflow.announce", [("ptr", "pool"), ("i64", "count"), ("ptr", "plan"), ("i64", "job")])
    pool, count, plan, job = b.params
    for asleep_only in (False, True):  # all jobs first: a system call must not delay those who are awake
        with b.loop("worker", b.i64(1), b.add(count, b.i64(1)), b.i64(1)) as loop:
            line = b.thread_block(pool, loop.index)
            if asleep_only:
                sleeping = b.compare("icmp ne", b.get_atomic(b.word(line, JOB_PARKED), "seq_cst"), b.i64(0))
                with b.when(sleeping, "asleep"):
                    b.put(pool, POOL_TROUBLE, b.i64(1))
                    b.run("void", "@graphflow.wake", pool, line)
            else:
                b.put(line, JOB_PLAN, plan)
                b.instruction("i64", f"atomicrmw xchg ptr {line.ref}, i64 {job.ref} seq_cst")
    return _internal(b)


def _next_job(b: _Native, pool: Reg, threads: Reg) -> tuple[Reg, Reg]:
    """(job, base of the barrier values) of a new step; only the owner of BUSY may ask."""
    step = b.add(b.get(pool, POOL_STEP), b.i64(1))
    b.put(pool, POOL_STEP, step)
    return b.binary("or", b.binary("shl", step, b.i64(JOB_SHIFT)), threads), b.binary("shl", step, b.i64(STEP_SHIFT))


def _try_busy(b: _Native, pool: Reg) -> Reg:
    """Become the one who may use the workers: i1."""
    pair = b.instruction("{i64, i1}", f"cmpxchg ptr {b.word(pool, POOL_BUSY).ref}, i64 0, i64 1 seq_cst seq_cst")
    return b.instruction("i1", f"extractvalue {{i64, i1}} {pair.ref}, 1")


def _enter(machine: str) -> str:
    """Run a plan: fill in the addresses of this run, call the workers if they are free, walk. Returns FAILED."""
    b = _Native(machine, "graphflow.enter", [("ptr", "plan")])
    (plan,) = b.params
    slots, patches, head = b.get(plan, PLAN_SLOTS, "ptr"), b.get(plan, PLAN_PATCHES, "ptr"), b.get(plan, PLAN_HEAD)
    by_value = b.compare("icmp slt", head, b.i64(0))
    with b.loop("patch", b.i64(0), b.get(plan, PLAN_PATCH_COUNT), b.i64(1)) as loop:
        patch = b.word(patches, b.mul(loop.index, b.i64(PATCH_WORDS)))
        slot = b.word(slots, b.get(patch, PATCH_SLOT))
        value = b.load("i64", slot)
        # a slot holds an address, or an ndarray object whose address field lies `head` bytes behind its beginning
        field = b.add(value, head)
        source = b.select(by_value, slot, b.convert("inttoptr", field, "ptr"))
        b.store(b.add(b.load("i64", source), b.get(patch, PATCH_OFFSET)), b.get(patch, PATCH_TARGET, "ptr"))
    b.put(plan, PLAN_FAILED, b.i64(0))
    pool = b.get(plan, PLAN_POOL, "ptr")
    wished, able = b.get(plan, PLAN_THREADS), b.add(b.get(pool, POOL_WORKERS), b.i64(1))
    threads = b.select(b.compare("icmp slt", wished, able), wished, able)
    rest = b.get(plan, PLAN_REST)
    taken = b.alloca("i64", align=8)
    b.store(b.i64(0), taken)
    start = b.clock()
    many, rested = b.compare("icmp sgt", threads, b.i64(1)), b.compare("icmp sle", rest, b.i64(0))
    with b.when(b.binary("and", many, rested), "many"):
        with b.when(_try_busy(b, pool), "free"):
            # `stop` may have sent the workers away between reading their number and taking the pool
            still = b.compare("icmp sge", b.add(b.get(pool, POOL_WORKERS), b.i64(1)), threads)
            with b.when(still, "together"):
                b.store(b.i64(1), taken)
                b.put(pool, POOL_TROUBLE, b.i64(0))
                job, base = _next_job(b, pool, threads)
                b.run("void", "@graphflow.announce", pool, b.binary("sub", threads, b.i64(1)), plan, job)
                b.run("void", "@graphflow.step", plan, b.i64(0), threads, pool, base)
                b.put(plan, PLAN_REST, b.i64(0))
                crowded = b.compare("icmp ne", b.get(pool, POOL_TROUBLE), b.i64(0))
                warm = b.compare("icmp ne", rest, b.i64(JUST_RESTED))
                with b.when(b.binary("and", crowded, warm), "crowded"):
                    _back_off(b, plan, pool, b.binary("sub", b.clock(), start))
            b.put_atomic(b.word(pool, POOL_BUSY), b.i64(0), "release")
    with b.when(b.compare("icmp eq", b.load("i64", taken), b.i64(0)), "alone"):
        b.run("void", "@graphflow.step", plan, b.i64(0), b.i64(1), pool, b.i64(0))
        with b.when(b.compare("icmp sgt", rest, b.i64(0)), "resting"):
            last = b.compare("icmp eq", rest, b.i64(1))
            b.put(plan, PLAN_REST, b.select(last, b.i64(JUST_RESTED), b.binary("sub", rest, b.i64(1))))
            b.put(plan, PLAN_ALONE, b.binary("sub", b.clock(), start))
    return b.finish(b.get(plan, PLAN_FAILED))


def _back_off(b: _Native, plan: Reg, pool: Reg, ticks: Reg) -> None:
    """Judge a step in which threads had to be woken or to wait long: would one thread alone have been faster?

    So it is where other processes have the cores, and where a short step comes so rarely that the workers sleep every time: to wake a
    thread takes from 5 us on a bare machine to 200 us on some virtual ones, all of it the caller's time. If the step took longer than
    the last one alone, the next 1, 3, 7, … steps are run alone; if not, all is well. The comparison grows stricter with time, so that
    a step alone is tried again now and then. The first step after such a rest is not judged, because the workers had gone to sleep
    over it. Steps in quick succession on free cores never come here.
    """
    alone, penalty = b.get(plan, PLAN_ALONE), b.get(plan, PLAN_PENALTY)
    worse = b.compare("icmp sgt", ticks, alone)
    more = b.add(b.binary("shl", penalty, b.i64(1)), b.i64(1))
    most = b.get(pool, POOL_LONGEST_REST)
    rest = b.select(worse, b.select(b.compare("icmp slt", more, most), more, most), b.i64(0))
    b.put(plan, PLAN_PENALTY, rest)
    b.put(plan, PLAN_REST, rest)
    b.put(plan, PLAN_ALONE, b.binary("sub", alone, b.binary("ashr", alone, b.i64(10))))


def _worker(machine: str) -> str:
    """A worker's life: wait for a job, spinning first and then asleep, until the job is to leave."""
    b = _Native(machine, "graphflow.worker", [("ptr", "pool"), ("i64", "thread")])
    pool, thread = b.params
    line = b.thread_block(pool, thread)
    seen, left = b.alloca("i64", align=8), b.alloca("i64", align=8)
    b.store(b.i64(0), seen)
    with b.forever("life") as leave:
        last = b.load("i64", seen)
        b.store(b.get(pool, POOL_PAUSES), left)
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
        base = b.binary("shl", b.binary("lshr", job, b.i64(JOB_SHIFT)), b.i64(STEP_SHIFT))
        b.run("void", "@graphflow.step", b.get(line, JOB_PLAN, "ptr"), thread, threads, pool, base)
    b.instruction("i64", f"atomicrmw add ptr {b.word(pool, POOL_EXITED).ref}, i64 1 seq_cst")
    return b.finish()


def _stop(machine: str) -> str:
    """Send all workers away and wait until they have left. Returns 1, or 0 where a step kept the pool busy for `pauses` pauses.

    The caller has set WORKERS to 0, so that no new step asks for them.
    """
    b = _Native(machine, "graphflow.stop", [("ptr", "pool"), ("i64", "workers"), ("i64", "pauses")])
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
        b.put(pool, POOL_EXITED, b.i64(0))
        job, _ = _next_job(b, pool, b.i64(0))
        b.run("void", "@graphflow.announce", pool, workers, Reg("ptr", "null"), job)
        b.run("void", "@graphflow.await", b.word(pool, POOL_EXITED), workers, pool)
        with b.loop("worker", b.i64(1), b.add(workers, b.i64(1)), b.i64(1)) as loop:
            b.put(b.thread_block(pool, loop.index), JOB, b.i64(0))  # where the next ones start
        b.put_atomic(b.word(pool, POOL_BUSY), b.i64(0), "release")
    return b.finish(b.load("i64", done))


def _pauses(machine: str) -> str:
    """`count` pauses, to measure how long one takes."""
    b = _Native(machine, "graphflow.pauses", [("i64", "count")])
    with b.loop("i", b.i64(0), b.params[0], b.i64(1)):
        b.pause()
    return b.finish(b.clock())


def driver_text(triple: str) -> str:
    """The module with all `FUNCTIONS`."""
    machine = architecture(triple)
    step, declarations = _step(machine)
    inner = [_await(machine), _barrier(machine), step, _wake(machine), _park(machine), _announce(machine)]
    outer = [_enter(machine), _worker(machine), _stop(machine), _walk(machine, False), _walk(machine, True), _pauses(machine)]
    probe = _Native(machine, "probe", [])
    probe.pause()
    probe.clock()
    registers = ['!0 = !{!"CNTVCT_EL0"}'] if machine == "aarch64" else []
    return "\n".join([*inner, *outer, *sorted(declarations | probe.declarations), *registers]) + "\n"
