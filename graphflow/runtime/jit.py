"""From LLVM text to function addresses: in memory, from disk, or by compiling, whichever comes first.

A kernel is asked for by a key that decides its machine code; its text is only made where neither this process nor the disk cache has it.
Kernels are written in vector form already, so only LLVM's code generator runs (codegen.py): its optimisation pipeline doubles the time and
gains nothing. An object stays loaded as long as somebody holds its `Code`: whoever keeps an address keeps the `Code` beside it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet, WeakValueDictionary

from graphflow.compiler.llvm.target import Target, target
from graphflow.config import options
from graphflow.runtime.cache import DiskCache, StoredObject, digest_of
from graphflow.runtime.codegen import CodeGenerator, Generation

ABI_VERSION = "1"  # change it when the meaning of a kernel's arguments changes
KEPT = 512  # kernels kept loaded although nothing uses them at the moment
OBJECTS_PER_ENGINE = 64  # a dropped library leaks 10 KiB until its engine goes, so engines are small and retire
LOADED = time.time()  # a source file that is newer says nothing about the code that runs
CODEGEN_SOURCES = ("kernel", "compiler/llvm", "compiler/contract")


class Counters:
    """How often code was really generated. `snapshot` before and after something tells what it cost."""

    def __init__(self) -> None:
        self.compiled = 0
        self.loaded_from_disk = 0
        self.reused = 0
        self.seconds = 0.0  # that somebody waited for code

    def snapshot(self) -> tuple[int, int, int]:
        """(compiled, loaded_from_disk, reused)"""
        return self.compiled, self.loaded_from_disk, self.reused

    def __repr__(self) -> str:
        return (
            f"Counters(compiled={self.compiled}, loaded_from_disk={self.loaded_from_disk}, reused={self.reused}, "
            f"seconds={self.seconds:.3f})"
        )


counters = Counters()


class Request(NamedTuple):
    """One module to have: what decides its machine code, how to write it, and its functions in order."""

    key: str
    make_text: Callable[[], str]
    functions: Sequence[str]


class Code:
    """Loaded machine code: `addresses` in the order of the request's functions, valid while this object lives."""

    __slots__ = ("addresses", "functions", "origin", "size", "_tracker", "_engine", "__weakref__")

    def __init__(self, stored: StoredObject, origin: str, tracker: Any, engine: Any) -> None:
        self.functions = stored.functions
        self.addresses: tuple[int, ...] = tuple(tracker[name] for name in stored.functions)
        self.origin = origin  # "compiled" or "disk"
        self.size = len(stored.image)
        self._tracker = tracker
        self._engine = engine

    def __getitem__(self, function: str) -> int:
        return self.addresses[self.functions.index(function)]

    def __del__(self) -> None:
        tracker = getattr(self, "_tracker", None)
        if tracker is not None:
            self._tracker = None
            del tracker  # before the engine that it belongs to
            self._engine = None


