"""LLVM's code generator on several threads: texts go in, object files come out.

Every thread has an LLVM context and a target machine to itself, so that none waits for another's lock. Threads begin when there is work and
end when there is none: an idle process has none of them, and none can be lost in a fork.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from graphflow.compiler.llvm.target import Target
from graphflow.config import options

TURN = 0.0005  # seconds that a thread waits for the interpreter's lock while code is generated: those here need it often, and not for long


class Generation:
    """The object file of one text, finished or in the making."""

    __slots__ = ("_done", "_error", "_image", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._done = threading.Event()
        self._image = b""
        self._error: Exception | None = None

    def run(self, generator: CodeGenerator) -> None:
        """Generate it, on this thread. What goes wrong is kept for `result`."""
        try:
            self._image = generator.generate(self.text)
        except Exception as error:
            self._error = error
        self._done.set()

    def result(self) -> bytes:
        """The object file, when it is there; raises RuntimeError where LLVM does not accept the text."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._image


class CodeGenerator:
    """Generates code for one target on as many threads as the options allow."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.reset()

    def reset(self) -> None:
        """Forget all threads: in a forked child there are none."""
        self._state = threading.Condition()
        self._waiting: deque[Generation] = deque()
        self._running = 0
        self._usual_turn = TURN
        self._machines: list[Any] = []  # those that no thread uses: one serves one thread at a time

    def begin(self, text: str) -> Generation:
        """Start to generate the code of `text`; with a single thread it is done when this returns."""
        generation = Generation(text)
        if options().threads < 2:
            generation.run(self)
            return generation
        with self._state:
            self._waiting.append(generation)
            another = self._running < options().threads
            if another and not self._running:
                self._usual_turn = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN, self._usual_turn))
            self._running += another
        if another:
            threading.Thread(target=self._work, name="graphflow-codegen").start()
        return generation

    def wait(self) -> None:
        """Return when no thread is at work."""
        with self._state:
            self._state.wait_for(lambda: self._running == 0)

    def _work(self) -> None:
        while True:
            with self._state:
                if not self._waiting:
                    self._running -= 1
                    if not self._running:
                        sys.setswitchinterval(self._usual_turn)
                        self._state.notify_all()
                    return
                generation = self._waiting.popleft()
            generation.run(self)

    def generate(self, text: str) -> bytes:
        """The object file of a module in LLVM's assembly language, generated on this thread."""
        import llvmlite.binding as llvm  # see target.py

        with self.machine() as machine, llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
            module.verify()
            return _emit_object(machine, module)

    def assembly(self, text: str) -> str:
        """The machine code of a module, to be read by people."""
        import llvmlite.binding as llvm  # see target.py

        with self.machine() as machine, llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
            return str(machine.emit_assembly(module))

    @contextmanager
    def machine(self) -> Iterator[Any]:
        """A target machine for this thread alone."""
        try:
            machine = self._machines.pop()
        except IndexError:
            machine = self.new_machine()
        try:
            yield machine
        finally:
            self._machines.append(machine)

    def new_machine(self) -> Any:
        """A target machine that belongs to the caller."""
        import llvmlite.binding as llvm  # see target.py

        initialize_llvm()
        wanted = self.target
        return llvm.Target.from_triple(wanted.triple).create_target_machine(
            cpu=wanted.cpu, features=wanted.features, opt=3, reloc="pic", codemodel="small"
        )


@lru_cache(maxsize=1)
def initialize_llvm() -> None:
    """Register the code generator of this machine's architecture, once."""
    import llvmlite.binding as llvm  # see target.py

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _emit_object(machine: Any, module: Any) -> bytes:
    """`machine.emit_object(module)` outside llvmlite's global lock.

    llvmlite lets one thread into LLVM at a time. Code generation is safe beside other threads where, as here, context, module and machine
    belong to one thread alone, and it is nearly all of the time. Where llvmlite's wrapper looks different its own method serves.
    """
    from ctypes import string_at

    from llvmlite.binding import ffi

    unlocked = getattr(ffi.lib.LLVMPY_TargetMachineEmitToMemory, "_cfn", None)
    if unlocked is None:
        return bytes(machine.emit_object(module))
    with ffi.OutputString() as error:
        memory = unlocked(machine, module, 1, error)
        if not memory:
            raise RuntimeError(str(error))
    try:
        return string_at(ffi.lib.LLVMPY_GetBufferStart(memory), ffi.lib.LLVMPY_GetBufferSize(memory))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(memory)
