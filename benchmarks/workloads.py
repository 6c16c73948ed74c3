"""The training steps that are measured: names, batch sizes, inputs, and the work that one step cannot avoid."""

from __future__ import annotations

import gzip
import os
import pickle
from typing import NamedTuple

import numpy as np

WORKLOADS = {
    "softmax": "784-10 softmax regression, gradient descent",
    "mlp": "784-512-512-10, relu, Adam",
    "mlpbn": "784-512-BN-dropout-512 (L2)-BN-dropout-10, Adam",
    "lenet5": "conv 5x5x6, pool, conv 5x5x16, pool (VALID), 120-84-10, gradient descent",
    "mnistcnn": "conv 5x5x32, pool, conv 5x5x64, pool (SAME), 1024-10, gradient descent",
    "cifarcnn": "3 x (conv 3x3x32 SAME, pool), 10, Adam, channel-first input",
    "lstm": "28 steps of 28, LSTM 128, the cell written out 28 times, 10, gradient descent",
    "lstmloop": "the same net with tf.nn.dynamic_rnn",
}
CASES = [
    ("softmax", 100), ("mlp", 32), ("mlp", 128), ("mlpbn", 128), ("lenet5", 32), ("lenet5", 128),
    ("mnistcnn", 50), ("mnistcnn", 128), ("cifarcnn", 20), ("cifarcnn", 128), ("lstm", 128), ("lstmloop", 128),
]  # fmt: skip


class Contraction(NamedTuple):
    """One layer's product: rows per example, columns, depth; `first` layers need no gradient of their input."""

    rows: int
    columns: int
    depth: int
    first: bool = False


_LSTM = [Contraction(28, 512, 156), Contraction(1, 10, 128)]
LAYERS = {
    "softmax": [Contraction(1, 10, 784, True)],
    "mlp": [Contraction(1, 512, 784, True), Contraction(1, 512, 512), Contraction(1, 10, 512)],
    "mlpbn": [Contraction(1, 512, 784, True), Contraction(1, 512, 512), Contraction(1, 10, 512)],
    "lenet5": [Contraction(576, 6, 25, True), Contraction(64, 16, 150), Contraction(1, 120, 256), Contraction(1, 84, 120),
               Contraction(1, 10, 84)],
    "mnistcnn": [Contraction(784, 32, 25, True), Contraction(196, 64, 800), Contraction(1, 1024, 3136), Contraction(1, 10, 1024)],
    "cifarcnn": [Contraction(1024, 32, 27, True), Contraction(256, 32, 288), Contraction(64, 32, 288), Contraction(1, 10, 512)],
    "lstm": _LSTM,
    "lstmloop": _LSTM,
}  # fmt: skip


def flops(name: str, batch: int) -> float:
    """Floating-point operations of the contractions of one training step (forward, dW, and dX but for first layers)."""
    return float(sum(2 * c.rows * c.columns * c.depth * batch * (2 if c.first else 3) for c in LAYERS[name]))


def mnist(count: int = 12800) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 784] in [0, 1] and labels; from BENCH_DATA/mnist where that is set, else made up (the time is the same)."""
    folder = os.environ.get("BENCH_DATA")
    if folder:
        with gzip.open(os.path.join(folder, "mnist", "train-images-idx3-ubyte.gz")) as f:
            x = np.frombuffer(f.read(16 + 784 * count)[16:], np.uint8).reshape(count, 784).astype(np.float32) / 255
        with gzip.open(os.path.join(folder, "mnist", "train-labels-idx1-ubyte.gz")) as f:
            return x, np.frombuffer(f.read(8 + count)[8:], np.uint8).astype(np.int64)
    rng = np.random.RandomState(0)
    y = rng.randint(0, 10, count).astype(np.int64)
    return np.maximum(rng.randn(10, 784)[y] + rng.randn(count, 784), 0).astype(np.float32) / 4, y


def cifar(count: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Channel-first images [count, 3072] in [-1, 1] and labels."""
    folder = os.environ.get("BENCH_DATA")
    if folder:
        with open(os.path.join(folder, "cifar-10-batches-py", "data_batch_1"), "rb") as f:
            d = pickle.load(f, encoding="bytes")
        return (d[b"data"][:count] / np.float32(127.5) - 1).astype(np.float32), np.array(d[b"labels"][:count], np.int64)
    rng = np.random.RandomState(0)
    y = rng.randint(0, 10, count).astype(np.int64)
    return np.clip(rng.randn(10, 3072)[y] * 0.3 + rng.randn(count, 3072) * 0.3, -1, 1).astype(np.float32), y


def inputs(name: str) -> tuple[np.ndarray, np.ndarray]:
    return cifar() if name == "cifarcnn" else mnist()
