"""Contractions in a few lines, compiled and run on numpy arrays, and the same sum by numpy."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphflow.compiler.contract import schedule_contract
from graphflow.compiler.llvm.kernel import emit_kernel, phase_name
from graphflow.compiler.llvm.target import Target, target
from graphflow.kernel.expr import TYPES, Load, load, local
from graphflow.kernel.index import Index, evaluate, product, symbol
from graphflow.kernel.interpret import run
from graphflow.kernel.nodes import Axis, Buffer, Contract, Kernel, Role, Stmt, Store
from graphflow.kernel.verify import verify

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
PLAIN = replace(target(), tiles=False)  # this machine's vectors alone; test_matrix.py has the matrix tiles


@dataclass
class Case:
    """A contraction over named buffers; the symbols' values are given when it runs."""

    contract: Contract
    buffers: tuple[Buffer, ...]
    symbols: tuple[str, ...] = ()


def axes(**extents: Index) -> tuple[tuple[Axis, ...], dict[str, Any]]:
    """Axes and their symbols."""
    made = tuple(Axis(n, e) for n, e in extents.items())
    return made, {n: symbol(n, 0, e - 1 if isinstance(e, int) else None) for n, e in extents.items()}


def plain(type_: str, offset: Index, buffer: str = "y") -> tuple[Stmt, ...]:
    """The epilogue that stores the sum."""
    return (Store(buffer, offset, local("acc", type_)),)


def names_of(*sizes: Index) -> tuple[str, ...]:
    return tuple(sorted(set().union(*(evaluate_names(s) for s in sizes))))


def evaluate_names(index: Index) -> frozenset[str]:
    from graphflow.kernel.index import symbols_of

    return symbols_of(index)


def matmul(m: Index, n: Index, k: Index, kind: str = "NN", type_: str = "f32", batch: Index | None = None, shared: bool = False) -> Case:
    """y = op(a) @ op(b); `shared`: one b for the whole batch."""
    outer = {} if batch is None else {"b": batch}
    free, f = axes(**outer, i=m, j=n)
    reduced, r = axes(k=k)
    i, j, c = f["i"], f["j"], r["k"]
    at: Index = f.get("b", 0)
    left = load("a", type_, at * m * k + (i * k + c if kind[0] == "N" else c * m + i))
    right = load("w", type_, (0 if shared else at * k * n) + (c * n + j if kind[1] == "N" else j * k + c))
    case = Contract(free, reduced, left, right, plain(type_, at * m * n + i * n + j))
    lead: tuple[Index, ...] = () if batch is None else (batch,)
    buffers = (
        Buffer("a", type_, (*lead, *((m, k) if kind[0] == "N" else (k, m))), Role.IN),
        Buffer("w", type_, (*(() if shared else lead), *((k, n) if kind[1] == "N" else (n, k))), Role.IN),
        Buffer("y", type_, (*lead, m, n), Role.OUT),
    )
    return Case(case, buffers, names_of(m, n, k, *lead))


