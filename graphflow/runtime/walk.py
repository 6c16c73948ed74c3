"""How one thread walks the records of a plan (runtime/layout.py says what they are), and how threads meet: as LLVM text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg
from graphflow.runtime.layout import LINE, MOST_STRIDE, Plan, Pool, Record, Times


class Native(FunctionBuilder):
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
        return self.word(pool, self.add(self.mul(thread, self.i64(Pool.THREAD_WORDS)), self.i64(Pool.THREADS)))

    @contextmanager
    def forever(self, stem: str) -> Iterator[str]:
        """An endless loop; yields the label behind it. The body leaves by `leave_if`."""
        head, after = self.label(f"{stem}.again"), self.label(f"{stem}.done")
        self.branch(head)
        self.start(head)
        yield after
        self.branch(head)
        self.start(after)

    @contextmanager
    def rounds(self, stem: str, *first: Reg) -> Iterator[Rounds]:
        """A loop over registers, `first` in the first round. Each way through the body ends with `again(…)`, the registers of the next
        round, or with a branch to `done`. What was computed before the first branch of a round may be used behind the loop."""
        head = self.label(f"{stem}.again")
        phis = [Reg(f.type, self.fresh(stem)) for f in first]
        edges: list[tuple[str, Sequence[Reg]]] = [(self.block, first)]
        self.branch(head)
        self.start(head)
        place = len(self._lines)
        state = Rounds(self, head, phis, edges, self.label(f"{stem}.done"))
        yield state
        self._lines[place:place] = [
            f"  {phi.ref} = phi {phi.type} " + ", ".join(f"[ {values[k].ref}, %{block} ]" for block, values in edges)
            for k, phi in enumerate(phis)
        ]
        self.start(state.done)

    def leave_if(self, condition: Reg, label: str) -> None:
        stay = self.label("stay")
        self.branch_if(condition, label, stay)
        self.start(stay)


@dataclass
class Rounds:
    """The open loop of `Native.rounds`."""

    builder: Native
    head: str
    values: list[Reg]
    edges: list[tuple[str, Sequence[Reg]]]
    done: str

    def again(self, *values: Reg) -> None:
        """Begin the next round with these."""
        self.edges.append((self.builder.block, values))
        self.builder.branch(self.head)


def internal(builder: Native, result: Reg | None = None) -> str:
    """The text of a function that only this module calls."""
    return builder.finish(result).replace("define ", "define internal ", 1)


def _await(machine: str) -> str:
    """Wait until a flag has reached a value: spin, then let others have the core. The thread that is waited for may need it: where
    there are fewer free cores than threads, spinning on would only keep it from coming."""
    b = Native(machine, "graphflow.await", [("ptr", "flag"), ("i64", "value"), ("ptr", "pool")])
    flag, value, pool = b.params
    left = b.alloca("i64", align=8)
    b.store(b.get(pool, Pool.PATIENCE), left)
    with b.forever("wait") as done:
        b.leave_if(b.compare("icmp sge", b.get_atomic(flag, "acquire"), value), done)
        b.pause()
        rest = b.binary("sub", b.load("i64", left), b.i64(1))
        b.store(rest, left)
        with b.when(b.compare("icmp slt", rest, b.i64(0))):
            give_way = b.get(pool, Pool.YIELD, "ptr")
            with b.when(b.compare("icmp ne", give_way, Reg("ptr", "null"))):
                b.put(pool, Pool.TROUBLE, b.i64(1))
                b.run("i32", give_way.ref)
    return internal(b)


def _barrier(machine: str) -> str:
    """All threads meet, in log2(threads) rounds: in each a thread signals the one `distance` ahead and waits for the one behind."""
    b = Native(machine, "graphflow.barrier", [("ptr", "pool"), ("i64", "thread"), ("i64", "threads"), ("i64", "value")])
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
    return internal(b)


def _look(machine: str) -> str:
    """Whether this walk has had its share of time: 1 or 0. Says how many jumps from now to ask again: few where rounds are long, so
    that the answer comes in time, up to `MOST_STRIDE` where they are short, so that it costs nothing."""
    b = Native(machine, "graphflow.look", [("ptr", "plan")])
    (plan,) = b.params
    now, share = b.clock(), b.get(plan, Plan.SLICE)
    short = b.compare("icmp sle", b.binary("sub", now, b.get(plan, Plan.SEEN)), b.binary("ashr", share, b.i64(7)))
    double = b.binary("shl", b.get(plan, Plan.STRIDE), b.i64(1))
    more = b.select(b.compare("icmp slt", double, b.i64(MOST_STRIDE)), double, b.i64(MOST_STRIDE))
    stride = b.select(short, more, b.i64(1))
    b.put(plan, Plan.SEEN, now)
    b.put(plan, Plan.STRIDE, stride)
    b.put(plan, Plan.LEFT, stride)
    return internal(b, b.convert("zext", b.compare("icmp sge", b.binary("sub", now, b.get(plan, Plan.START)), share), "i64"))


def _choose(b: Native, plan: Reg, record: Reg, flags: Reg, at: Reg, settle: Callable[[Reg], None]) -> None:
    """The decision at the JUMP `record`, number `at`: `settle` is given the next record, or -1 to leave the walk (STOPPED says where),
    and ends the block; it is called once for each way to a decision."""
    byte = b.load("i8", b.convert("inttoptr", b.get(b.get(record, Record.ARGUMENTS, "ptr"), 0), "ptr"))
    target = b.get(record, Record.FUNCTION)
    wanted = b.compare("icmp ne", b.binary("and", flags, b.i64(Record.ON)), b.i64(0))
    taken = b.compare("icmp eq", b.compare("icmp ne", byte, Reg("i8", "0")), wanted)
    following = b.select(taken, target, b.add(at, b.i64(1)))
    back = b.binary("and", taken, b.compare("icmp ne", b.binary("and", flags, b.i64(Record.BACK)), b.i64(0)))
    backward, tired, over, settled = b.label("backward"), b.label("tired"), b.label("over"), b.label("settled")
    b.branch_if(back, backward, settled)
    b.start(backward)
    left = b.binary("sub", b.get(plan, Plan.LEFT), b.i64(1))
    b.put(plan, Plan.LEFT, left)
    b.branch_if(b.compare("icmp slt", left, b.i64(0)), tired, settled)
    b.start(tired)
    enough = b.run("i64", "@graphflow.look", plan)
    b.branch_if(b.compare("icmp ne", enough, b.i64(0)), over, settled)
    b.start(over)
    b.put(plan, Plan.STOPPED, b.binary("xor", target, b.i64(-1)))
    settle(b.i64(-1))
    b.start(settled)
    settle(following)


def _call(b: Native, plan: Reg, record: Reg, at: Reg, share: tuple[Reg, Reg], thread: Reg | None) -> Reg:
    """Call the kernel of a record as thread share[0] of share[1]; for a timed walk `thread` is who does it. The status: the block's
    address, or null."""
    function, arguments = b.get(record, Record.FUNCTION, "ptr"), b.get(record, Record.ARGUMENTS, "ptr")
    begin = b.clock() if thread else at
    b.run("void", function.ref, arguments, *share)
    if thread:
        ticks = b.binary("sub", b.clock(), begin)
        row = b.add(b.binary("mul", thread, b.get(plan, Plan.COUNT)), at)  # threads write cache lines of their own
        place = b.word(b.get(plan, Plan.TIMES, "ptr"), b.mul(row, b.i64(Times.WORDS)))
        calls = b.get(place, Times.CALLS)
        first = b.compare("icmp eq", calls, b.i64(0))
        b.put(place, Times.FIRST, b.select(first, begin, b.get(place, Times.FIRST)))
        b.put(place, Times.TOTAL, b.add(b.get(place, Times.TOTAL), ticks))
        b.put(place, Times.CALLS, b.add(calls, b.i64(1)))
    return b.get(record, Record.STATUS, "ptr")


def _has(b: Native, flags: Reg, mask: int) -> Reg:
    return b.compare("icmp ne", b.binary("and", flags, b.i64(mask)), b.i64(0))


def _walk_alone(machine: str, timed: bool) -> str:
    """The caller's way through the records where it has no workers: nobody to meet, and it leaves where a check fails."""
    b = Native(machine, "graphflow.walk_alone" + "_timed" * timed, [("ptr", "plan")])
    (plan,) = b.params
    records, count, nowhere = b.get(plan, Plan.RECORDS, "ptr"), b.get(plan, Plan.COUNT), b.i64(-1)
    with b.rounds("record", b.get(plan, Plan.AT)) as loop:
        (at,) = loop.values
        b.leave_if(b.compare("icmp uge", at, count), loop.done)
        record = b.word(records, b.mul(at, b.i64(Record.WORDS)))
        flags = b.get(record, Record.FLAGS)
        call, check, good, bad, other, pause, jump = map(b.label, ("call", "check", "good", "bad", "other", "pause", "jump"))
        b.branch_if(_has(b, flags, Record.JUMP | Record.PAUSE), other, call)
        b.start(call)
        status = _call(b, plan, record, at, (b.i64(0), b.i64(1)), b.i64(0) if timed else None)
        b.branch_if(b.compare("icmp ne", status, Reg("ptr", "null")), check, good)
        b.start(check)
        b.branch_if(b.compare("icmp ne", b.load("i64", status), b.i64(0)), bad, good)
        b.start(good)
        loop.again(b.add(at, b.i64(1)))
        b.start(bad)
        b.put(plan, Plan.FAILED, b.add(at, b.i64(1)))
        loop.again(nowhere)
        b.start(other)
        b.branch_if(_has(b, flags, Record.PAUSE), pause, jump)
        b.start(pause)
        b.put(plan, Plan.STOPPED, b.binary("xor", at, nowhere))
        loop.again(nowhere)
        b.start(jump)
        _choose(b, plan, record, flags, at, loop.again)
    return internal(b)


