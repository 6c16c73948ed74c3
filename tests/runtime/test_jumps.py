"""Plans that jump and pause: loops, branches, Python in between, failures, time slices, interruption."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from graphflow.runtime import layout
from graphflow.runtime.buffers import address, aligned
from graphflow.runtime.entries import STATUS, Call, Jump, Pause, Slot
from graphflow.runtime.executor import Executor, Failure, judge
from graphflow.runtime.jit import Jit
from tests.runtime import native


@pytest.fixture(scope="module")
def jit():
    return Jit(cache_dir="")


@pytest.fixture(scope="module")
def code(jit):
    """name -> address of the functions that the plans of this file are made of; they live as long as the fixture."""
    bodies = (native.nothing, native.mark, native.rotate, native.fail_at, native.count, native.put, native.delay)
    codes = {body.__name__: native.compiled(jit, body.__name__, body) for body in bodies}
    yield {name: code.addresses[0] for name, code in codes.items()}


@pytest.fixture(params=[1, 2, 4])
def executor(request, jit):
    made = Executor(jit, request.param, back_off=False)
    yield made
    made.close()


class Memory:
    """Counters with their conditions, a ring that shows whether threads are in step, and cells that count calls."""

    def __init__(self, code: dict[str, int]) -> None:
        self.code = code
        self.counters = aligned((4, 8), np.int64, 0)
        self.bytes = aligned((4, 64), np.uint8, 0)
        self.ring = aligned((2, 64), np.int64, 0)
        self.cells = aligned((16,), np.int64, 0)

    def begin(self, number: int = 0) -> Call:
        """counter = 0"""
        return Call([self.code["put"]], [address(self.counters[number]), 0], [False])

    def count(self, limit: int, number: int = 0) -> Call:
        """counter += 1, and whether that is below the limit"""
        return Call([self.code["count"]], [address(self.counters[number]), address(self.bytes[number]), limit], [False])

    def again(self, target: int, number: int = 0, on: bool = True) -> Jump:
        return Jump(address(self.bytes[number]), on, target)

    def round(self) -> list[Call]:
        """Every value goes twice to the next thread's place: a thread ahead of or behind the others shows."""
        here, there = address(self.ring[0]), address(self.ring[1])
        # the worth of sharing a call is far above the cost of meeting, so that `judge` gives the plan all threads
        return [Call([self.code["rotate"]], ends, [True], cost=1.0) for ends in ((there, here), (here, there))]

    def mark(self) -> Call:
        return Call([self.code["mark"]], [address(self.cells)], [False])


def test_a_loop_keeps_threads_in_step(executor, code):
    m = Memory(code)
    n = executor.threads
    plan = executor.plan([m.begin(), *m.round(), m.count(100), m.again(1), m.mark()])
    assert plan.threads == n
    for run in range(1, 60 if n < 3 else 5):
        assert plan.run() is None
        assert m.ring[0, :n].tolist() == [200 * run] * n
        assert m.counters[0, 0] == 100 and m.cells[0] == run


def test_nested_loops(executor, code):
    m = Memory(code)
    plan = executor.plan([m.begin(), m.begin(1), *m.round(), m.count(7, 1), m.again(2, 1), m.count(11), m.again(1)])
    assert plan.run() is None
    n = executor.threads
    assert m.ring[0, :n].tolist() == [2 * 7 * 11] * n


@pytest.mark.parametrize("on", [True, False])
def test_a_branch_follows_the_byte_of_each_run(executor, code, on):
    m = Memory(code)
    taken, passed = aligned((16,), np.int64, 0), aligned((16,), np.int64, 0)
    other = Call([code["mark"]], [address(passed)], [False])
    plan = executor.plan(
        [
            m.round()[0], Jump(Slot(0, 1), on, 3), other,
            Call([code["mark"]], [address(taken)], [False]), Jump(Slot(0), True, 6), other,
        ],
        slots=1,
    )  # fmt: skip
    for run in range(20):
        value = run // 2 % 2 == 0
        assert plan.run([np.array([run % 2, value], np.bool_)]) is None
        assert taken[0] == run + 1
        passed_now = (value != on) + (run % 2 == 0)
        assert passed[0] == passed_now, run
        passed[0] = 0


def test_jumps_to_the_end_and_to_the_first(executor, code):
    m = Memory(code)
    plan = executor.plan([*m.round(), m.count(5), m.again(5, on=False), m.again(0), m.mark()])
    assert plan.run() is None
    n = executor.threads
    assert m.ring[0, :n].tolist() == [10] * n and m.cells[0] == 1
    last = executor.plan([Jump(address(m.bytes), False, 2), m.mark()])
    assert last.run() is None and m.cells[0] == 1
    with pytest.raises(ValueError, match="jumps to entry 3 of 2"):
        executor.plan([m.mark(), m.again(3)])


