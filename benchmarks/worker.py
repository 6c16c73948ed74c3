"""One implementation in one process: reads requests (a JSON line each) and answers, so that rounds can be interleaved.

    {"workload": "mlp", "batch": 128, "seconds": 1.0}  ->  {"ms": [...], "first_s": 0.2, "loss": 2.1}
    ... "machine": {...}                               ->  ... "about": what graphflow says of the step, for that machine

graphflow's answers have "slices" as well: [the median ms of the steps of a short time, floating-point operations a second at that time].
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = {
    "graphflow": "tf1", "tensorflow": "tf1", "tensorflow-xla": "tf1", "torch": "pytorch", "torch-nhwc": "pytorch",
    "torch-compile": "pytorch", "jax": "jax",
}  # fmt: skip
KEPT = 5000  # times that are sent back
SLICE, FEWEST = 0.03, 5  # seconds of steps between two measurements of the machine, and steps
PEAK_SECONDS = 0.002  # of such a measurement: about as long as a step


class Prepared:
    """A workload that has made its first step."""

    def __init__(self, prepare: object, workloads: object, name: str, batch: int, implementation: str, threads: int) -> None:
        images, labels = workloads.inputs(name)  # type: ignore[attr-defined]
        self.step, self.loss, self.about = prepare(name, batch, images, labels, implementation, threads)  # type: ignore[operator]
        self.ours, self.threads = implementation == "graphflow", threads
        start = time.perf_counter()
        self.step(0)
        self.first = time.perf_counter() - start
        self.count = 1

    def times(self, seconds: float) -> tuple[list[float], list[tuple[float, float]]]:
        """Milliseconds of steps, for so many seconds, but at least five steps; and for graphflow the median of each slice of them with what
        the machine's cores do before and after it: clocks and neighbours change faster than a run is long."""
        found: list[float] = []
        slices: list[tuple[float, float]] = []
        for _ in range(3):  # caches and branch predictors were another workload's
            self._advance()
        end = time.perf_counter() + seconds
        before = self._peak()
        while time.perf_counter() < end or not slices:
            steps: list[float] = []
            pause = time.perf_counter() + SLICE
            while time.perf_counter() < pause or len(steps) < FEWEST:
                start = time.perf_counter()
                self._advance()
                steps.append((time.perf_counter() - start) * 1e3)
            after = self._peak()
            found += steps
            slices.append((statistics.median(steps), (before + after) / 2))
            before = after
        return found, slices if self.ours else []

    def _peak(self) -> float:
        if not self.ours:
            return 0.0
        from graphflow.tools.machine import peak_flops

        return peak_flops(self.threads, PEAK_SECONDS, statistics.median)

    def _advance(self) -> None:
        self.step(self.count)
        self.count += 1


def main() -> None:
    implementation, threads = sys.argv[1], int(sys.argv[2])
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not mix with the answers
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # so that `import jax` is JAX, not our file
    import importlib.util

    def module(name: str, path: str) -> object:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found
        spec.loader.exec_module(found)
        return found

    workloads = module("bench_workloads", os.path.join(HERE, "workloads.py"))
    peer = module("bench_peer", os.path.join(HERE, "peers", MODULES[implementation] + ".py"))
    ready: dict[tuple[str, int], Prepared] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["workload"], request["batch"])
        answer: dict[str, object]
        try:
            if key not in ready:
                ready[key] = Prepared(peer.prepare, workloads, *key, implementation, threads)  # type: ignore[attr-defined]
            prepared = ready[key]
            times, slices = prepared.times(request["seconds"])
            answer = {"ms": times[-KEPT:], "slices": slices, "first_s": prepared.first, "loss": prepared.loss()}
            if request.get("machine"):
                answer["about"] = prepared.about(request["machine"])
        except NotImplementedError:
            answer = {"absent": True}  # this implementation does not have the workload
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=reply, flush=True)


main()
