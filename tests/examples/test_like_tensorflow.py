"""The examples against real TensorFlow 1.15: the same forward nodes, and on real data the same losses and the promised accuracy.

What TensorFlow did lies in tests/golden/examples.json. The data is looked for below GRAPHFLOW_DATA and beside the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.examples.test_examples import ROOT, accuracy, losses, run, write_cifar
from tests.golden.example_losses import MNIST, RUNS, with_data
from tests.golden.examples import forward

LOSSES = json.loads((ROOT / "tests" / "golden" / "example_losses.json").read_text())
FAST = ("rnn_sine", "linear_regression")
GOLDEN = json.loads((ROOT / "tests" / "golden" / "examples.json").read_text())
NODES = """
import json, runpy, sys
import graphflow as tf
sys.path.insert(0, "examples")
sys.argv = [sys.argv[1], *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps([[o.name, o.type, [t.name for t in o.inputs]] for o in tf.get_default_graph().get_operations()]))
"""


def folder(name: str) -> str:
    """Where real data of that name is; skips the test where there is none."""
    for root in (os.environ.get("GRAPHFLOW_DATA", ""), str(ROOT.parent / "shared" / "data")):
        if root and (Path(root) / name).is_dir():
            return str(Path(root) / name)
    pytest.skip(f"no {name} below GRAPHFLOW_DATA or ../shared/data")


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_forward_nodes_are_tensorflows(name: str, tmp_path: Path) -> None:
    data = "digits"
    if name == "cifar10_cnn":
        write_cifar(tmp_path)
        data = str(tmp_path)
    result = subprocess.run([sys.executable, "-c", NODES, f"examples/{name}.py", "--data", data, "--steps", "1"],
                            capture_output=True, text=True, timeout=120, cwd=ROOT)  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    nodes = json.loads(result.stdout.splitlines()[-1])
    built = [[n, kind, [i for i in inputs if "gradients/" not in i]] for n, kind, inputs in forward(nodes)]
    assert built == GOLDEN[name]["nodes"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), [("mnist_softmax", "mnist"), ("mnist_cnn", "mnist"), ("cifar10_cnn", "cifar-10-batches-py")])
def test_the_first_losses_are_tensorflows(name: str, data: str) -> None:
    """With other numbers of threads TensorFlow's sums round differently, and at some step it leaves its own way: until there the losses are
    its own, and later no further from one of its runs than twice what these are from each other."""
    seen = np.array(losses(run(name, "--data", folder(data), "--steps", "50", "--log", "1")))
    runs = np.array(GOLDEN[name]["losses"])
    apart = np.maximum.accumulate(np.ptp(runs, axis=0) / runs[0])
    together = int(np.argmax(apart > 1e-5)) or len(seen)
    np.testing.assert_allclose(seen[:together], runs[0, :together], rtol=1e-5)
    away = np.abs(seen / runs - 1)
    assert (away <= np.maximum(1e-3, 2 * apart)).all(axis=1).any(), away.max(axis=1)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in RUNS])
def test_the_first_losses_of_all_others_too(name: str) -> None:
    example, *arguments = RUNS[name]
    seen = losses(run(example, "--log", "1", *with_data(arguments, folder("mnist") if MNIST in arguments else "")))
    np.testing.assert_allclose(seen, LOSSES[name], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("mnist_softmax", 0.915), ("mnist_mlp", 0.97), ("mnist_cnn", 0.975), ("lenet5", 0.985)])
def test_the_accuracy_on_real_mnist(name: str, least: float) -> None:
    assert accuracy(run(name, "--data", folder("mnist"))) >= least
