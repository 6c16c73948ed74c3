"""`graphflow doctor` and `graphflow cache ls|clear`: the machine, the settings, and the compiled objects on disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence

from graphflow.compiler.llvm.target import Target, target
from graphflow.config import Options, cgroup_quota, options
from graphflow.runtime.cache import SUFFIX, DiskCache
from graphflow.tools.machine import Machine, available, measured


def _versions() -> str:
    found = []
    for name in ("numpy", "llvmlite", "networkx"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} is missing")
    return ", ".join(found)


def _size(count: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
        count = count // 1024 if unit == "bytes" else count / 1024  # type: ignore[assignment]
    return f"{count:.1f} GiB"


def report() -> str:
    """The findings, one a line; what makes programs slow here begins with "slow:"."""
    import graphflow

    chosen, machine = options(), target(options().target)
    cpus, quota = os.cpu_count() or 1, cgroup_quota()
    files = DiskCache(chosen.cache_dir).files() if chosen.cache_dir else []
    speed = measured(chosen.threads)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    lines = [
        f"graphflow {graphflow.graphflow_version} for TensorFlow {graphflow.__version__} programs",
        f"python    {platform.python_version()} ({sys.executable})",
        f"packages  {_versions()}",
        f"cpu       {machine.cpu}, {machine.triple}",
        f"vectors   {machine.vector_bytes * 8} bits ({machine.vector_bytes // 4} float32), {machine.registers} registers"
        + "".join(f", {name}" for name, has in _extras(machine) if has),
        f"threads   {chosen.threads} of {cpus} CPUs" + ("" if quota is None else f" (the container allows {quota:g})"),
        f"peak      {speed.flops / 1e9:.0f} GF/s float32 on {speed.threads} threads, {speed.core_flops / 1e9:.0f} on one (measured)",
        f"memory    L2 {speed.l2 / 1e9:.0f}, L3 {speed.l3 / 1e9:.0f}, DRAM {speed.dram / 1e9:.0f} GB/s"
        f" read on {speed.threads} threads (measured);"
        f" L2 {_size(speed.sizes['l2'])} a core, L3 {_size(speed.sizes['l3'])}",
        f"cache     {chosen.cache_dir or 'off'}: {len(files)} files, {_size(sum(size for _, size, _ in files))}",
    ]
    return "\n".join([*lines, *(f"slow:     {text}" for text in slow_here(chosen, machine, speed, load))])


def _extras(machine: Target) -> tuple[tuple[str, bool], ...]:
    """What an instruction set may have, and whether this one does."""
    return ("fma", machine.fma), ("masks", machine.masks), ("half", machine.half), ("matrix tiles", machine.tiles)


def slow_here(chosen: Options, machine: Target, speed: Machine, load: float) -> list[str]:
    """What makes programs slower on this machine, with these settings, than they need be."""
    slow = []
    cpus, quota = os.cpu_count() or 1, cgroup_quota()
    if not chosen.cache_dir:
        slow.append("no cache folder: every process compiles anew (unset GRAPHFLOW_CACHE_DIR)")
    elif not DiskCache(chosen.cache_dir)._ready():
        slow.append(f"the cache folder {chosen.cache_dir} cannot be used, or others may write to it: every process compiles anew")
    if chosen.threads < available() and (quota is None or chosen.threads < int(quota)):
        slow.append(f"GRAPHFLOW_THREADS={chosen.threads}: {available()} CPUs may be used")
    if quota is not None and quota != int(quota) and quota < cpus:
        slow.append(f"the container's share of {quota:g} CPUs is no whole number: a thread is stopped for part of every period")
    if speed.flops < 0.75 * speed.threads * speed.core_flops:
        times = speed.flops / speed.core_flops
        slow.append(f"{speed.threads} threads together reach {times:.1f} times the peak of one: the CPUs are halves of one core, or busy")
    if speed.dram / speed.flops < 0.02:
        balance = speed.flops / speed.dram
        slow.append(f"memory is slow beside arithmetic, {balance:.0f} operations a byte: large elementwise work waits for it")
    if not machine.half:
        slow.append("no half precision in hardware: float16 is converted number by number")
    if machine.vector_bytes < 32 and "86" in machine.triple:
        slow.append("no AVX2: kernels use 128-bit vectors")
    if chosen.target != "native":
        slow.append(f"GRAPHFLOW_TARGET={chosen.target}: not the machine's own instructions")
    if chosen.debug or chosen.verify > 1:
        slow.append("GRAPHFLOW_DEBUG or GRAPHFLOW_VERIFY is set: compiling takes longer")
    if chosen.watch_nan:
        slow.append("GRAPHFLOW_DEBUG=nan: every kernel's result is looked at in Python")
    if chosen.passes_off or chosen.pass_limit is not None:
        slow.append("GRAPHFLOW_PASSES_OFF or GRAPHFLOW_PASS_LIMIT is set: what those passes would have saved is computed")
    if chosen.dump_to:
        slow.append(f"GRAPHFLOW_DUMP_TO={chosen.dump_to}: every compilation is written down")
    if load > cpus:
        slow.append(f"load {load:.1f} on {cpus} CPUs: other processes take time away")
    return slow


def cache(arguments: Sequence[str]) -> int:
    """`ls` shows the cached objects, newest first; `clear` removes them."""
    command = arguments[0] if arguments else "ls"
    folder = options().cache_dir
    if command not in ("ls", "clear") or len(arguments) > 1:
        print("usage: graphflow cache [ls|clear]", file=sys.stderr)
        return 2
    if not folder:
        print("the cache is off (GRAPHFLOW_CACHE_DIR is empty)")
        return 0
    files = sorted((f for f in DiskCache(folder).files() if f[2].endswith(SUFFIX)), reverse=True)
    total = _size(sum(size for _, size, _ in files))
    if command == "clear":
        for _, _, path in files:
            DiskCache._remove(path)
        print(f"removed {len(files)} objects, {total}, from {folder}")
        return 0
    for used, size, path in files:
        digest = os.path.relpath(path, os.path.join(folder, "objects")).replace(os.sep, "").removesuffix(SUFFIX)
        print(f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(used))} {size:>9} {digest[:16]}")
    print(f"{len(files)} objects, {total}, in {folder}")
    return 0