def conv(n: Index, h: int, w: int, ic: int, k: int, oc: int, stride: int = 1, dilation: int = 1, type_: str = "f32") -> Case:
    """y[n,oh,ow,oc] = sum x[n, oh*s + kh*d, ow*s + kw*d, ic] * f[kh,kw,ic,oc], VALID."""
    oh, ow = ((size - (k - 1) * dilation - 1) // stride + 1 for size in (h, w))
    free, f = axes(n=n, oh=oh, ow=ow, oc=oc)
    reduced, r = axes(kh=k, kw=k, ic=ic)
    x = load("x", type_, ((f["n"] * h + f["oh"] * stride + r["kh"] * dilation) * w + f["ow"] * stride + r["kw"] * dilation) * ic + r["ic"])
    wt = load("f", type_, ((r["kh"] * k + r["kw"]) * ic + r["ic"]) * oc + f["oc"])
    y = ((f["n"] * oh + f["oh"]) * ow + f["ow"]) * oc + f["oc"]
    buffers = (
        Buffer("x", type_, (n, h, w, ic), Role.IN),
        Buffer("f", type_, (k, k, ic, oc), Role.IN),
        Buffer("y", type_, (n, oh, ow, oc), Role.OUT),
    )
    return Case(Contract(free, reduced, x, wt, plain(type_, y)), buffers, names_of(n))


def conv_filter(n: Index, h: int, w: int, ic: int, k: int, oc: int, stride: int = 1, type_: str = "f32") -> Case:
    """dw[kh,kw,ic,oc] = sum over n,oh,ow of x[n, oh*s+kh, ow*s+kw, ic] * dy[n,oh,ow,oc]."""
    oh, ow = ((size - k) // stride + 1 for size in (h, w))
    free, f = axes(kh=k, kw=k, ic=ic, oc=oc)
    reduced, r = axes(n=n, oh=oh, ow=ow)
    x = load("x", type_, ((r["n"] * h + r["oh"] * stride + f["kh"]) * w + r["ow"] * stride + f["kw"]) * ic + f["ic"])
    dy = load("d", type_, ((r["n"] * oh + r["oh"]) * ow + r["ow"]) * oc + f["oc"])
    y = ((f["kh"] * k + f["kw"]) * ic + f["ic"]) * oc + f["oc"]
    buffers = (
        Buffer("x", type_, (n, h, w, ic), Role.IN),
        Buffer("d", type_, (n, oh, ow, oc), Role.IN),
        Buffer("y", type_, (k, k, ic, oc), Role.OUT),
    )
    return Case(Contract(free, reduced, x, dy, plain(type_, y)), buffers, names_of(n))


def conv_input(n: Index, h: int, w: int, ic: int, k: int, oc: int, type_: str = "f32") -> Case:
    """dx[n,h,w,ic] of a stride-1 VALID convolution, from dy with a halo of k-1 zeros; the filter is read backwards."""
    ph, pw = h + k - 1, w + k - 1
    free, f = axes(n=n, h=h, w=w, ic=ic)
    reduced, r = axes(kh=k, kw=k, oc=oc)
    dy = load("d", type_, ((f["n"] * ph + f["h"] + r["kh"]) * pw + f["w"] + r["kw"]) * oc + r["oc"])
    wt = load("f", type_, (((k - 1 - r["kh"]) * k + (k - 1 - r["kw"])) * ic + f["ic"]) * oc + r["oc"])
    y = ((f["n"] * h + f["h"]) * w + f["w"]) * ic + f["ic"]
    buffers = (
        Buffer("d", type_, (n, ph, pw, oc), Role.IN),
        Buffer("f", type_, (k, k, ic, oc), Role.IN),
        Buffer("y", type_, (n, h, w, ic), Role.OUT),
    )
    return Case(Contract(free, reduced, dy, wt, plain(type_, y)), buffers, names_of(n))


def depthwise(n: Index, h: int, w: int, c: int, k: int, mult: int = 1, type_: str = "f32") -> Case:
    """y[n,oh,ow,c*mult+m] = sum x[n,oh+kh,ow+kw,c] * f[kh,kw,c,m]."""
    oh, ow = h - k + 1, w - k + 1
    free, f = axes(n=n, oh=oh, ow=ow, c=c, m=mult)
    reduced, r = axes(kh=k, kw=k)
    x = load("x", type_, ((f["n"] * h + f["oh"] + r["kh"]) * w + f["ow"] + r["kw"]) * c + f["c"])
    wt = load("f", type_, ((r["kh"] * k + r["kw"]) * c + f["c"]) * mult + f["m"])
    y = (((f["n"] * oh + f["oh"]) * ow + f["ow"]) * c + f["c"]) * mult + f["m"]
    buffers = (
        Buffer("x", type_, (n, h, w, c), Role.IN),
        Buffer("f", type_, (k, k, c, mult), Role.IN),
        Buffer("y", type_, (n, oh, ow, c * mult), Role.OUT),
    )
    return Case(Contract(free, reduced, x, wt, plain(type_, y)), buffers, names_of(n))


def machine_of(target_: Target) -> Any:
    """LLVM's code generator for a target."""
    return llvm.Target.from_triple(target_.triple).create_target_machine(cpu=target_.cpu, features=target_.features, opt=3)


def assembly(text: str, machine: Any) -> str:
    """What LLVM makes of a module."""
    return str(machine.emit_assembly(llvm.parse_assembly(text)))


class Native:
    """A kernel turned into native code; `run` calls its phases as `threads` threads would, one after another."""

    def __init__(self, kernel: Kernel, machine: str | Target = PLAIN) -> None:
        self.target = target(machine) if isinstance(machine, str) else machine
        self.kernel = kernel
        self.text = emit_kernel(self.kernel, self.target)
        parsed = llvm.parse_assembly(self.text)
        parsed.verify()
        self.machine = machine_of(self.target)
        self.engine = llvm.create_mcjit_compiler(parsed, self.machine)
        self.engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.phases = [kind(self.engine.get_function_address(phase_name(self.kernel, n))) for n in range(len(kernel.phases))]

    def assembly(self) -> str:
        return assembly(self.text, self.machine)

    def block(self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> tuple[Any, list[Any]]:
        """The argument block, and what it points to."""
        held: list[Any] = []
        words = []
        for buffer in self.kernel.buffers:
            array = arrays.get(buffer.name)
            if array is None:
                array = aligned(np.full(max(1, evaluate(product(buffer.shape), sizes)), 77, TYPES[buffer.type]))
            held.append(array)
            words.append(array.ctypes.data)
        words += [sizes[s] for s in self.kernel.symbols]
        status = np.zeros(4, np.int64)
        held.append(status)
        words.append(status.ctypes.data)
        return (ctypes.c_int64 * len(words))(*words), held

    def run(self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None, threads: int = 1) -> None:
        block, held = self.block(arrays, sizes or {})
        for phase in self.phases:
            for thread in range(threads):
                phase(ctypes.addressof(block), thread, threads)
        del held


class Compiled(Native):
    """A case turned into native code."""

    def __init__(self, case: Case, machine: str | Target = PLAIN) -> None:
        machine = target(machine) if isinstance(machine, str) else machine
        schedule = schedule_contract(case.contract, machine)
        super().__init__(Kernel("test", (*case.buffers, *schedule.scratch), case.symbols, schedule.phases), machine)

    def plan(self) -> Any:
        """The plan of the contraction."""
        return next(s.plan for phase in self.kernel.phases for s in phase if isinstance(s, Contract))


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins at a cache line, as buffers of a plan do."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def close(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to rounding."""
    tolerance = 1e-5 if found.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(initial=1))


def interpreted_and_native(kernel: Kernel, given: Mapping[str, np.ndarray], sizes: Mapping[str, int], threads: Sequence[int]) -> Any:
    """What the interpreter makes of a kernel with one result, and that result of its machine code, the same bits on every number of
    threads."""
    verify(kernel)
    interpreted = run(kernel, given, sizes)
    native = Native(kernel)
    (out,) = (b.name for b in kernel.buffers if b.role is Role.OUT)
    results = []
    for count in threads:
        memory = {name: aligned(array) for name, array in {**interpreted, **given}.items()}
        native.run(memory, sizes, count)
        results.append(memory[out])
        np.testing.assert_array_equal(results[0], results[-1], "the same bits whatever the number of threads")
    return interpreted, results[0]


def inputs(case: Case, sizes: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Random contents for the buffers that are read, 77 in those that are only written."""
    rng = np.random.default_rng(seed)
    out: dict[str, np.ndarray] = {}
    for buffer in case.buffers:
        shape = tuple(evaluate(s, sizes) for s in buffer.shape)
        type_ = TYPES[buffer.type]
        if buffer.role is Role.OUT:
            out[buffer.name] = np.full(shape, 77, type_)
        elif type_.kind in "iu":
            out[buffer.name] = rng.integers(0 if type_.kind == "u" else -9, 9, shape).astype(type_)
        else:
            out[buffer.name] = rng.standard_normal(shape).astype(type_)
    return {name: aligned(array) for name, array in out.items()}


def sums(case: Case, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(acc, sum of |products|) over the free axes, in float64 (int64 for integers), by index arithmetic alone."""
    contract = case.contract
    names = [a.name for a in (*contract.free, *contract.reduced)]
    extents = [evaluate(a.extent, sizes) for a in (*contract.free, *contract.reduced)]
    grids = dict(zip(names, np.meshgrid(*(np.arange(e) for e in extents), indexing="ij", sparse=True), strict=True)) if names else {}
    wide = np.int64 if TYPES[contract.left.type].kind in "iu" else np.float64

    def values(source: Load) -> np.ndarray:
        at = np.asarray(positions(source.offset, {**sizes, **grids}))
        flat = arrays[source.buffer].reshape(-1)
        if not flat.size:
            return np.zeros(np.broadcast_shapes(at.shape, tuple(extents)), wide)
        return flat[at].astype(wide)

    axes_ = tuple(range(len(contract.free), len(names)))
    terms = np.broadcast_to(values(contract.left) * values(contract.right), tuple(extents))
    return terms.sum(axis=axes_), np.abs(terms).sum(axis=axes_)


def positions(index: Index, env: Mapping[str, Any]) -> Any:
    """An affine index over grids of positions."""
    if isinstance(index, int):
        return index
    return sum(c * math.prod(env[atom.key] for atom in factors) for factors, c in index.terms)


def check(
    case: Case, sizes: Mapping[str, int] | None = None, machine: str | Target = PLAIN, threads: Sequence[int] = (1, 2, 4)
) -> Compiled:
    """Compile and run with several thread counts: right within rounding, and the same bits for all."""
    sizes = sizes or {}
    compiled = Compiled(case, machine)
    first = None
    arrays = inputs(case, sizes)
    want, scale = sums(case, arrays, sizes)
    for count in threads:
        out = dict(arrays, y=aligned(np.full_like(arrays["y"], 77)))
        compiled.run(out, sizes, count)
        got = out["y"].reshape(want.shape)
        if got.dtype.kind in "iu":
            np.testing.assert_array_equal(got, want.astype(got.dtype))
        else:
            eps = np.finfo(got.dtype).eps
            bad = np.abs(got - want) > 4 * eps * (scale + 1) * 4
            assert not bad.any(), f"{bad.sum()} of {bad.size} wrong, first {np.argwhere(bad)[0]}; {compiled.kernel.phases}"
        if first is None:
            first = got.copy()
        assert np.array_equal(first, got, equal_nan=True), f"{count} threads give other bits"
    return compiled


def every(*lists: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(itertools.product(*lists))


Builder = Callable[..., Case]
