"""How fast everything beside contractions is, on one thread: arithmetic, reductions, movements, windows, sorting and scattering.

    make bench-operations                                       all rows, the peers of this interpreter
    make bench-operations PEERS=/path/bin/python ARGS="--only pool"

As `make bench-kernels`, every row is a TensorFlow program whose calls are repeated with warm operands. Shown are microseconds; the bytes of
operands and results a second, and their share of what the memory level that holds them all gives; how many kernels are called; and, where
PyTorch is found and has the like, its time divided by ours. Where operands come from L3 or beyond, a share near 100 % is all there is to
get; functions of many instructions, sorting and windows are bound by something else. The record goes to benchmarks/history, or to --out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import found
from benchmarks.kernels import HERE, Measured, beside_torch, matching
from graphflow.runtime.executor import Executor
from graphflow.runtime.jit import default_jit

BIG, MAP, RGB, ROWS = "512x1024", "32x28x28x20", "16x64x64x3", "50000x10"
CHANNELS = "32x20x28x28"  # of PyTorch, whose images lie as ours do (channels_last)


@dataclass(frozen=True)
class Operation:
    """An expression of `a`, `b` and `c`, once with `tf` and once, where PyTorch has the like, with `torch`. Their kinds and shapes: f
    normal numbers, u between 0.1 and 1.1, b flags, i100 integers below 100; behind a |, PyTorch's shape where its order is another."""

    name: str
    tf: str
    inputs: tuple[str, ...]
    torch: str = ""

    def arrays(self) -> list[np.ndarray[Any, Any]]:
        """Operands as `inputs` describes them."""
        rng = np.random.default_rng(0)
        made = []
        for described in self.inputs:
            kind, sizes = described.split("|")[0].split()
            shape = tuple(map(int, sizes.split("x")))
            if kind[0] == "i":
                made.append(rng.integers(0, int(kind[1:]), shape).astype(np.int32))
            else:
                x = rng.standard_normal(shape).astype(np.float32)
                made.append(x > 0 if kind == "b" else rng.random(shape, np.float32) + np.float32(0.1) if kind == "u" else x)
        return made

    def build(self, tf: Any) -> tuple[Any, dict[Any, Any]]:
        """What is fetched, and what is fed for it."""
        arrays = self.arrays()
        operands = [tf.placeholder(a.dtype.name, a.shape) for a in arrays]
        return eval(self.tf, {"tf": tf, **dict(zip("abc", operands, strict=False))}), dict(zip(operands, arrays, strict=True))


def gradient(name: str, forward: str, inputs: tuple[str, str], torch: str) -> Operation:
    """The gradient of an expression of a, where b is that of its result."""
    back = f"torch.autograd.grad({torch}, a, b)" if torch else ""
    return Operation(f"d {name}", f"tf.gradients({forward}, a, b)[0]", inputs, back)