def _walk(machine: str, timed: bool) -> str:
    """One of several threads' way through the records. Returns the number of the last meeting."""
    b = Native(machine, "graphflow.walk" + "_timed" * timed, [("ptr", "plan"), ("i64", "thread"), ("i64", "threads"), ("ptr", "pool")])
    plan, thread, threads, pool = b.params
    records, count, nowhere = b.get(plan, Plan.RECORDS, "ptr"), b.get(plan, Plan.COUNT), b.i64(-1)
    failed = b.word(plan, Plan.FAILED)
    first = b.compare("icmp eq", thread, b.i64(0))
    own = b.word(b.thread_block(pool, thread), Pool.COUNCIL * LINE)
    chair = b.word(b.thread_block(pool, b.i64(0)), Pool.COUNCIL * LINE)
    with b.rounds("record", b.get(plan, Plan.AT), b.get(plan, Plan.BASE)) as loop:
        at, met = loop.values
        b.leave_if(b.compare("icmp uge", at, count), loop.done)
        following, meeting = b.add(at, b.i64(1)), b.add(met, b.i64(1))
        record = b.word(records, b.mul(at, b.i64(Record.WORDS)))
        flags = b.get(record, Record.FLAGS)
        call, other, meet, alone, pause, jump = map(b.label, ("call", "other", "meet", "alone", "pause", "jump"))
        b.branch_if(_has(b, flags, Record.JUMP | Record.PAUSE), other, call)
        b.start(call)
        parallel = _has(b, flags, Record.PARALLEL)
        owner = b.binary("lshr", flags, b.i64(Record.OWNER_SHIFT))
        present = b.select(b.compare("icmp slt", owner, threads), owner, b.i64(0))
        mine = b.binary("or", parallel, b.compare("icmp eq", present, thread))
        healthy = b.compare("icmp eq", b.get_atomic(failed, "monotonic"), b.i64(0))
        with b.when(b.binary("and", mine, healthy), "mine"):
            share = b.select(parallel, thread, b.i64(0)), b.select(parallel, threads, b.i64(1))
            status = _call(b, plan, record, at, share, thread if timed else None)
            with b.when(b.compare("icmp ne", status, Reg("ptr", "null")), "checked"):
                bad = b.compare("icmp ne", b.get_atomic(status, "monotonic"), b.i64(0))
                with b.when(bad, "bad"):  # the first to say so is believed
                    b.emit(f"cmpxchg ptr {failed.ref}, i64 0, i64 {following.ref} monotonic monotonic")
        b.branch_if(_has(b, flags, Record.BARRIER), meet, alone)
        b.start(meet)
        b.run("void", "@graphflow.barrier", pool, thread, threads, meeting)
        loop.again(following, meeting)
        b.start(alone)
        loop.again(following, met)

        b.start(other)
        b.branch_if(_has(b, flags, Record.PAUSE), pause, jump)
        b.start(pause)
        with b.when(first, "note"):
            b.put(plan, Plan.STOPPED, b.binary("xor", at, nowhere))
        loop.again(nowhere, met)
        b.start(jump)
        lead, follow, sound, announce, agreed = map(b.label, ("lead", "follow", "sound", "announce", "agreed"))
        b.branch_if(first, lead, follow)
        b.start(lead)
        with b.loop("coming", b.i64(1), threads, b.i64(1)) as others:
            b.run("void", "@graphflow.await", b.word(b.thread_block(pool, others.index), Pool.COUNCIL * LINE), meeting, pool)
        b.put(plan, Plan.DECISION, count)  # where the step has failed
        b.branch_if(b.compare("icmp eq", b.get_atomic(failed, "monotonic"), b.i64(0)), sound, announce)
        b.start(sound)

        def decide(target: Reg) -> None:
            b.put(plan, Plan.DECISION, target)
            b.branch(announce)

        _choose(b, plan, record, flags, at, decide)
        b.start(announce)
        b.put_atomic(chair, meeting, "release")
        b.branch(agreed)
        b.start(follow)
        b.put_atomic(own, meeting, "release")
        b.run("void", "@graphflow.await", chair, meeting, pool)
        b.branch(agreed)
        b.start(agreed)
        loop.again(b.get(plan, Plan.DECISION), meeting)
    last = b.add(met, b.i64(1))
    b.run("void", "@graphflow.barrier", pool, thread, threads, last)
    return internal(b, last)