class Jit:
    """Compiles for one target and keeps what it compiled. All methods may be called from any thread."""

    def __init__(self, for_target: Target | None = None, cache_dir: str | None = None) -> None:
        self.target = for_target or target(options().target)
        self.disk = DiskCache(options().cache_dir if cache_dir is None else cache_dir)
        self.notes = DiskNotes(self.disk)
        self._lock = threading.RLock()
        self._loaded: WeakValueDictionary[str, Code] = WeakValueDictionary()
        self._kept: OrderedDict[str, Code] = OrderedDict()
        self._engine: Any = None
        self._links = 0
        self._generator = CodeGenerator(self.target)
        self._begun: dict[str, Generation] = {}  # by key: what `begin` began and nobody has asked for since
        self._digests: dict[str, str] = {}  # by key
        self._identity: tuple[str, ...] | None = None
        _jits.add(self)

    def compile(self, key: str, make_text: Callable[[], str], functions: Sequence[str]) -> Code:
        """The code of one module; `make_text` is called only where the code is neither in memory nor on disk."""
        return self.compile_many([Request(key, make_text, functions)])[0]

    def begin(self, request: Request) -> None:
        """Announce a module that `compile_many` will be asked for: where it must be compiled, another thread begins with it."""
        with self._lock:
            if request.key not in self._loaded and not self.disk.holds(self._digest(request.key)):
                self._generation(request)

    def compile_many(self, requests: Iterable[Request]) -> list[Code]:
        """The codes of several modules. Those that must be compiled are compiled on all CPUs."""
        started = time.perf_counter()
        wanted = list(requests)
        with self._lock:
            found: dict[str, Code] = {}
            missing: dict[str, Request] = {}
            for request in wanted:
                code = found.get(request.key) or self._loaded.get(request.key)
                if code is not None:
                    counters.reused += 1
                elif request.key in missing:
                    counters.reused += 1
                    continue
                else:
                    code = self._from_disk(request)
                    if code is None:
                        missing[request.key] = request
                        continue
                found[request.key] = code
            # Texts are written here, one after the other, while other threads generate code for the earlier ones.
            generations = [self._generation(request) for request in missing.values()]
            for request in wanted:  # what was begun may also have come to the disk meanwhile, from another process
                self._begun.pop(request.key, None)
            for request, generation in zip(missing.values(), generations, strict=True):
                stored = StoredObject(tuple(request.functions), generation.result())
                found[request.key] = self._load(stored, "compiled")
                self.disk.store(self._digest(request.key), stored)
                counters.compiled += 1
            for key, code in found.items():
                self._loaded[key] = code
                self._kept[key] = code
                self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            counters.seconds += time.perf_counter() - started
            return [found[request.key] for request in wanted]

    def assembly(self, text: str) -> str:
        """What the code generator makes of `text`, to be read by people. Not cached: it generates the code once more."""
        with self._lock:
            return self._generator.assembly(text)

    def forget(self) -> None:
        """Drop what is kept in memory only because it might be wanted again."""
        with self._lock:
            self._kept.clear()
            self._begun.clear()

    # -- the three sources ---------------------------------------------------------------------------------------------------------

    def _from_disk(self, request: Request) -> Code | None:
        digest = self._digest(request.key)
        stored = self.disk.load(digest)
        if stored is None or len(stored.functions) != len(request.functions):
            return None
        try:
            code = self._load(stored, "disk")
        except RuntimeError:  # the digest is right and yet LLVM cannot link it: written by a broken program
            self.disk.discard(digest)
            return None
        counters.loaded_from_disk += 1
        return code

    def _generation(self, request: Request) -> Generation:
        """The code of a module in the making; begun here where it has not been."""
        found = self._begun.get(request.key)
        if found is None:
            found = self._begun[request.key] = self._generator.begin(request.make_text())
        return found

    def _load(self, stored: StoredObject, origin: str) -> Code:
        import llvmlite.binding as llvm  # see target.py

        if self._engine is None or self._links == OBJECTS_PER_ENGINE:
            # JITLink loads twice as fast as the older linker; it is LLVM's default for ELF and Mach-O
            self._engine = llvm.create_lljit_compiler(self._generator.new_machine(), use_jit_link=os.name != "nt")
            self._links = 0
        self._links += 1
        builder = llvm.JITLibraryBuilder().add_object_img(stored.image).add_current_process()  # memset and the like
        for name in stored.functions:
            builder.export_symbol(name)
        return Code(stored, origin, builder.link(self._engine, f"kernels.{self._links}"), self._engine)

    def _digest(self, key: str) -> str:
        """The name of a kernel's object on disk: everything that its machine code depends on."""
        found = self._digests.get(key)
        if found is None:
            if self._identity is None:
                self._identity = (*toolchain(), self.target.triple, self.target.cpu, self.target.features, repr(self.target))
            if len(self._digests) >= KEPT:
                self._digests.clear()
            found = self._digests[key] = digest_of((key, *self._identity))
        return found


class DiskNotes:
    """What the compiler has noted of kernels, beside their code. Valid for one state of the package's sources."""

    NAME = "note"

    def __init__(self, disk: DiskCache) -> None:
        self._disk = disk

    def load(self, key: str) -> bytes | None:
        """What was stored under `key`."""
        stored = self._disk.load(digest_of((key, sources())))
        return stored.image if stored is not None and stored.functions == (self.NAME,) else None

    def store(self, key: str, data: bytes) -> None:
        """Keep `data`."""
        self._disk.store(digest_of((key, sources())), StoredObject((self.NAME,), data))


def _changed(modified: float) -> bool:
    """Whether a file of this time of change may differ from what was loaded. A time yet to come is a matter of clocks."""
    return LOADED < modified <= time.time()


@lru_cache(maxsize=1)
def sources() -> str:
    """A name for the state of the package's source files, from their sizes and times of change; one of this process alone where a file has
    changed since they were loaded."""
    package = Path(__file__).parent.parent
    found = []
    for path in sorted(package.rglob("*.py")):
        status = path.stat()
        found.append(f"{path.relative_to(package)} {status.st_size} {status.st_mtime_ns}")
        if _changed(status.st_mtime):
            return os.urandom(16).hex()
    return digest_of((*found, repr(sys.version_info)))


@lru_cache(maxsize=1)
def toolchain() -> tuple[str, ...]:
    """What, besides a kernel and its target, decides its machine code: our generator's source and LLVM's version."""
    import llvmlite  # see target.py
    import llvmlite.binding as llvm

    total = hashlib.sha256()
    package = Path(__file__).parent.parent
    for folder in CODEGEN_SOURCES:
        for path in sorted((package / folder).rglob("*.py")):
            if _changed(path.stat().st_mtime):
                total.update(os.urandom(16))  # what runs here is not what the file says: for this process alone
            total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest(), llvmlite.__version__, repr(llvm.llvm_version_info), ABI_VERSION


@lru_cache(maxsize=4)
def _jit_for(target_name: str, cache_dir: str) -> Jit:
    return Jit(target(target_name), cache_dir)


def default_jit() -> Jit:
    """The Jit of the options in force; the same one every time."""
    return _jit_for(options().target, options().cache_dir)


_jits: WeakSet[Jit] = WeakSet()
_held: list[Jit] = []


def _before_fork() -> None:
    """No thread may be in the middle of a compilation when the process is copied: in the child it would never finish."""
    for jit in list(_jits):
        jit._lock.acquire()
        jit._generator.wait()
        _held.append(jit)


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()


def _after_fork_in_child() -> None:
    for jit in _held:
        jit._generator.reset()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
