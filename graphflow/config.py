"""Options read once from GRAPHFLOW_* environment variables.

    GRAPHFLOW_THREADS      worker threads of the executor (default: the CPUs this process may use)
    GRAPHFLOW_CACHE_DIR    the disk cache of compiled kernels ("" switches it off; default ~/.cache/graphflow)
    GRAPHFLOW_DUMP_TO      write every compilation stage as text files below this directory
    GRAPHFLOW_TARGET       force a target description: native, avx512, avx2, sse2, neon
    GRAPHFLOW_VERIFY       0 never, 1 once after all passes (default), 2 between passes and on every kernel
    GRAPHFLOW_PASSES_OFF   comma-separated names of passes to leave out
    GRAPHFLOW_PASS_LIMIT   run only the first N passes, to find the one that breaks something
    GRAPHFLOW_DEBUG        1: verify everything, keep full tracebacks of operations
                           nan: stop at the first kernel whose result has a NaN or an infinity, and say where that comes from
                           (1,nan: both)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from graphflow.missing import names_of


class Options(NamedTuple):
    """All settings that are not part of a program."""

    threads: int = 1
    cache_dir: str = ""
    dump_to: str = ""
    target: str = "native"
    verify: int = 1
    passes_off: frozenset[str] = frozenset()
    pass_limit: int | None = None
    debug: bool = False
    watch_nan: bool = False


def _available_cpus() -> int:
    """CPUs this process may use: its affinity, and no more than its container's share of time."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1
    quota = cgroup_quota()
    return cpus if quota is None else max(1, min(cpus, round(quota)))


def cgroup_quota(root: str = "/sys/fs/cgroup") -> float | None:
    """How many CPUs' time a container allows (cgroup version 2, then 1); None where there is no limit."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = " ".join(Path(root, name).read_text() for name in names).split()
            quota, period = float(words[0]), float(words[1])
        except (OSError, ValueError, IndexError):  # another version of cgroups, or "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None


def _integer(env: Mapping[str, str], name: str, least: int) -> int | None:
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{name} must be an integer, got {text!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


def read_environment(env: Mapping[str, str] = os.environ) -> Options:
    """The options that `env` asks for. A value that cannot be understood is refused by name."""
    wanted = {word.strip().lower() for word in env.get("GRAPHFLOW_DEBUG", "").split(",")}
    debug = bool(wanted - {"", "0", "false", "no", "nan"})
    cache_home = env.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    verify = _integer(env, "GRAPHFLOW_VERIFY", 0)
    return Options(
        threads=_integer(env, "GRAPHFLOW_THREADS", 1) or _available_cpus(),
        cache_dir=env.get("GRAPHFLOW_CACHE_DIR", os.path.join(cache_home, "graphflow")),
        dump_to=env.get("GRAPHFLOW_DUMP_TO", ""),
        target=env.get("GRAPHFLOW_TARGET", "") or "native",
        verify=(2 if debug else 1) if verify is None else verify,
        passes_off=frozenset(filter(None, (n.strip() for n in env.get("GRAPHFLOW_PASSES_OFF", "").split(",")))),
        pass_limit=_integer(env, "GRAPHFLOW_PASS_LIMIT", 0),
        debug=debug,
        watch_nan="nan" in wanted,
    )


_current: Options | None = None


def options() -> Options:
    """The options in force: the environment's, unless `override` is active."""
    global _current
    if _current is None:
        _current = read_environment()
    return _current


@contextmanager
def override(**changes: Any) -> Iterator[Options]:
    """Other options for a while (tests, tools)."""
    global _current
    before = options()
    _current = before._replace(**changes)
    try:
        yield _current
    finally:
        _current = before

globals()["__getattr__"] = names_of("config")