def _flush_denormals(b: Native, enabled: Reg) -> Reg | None:
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


def _restore_denormals(b: Native, before: Reg | None) -> None:
    if before is not None and before.type == "i32":
        cell = b.alloca("i32", align=4)
        b.store(before, cell)
        b.call("void", "llvm.x86.sse.ldmxcsr", (cell,))
    elif before is not None:
        b.call("void", "llvm.aarch64.set.fpcr", (before,))


def _step(machine: str) -> tuple[str, set[str]]:
    """Walk the plan with the floating-point mode it asks for. Returns the number of the last meeting."""
    b = Native(machine, "graphflow.step", [("ptr", "plan"), ("i64", "thread"), ("i64", "threads"), ("ptr", "pool")])
    plan, _, threads, _ = b.params
    before = _flush_denormals(b, b.get(plan, Plan.FLUSH))
    last = b.alloca("i64", align=8)
    timed = b.compare("icmp ne", b.get(plan, Plan.TIMES), b.i64(0))
    together = b.compare("icmp sgt", threads, b.i64(1))
    plain = b.binary("xor", timed, Reg("i1", "true"))
    for suffix, wanted in (("", plain), ("_timed", timed)):
        with b.when(b.binary("and", wanted, together), "together"):
            b.store(b.run("i64", f"@graphflow.walk{suffix}", *b.params), last)
        with b.when(b.binary("and", wanted, b.binary("xor", together, Reg("i1", "true"))), "alone"):
            b.run("void", f"@graphflow.walk_alone{suffix}", plan)
    _restore_denormals(b, before)
    return internal(b, b.load("i64", last)), b.declarations


def walking(machine: str) -> tuple[list[str], set[str]]:
    """The functions of this file, and what they declare. The one to call is `i64 graphflow.step(ptr plan, i64 thread, i64 threads, ptr
    pool)`."""
    step, declarations = _step(machine)
    walks = [walk(machine, timed) for walk in (_walk, _walk_alone) for timed in (False, True)]
    return [_await(machine), _barrier(machine), _look(machine), *walks, step], declarations
