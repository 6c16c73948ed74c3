"""What a record is about: the machine, its measured rates, the versions, and the peers that were found."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

VARIANTS = {"torch": ["torch", "torch-nhwc", "torch-compile"], "jax": ["jax"], "tensorflow": ["tensorflow", "tensorflow-xla"]}
PROBE = """
import json
from importlib import metadata, util
found = {}
for module in ("torch", "jax", "tensorflow"):
    if util.find_spec(module):
        for package in (module, module + "-cpu"):
            try:
                found[module] = metadata.version(package)
                break
            except metadata.PackageNotFoundError:
                found[module] = "unknown"
print(json.dumps(found))
"""


class Peer(NamedTuple):
    """Something to be measured beside graphflow: how it is called, the interpreter that runs it, and its version."""

    implementation: str
    interpreter: str
    version: str


def peers(text: str | None = None) -> list[Peer]:
    """Those of the interpreters in PEERS (separated by commas; this one where it is not set), asked which modules they have. Raises
    ValueError for one that does not run."""
    text = os.environ.get("PEERS") or sys.executable if text is None else text
    found = []
    for interpreter in filter(None, (part.strip() for part in text.split(","))):
        try:
            answer = subprocess.run([interpreter, "-c", PROBE], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise ValueError(f"PEERS: {interpreter} does not run: {error}") from None
        for module, version in json.loads(answer).items():
            found += [Peer(variant, interpreter, version) for variant in VARIANTS[module]]
    return found


def cpu_name() -> str:
    """As the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of what graphflow's figures depend on."""
    found = {"python": platform.python_version()}
    for package in ("numpy", "llvmlite", "graphflow-jit"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent)
    if commit.returncode == 0:
        found["commit"] = commit.stdout.strip()
    return found


def circumstances(threads: int) -> dict[str, Any]:
    """Everything that stands at the head of a record; measures the machine (about two seconds)."""
    from graphflow.compiler.llvm.target import target
    from graphflow.config import options
    from graphflow.tools.machine import measure

    machine = target(options().target)
    return {
        "cpu": cpu_name(), "code_for": machine.cpu, "cpus": os.cpu_count(), "threads": threads, "load": os.getloadavg()[0],
        "platform": platform.platform(), "versions": versions(), "machine": measure(threads)._asdict(), "core": measure(1)._asdict(),
    }  # fmt: skip


def heading(about: dict[str, Any]) -> str:
    """The circumstances in a few lines."""
    every, one = about["machine"], about["core"]

    def rates(m: dict[str, Any]) -> str:
        levels = ", ".join(f"{level.upper()} {m[level] / 1e9:.0f}" for level in ("l2", "l3", "dram"))
        return f"{m['flops'] / 1e9:.0f} GF/s; GB/s read from {levels}"

    return (
        f"{about['cpu']} ({about['code_for']}), {about['cpus']} CPUs, load {about['load']:.1f}; "
        + ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        + f"\none core      {rates(one)}\n{about['threads']} together    {rates(every)}"
        + (f"; a cache line to another core and back in {every['handing'] * 1e9:.0f} ns" if every.get("handing") else "")
    )


def write_record(folder: Path, kind: str, settings: dict[str, Any], about: dict[str, Any], results: dict[str, Any]) -> Path:
    """Writes a record of now as JSON: how was measured, on what, and the results. Gives its path without the ending,
    `folder`/TIME-KIND-CPU."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stamp}-{kind}-{about['code_for']}"
    path.with_suffix(".json").write_text(json.dumps({"time": stamp, **settings, **about, "results": results}, indent=1) + "\n")
    return path
