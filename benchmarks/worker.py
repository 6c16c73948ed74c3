"""One implementation in one process: reads requests (a JSON line each) and answers with times, so that rounds can be interleaved.

    {"workload": "mlp", "batch": 128, "seconds": 1.0}  ->  {"ms": [...], "first_s": 0.2, "loss": 2.1}
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = {
    "graphflow": "tf1", "tensorflow": "tf1", "tensorflow-xla": "tf1", "torch": "pytorch", "torch-nhwc": "pytorch",
    "torch-compile": "pytorch", "jax": "jax",
}  # fmt: skip


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
    ready: dict[tuple[str, int], list] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["workload"], request["batch"])
        try:
            if key not in ready:
                images, labels = workloads.inputs(key[0])  # type: ignore[attr-defined]
                step, loss = peer.prepare(*key, images, labels, implementation, threads)  # type: ignore[attr-defined]
                start = time.perf_counter()
                step(0)
                ready[key] = [step, loss, time.perf_counter() - start, 1]
            step, loss, first, i = ready[key]
            times = []
            for _ in range(3):  # caches were another workload's
                step(i)
                i += 1
            end = time.perf_counter() + request["seconds"]
            while time.perf_counter() < end or len(times) < 5:
                start = time.perf_counter()
                step(i)
                times.append((time.perf_counter() - start) * 1e3)
                i += 1
            ready[key][3] = i
            answer = {"ms": times[-5000:], "first_s": first, "loss": loss()}
        except KeyError:
            answer = {"absent": True}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=reply, flush=True)


main()
