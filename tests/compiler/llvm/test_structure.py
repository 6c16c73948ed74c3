"""What the emitted text looks like: values leave loops, addresses share pointers, widths follow the target, memory is respected."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg, module
from graphflow.compiler.llvm.kernel import emit_kernel, emit_phase
from graphflow.compiler.llvm.stmt import Emitter
from graphflow.compiler.llvm.target import AVX2, AVX512, NAMED, NEON, SSE2, Target, target
from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import call, const, exp, load, local, maximum
from graphflow.kernel.functions import FUNCTIONS
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Kernel, Mode, Store
from tests.compiler.llvm.native import compile_text, run_native

n = symbol("n")


def rows(type_: str = "f32") -> Kernel:
    """y[i, j] = (x[i, j] + r[i]) * b[0] over rows of 64."""
    k = KernelBuilder("rows")
    x, r, b, y = (
        k.input("x", type_, (n, 64)),
        k.input("r", type_, (n,)),
        k.input("b", type_, ()),
        k.output("y", type_, (n, 64)),
    )
    with k.loop("i", n, Mode.PARALLEL) as i, k.loop("j", 64, Mode.VECTOR) as j:
        k.store(y, (i, j), (k.load(x, (i, j)) + k.load(r, i)) * k.load(b, 0))
    return k.build()


def blocks(text: str) -> dict[str, str]:
    """The text of each basic block by its label."""
    found = {"entry": ""}
    current = "entry"
    for line in text.splitlines():
        label = re.fullmatch(r"([\w.]+):", line)
        if label:
            current = label[1]
            found[current] = ""
        else:
            found[current] += line + "\n"
    return found


def test_what_does_not_change_in_a_loop_is_outside_of_it() -> None:
    parts = blocks(emit_kernel(rows(), AVX512))
    inner = parts["j.body"]
    assert inner.count("load <16 x float>") == 1 and "load float" not in inner and "mul nsw" not in inner
    assert parts["i.body"].count("load float") == 1  # r[i], once a row
    assert "shufflevector" in parts["i.body"] and "shufflevector" not in inner
    before = "".join(parts[label] for label in parts if label not in ("i.head", "i.body", "j.head", "j.body"))
    assert before.count("load float") == 1  # b[0], once
    assert "j.rest" not in parts  # 64 is a multiple of every width


def test_a_load_that_leaves_a_loop_that_may_not_run_reads_zeros_instead() -> None:
    m = symbol("m")
    k = KernelBuilder("maybe")
    x, b, y = k.input("x", "f32", (n, m)), k.input("b", "f32", (1,)), k.output("y", "f32", (n, m))
    with k.loop("i", n) as i, k.loop("j", m, Mode.VECTOR) as j:
        k.store(y, (i, j), k.load(x, (i, j)) * k.load(b, 0))
    assert "@graphflow.zeros" in emit_kernel(k.build(), AVX512)
    k = KernelBuilder("surely")
    x, b, y = k.input("x", "f32", (3, 7)), k.input("b", "f32", (1,)), k.output("y", "f32", (3, 7))
    with k.loop("i", 3) as i, k.loop("j", 7, Mode.VECTOR) as j:
        k.store(y, (i, j), k.load(x, (i, j)) * k.load(b, 0))
    assert "@graphflow.zeros" not in emit_kernel(k.build(), AVX512)


@pytest.mark.parametrize("described", NAMED.values(), ids=NAMED)
def test_width_follows_the_target(described: Target) -> None:
    for type_, llvm_type, size in (("f32", "float", 4), ("f64", "double", 8)):
        text = emit_kernel(rows(type_), described)
        assert f"<{described.vector_bytes // size} x {llvm_type}>" in text
        llvm.parse_assembly(text).verify()


def test_no_vector_function_is_left_to_the_library() -> None:
    k = KernelBuilder("all")
    names = [f for f, (arity, _, _) in FUNCTIONS.items() if arity == 1 and not f.startswith(("bitcast", "is", "not"))]
    x = k.input("x", "f32", (n,))
    outs = [k.output(f"y_{f}", "f32", (n,)) for f in names]
    with k.loop("i", n, Mode.VECTOR) as i:
        for f, out in zip(names, outs, strict=True):
            k.store(out, i, call(f, k.load(x, i)))
    for described in (AVX512, AVX2, NEON):
        text = emit_kernel(k.build(), described)
        declared = set(re.findall(r"declare .*?@([\w.]+)\(", text))
        if described.estimates:  # these are instructions
            declared -= {f"llvm.x86.avx512.{f}.ps.512" for f in ("rcp14", "rsqrt14", "fpclass", "mask.scalef")}
        vectors = {d.split(".")[1] for d in declared if re.search(r"\.v\d+", d)}
        assert vectors <= {"fma", "fabs", "sqrt", "copysign", "floor", "rint", "trunc", "masked"}, vectors
        assert {d for d in declared if not re.search(r"\.v\d+", d)} <= {
            "llvm.sin.f64",
            "llvm.cos.f64",
            "llvm.sin.f32",
            "llvm.cos.f32",
        } | {
            f"llvm.{f}.{t}"
            for f in ("fma", "fabs", "sqrt", "copysign", "floor", "rint", "trunc")
            for t in ("f32", "f64")
        }


def test_narrow_loops_take_narrow_vectors() -> None:
    for extent, lanes in ((3, 4), (2, 2), (10, 16), (200, 16)):
        k = KernelBuilder("narrow")
        x, y = k.input("x", "f32", (n, extent)), k.output("y", "f32", (n, extent))
        with k.loop("i", n) as i, k.loop("j", extent, Mode.VECTOR) as j:
            k.store(y, (i, j), k.load(x, (i, j)) * 2.0)
        assert f"<{lanes} x float>" in emit_kernel(k.build(), AVX512), extent


def test_tile_of_an_epilogue_shares_pointers_and_operands() -> None:
    """The way contractions use `bind`: origins bound outside, rows and columns as displacements."""
    k = KernelBuilder("tile")
    b, y = k.input("b", "f32", (64,)), k.output("y", "f32", (n, 64))
    kernel_epilogue = (
        Store("y", symbol("m") * 64 + symbol("c"), maximum(local("acc", "f32") + load("b", "f32", symbol("c")), 0.0)),
    )
    k.store(y, 0, const(0, "f32"))
    del b
    kernel = k.build()
    builder = FunctionBuilder("tile", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    em = Emitter(builder, kernel, AVX512, lambda *_: None)
    m0, c0 = builder.i64(0), builder.i64(16)
    m0, c0 = builder.binary("add", em.thread, m0), builder.binary("add", em.thread, c0)
    with em.bind({"m0": m0, "c0": c0}, vector="c0", lanes=16):
        for v in range(2):
            with em.bind({"c": symbol("c0") + 16 * v}):
                for r in range(3):
                    acc = builder.constant(float(r), "<16 x float>")
                    with em.bind({"m": symbol("m0") + r}, locals={"acc": (acc, "f32")}):
                        em.run(kernel_epilogue)
    text = module([builder])
    llvm.parse_assembly(text).verify()
    assert text.count("load <16 x float>") == 2  # the bias once for each vector of columns, not for each row
    assert text.count("store <16 x float>") == 6
    assert text.count("mul nsw") == 1  # m0*64, once


def test_mask_of_a_bind_reaches_loads_and_stores() -> None:
    k = KernelBuilder("masked")
    k.input("x", "f32", (n,)), k.output("y", "f32", (n,))
    k.store(k.buffers[1], 0, const(0, "f32"))
    builder = FunctionBuilder("masked", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    em = Emitter(builder, k.build(), AVX512, lambda *_: None)
    mask = Reg("<16 x i1>", "<" + ", ".join(["i1 true"] * 5 + ["i1 false"] * 11) + ">")
    with em.bind({"i": builder.i64(0)}, vector="i", lanes=16, mask=mask):
        em.run([Store("y", symbol("i"), exp(load("x", "f32", symbol("i"))))])
    engine = compile_text(module([builder]))
    x, y = np.arange(16, dtype=np.float32), np.full(16, -1, np.float32)
    arguments = np.array([x.ctypes.data, y.ctypes.data, 16, 0], np.int64)
    call_ = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
        engine.get_function_address("masked")
    )
    call_(arguments.ctypes.data, 0, 1)
    np.testing.assert_allclose(y[:5], np.exp(x[:5]), rtol=1e-6)
    assert (y[5:] == -1).all()


def test_a_phase_without_parallel_loop_runs_on_the_first_thread_only() -> None:
    k = KernelBuilder("once")
    y = k.inout("y", "f32", (1,))
    k.store(y, 0, k.load(y, 0) + 1.0)
    got, _ = run_native(k.build(), {"y": np.zeros(1, np.float32)}, threads=4)
    assert got["y"][0] == 1
    assert "icmp eq i64 %thread, 0" in emit_phase(k.build(), 0, AVX512).finish()


def test_targets_by_name() -> None:
    assert target("avx2").lanes("f32") == 8 and target("sse2").lanes("f64") == 2 and NEON.lanes("u8") == 16
    assert target("native").vector_bytes in (16, 32, 64) and target("native").cpu
    assert not SSE2.fma and not SSE2.masks and AVX512.masks and AVX512.registers == 32
    with pytest.raises(ValueError, match="choose native, sse2, avx2, avx512, neon"):
        target("mmx")


EDGE = """
import ctypes, mmap
import numpy as np
from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import TYPES, as_index, cast, maximum, within
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Mode
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import target
from tests.compiler.llvm.native import TARGETS, compile_text
libc = ctypes.CDLL(None)
page = mmap.PAGESIZE
keep = []
def at_edge(array, low):
    area = mmap.mmap(-1, 3 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(area))
    assert libc.mprotect(ctypes.c_void_p(base), page, 0) == 0
    assert libc.mprotect(ctypes.c_void_p(base + 2 * page), page, 0) == 0
    start = base + page if low else base + 2 * page - array.nbytes
    ctypes.memmove(start, array.ctypes.data, array.nbytes)
    keep.append(area)
    return start
