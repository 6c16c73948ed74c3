"""How near contractions come to the machine's peak, on one thread, beside NumPy (OpenBLAS) and, where found, PyTorch (oneDNN, MKL).

    make bench-kernels                                          all rows, the peers of this interpreter
    make bench-kernels PEERS=/path/bin/python ARGS="--only dX --seconds 0.1"

Every row is a TensorFlow program that goes the library's own way: captured, compiled, planned. The calls of its plan, paddings and copies
included, are repeated on one thread with warm operands, which lie side by side in huge pages as in a step's arena. Shown are microseconds,
GF/s of the products that a row is defined by, and their share of the multiply-add peak, which is measured before and after every row
(clocks change; the higher counts; convolutions in fewer products pass it); where results have few columns ("of lanes") the share of that
part of the peak that their vectors could use; "batch" is the time with the batch size known only when it runs, divided by the time with a
fixed one; then the peers' GF/s and the tilings that were chosen. Times are the least of many, over --rounds through all rows, in the time
of this thread, so that other processes count less. The record goes to benchmarks/history, or to --out.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import graphflow as tf
from benchmarks import found
from benchmarks.contractions import Product, Row, fixed, groups, request
from benchmarks.peers.timing import BURST, best
from graphflow.compiler.calls import BoundCall, BoundJump
from graphflow.compiler.llvm.stmt import inner
from graphflow.compiler.plan import BoundPlan
from graphflow.kernel.nodes import Contract, Stmt
from graphflow.runtime.buffers import ALIGNMENT, HUGE_PAGE, Arena
from graphflow.runtime.executor import Executor
from graphflow.runtime.jit import default_jit
from graphflow.runtime.launch import Launch
from graphflow.tools.machine import peak_flops

HERE = Path(__file__).resolve().parent
PEAK_SECONDS = 0.005  # on each measurement of the peak
TURNS = 3
FEW = 32  # columns below which the lanes that they leave empty are taken out of the peak


class Measured:
    """A row compiled, with its plan ready to be repeated on one thread."""

    def __init__(self, row: Row, executor: Executor) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            fetch, feed = row.build(tf)
            compilation = session.compiled(fetch, feed)
        self.bound: BoundPlan = compilation.plan
        given = {slot.name: value for slot, value in feed.items()}
        values = [np.asarray(given[i.name]) for i in self.bound.compiled.feeds]
        values += [np.zeros(o.shape, o.dtype.as_numpy_dtype) for o in self.bound.outputs]
        self.arrays = _side_by_side(values)
        self.launch = Launch(self.bound, {}, executor, Arena(HUGE_PAGE))
        self.executor = executor

    def seconds(self, spent: float) -> float:
        """Of one run, the least."""
        once = best(self._repeated(1), 0.0)
        jumps = any(isinstance(call, BoundJump) for call in self.bound.calls)  # they lead into the first repetition
        count = 1 if jumps else max(1, int(BURST / once))
        return best(self._repeated(count), spent) / count

    def _repeated(self, count: int) -> Callable[[], Any]:
        arrays = self.arrays
        plan = self.executor.plan(self.launch._plain() * count, len(arrays), 1.0, (self.launch, arrays))
        return lambda: plan.run(arrays)

    @property
    def tilings(self) -> list[str]:
        """What each of its kernels does."""
        return [", ".join(_plans(s.lowered.kernel.phases)) or s.name for s in self.bound.compiled.steps if s.lowered is not None]

    @property
    def calls(self) -> int:
        """Kernels that one run calls."""
        return sum(isinstance(call, BoundCall) for call in self.bound.calls)


def _side_by_side(values: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Copies of arrays in huge pages, one after the other as the values of a step lie in its arena: a product of a few hundred kilobytes
    takes up to half as long again where the system happens to scatter its pages over the sets of a cache."""
    places = list(accumulate((v.nbytes + -v.nbytes % ALIGNMENT + ALIGNMENT for v in values), initial=0))
    memory = Arena(max(places[-1], HUGE_PAGE))
    copies = tuple(memory.view(place, v.shape, v.dtype) for place, v in zip(places, values, strict=False))
    for copy, value in zip(copies, values, strict=True):
        copy[...] = value
    return copies


def in_turns(measured: Sequence[Measured], spent: float) -> list[float]:
    """Seconds of one run of each, the least of several turns, so that a clock that changes meanwhile changes for all."""
    turns = [[m.seconds(spent / TURNS) for m in measured] for _ in range(TURNS)]
    return [min(seconds) for seconds in zip(*turns, strict=True)]


def _plans(phases: Sequence[Sequence[Stmt]]) -> Iterator[str]:
    for phase in phases:
        for statement in phase:
            if isinstance(statement, Contract):
                yield repr(statement.plan)
            else:
                yield from _plans([inner(statement)])


def numpy_seconds(row: Row, spent: float) -> float | None:
    """The same matrix product by NumPy; None for convolutions."""
    if not isinstance(row, Product):
        return None
    rng = np.random.default_rng(0)
    left = rng.standard_normal((row.k, row.m) if row.kind[0] == "T" else (row.m, row.k)).astype(row.type)
    right = rng.standard_normal((row.n, row.k) if row.kind[1] == "T" else (row.k, row.n)).astype(row.type)
    a, b = (left.T if row.kind[0] == "T" else left), (right.T if row.kind[1] == "T" else right)
    out = np.empty((row.m, row.n), row.type)
    return best(lambda: np.matmul(a, b, out=out), spent)


