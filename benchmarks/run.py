"""Training steps side by side: graphflow and every peer found, in one run, in turn (A B A B), as a table, JSON and a bar picture.

    python benchmarks/run.py                                   all workloads, the peers of this interpreter
    PEERS=/path/a/bin/python,/path/b/bin/python python benchmarks/run.py mlp lenet5 --rounds 5

A peer interpreter is asked which of torch, jax and tensorflow it has. BENCH_DATA names a folder with real MNIST and CIFAR-10 (see
workloads.py); without it the inputs are made up, which costs the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import machine  # noqa: E402
import workloads  # noqa: E402

VARIANTS = {"torch": ["torch", "torch-nhwc", "torch-compile"], "jax": ["jax"], "tensorflow": ["tensorflow", "tensorflow-xla"]}


class Worker:
    """A child process that runs one implementation."""

    def __init__(self, implementation: str, interpreter: str, threads: int, environment: dict[str, str]) -> None:
        self.implementation = implementation
        self.process = subprocess.Popen(
            [interpreter, str(HERE / "worker.py"), implementation, str(threads)], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **environment},
        )  # fmt: skip

    def ask(self, workload: str, batch: int, seconds: float) -> dict[str, Any]:
        """One turn. The process is frozen between its turns: some frameworks' idle threads spin and would take another's core."""
        assert self.process.stdin and self.process.stdout
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(json.dumps({"workload": workload, "batch": batch, "seconds": seconds}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line) if line else {"error": "the process died"}

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def peers() -> list[tuple[str, str]]:
    """(implementation, interpreter) of every peer found, by asking the interpreters which modules they have."""
    found = []
    probe = "import importlib.util as u; print(' '.join(m for m in ('torch','jax','tensorflow') if u.find_spec(m)))"
    for interpreter in [p for p in os.environ.get("PEERS", sys.executable).split(",") if p]:
        answer = subprocess.run([interpreter, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
        found += [(variant, interpreter) for name in answer for variant in VARIANTS[name]]
    return found


def measure(cases: list[tuple[str, int]], rounds: int, seconds: float, threads: int) -> dict[str, dict[str, Any]]:
    """"name/batch" -> implementation -> times, first call, loss."""
    repository = {"PYTHONPATH": str(HERE.parent)}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as cache:
        ours = {**repository, "GRAPHFLOW_CACHE_DIR": cache}
        workers = [Worker("graphflow", sys.executable, threads, ours)]
        workers += [Worker(name, interpreter, threads, {}) for name, interpreter in peers()]
        for name, batch in cases:
            row: dict[str, Any] = {}
            for turn in range(rounds):
                for worker in workers:
                    if worker.implementation in row and "ms" not in row[worker.implementation]:
                        continue
                    answer = worker.ask(name, batch, seconds)
                    kept = row.setdefault(worker.implementation, {**answer, "medians": []})
                    if "ms" in answer:
                        kept["medians"].append(statistics.median(answer["ms"]))
                        kept["loss"] = answer["loss"]
                    elif turn == 0 and "error" in answer:
                        print(f"{worker.implementation} {name}/{batch}: {answer['error']}", file=sys.stderr)
            for entry in row.values():
                entry.pop("ms", None)
            warm = Worker("graphflow", sys.executable, threads, ours)  # a second process: every kernel is in the disk cache
            row["graphflow"]["first_warm_s"] = warm.ask(name, batch, 0.0).get("first_s")
            warm.stop()
            results[f"{name}/{batch}"] = {k: v for k, v in row.items() if v.get("medians")}
            print(line(name, batch, results[f"{name}/{batch}"]), flush=True)
        for worker in workers:
            worker.stop()
    return results


def line(name: str, batch: int, row: dict[str, Any]) -> str:
    """One row of the table."""
    ours = row.get("graphflow")
    text = f"{name + '/' + str(batch):14}"
    if not ours:
        return text + " graphflow failed"
    ms = statistics.median(ours["medians"])
    spread = (max(ours["medians"]) - min(ours["medians"])) / ms
    rate = workloads.flops(name, batch) / ms / 1e6
    text += f"{ms:9.3f} ms ±{spread:4.0%}{rate:8.1f} GF/s{ours['first_s']:7.2f}{ours.get('first_warm_s') or 0:7.2f} s"
    rest = {k: statistics.median(v["medians"]) for k, v in row.items() if k != "graphflow"}
    best = min(rest.values(), default=None)
    text += f"  best/ours {best / ms:5.2f}" if best else ""
    return text + "".join(f"  {k} {v:.3f}" for k, v in rest.items())


def picture(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Bars of the time per step relative to graphflow (= 1), one group a workload, as SVG."""
    names = sorted({n for row in results.values() for n in row}, key=lambda n: (n != "graphflow", n))
    colours = ["#1b7f5c", "#4c78a8", "#f58518", "#b279a2", "#9d755d", "#54a24b", "#e45756"]
    height, y, parts = 40, 40, []
    for workload, row in results.items():
        base = statistics.median(row["graphflow"]["medians"]) if "graphflow" in row else 1.0
        parts.append(f'<text x="8" y="{y + 12}" font-weight="bold">{workload}</text>')
        for name in names:
            if name in row:
                ratio = statistics.median(row[name]["medians"]) / base
                width = min(ratio, 12) * 50
                parts.append(
                    f'<rect x="130" y="{y}" width="{width:.0f}" height="11" fill="{colours[names.index(name) % 7]}"/>'
                    f'<text x="{134 + width:.0f}" y="{y + 10}">{name} {ratio:.2f}</text>'
                )
                y += 14
        y += 12
    height = y + 10
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="880" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="880" height="{height}" fill="white"/><text x="8" y="20" font-size="14">Time per training step, '
        f"graphflow = 1 (shorter is better)</text>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help="names, or name/batch (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.7, help="per implementation, workload and round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, help="folder for the JSON and the picture")
    a = parser.parse_args()
    cases = [c for c in workloads.CASES if not a.workloads or c[0] in a.workloads or f"{c[0]}/{c[1]}" in a.workloads]
    limits = machine.measure()
    print("machine: " + ", ".join(f"{k} {v:.0f}" for k, v in limits.items()))
    print(f"{'workload':14}{'median':>12}{'spread':>5}{'rate':>12}{'first: cold, warm':>19}   peers in ms per step")
    results = measure(cases, a.rounds, a.seconds, a.threads)
    ratios = []
    for row in results.values():
        rest = [statistics.median(v["medians"]) for k, v in row.items() if k != "graphflow"]
        if rest and "graphflow" in row:
            ratios.append(min(rest) / statistics.median(row["graphflow"]["medians"]))
    if ratios:
        print(f"best peer / graphflow: geometric mean {statistics.geometric_mean(ratios):.2f}, lowest {min(ratios):.2f}")
    for key, row in results.items():
        name, batch = key.split("/")
        if "graphflow" in row:
            seconds = statistics.median(row["graphflow"]["medians"]) / 1e3
            share = workloads.flops(name, int(batch)) / seconds / 1e9 / limits["peak_all"]
            print(f"{key:14} {share:6.1%} of the measured multiply-add peak")
    if a.out:
        a.out.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%d-%H%M%S")
        record = {"time": stamp, "cpu": platform.processor() or platform.machine(), "machine": limits, "results": results}
        (a.out / f"{stamp}.json").write_text(json.dumps(record, indent=1) + "\n")
        picture(results, a.out / f"{stamp}.svg")
        print(f"written: {a.out / stamp}.json and .svg")


if __name__ == "__main__":
    main()