def pool(kind: str, size: int, step: int, channels: int = 20) -> list[Operation]:
    """A pool and its gradient."""
    out = -(-28 // step)
    x, y = (f"f 32x{n}x{n}x{channels}|32x{channels}x{n}x{n}" for n in (28, out))
    forward = f"tf.nn.{kind}_pool(a, [1, {size}, {size}, 1], [1, {step}, {step}, 1], 'SAME')"
    torch = f"torch.nn.functional.{kind}_pool2d(a, {size}, {step}, {size // 2 if size % 2 else 0})"
    name = f"{kind}_pool {size}x{size} /{step} of {channels}"
    return [Operation(name, forward, (x,), torch), gradient(name, forward, (x, y), torch)]


def groups() -> dict[str, list[Operation]]:
    """All rows, by kind."""
    unary = ["exp", "log", "tanh", "sigmoid", "erf", "sin", "sqrt", "rsqrt", "floor", "abs", "square", "log1p"]
    f = (f"f {BIG}",)
    two = (f"f {BIG}", f"u {BIG}")
    images = f"f {MAP}|{CHANNELS}"
    return {
        "arithmetic": [
            *(Operation(n, f"tf.{n}(a)", (f"u {BIG}",), f"torch.{n}(a)") for n in unary),
            Operation("relu", "tf.nn.relu(a)", f, "torch.relu(a)"), Operation("add", "a + b", two, "a + b"),
            Operation("add a row", "a + b", (f"f {BIG}", "f 1024"), "a + b"), Operation("divide", "a / b", two, "a / b"),
            Operation("pow", "tf.pow(b, a)", two, "torch.pow(b, a)"),
            Operation("floormod", "tf.floormod(a, b)", two, "torch.remainder(a, b)"),
            Operation("where", "tf.where(a > 0, a, b)", two, "torch.where(a > 0, a, b)"),
            Operation("to integers", "tf.cast(a, tf.int32)", f, "a.int()"),
            Operation("gelu", "0.5 * a * (1 + tf.erf(a * 0.7071067))", f, "torch.nn.functional.gelu(a)"),
        ],
        "reductions": [
            Operation("sum of all", "tf.reduce_sum(a)", f, "a.sum()"), Operation("sum of rows", "tf.reduce_sum(a, 1)", f, "a.sum(1)"),
            Operation("sum of columns", "tf.reduce_sum(a, 0)", f, "a.sum(0)"),
            Operation("argmax of rows", "tf.argmax(a, 1)", f, "a.argmax(1)"),
            Operation("largest of ten", "tf.reduce_max(a, 1)", (f"f {ROWS}",), "a.amax(1)"),
            Operation("argmax of ten", "tf.argmax(a, 1)", (f"f {ROWS}",), "a.argmax(1)"),
            Operation("sum of three", "tf.reduce_sum(a, 1)", ("f 50000x3",), "a.sum(1)"),
            Operation("sum of 16 wide rows", "tf.reduce_sum(a, 0)", ("f 16x65536",), "a.sum(0)"),
            Operation("mean over pixels", "tf.reduce_mean(a, [1, 2])", (images,), "a.mean((2, 3))"),
            Operation("mean over pixels of 3", "tf.reduce_mean(a, [1, 2])", (f"f {RGB}|16x3x64x64",), "a.mean((2, 3))"),
            Operation("moments", "tf.nn.moments(a, [0, 1, 2])", (images,), "torch.var_mean(a, (0, 2, 3))"),
            Operation("softmax", "tf.nn.softmax(a)", f, "a.softmax(1)"),
            Operation("softmax of ten", "tf.nn.softmax(a)", (f"f {ROWS}",), "a.softmax(1)"),
            Operation("cumsum of rows", "tf.cumsum(a, 1)", f, "a.cumsum(1)"),
            Operation("cumsum of columns", "tf.cumsum(a, 0)", f, "a.cumsum(0)"),
            Operation("distances in the plane", "tf.reduce_sum(tf.square(a[:, None] - b), 2)", ("f 5000x2", "f 100x2"),
                      "((a[:, None] - b) ** 2).sum(2)"),
        ],
        "movements": [
            Operation("transpose", "tf.transpose(a)", f, "a.t().contiguous()"),
            Operation("NHWC to NCHW", "tf.transpose(a, [0, 3, 1, 2])", (f"f {MAP}",), "a.permute(0, 3, 1, 2).contiguous()"),
            Operation("concat of columns", "tf.concat([a, b], 1)", two, "torch.cat([a, b], 1)"),
            Operation("stack", "tf.stack([a, b], 2)", two, "torch.stack([a, b], 2)"),
            Operation("slice", "a[10:500, 3:1000]", f, "a[10:500, 3:1000].contiguous()"),
            Operation("every third", "a[:, ::3]", f, "a[:, ::3].contiguous()"), Operation("reverse", "a[:, ::-1]", f, "a.flip(1)"),
            Operation("one channel of three", "a[..., 0]", (f"f {RGB}",), "a[..., 0].contiguous()"),
            Operation("pad", "tf.pad(a, [[0, 0], [2, 2], [2, 2], [0, 0]])", (f"f {MAP}",),
                      "torch.nn.functional.pad(a, [0, 0, 2, 2, 2, 2])"),
            Operation("resize, bilinear", "tf.image.resize_bilinear(a, [100, 100])", (f"f {RGB}|16x3x64x64",),
                      "torch.nn.functional.interpolate(a, (100, 100), mode='bilinear')"),
            Operation("resize, nearest", "tf.image.resize_nearest_neighbor(a, [56, 56])", (images,),
                      "torch.nn.functional.interpolate(a, (56, 56))"),
        ],
        "windows": [
            *pool("max", 2, 2), *pool("max", 3, 2), *pool("avg", 2, 2), *pool("avg", 3, 1), *pool("max", 2, 2, 64),
            Operation("depthwise 3x3", "tf.nn.depthwise_conv2d(a, b, [1, 1, 1, 1], 'SAME')",
                      ("f 16x28x28x32|16x32x28x28", "f 3x3x32x1|32x1x3x3"), "torch.conv2d(a, b, padding=1, groups=32)"),
            Operation("lrn", "tf.nn.lrn(a, 4, 1.0, 0.001 / 9, 0.75)", ("f 8x24x24x64",)),
        ],
        "places from values": [
            Operation("gather of rows", "tf.gather(a, b)", ("f 10000x128", "i10000 4000"), "a[b]"),
            Operation("segment sum of rows", "tf.unsorted_segment_sum(a, b, 1000)", ("f 20000x32", "i1000 20000"),
                      "torch.zeros(1000, 32).index_add_(0, b, a)"),
            Operation("histogram", "tf.histogram_fixed_width(a, [-3.0, 3.0], 100)", f, "torch.histc(a, 100, -3, 3)"),
            Operation("top_k of 5", "tf.nn.top_k(a, 5)", f, "a.topk(5)"), Operation("sort", "tf.sort(a)", f, "a.sort()"),
            Operation("five of ten", "tf.nn.top_k(a, 5)", (f"f {ROWS}",), "a.topk(5)"),
            Operation("where", "tf.where(a)", (f"b {BIG}",), "a.nonzero()"),
            Operation("unique", "tf.unique(a)", ("i5000 20000",), "a.unique()"),
            Operation("one_hot", "tf.one_hot(a, 100)", ("i100 5000",), "torch.nn.functional.one_hot(a, 100).float()"),
        ],
    }  # fmt: skip


def figures_of(measured: Measured, seconds: float, machine: dict[str, Any], torch: float | None) -> dict[str, Any]:
    """The figures of one row."""
    moved = sum(a.nbytes for a in measured.arrays)
    level = next((level for level in ("l2", "l3") if moved <= machine["sizes"][level]), "dram")
    figures = {"us": seconds * 1e6, "gbs": moved / seconds / 1e9, "level": level, "share": moved / seconds / machine[level],
               "calls": measured.calls}  # fmt: skip
    return figures if torch is None else {**figures, "torch": torch / seconds}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose group and name hold this text, as in 'windows max' or 'sum of'")
    parser.add_argument("--seconds", type=float, default=0.03, help="spent on each measurement")
    parser.add_argument("--out", type=Path, default=HERE / "history", help="folder for the record")
    chosen = parser.parse_args(arguments)
    wanted = matching(parser, chosen.only, groups())
    about, torch = beside_torch()
    print(found.heading(about))
    print(f"{'':32}{'us':>10}{'GB/s':>8}{'of':>6}{'share':>7}{'calls':>7}{'torch':>8}")
    executor = Executor(default_jit(), threads=1)
    results: dict[str, dict[str, Any]] = {}
    try:
        for group, rows in wanted.items():
            results[group] = {}
            for row in rows:
                measured = Measured(row, executor)
                theirs = torch.seconds(row, chosen.seconds) if torch and row.torch else None
                figures = results[group][row.name] = figures_of(measured, measured.seconds(chosen.seconds), about["machine"], theirs)
                beside = f"{figures['torch']:8.2f}" if "torch" in figures else ""
                print(f"{row.name:32}{figures['us']:10.1f}{figures['gbs']:8.1f}{figures['level'].upper():>6}{figures['share']:7.0%}"
                      f"{figures['calls']:7}{beside}", flush=True)  # fmt: skip
    finally:
        if torch:
            torch.stop()
    path = found.write_record(chosen.out, "operations", {"seconds": chosen.seconds}, about, results)
    print(f"written: {path}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