class Torch:
    """A process with PyTorch on one thread."""

    def __init__(self, interpreter: str) -> None:
        self.process = subprocess.Popen(
            [interpreter, str(HERE / "peers" / "pytorch_kernels.py")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def seconds(self, row: Row, spent: float) -> float | None:
        """The same contraction, in the better of two layouts; None where PyTorch could not do it."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps({**request(row), "seconds": spent}) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        return float(json.loads(answer)["seconds"]) if answer else None

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Times(NamedTuple):
    """What was measured of a row: seconds of one run with the batch size unknown and fixed (None where there is none) and of the peers,
    and the peak in FLOP/s; then what does not change: the kernels that one run calls, and what they do."""

    ours: float
    fixed: float | None
    numpy: float | None
    torch: float | None
    peak: float
    calls: int
    tilings: list[str]

    def least(self, other: Times) -> Times:
        """The least of both times, and the higher peak."""
        fixed, numpy, torch = (min((t for t in pair if t is not None), default=None) for pair in zip(self[1:4], other[1:4], strict=True))
        return Times(min(self.ours, other.ours), fixed, numpy, torch, max(self.peak, other.peak), self.calls, self.tilings)


def measure(row: Row, executor: Executor, torch: Torch | None, spent: float) -> Times:
    """One row, once."""
    ours = Measured(row, executor)
    both = [ours, Measured(fixed(row), executor)] if row.batch else [ours]
    before = peak_flops(1, PEAK_SECONDS)
    seconds, *known = in_turns(both, spent)
    peak = max(before, peak_flops(1, PEAK_SECONDS)) / (2 if row.type == "float64" else 1)
    peers = numpy_seconds(row, spent), torch.seconds(row, spent) if torch else None
    return Times(seconds, known[0] if known else None, *peers, peak, ours.calls, ours.tilings)


def figures_of(row: Row, times: Times, lanes: int) -> dict[str, Any]:
    """The figures of one row; `lanes` of float32."""
    lanes //= 2 if row.type == "float64" else 1
    cap = row.columns / (math.ceil(row.columns / lanes) * lanes) if row.columns < FEW else 1.0
    rate = row.flops / times.ours
    figures: dict[str, Any] = {
        "us": times.ours * 1e6, "gflops": rate / 1e9, "peak": rate / times.peak, "lanes": cap,
        "calls": times.calls, "tilings": times.tilings,
    }  # fmt: skip
    if times.fixed is not None:
        figures["batch"] = times.ours / times.fixed
    for name, other in (("numpy", times.numpy), ("torch", times.torch)):
        if other is not None:
            figures[name] = row.flops / other / 1e9
    return figures


def line(name: str, figures: dict[str, Any]) -> str:
    """One row of the table."""

    def optional(key: str, form: str) -> str:
        return format(figures[key], form) if key in figures else ""

    few = f"{figures['peak'] / figures['lanes']:.0%}" if figures["lanes"] < 1 else ""
    return (
        f"{name:40}{figures['us']:10.1f}{figures['gflops']:8.1f}{figures['peak']:7.0%}{few:>9}{optional('batch', '.2f'):>7}"
        f"{optional('numpy', '.1f'):>8}{optional('torch', '.1f'):>8}  {' | '.join(figures['tilings'])}"
    )


def matching(parser: argparse.ArgumentParser, only: str, groups: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The rows whose group and name hold a text; where none does, the program ends with an error."""
    wanted = {group: [row for row in rows if only in f"{group} {row.name}"] for group, rows in groups.items()}
    if not any(wanted.values()):
        parser.error(f"no row has {only!r} in its group and name; the groups are {', '.join(groups)}")
    return wanted


def beside_torch() -> tuple[dict[str, Any], Torch | None]:
    """The circumstances of rows on one thread, and PyTorch's process where it was found."""
    peer = next((p for p in found.peers() if p.implementation == "torch"), None)
    about = found.circumstances(1)
    if peer is None:
        return about, None
    about["versions"]["torch"] = peer.version
    return about, Torch(peer.interpreter)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose group and name hold this text, as in 'dense NN' or 'conv 5x5'")
    parser.add_argument("--seconds", type=float, default=0.1, help="spent on each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="through all rows, of which the least counts: neighbours disturb for seconds")
    parser.add_argument("--out", type=Path, default=HERE / "history", help="folder for the record")
    chosen = parser.parse_args(arguments)
    wanted = matching(parser, chosen.only, groups())
    about, torch = beside_torch()
    lanes = about["core"]["lanes"]
    print(found.heading(about))
    print(f"{'':40}{'us':>10}{'GF/s':>8}{'peak':>7}{'of lanes':>9}{'batch':>7}{'NumPy':>8}{'torch':>8}  tiling")
    executor = Executor(default_jit(), threads=1)
    results: dict[str, dict[str, Any]] = {}
    least: dict[Row, Times] = {}

    def measured(row: Row) -> Times:
        times = measure(row, executor, torch, chosen.seconds)
        least[row] = least.get(row, times).least(times)
        return least[row]

    try:
        for _ in range(chosen.rounds - 1):
            for row in chain.from_iterable(wanted.values()):
                measured(row)
        for group, rows in wanted.items():
            found_ = results[group] = {}
            for row in rows:
                found_[row.name] = figures_of(row, measured(row), lanes)
                print(line(row.name, found_[row.name]), flush=True)
            if rows:
                shares = sorted(figures["peak"] / figures["lanes"] for figures in found_.values())
                middle = shares[len(shares) // 2]
                print(f"-- {group}: {len(rows)} rows, share of the peak (of lanes) from {shares[0]:.0%}, median {middle:.0%}")
    finally:
        if torch:
            torch.stop()
    path = found.write_record(chosen.out, "kernels", {"seconds": chosen.seconds}, about, results)
    print(f"written: {path}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