n = symbol("n")
for type_ in ("f32", "i8", "f64", "bool"):
    k = KernelBuilder("edge")
    x, y, p, g = k.input("x", type_, (n,)), k.output("y", type_, (n,)), k.output("p", type_, (n,)), k.output("g", type_, (n,))
    ids = k.input("ids", "i64", (n,))
    back, late = k.output("back", type_, (n,)), k.output("late", type_, (n,))
    apart = [(step, k.output(f"apart{step}", type_, (n // step,))) for step in (2, 3, 4, 5, 7, 8)]
    for step, every in apart:
        with k.loop("i", n // step, Mode.VECTOR) as i:
            k.store(every, i, k.load(x, step * i + step - 1))
    with k.loop("i", n, Mode.VECTOR) as i:
        k.store(back, i, k.load(x, n - 1 - i))
        k.store(late, i, k.load(x, n + 2 - i, within(n + 2 - i, n)))
        k.store(y, i, maximum(k.load(x, i), k.load(x, 0)))
        k.store(p, i, k.load(x, i - 3, within(i - 3, n)))
        k.store(g, i, k.load(x, as_index(k.load(ids, i), 0, None)))
    for name in TARGETS:
        engine = compile_text(emit_kernel(k.build(), target(name)), name)
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(engine.get_function_address("edge.phase0"))
        for size in (0, 1, 5, 16, 37, 63):
            for low in (False, True):
                data = (np.arange(size) * 3 % 7).astype(TYPES[type_])
                room = [np.zeros(m, TYPES[type_]) for m in (size, size, *(size // step for step, _ in apart))]
                spaces = [at_edge(a, low) for a in (data, data, data, data, np.arange(size)[::-1].copy(), *room)]
                status = np.zeros(4, np.int64)
                args = np.array([*spaces, size, status.ctypes.data], np.int64)
                call(args.ctypes.data, 0, 1)
                for at, a in zip(spaces[5:], room):
                    ctypes.memmove(a.ctypes.data, at, a.nbytes)
                assert (room[0] == data[::-1]).all()
                assert (room[1] == np.append(np.zeros(3, room[1].dtype), data[::-1])[:size]).all()
                for (step, _), a in zip(apart, room[2:]):
                    assert (a == data[step - 1 :: step][: size // step]).all(), (step, size)
print("survived")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
def test_inactive_lanes_touch_no_memory() -> None:
    """Arrays that end where a protected page begins (and begin where one ends): one element too many would kill the process."""
    done = subprocess.run([sys.executable, "-c", EDGE], cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == 0 and "survived" in done.stdout, done.stderr[-2000:]