def test_python_in_a_loop(executor, code):
    """Pauses come in the order of the walk, everything before them is done, and nothing behind them has begun."""
    m = Memory(code)
    n = executor.threads
    plan = executor.plan([m.begin(), Pause(), *m.round(), Pause(), Pause(), m.count(9), m.again(1), Pause()])
    seen: list[tuple[int, int, int]] = []

    def python(number: int) -> None:
        assert len(set(m.ring[0, :n].tolist())) == 1
        seen.append((number, int(m.ring[0, 0]) // 2, int(m.counters[0, 0])))

    for _ in range(3):
        m.ring.fill(0)
        seen.clear()
        assert plan.run((), python) is None
        rounds = [entry for k in range(9) for entry in ((1, k, k), (4, k + 1, k), (5, k + 1, k))]
        assert seen == [*rounds, (8, 9, 9)]


def test_an_exception_at_a_pause_ends_the_step(executor, code):
    m = Memory(code)
    plan = executor.plan([m.begin(), *m.round(), m.count(50), Pause(), m.again(1), m.mark()])

    def python(number: int) -> None:
        if m.counters[0, 0] == 30:
            raise RuntimeError("enough")

    for run in range(1, 4):
        with pytest.raises(RuntimeError, match="enough"):
            plan.run((), python)
        assert m.ring[0, 0] == 60 * run and m.cells[0] == 0
    assert plan.run((), lambda number: None) is None
    assert m.ring[0, 0] == 280 and m.cells[0] == 1


@pytest.mark.parametrize("thread", [0, 1, 3])
def test_a_failure_ends_all_loops(executor, code, thread):
    """One thread reports it while others are anywhere between the barriers; nothing behind the next meeting happens, in no round."""
    m = Memory(code)
    n = executor.threads

    def plan(k: int) -> Any:
        check = Call([code["fail_at"]], [STATUS, address(m.counters[0]), k, thread], [True], barrier=False)
        inner = [*m.round(), check, m.count(5, 1), m.again(2, 1)]
        return executor.plan([m.begin(), m.begin(1), *inner, m.mark(), m.count(50), m.again(1), Pause()])

    def unreachable(number: int) -> None:
        pytest.fail("a failed step does not reach its end")

    for k in (0, 1, 17, 48):
        m.cells.fill(0)
        m.ring.fill(0)
        assert plan(k).run((), unreachable) == Failure(call=4, check=2, value=k)
        assert m.cells[0] == k and m.counters[0, 0] == k
        assert m.ring[0, :n].tolist() == [10 * k + 2] * n
    m.ring.fill(0)
    assert plan(99).run((), lambda number: None) is None
    assert m.ring[0, :n].tolist() == [500] * n


@pytest.mark.parametrize("owner", [0, 1])
def test_all_threads_follow_one_decision(jit, code, owner):
    """The check fails right behind a jump which the other thread reaches late: if each looked for itself, they would part here."""
    executor = Executor(jit, 2, back_off=False)
    m = Memory(code)
    late = Call([code["delay"]], [200], [False], owner=1 - owner)
    for k in range(1, 300):
        check = Call([code["fail_at"]], [STATUS, address(m.counters[0]), k % 10, owner], [True], barrier=False)
        plan = executor.plan([m.begin(), *m.round(), m.count(9), late, m.again(7), m.mark(), check, m.again(1), m.mark()])
        m.cells.fill(0)
        if k % 10:
            assert plan.run() == Failure(call=7, check=2, value=k % 10)
            assert m.cells[0] == (k % 10 == 9)
        else:
            assert plan.run() is None and m.cells[0] == 2
    executor.close()


def test_a_hundred_thousand_rounds(executor, code):
    m = Memory(code)
    rounds = 100_000 if executor.threads < 4 else 2_000  # more threads than cores wait for the system
    plan = executor.plan([m.begin(), *m.round(), m.count(rounds), m.again(1)])
    assert plan.run() is None
    n = executor.threads
    assert m.ring[0, :n].tolist() == [2 * rounds] * n


def test_a_million_trivial_rounds(jit, code):
    m = Memory(code)
    plan = Executor(jit, 1).plan([m.begin(), m.count(1_000_000), m.again(1)])
    assert plan.run() is None
    assert m.counters[0, 0] == 1_000_000


@pytest.mark.slow
def test_more_meetings_than_a_step_s_number_leaves_room_for(jit, code):
    executor = Executor(jit, 2, back_off=False)
    m = Memory(code)
    rounds = (1 << 22) + 10
    plan = executor.plan([m.begin(), *m.round(), *m.round(), m.count(rounds), m.again(1)])
    for run in (1, 2):
        assert plan.run() is None
        assert m.ring[0, :2].tolist() == [4 * rounds * run] * 2
    assert executor.pool.block[layout.Pool.MEETINGS] > 2 << 24
    executor.close()


@pytest.mark.parametrize("cost", [1.0, 0.0])
def test_control_c_ends_an_endless_loop(executor, code, cost):
    m = Memory(code)
    endless = executor.plan([m.begin(), *m.round(), m.count(1 << 62), m.again(1)], cost=cost)
    for _ in range(2):
        timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            endless.run()
        assert time.monotonic() - start < 5
        timer.join()
        m.ring.fill(0)
        finite = executor.plan([m.begin(), *m.round(), m.count(10), m.again(1)], cost=cost)
        for run in range(1, 5):
            assert finite.run() is None
            assert m.ring[0, 0] == 20 * run and m.counters[0, 0] == 10


@pytest.mark.parametrize("cost", [1.0, 0.0])
def test_other_python_threads_run_during_a_loop(executor, code, cost):
    """One of them ends it: no kernel writes the condition."""
    m = Memory(code)
    plan = executor.plan([*m.round(), m.again(0)], cost=cost)
    beats = 0

    def end() -> None:
        nonlocal beats
        for _ in range(20):
            time.sleep(0.002)
            beats += 1
        m.bytes[0, 0] = 0

    for run in (1, 2):
        m.bytes[0, 0] = 1
        helper = threading.Thread(target=end)
        helper.start()
        assert plan.run() is None
        helper.join()
        assert beats == 20 * run
    assert m.ring[0, 0] > 20


def test_loops_of_several_threads_at_once(jit, code):
    """One has the workers for a time slice, the others run alone meanwhile; a slice later it may be another one."""
    executor = Executor(jit, 2, back_off=False)
    wrong: list[Any] = []

    def work(rounds: int) -> None:
        m = Memory(code)
        plan = executor.plan([m.begin(), m.count(rounds), Call([code["mark"]], [address(m.cells)], [True], cost=1.0), m.again(1)])
        for run in range(1, 20):
            if plan.run() is not None or m.counters[0, 0] != rounds or m.cells[0] != run * rounds:
                wrong.append((rounds, run))

    threads = [threading.Thread(target=work, args=(rounds,)) for rounds in (300, 2000, 5000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []
    executor.close()


def test_workers_may_be_sent_away_between_two_slices(jit, code):
    """As before a fork. The loop goes on alone, and with new workers from the next slice on."""
    executor = Executor(jit, 2, back_off=False)
    m = Memory(code)
    m.bytes[0, 0] = 1
    plan = executor.plan([*m.round(), m.again(0), m.mark()])
    runner = threading.Thread(target=plan.run)
    runner.start()
    for _ in range(3):
        end = time.monotonic() + 20
        while not executor.pool.workers:
            assert time.monotonic() < end
            time.sleep(0.005)
        assert executor.pool.stop(patience=20)
    m.bytes[0, 0] = 0
    runner.join(20)
    assert m.cells[0] == 1
    executor.close()


def test_timing_of_a_loop(executor, code):
    m = Memory(code)
    n = executor.threads
    wait = Call([code["delay"]], [2000], [False], cost=1.0)
    plan = executor.plan([m.begin(), *m.round(), wait, m.count(40), Pause(), m.again(1)])
    failure, timing = plan.run_timed((), lambda number: None)
    assert failure is None
    assert timing.calls.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert timing.times[:, 0].tolist() == [1, 40, 40, 40, 40, 0, 0]
    assert (timing.times[1] == 40).all() and (timing.times[3, 1:] == 0).all()
    assert timing.busy[3, 0] > 10 * timing.busy[0, 0] and np.isnan(timing.start[5]).all()
    assert timing.start.shape == (7, n)
    assert plan.run((), lambda number: None) is None


def test_how_many_threads_a_plan_is_worth():
    def call(cost: float, weight: float = 1.0, parallel: bool = True) -> Call:
        return Call([0], [], [parallel], cost=cost, weight=weight)

    def loop(cost: float, rounds: float, parallel: bool = True) -> int:
        entries = [call(1e-7), call(cost, rounds, parallel), Jump(0, True, 1, rounds)]
        return judge(entries, 1e-7 + cost * rounds, 8)

    assert judge([call(1e-3)], 1e-3, 8) == 8 and judge([call(1e-6)], 1e-6, 8) == 1
    assert loop(1e-7, 1e6) == 1, "a tenth of a second, but in rounds shorter than a meeting"
    assert loop(1e-3, 1) > 1 and loop(50e-6, 1000) == 8
    assert loop(50e-6, 1000, parallel=False) == 1, "there is nothing to share"
    assert loop(2e-6, 4) == 1, "waking costs more than the loop"
