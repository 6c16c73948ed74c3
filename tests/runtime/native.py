"""Small native functions with the calling convention of a kernel's phase, for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg, module
from graphflow.runtime.jit import Code, Jit

Body = Callable[[FunctionBuilder, Callable[[int], Reg], Reg, Reg], None]


def text(name: str, body: Body) -> str:
    """A module with the one function `name`; the body gets (builder, word(i) of the arguments, thread, threads)."""
    b = FunctionBuilder(name, [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    args, thread, threads = b.params
    body(b, lambda i: b.load("i64", b.element(args, b.i64(i), "i64")), thread, threads)
    return module([b])


def compiled(jit: Jit, name: str, body: Body) -> Code:
    return jit.compile(name, lambda: text(name, body), [name])


def pointer(b: FunctionBuilder, word: Reg) -> Reg:
    return b.convert("inttoptr", word, "ptr")


def nothing(b, word, thread, threads):
    """Does nothing."""


def mark(b, word, thread, threads):
    """array0[thread] += 1, array0[8 + thread] = threads"""
    cell = b.element(pointer(b, word(0)), thread, "i64")
    b.store(b.add(b.load("i64", cell), b.i64(1)), cell)
    b.store(threads, b.element(pointer(b, word(0)), b.add(thread, b.i64(8)), "i64"))


def add_share(b, word, thread, threads):
    """array0[i] = array1[i] + argument2 for this thread's share of argument3 elements"""
    n = word(3)
    start = b.binary("sdiv", b.mul(n, thread), threads)
    end = b.binary("sdiv", b.mul(n, b.add(thread, b.i64(1))), threads)
    target, source, value = pointer(b, word(0)), pointer(b, word(1)), word(2)
    with b.loop("i", start, end, b.i64(1)) as loop:
        b.store(b.add(b.load("i64", b.element(source, loop.index, "i64")), value), b.element(target, loop.index, "i64"))


def rotate(b, word, thread, threads):
    """array0[(thread + 1) % threads] = array1[thread] + 1: wrong at once if a thread runs ahead"""
    step = b.add(thread, b.i64(1))
    place = b.binary("srem", step, threads)
    value = b.add(b.load("i64", b.element(pointer(b, word(1)), thread, "i64")), b.i64(1))
    b.store(value, b.element(pointer(b, word(0)), place, "i64"))


def fail(b, word, thread, threads):
    """Report check 4 with the value of argument 1 in status block argument 0, where argument 1 is not 0."""
    value = word(1)
    with b.when(b.compare("icmp ne", value, b.i64(0))):
        status = pointer(b, word(0))
        b.store(b.i64(5), status)
        b.store(value, b.element(status, b.i64(1), "i64"))


def multiply(b, word, thread, threads):
    """float32: array0[thread] = array1[0] * array1[1]"""
    source = pointer(b, word(1))
    product = b.binary("fmul", b.load("float", source), b.load("float", b.element(source, b.i64(1), "float")))
    b.store(product, b.element(pointer(b, word(0)), thread, "float"))


def delay(b, word, thread, threads):
    """Count to argument 0 in memory."""
    cell = b.alloca("i64", align=8)
    with b.loop("i", b.i64(0), word(0), b.i64(1)) as loop:
        b.emit(f"store volatile i64 {loop.index.ref}, ptr {cell.ref}")


def count(b, word, thread, threads):
    """array0[0] += 1; byte array1[0] = array0[0] < argument2"""
    cell = pointer(b, word(0))
    value = b.add(b.load("i64", cell), b.i64(1))
    b.store(value, cell)
    b.store(b.convert("zext", b.compare("icmp slt", value, word(2)), "i8"), pointer(b, word(1)))


def put(b, word, thread, threads):
    """array0[0] = argument1"""
    b.store(word(1), pointer(b, word(0)))


def fail_at(b, word, thread, threads):
    """Report check 2 with the value of array1[0] in status block argument 0, where that is argument 2 and this is thread argument 3, or
    the last one."""
    last = b.binary("sub", threads, b.i64(1))
    wanted = b.select(b.compare("icmp slt", word(3), last), word(3), last)
    value = b.load("i64", pointer(b, word(1)))
    hit = b.binary("and", b.compare("icmp eq", value, word(2)), b.compare("icmp eq", thread, wanted))
    with b.when(hit):
        status = pointer(b, word(0))
        b.store(b.i64(3), status)
        b.store(value, b.element(status, b.i64(1), "i64"))
