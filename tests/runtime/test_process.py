"""Fork, the end of the interpreter, and signals: each in a process of its own, which must end well and soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX processes")

PRELUDE = """
import os, sys, threading, time
import numpy as np

from graphflow.runtime.buffers import address, aligned
from graphflow.runtime.entries import Call
from graphflow.runtime.executor import Executor
from graphflow.runtime.jit import Jit
from tests.runtime import native
jit = Jit(cache_dir="")
executor = Executor(jit, 2, parking=PARKING, back_off=False)
cells = aligned((16,), np.int64, 0)
mark, delay = (native.compiled(jit, body.__name__, body) for body in (native.mark, native.delay))
plan = executor.plan([Call(mark.addresses, [address(cells)], [True])], keep=[mark])
long = executor.plan([Call(delay.addresses, [2_000_000], [True])], keep=[delay])
endless = executor.plan([Call(delay.addresses, [1 << 60], [True])], keep=[delay])
plan.run()
assert cells[:2].tolist() == [1, 1]
"""


def start(body: str, parking: str = "futex", *flags: str) -> subprocess.Popen[str]:
    program = PRELUDE.replace("PARKING", repr(parking)) + body
    return subprocess.Popen([sys.executable, *flags, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError("the process hangs: " + "".join(process.communicate())) from None
    assert process.returncode == status, err
    return out, err


FORK = """
for round in range(5):
    child = os.fork()
    if child == 0:
        before = cells.copy()
        for _ in range(20):
            plan.run()
        fine = (cells[:2] - before[:2]).tolist() == [20, 20] and executor.pool.workers == 1
        os._exit(0 if fine else 1)
    plan.run()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert cells[:2].tolist() == [6, 6], cells
"""


@pytest.mark.parametrize("parking", ["futex", "pipe"])
def test_both_sides_of_a_fork_have_workers(parking):
    _, err = finish(start(FORK, parking, "-W", "error"))  # Python 3.12 warns where threads live on during a fork
    assert err == ""


FORK_BUSY = """
def work():
    while True:
        long.run()
threading.Thread(target=work, daemon=True).start()
for round in range(10):
    child = os.fork()
    if child == 0:
        plan.run()
        jit.compile("in child", lambda: native.text("f", native.nothing), ["f"])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_fork_beside_a_running_step():
    finish(start(FORK_BUSY))


MULTIPROCESSING = """
import multiprocessing
def job(number):
    plan.run()
    return number * number
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(job, range(20)) == [n * n for n in range(20)]
    plan.run()
"""


def test_a_multiprocessing_pool():
    finish(start(MULTIPROCESSING))


def test_a_process_ends_with_workers_awake_or_asleep():
    for body in ("", "time.sleep(0.05)", "sys.exit(0)"):
        began = time.monotonic()
        assert finish(start(body)) == ("", "")
        assert time.monotonic() - began < 10


AFTER_EXIT = """
import atexit
def late():
    plan.run()
    print(cells[:2].tolist(), executor.pool.workers)
import graphflow.runtime.threads as threads
atexit.unregister(threads._at_exit)
atexit.register(late)
atexit.register(threads._at_exit)
"""


def test_a_step_after_the_workers_have_gone_runs_alone():
    assert finish(start(AFTER_EXIT))[0] == "[2, 1] 0\n"


def test_a_process_ends_while_a_daemon_thread_is_in_a_step():
    body = "import graphflow.runtime.threads as t\nt.STOP_PATIENCE = 0.1\n"
    body += "threading.Thread(target=endless.run, daemon=True).start()\ntime.sleep(0.05)\n"
    finish(start(body))


INTERRUPTED = """
print("ready", flush=True)
count = 0
try:
    while True:
        long.run()
        count += 1
except KeyboardInterrupt:
    plan.run()
    print(cells[:2].tolist(), executor.pool.workers, count > 0)
"""


def test_control_c_ends_the_loop_and_leaves_the_pool_usable():
    process = start(INTERRUPTED)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == "[2, 2] 1 True\n"


def test_the_runtime_does_not_import_llvmlite():
    program = "import graphflow.runtime.executor, sys; print(sorted({'llvmlite', 'concurrent.futures'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=20)
    assert done.stdout == "[]\n", done.stderr


OTHER_MACHINES = """
import llvmlite.binding as llvm
from graphflow.runtime import driver
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
linux, mac, windows = "unknown-linux-gnu", "apple-darwin", "pc-windows-msvc"
for triple in (f"aarch64-{linux}", f"arm64-{mac}", f"x86_64-{linux}", f"x86_64-{windows}", f"riscv64-{linux}"):
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=3, reloc="pic", codemodel="small")
    with llvm.create_context() as context, llvm.parse_assembly(driver.driver_text(triple), context) as module:
        module.verify()
        text = machine.emit_assembly(module).lower()
        print(*("\\t" + word in text for word in ("pause", "ldmxcsr", "rdtsc", "yield", "mrs")))
"""


def test_the_driver_can_be_generated_for_other_machines():
    """Only its own machine can run it; that code generation succeeds and uses each one's instructions is seen everywhere."""
    done = subprocess.run([sys.executable, "-c", OTHER_MACHINES], capture_output=True, text=True, cwd=ROOT, timeout=20)
    x86, arm, other = "True True True False False", "False False False True True", "False False False False False"
    assert done.stdout.splitlines() == [arm, arm, x86, x86, other], done.stderr[-500:]
