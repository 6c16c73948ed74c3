"""The executor: order, shares, patching, failures, thread counts, concurrency, denormals, timing."""

from __future__ import annotations

import itertools
import struct
import threading
import time

import numpy as np
import pytest

import graphflow.config as config
from graphflow.runtime import executor as executor_module
from graphflow.runtime import threads as threads_module
from graphflow.runtime.buffers import address, aligned
from graphflow.runtime.entries import STATUS, Call, Slot
from graphflow.runtime.executor import Executor, Failure
from graphflow.runtime.jit import Jit
from tests.runtime import native


@pytest.fixture(scope="module")
def jit():
    return Jit(cache_dir="")


@pytest.fixture(scope="module")
def code(jit):
    """name -> address of the functions of tests/runtime/native.py; they live as long as the fixture."""
    bodies = (native.nothing, native.mark, native.add_share, native.rotate, native.fail, native.multiply, native.delay)
    codes = {body.__name__: native.compiled(jit, body.__name__, body) for body in bodies}
    yield {name: code.addresses[0] for name, code in codes.items()}


@pytest.fixture(params=[1, 2, 3, 7])
def executor(request, jit):
    made = Executor(jit, request.param, back_off=False)
    yield made
    made.close()


@pytest.fixture(params=["futex", "pipe"])
def pair(request, jit):
    """Two threads, sleeping in each of the two ways."""
    made = Executor(jit, 2, parking=request.param, back_off=False)
    yield made
    made.close()


def test_parallel_records_run_on_every_thread_once(executor, code):
    cells = aligned((16,), np.int64, 0)
    plan = executor.plan([Call([code["mark"]], [address(cells)], [True])])
    for _ in range(5):
        assert plan.run() is None
    n = executor.threads
    assert cells[:8].tolist() == [5] * n + [0] * (8 - n)
    assert cells[8:].tolist() == [n] * n + [0] * (8 - n)


def test_serial_records_run_once_as_thread_0_of_1(executor, code):
    cells = aligned((16,), np.int64, 0)
    calls = [Call([code["mark"]], [address(cells)], [False], owner=owner) for owner in (0, 1, 5)]
    executor.plan(calls).run()
    assert cells[:8].tolist() == [3] + [0] * 7 and cells[8] == 1


def test_short_plans_run_on_the_calling_thread(jit, code):
    executor = Executor(jit, 2, back_off=False)
    cells = aligned((16,), np.int64, 0)
    plan = executor.plan([Call([code["mark"]], [address(cells)], [True])], cost=1e-6)
    plan.run()
    assert cells[8] == 1 and cells[1] == 0 and executor.pool.workers == 0


def test_a_barrier_keeps_threads_in_step(executor, code):
    """Each record moves every value to the next thread's place: a thread ahead of or behind the others shows."""
    n, rounds = executor.threads, 60
    ring = aligned((2, 64), np.int64, 0)
    here, there = address(ring[0]), address(ring[1])
    calls = [Call([code["rotate"]], [(there, here)[i % 2], (here, there)[i % 2]], [True]) for i in range(rounds)]
    plan = executor.plan(calls)
    for run in range(1, 200 if n < 3 else 30):
        plan.run()
        assert ring[0, :n].tolist() == [run * rounds] * n


def test_phases_of_a_call_share_arguments_and_meet(executor, code):
    n = executor.threads
    ring = aligned((64,), np.int64, 0)
    calls = [Call([code["rotate"], code["mark"]], [address(ring), address(ring)], [False, True], barrier=False)]
    executor.plan(calls).run()
    assert ring[:n].tolist() == [2] + [1] * (n - 1)


