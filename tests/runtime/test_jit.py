"""The Jit: one compilation per key, objects from disk without any text, lifetime of code."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import graphflow.config as config
from graphflow.compiler.llvm.target import target
from graphflow.runtime import jit as jit_module
from graphflow.runtime.jit import Jit, Request, counters
from tests.runtime import native


def never() -> str:
    raise AssertionError("no text was needed")


def store_text(name: str, value: int) -> str:
    return native.text(name, lambda b, word, thread, threads: b.store(b.i64(value), native.pointer(b, word(0))))


def call(address: int) -> int:
    """What the function stores where its first argument points."""
    out = np.zeros(1, np.int64)
    args = np.array([out.ctypes.data], np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)(args.ctypes.data, 0, 1)
    return int(out[0])


def delta(before: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(new - old for new, old in zip(counters.snapshot(), before, strict=True))


def test_equal_keys_are_compiled_once(tmp_path):
    jit = Jit(cache_dir=str(tmp_path))
    before = counters.snapshot()
    first = jit.compile("seven", lambda: store_text("k.phase0", 7), ["k.phase0"])
    assert call(first.addresses[0]) == 7 and first.origin == "compiled" and first["k.phase0"] == first.addresses[0]
    assert delta(before) == (1, 0, 0)
    assert jit.compile("seven", never, ["k.phase0"]) is first
    assert delta(before) == (1, 0, 1)


def test_another_process_s_work_is_loaded_without_text(tmp_path):
    Jit(cache_dir=str(tmp_path)).compile("seven", lambda: store_text("k.phase0", 7), ["k.phase0"])
    before = counters.snapshot()
    code = Jit(cache_dir=str(tmp_path)).compile("seven", never, ["other_name.phase0"])
    assert delta(before) == (0, 1, 0)
    assert call(code.addresses[0]) == 7 and code.origin == "disk" and code.functions == ("k.phase0",)


def test_many_at_once_with_repetitions(tmp_path):
    for threads in (1, 2):
        with config.override(threads=threads):
            jit = Jit(cache_dir="")
            before = counters.snapshot()
            requests = [Request(f"value {i % 5}", lambda i=i: store_text("k.phase0", i % 5), ["k.phase0"]) for i in range(10)]
            codes = jit.compile_many(requests)
            assert [call(code.addresses[0]) for code in codes] == [0, 1, 2, 3, 4] * 2
            assert delta(before) == (5, 0, 5)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_announced_is_generated_once(tmp_path, threads):
    with config.override(threads=threads):
        jit, made, turn = Jit(cache_dir=str(tmp_path)), [], sys.getswitchinterval()
        requests = [Request(str(i), lambda i=i: made.append(i) or store_text("k", i), ["k"]) for i in range(6)]
        for request in (*requests, *requests):
            jit.begin(request)
        assert made == list(range(6))
        assert [call(code.addresses[0]) for code in jit.compile_many(requests)] == made == list(range(6))
        jit._generator.wait()
        assert sys.getswitchinterval() == turn and not jit._begun
        Jit(cache_dir=str(tmp_path)).begin(Request("0", never, ["k"]))  # on disk


def test_what_was_announced_and_another_process_finished_is_not_kept(tmp_path):
    jit, other = Jit(cache_dir=str(tmp_path)), Jit(cache_dir=str(tmp_path))
    request = Request("3", lambda: store_text("k", 3), ["k"])
    jit.begin(request)
    other.compile_many([request])
    assert call(jit.compile_many([request])[0].addresses[0]) == 3
    assert not jit._begun


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_child_forked_while_code_is_generated_can_compile():
    with config.override(threads=2):
        jit = Jit(cache_dir="")
        requests = [Request(str(i), lambda i=i: store_text("k", i), ["k"]) for i in range(8)]
        for request in requests:
            jit.begin(request)
        child = os.fork()
        if child == 0:
            codes = jit.compile_many([*requests, Request("new", lambda: store_text("k", 77), ["k"])])
            os._exit(0 if [call(code.addresses[0]) for code in codes] == [*range(8), 77] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert [call(code.addresses[0]) for code in jit.compile_many(requests)] == list(range(8))


def test_several_functions_in_one_module(tmp_path):
    text = store_text("k.phase0", 3) + store_text("k.phase1", 4)
    code = Jit(cache_dir="").compile("two", lambda: text, ["k.phase1", "k.phase0"])
    assert [call(address) for address in code.addresses] == [4, 3]


def test_damaged_objects_are_compiled_again(tmp_path):
    jit = Jit(cache_dir=str(tmp_path))
    jit.compile("seven", lambda: store_text("k.phase0", 7), ["k.phase0"])
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    good = path.read_bytes()
    for damage in (good[:-10], b"", good[:40] + b"?" + good[41:]):
        path.write_bytes(damage)
        before = counters.snapshot()
        code = Jit(cache_dir=str(tmp_path)).compile("seven", lambda: store_text("k.phase0", 7), ["k.phase0"])
        assert call(code.addresses[0]) == 7 and delta(before) == (1, 0, 0)
        assert path.read_bytes() == good


def test_an_object_that_does_not_link_is_compiled_again(tmp_path):
    jit = Jit(cache_dir=str(tmp_path))
    stored = jit_module.StoredObject(("k.phase0",), b"no object file at all" * 100)
    jit.disk.store(jit._digest("seven"), stored)
    before = counters.snapshot()
    code = jit.compile("seven", lambda: store_text("k.phase0", 7), ["k.phase0"])
    assert call(code.addresses[0]) == 7 and delta(before) == (1, 0, 0)


def test_the_key_on_disk_names_target_and_toolchain(tmp_path, monkeypatch):
    here, narrow = (Jit(target(name), cache_dir="") for name in ("avx2", "sse2"))
    assert here._digest("k") == Jit(target("avx2"), cache_dir="")._digest("k")
    assert here._digest("k") != narrow._digest("k") and here._digest("k") != here._digest("l")
    monkeypatch.setattr(jit_module, "toolchain", lambda: ("another version",))
    assert Jit(cache_dir="")._digest("k") != here._digest("k")


def test_malformed_text_is_an_error_and_the_jit_stays_usable():
    jit = Jit(cache_dir="")
    with pytest.raises(RuntimeError, match="parsing error"):
        jit.compile("bad", lambda: "define void @k() { ret i64 0 }", ["k"])
    undominated = "define i64 @k(i1 %c) {\nbr i1 %c, label %a, label %b\na:\n%x = add i64 1, 2\nbr label %b\nb:\nret i64 %x\n}"
    with pytest.raises(RuntimeError, match="dominate"):
        jit.compile("unverified", lambda: undominated, ["k"])
    with pytest.raises(RuntimeError):
        jit.compile("missing", lambda: store_text("k", 1), ["not there"])
    assert call(jit.compile("good", lambda: store_text("k", 7), ["k"]).addresses[0]) == 7


def test_one_bad_module_among_many_is_reported():
    with config.override(threads=2):
        jit = Jit(cache_dir="")
        requests = [Request(str(i), lambda i=i: store_text("k", i) if i != 3 else "nonsense", ["k"]) for i in range(6)]
        with pytest.raises(RuntimeError, match="parsing error"):
            jit.compile_many(requests)
        assert call(jit.compile_many(requests[:3])[2].addresses[0]) == 2


def test_threads_asking_for_the_same_kernel_share_it():
    jit = Jit(cache_dir="")
    before, codes = counters.snapshot(), []
    wait = threading.Barrier(6)

    def ask() -> None:
        wait.wait()
        codes.append(jit.compile("seven", lambda: store_text("k", 7), ["k"]))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(code) for code in codes}) == 1 and delta(before) == (1, 0, 5)


def test_assembly_is_made_on_demand():
    before = counters.snapshot()
    text = Jit(cache_dir="").assembly(store_text("k.phase0", 77))
    assert "k.phase0" in text and "77" in text and delta(before) == (0, 0, 0)


def resident_kib() -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_dropped_kernels_leave_no_memory_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(jit_module, "KEPT", 4)
    warm = Jit(cache_dir=str(tmp_path))
    warm.compile_many([Request(str(i), lambda i=i: store_text("k", i), ["k"]) for i in range(130)])
    held = warm.compile("held", lambda: store_text("k", 4711), ["k"])
    before = 0
    for round in range(12):
        jit = Jit(cache_dir=str(tmp_path))
        for number in range(130):
            jit.compile(str(number), never, ["k"])
        del jit
        gc.collect()
        if round == 3:
            before = resident_kib()
    # 8 rounds of 130 kernels; one engine for all would keep 10 KiB of each, 10 MiB
    assert resident_kib() - before < 3000
    assert call(held.addresses[0]) == 4711


SHARED = """
import sys
from tests.runtime.test_jit import call, store_text
from graphflow.runtime.jit import Jit, Request, counters
from tests.runtime import native
jit = Jit(cache_dir=sys.argv[1])
codes = jit.compile_many([Request(str(i), lambda i=i: store_text("k", i), ["k"]) for i in range(30)])
assert [call(code.addresses[0]) for code in codes] == list(range(30))
print(counters.compiled + counters.loaded_from_disk)
"""


def test_two_processes_fill_one_cache(tmp_path):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SHARED, str(tmp_path)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    for run in runs:
        out, err = run.communicate(timeout=60)
        assert out.strip() == "30", err
    before = counters.snapshot()
    Jit(cache_dir=str(tmp_path)).compile_many([Request(str(i), never, ["k"]) for i in range(30)])
    assert delta(before) == (0, 30, 0)
