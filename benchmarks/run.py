"""Training steps side by side: graphflow and every peer found, in one run, in turn (A B A B), as a table, JSON and a bar picture.

    make bench                                                     all workloads, the peers of this interpreter
    make bench PEERS=/path/a/bin/python,/path/b/bin/python ARGS="mlp lenet5/128 --rounds 5"

A peer's interpreter is asked which of torch, jax and tensorflow it has. BENCH_DATA names a folder with real MNIST and CIFAR-10 (see
workloads.py); without it the inputs are made up, which costs the same time. The record goes to benchmarks/history, or where --out says.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import found, picture, table, workloads

HERE = Path(__file__).resolve().parent
BUSY = 0.3  # load for each CPU
Results = dict[str, dict[str, Any]]  # implementation -> its figures


class Worker:
    """A child process that runs one implementation."""

    def __init__(self, implementation: str, interpreter: str, threads: int, environment: dict[str, str]) -> None:
        self.implementation = implementation
        self.process = subprocess.Popen(
            [interpreter, str(HERE / "worker.py"), implementation, str(threads)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **environment},
        )  # fmt: skip

    def ask(self, workload: str, batch: int, seconds: float, machine: dict[str, Any] | None = None) -> dict[str, Any]:
        """One turn. The process is frozen between its turns: some frameworks' idle threads spin and would take another's core."""
        assert self.process.stdin and self.process.stdout
        self.process.send_signal(signal.SIGCONT)
        try:
            request = {"workload": workload, "batch": batch, "seconds": seconds, "machine": machine}
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line) if line else {"error": "the process died"}

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Bench:
    """The implementations, each in its process, and what is measured with them."""

    def __init__(self, peers: Sequence[found.Peer], threads: int, machine: dict[str, Any]) -> None:
        self.threads = threads
        self.machine = machine
        self.ours = {"PYTHONPATH": str(HERE.parent), "GRAPHFLOW_THREADS": str(threads)}
        self.workers = [Worker("graphflow", sys.executable, threads, self.ours)]
        self.workers += [Worker(peer.implementation, peer.interpreter, threads, {}) for peer in peers]

    def measure(self, name: str, batch: int, rounds: int, seconds: float) -> Results:
        """For every implementation `medians` (ms, one a round), `quick` (what a tenth of the steps stay below: other processes disturb it
        less), `first_s` and `loss`, or `error`; for graphflow also `peak`, the median rate of multiply-adds measured between its steps,
        `paired`, the milliseconds of a step while the cores do just that, `about`, for that peak, and the first step of a fresh process,
        `cold_s` without and `warm_s` with its kernels on disk."""
        row: Results = {}
        slices: list[tuple[float, float]] = []
        for _ in range(rounds):
            for worker in self.workers:
                name_ = worker.implementation
                if name_ in row and "medians" not in row[name_]:
                    continue  # it has failed
                answer = worker.ask(name, batch, seconds)
                if "ms" in answer:
                    slices += answer["slices"]
                    figures = row.setdefault(name_, {"medians": [], "quick": [], "first_s": answer["first_s"]})
                    times = sorted(answer["ms"])
                    figures["medians"].append(statistics.median(times))
                    figures["quick"].append(times[len(times) // 10])
                    figures["loss"] = answer["loss"]
                else:
                    row[name_] = answer
        if "medians" in row["graphflow"]:
            peak, paired = beside_the_peak(slices)
            about = self.workers[0].ask(name, batch, 0.0, {**self.machine, "flops": peak})["about"]
            row["graphflow"].update(self.first_steps(name, batch), peak=peak, paired=paired, about=about)
        return {name: figures for name, figures in row.items() if "absent" not in figures}

    def first_steps(self, name: str, batch: int) -> dict[str, float]:
        """Seconds of the first training step of a new process, its variables initialised, with an empty disk cache and with a full one."""
        times = {}
        with tempfile.TemporaryDirectory() as cache:
            for kind in ("cold_s", "warm_s"):
                fresh = Worker("graphflow", sys.executable, self.threads, {**self.ours, "GRAPHFLOW_CACHE_DIR": cache})
                times[kind] = fresh.ask(name, batch, 0.0).get("first_s", float("nan"))
                fresh.stop()
        return times

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()


def beside_the_peak(slices: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median rate of multiply-adds in slices (ms of a step, rate at the time), and the milliseconds of a step at that rate."""
    peak = statistics.median(rate for _, rate in slices)
    return peak, statistics.median(ms * rate for ms, rate in slices) / peak


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help="names, or name/batch (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.7, help="per implementation, workload and round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    parser.add_argument("--out", type=Path, default=HERE / "history", help="folder for the record")
    chosen = parser.parse_args(arguments)
    known = {f"{name}/{batch}": (name, batch) for name, batch in workloads.CASES}
    wanted = {k: c for k, c in known.items() if not chosen.workloads or k in chosen.workloads or c[0] in chosen.workloads}
    if not wanted:
        parser.error(f"no such workload; there are {', '.join(known)}")
    peers = found.peers()
    about = found.circumstances(chosen.threads)
    about["versions"].update({peer.implementation.partition("-")[0]: peer.version for peer in peers})
    print(found.heading(about))
    if about["load"] > BUSY * about["cpus"]:
        print("other processes are at work: peers whose threads wait for each other suffer most. Measure again when it is quiet.")
    print(table.head([peer.implementation for peer in peers]), flush=True)
    bench = Bench(peers, chosen.threads, about["machine"])
    results: dict[str, Results] = {}
    try:
        for key, (name, batch) in wanted.items():
            results[key] = bench.measure(name, batch, chosen.rounds, chosen.seconds)
            print(table.line(key, results[key], [peer.implementation for peer in peers]), flush=True)
    finally:
        bench.stop()
    print(table.summary(results))
    failed = {f"{name} {key}": row[name]["error"] for key, row in results.items() for name in row if "error" in row[name]}
    for what, error in failed.items():
        print(f"failed: {what}: {error}", file=sys.stderr)
    path = found.write_record(chosen.out, "steps", {"rounds": chosen.rounds, "seconds": chosen.seconds}, about, results)
    path.with_suffix(".svg").write_text(picture.bars(results, about))
    print(f"written: {path}.json and .svg")
    return int(any(what.startswith("graphflow") for what in failed))


if __name__ == "__main__":
    sys.exit(main())