@pytest.mark.parametrize("head", ["object", "address"])
def test_slots_are_patched_at_every_run(jit, code, monkeypatch, head):
    if head == "address":  # an interpreter whose array objects look different
        monkeypatch.setattr(executor_module, "HEAD", -1)
        monkeypatch.setattr(executor_module, "_handle", address)
    executor = Executor(jit, 2, back_off=False)
    middle = aligned((1000,), np.int64)
    calls = [
        Call([code["add_share"]], [address(middle), Slot(1), 10, 1000], [True]),
        Call([code["add_share"]], [Slot(0, 8), address(middle), 5, 999], [True]),
        Call([code["add_share"]], [Slot(2), Slot(1, 16), 0, 100], [True]),
    ]
    plan = executor.plan(calls, slots=3)
    for run in range(20):
        source = np.arange(1001)[run % 2 :][:1000] * (run + 1)
        out, third = np.zeros(1000, np.int64), np.zeros(100, np.int64)
        assert plan.run([out, source, third]) is None
        assert out[0] == 0 and (out[1:] == source[:999] + 15).all()
        assert (third == source[2:102]).all()
    with pytest.raises(struct.error):
        plan.run([out, source])
    with pytest.raises(ValueError, match="slot 3"):
        executor.plan([Call([code["nothing"]], [Slot(3)], [True])], slots=3)
    executor.close()


def test_a_failed_check_stops_what_comes_behind_the_barrier(executor, code):
    cells, trouble = aligned((16,), np.int64, 0), np.zeros(1, np.int64)
    source, copied = aligned((4,), np.int64, 0), aligned((4,), np.int64, 0)
    calls = [
        Call([code["mark"]], [address(cells)], [False]),
        Call([code["add_share"]], [address(copied), Slot(0), 0, 1], [False]),
        Call([code["fail"], code["nothing"]], [STATUS, 0], [False, True]),
        Call([code["mark"]], [address(cells)], [False]),
    ]
    good = executor.plan(calls, slots=1)
    bad = executor.plan([*calls[:2], calls[2]._replace(arguments=[STATUS, 77]), calls[3]], slots=1)
    assert good.run([source]) is None and cells[0] == 2
    for _ in range(3):
        before = int(cells[0])
        assert bad.run([trouble]) == Failure(call=2, check=4, value=77)
        assert cells[0] == before + 1
        assert good.run([source]) is None and cells[0] == before + 3


def test_an_empty_plan_and_empty_arguments(executor, code):
    assert executor.plan([]).run() is None
    assert executor.plan([Call([code["nothing"]], [], [True])]).run() is None


def test_workers_sleep_and_wake(pair, code):
    cells = aligned((16,), np.int64, 0)
    plan = pair.plan([Call([code["mark"]], [address(cells)], [True])])
    for run in range(1, 40):
        plan.run()
        assert cells[:2].tolist() == [run, run]
        time.sleep(0.002 if run % 3 else 0)


def test_an_idle_process_uses_no_time(pair, code):
    plan = pair.plan([Call([code["nothing"]], [], [True])])
    plan.run()
    time.sleep(0.01)
    start = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - start < 0.004  # 1 % of a core
    assert pair.pool.workers == 1


@pytest.mark.parametrize("back_off", [False, True])
def test_short_steps_that_would_wake_a_sleeper_each_time_are_run_alone(jit, code, back_off):
    executor = Executor(jit, 2, spin=1e-6, back_off=back_off)
    cells = aligned((16,), np.int64, 0)
    plan = executor.plan([Call([code["mark"]], [address(cells)], [True])])
    for _ in range(60):
        plan.run()
        time.sleep(0.001)
    assert cells[0] == 60
    assert 1 <= cells[1] <= 30 if back_off else cells[1] == 60
    executor.close()


def test_workers_come_back_after_close(pair, code):
    cells = aligned((16,), np.int64, 0)
    plan = pair.plan([Call([code["mark"]], [address(cells)], [True])])
    for _ in range(30):
        plan.run()
        pair.close()
        assert pair.pool.workers == 0
        plan.run()
    assert cells[:2].tolist() == [60, 60]


def test_steps_of_several_threads_at_once(jit, code):
    """One of them has the workers, the others run alone; the results are the same."""
    executor = Executor(jit, 2, back_off=False)
    wrong = []

    def work(seed: int) -> None:
        buffers = [aligned((501,), np.int64) for _ in range(12)]
        calls = [
            Call([code["add_share"]], [address(target), address(source), seed, 501], [True])
            for source, target in itertools.pairwise(buffers)
        ]
        plan = executor.plan(calls)
        for run in range(400):
            buffers[0][:] = run
            plan.run()
            if not (buffers[-1] == run + 11 * seed).all():
                wrong.append((seed, run))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    executor.close()


