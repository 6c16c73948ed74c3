"""The examples, as a user starts them: a few steps on the embedded digits, the loss falls and the accuracy is printed."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent


def run(name: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments],
        capture_output=True, text=True, timeout=300, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def losses(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"^step +\d+  loss (\S+)$", text, re.M)]


def accuracy(text: str) -> float:
    found = re.search(r"^test accuracy (\S+)$", text, re.M)
    assert found is not None, text
    return float(found[1])


@pytest.mark.parametrize(("name", "steps", "least"), [("mnist_softmax", 60, 0.9), ("mnist_mlp", 60, 0.85), ("mnist_cnn", 80, 0.5)])
def test_it_learns_the_digits(name: str, steps: int, least: float) -> None:
    text = run(name, "--data", "digits", "--steps", str(steps), "--batch", "50", "--log", "1")
    seen = losses(text)
    assert len(seen) == steps
    assert np.mean(seen[-5:]) < 0.7 * np.mean(seen[:5])
    assert accuracy(text) >= least


def test_lenet5_runs() -> None:
    """At its rate the loss of so few digits leaps now and then, wherever rounding has it: what is learnt between shows in the least."""
    text = run("lenet5", "--data", "digits", "--steps", "40", "--batch", "64", "--log", "1")
    assert min(losses(text)) < 0.8 * np.mean(losses(text)[:5])


def write_cifar(folder: Path) -> None:
    """Batches in CIFAR-10's form whose label is the red plane's brightness: learnt in a few steps."""
    random = np.random.RandomState(0)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        labels = random.randint(0, 10, 40)
        data = random.randint(0, 60, (40, 3072)).astype(np.uint8)
        data[:, :1024] = (25 * labels)[:, None]
        (folder / name).write_bytes(pickle.dumps({b"data": data, b"labels": labels.tolist()}, protocol=2))


def test_cifar10_learns_made_up_images(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    text = run("cifar10_cnn", "--data", str(tmp_path), "--steps", "60", "--log", "1")
    seen = losses(text)
    assert np.mean(seen[-5:]) < np.mean(seen[:5])
    assert 0.0 <= accuracy(text) <= 1.0


def test_cifar10_without_data_says_what_to_do(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, str(ROOT / "examples" / "cifar10_cnn.py"), "--data", str(tmp_path)], capture_output=True,
                            text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.strip() == f"no CIFAR-10 in '{tmp_path}': unpack cifar-10-python.tar.gz and name its folder with --data"


def test_the_same_seed_gives_the_same_run() -> None:
    arguments = ("--data", "digits", "--steps", "8", "--log", "1", "--seed", "3")
    assert run("mnist_mlp", *arguments) == run("mnist_mlp", *arguments)


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-m", "graphflow", "demo", "--steps", "60", "--dump", str(tmp_path / "dump")],
                            capture_output=True, text=True, timeout=300, cwd=ROOT)  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    text = result.stdout
    found = re.search(r"digits it has not seen: (\S+)", text)
    assert found is not None and float(found[1]) > 0.8
    assert re.search(r"The training step: \d+ operations in \d+ kernels, \d+ of them fused from several", text)
    assert re.search(r"^  k\d+ .*conv2d/Conv2D.* \+ .*conv2d/Relu", text, re.M), "convolution, bias and relu in one kernel"
    assert re.search(r"planned +[\d,]+ bytes\n +lower bound +[\d,]+ bytes", text)
    assert str(tmp_path / "dump") in text
    assert any((tmp_path / "dump").iterdir())
