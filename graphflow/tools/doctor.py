"""`graphflow doctor` and `graphflow cache ls|clear`: the machine, the settings, and the compiled objects on disk."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Sequence

from graphflow.config import cgroup_quota, options
from graphflow.runtime.cache import SUFFIX, DiskCache


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


def bandwidth(seconds: float = 0.2) -> float:
    """Bytes a second that one thread copies in main memory, read and written bytes together: the best of several copies."""
    import numpy as np

    source, target = np.ones(1 << 24, np.float32), np.empty(1 << 24, np.float32)
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > end:
            return 2 * source.nbytes / best


def report() -> str:
    """The findings, one a line; what makes programs slow here begins with "slow:"."""
    import graphflow
    from graphflow.compiler.llvm.target import target

    chosen, machine = options(), target(options().target)
    cpus, quota = os.cpu_count() or 1, cgroup_quota()
    files = DiskCache(chosen.cache_dir)._files() if chosen.cache_dir else []
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    lines = [
        f"graphflow {graphflow.graphflow_version} for TensorFlow {graphflow.__version__} programs",
        f"python    {platform.python_version()} ({sys.executable})",
        f"packages  {_versions()}",
        f"cpu       {machine.cpu}, {machine.triple}",
        f"vectors   {machine.vector_bytes * 8} bits ({machine.vector_bytes // 4} float32), {machine.registers} registers"
        + "".join(f", {name}" for name, has in (("fma", machine.fma), ("masks", machine.masks), ("half", machine.half)) if has),
        f"threads   {chosen.threads} of {cpus} CPUs" + ("" if quota is None else f" (the container allows {quota:g})"),
        f"memory    one thread copies {bandwidth() / 1e9:.1f} GB/s",
        f"cache     {chosen.cache_dir or 'off'}: {len(files)} files, {_size(sum(size for _, size, _ in files))}",
    ]
    slow = []
    if not chosen.cache_dir:
        slow.append("no cache folder: every process compiles anew (unset GRAPHFLOW_CACHE_DIR)")
    elif not DiskCache(chosen.cache_dir)._ready():
        slow.append(f"the cache folder {chosen.cache_dir} cannot be used, or others may write to it: every process compiles anew")
    if machine.vector_bytes < 32 and "86" in machine.triple:
        slow.append("no AVX2: kernels use 128-bit vectors")
    if chosen.target != "native":
        slow.append(f"GRAPHFLOW_TARGET={chosen.target}: not the machine's own instructions")
    if chosen.debug or chosen.verify > 1:
        slow.append("GRAPHFLOW_DEBUG or GRAPHFLOW_VERIFY is set: compiling takes longer")
    if load > cpus:
        slow.append(f"load {load:.1f} on {cpus} CPUs: other processes take time away")
    return "\n".join([*lines, *(f"slow:     {text}" for text in slow)])


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
    files = sorted((f for f in DiskCache(folder)._files() if f[2].endswith(SUFFIX)), reverse=True)
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