def test_stopping_waits_for_a_step_but_not_for_ever(jit, code):
    executor = Executor(jit, 2, back_off=False)
    plan = executor.plan([Call([code["delay"]], [300_000_000], [True])])  # 0.1 s or more
    executor.plan([Call([code["nothing"]], [], [True])]).run()
    runner = threading.Thread(target=plan.run)
    runner.start()
    time.sleep(0.02)
    assert not executor.pool.stop(patience=0.005)
    assert executor.pool.workers == 1
    assert executor.pool.stop(patience=20)
    runner.join()
    assert executor.pool.workers == 0


def test_the_calling_thread_s_lock_is_free_during_long_steps(jit, code):
    executor = Executor(jit, 1)
    plan = executor.plan([Call([code["delay"]], [300_000_000], [True])])
    runner = threading.Thread(target=plan.run)
    runner.start()
    time.sleep(0.01)
    alive = runner.is_alive()  # reached while the step runs, or only after it if the step held the lock
    runner.join()
    assert alive


def test_denormals_count_as_zero_only_inside(executor, code):
    source = np.array([1e-30, 1e-10], np.float32)
    out = np.full(8, 7, np.float32)
    call = Call([code["multiply"]], [Slot(0), Slot(1)], [True])
    executor.plan([call], slots=2).run([out, source])
    assert (out[: executor.threads] == 0).all()
    assert source[0] * source[1] != 0  # the caller's own arithmetic is as before
    executor.plan([call], slots=2, flush=False).run([out, source])
    assert (out[: executor.threads] == np.float32(1e-40)).all()


def test_timing(executor, code):
    calls = [
        Call([code["delay"]], [20000], [True]),
        Call([code["nothing"], code["delay"]], [200000], [True, False]),
        Call([code["nothing"]], [], [True]),
    ]
    plan = executor.plan(calls)
    plan.run()
    failure, timing = plan.run_timed()
    n = executor.threads
    end = timing.start + timing.busy
    assert failure is None and timing.start.shape == timing.busy.shape == timing.times.shape == (4, n)
    assert timing.calls.tolist() == [0, 1, 1, 2]
    assert timing.times.tolist() == [[1] * n, [1] * n, [1] + [0] * (n - 1), [1] * n]
    assert np.isnan(timing.start[2, 1:]).all() and timing.busy[2, 0] > 5e-6 and not timing.busy[2, 1:].any()
    parallel = [0, 1, 3]
    assert (timing.busy[parallel] >= 0).all() and np.nanmin(timing.start) == 0
    assert (timing.start[3] >= end[2, 0]).all()  # the clock shows the barrier
    assert plan.run() is None


def test_thread_counts(jit, monkeypatch, tmp_path):
    with config.override(threads=3):
        assert Executor(jit).threads == 3
    assert config.read_environment({"GRAPHFLOW_THREADS": "5"}).threads == 5
    assert 1 <= config.read_environment({}).threads <= len(threads_module.os.sched_getaffinity(0))
    (tmp_path / "cpu").mkdir()
    assert config.cgroup_quota(str(tmp_path)) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert config.cgroup_quota(str(tmp_path)) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("150000\n")
    assert config.cgroup_quota(str(tmp_path)) == 1.5
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert config.cgroup_quota(str(tmp_path)) == 3
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert config.cgroup_quota(str(tmp_path)) == 1.5


def test_a_system_without_more_threads_still_runs(jit, code, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("graphflow.runtime.room._thread.start_new_thread", refuse)
    executor = Executor(jit, 2, back_off=False)
    cells = aligned((16,), np.int64, 0)
    executor.plan([Call([code["mark"]], [address(cells)], [True])]).run()
    assert cells[8] == 1 and executor.pool.workers == 0


def test_the_default_executor_is_one(tmp_path):
    with config.override(threads=2, cache_dir=str(tmp_path)):
        first = executor_module.default_executor()
        assert executor_module.default_executor() is first and first.threads == 2
    with config.override(threads=1, cache_dir=str(tmp_path)):
        assert executor_module.default_executor() is not first
