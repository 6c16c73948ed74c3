"""Contractions (oneDNN and MKL) and other operations in PyTorch on one thread: a JSON line a request (contractions.request, and
`seconds`), a line an answer."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from timing import best

FORMATS = (torch.contiguous_format, torch.channels_last)


def product(r: dict[str, Any]) -> list[Callable[[], Any]]:
    kind = getattr(torch, r["type"])
    a = torch.randn((r["k"], r["m"]) if r["kind"][0] == "T" else (r["m"], r["k"]), dtype=kind)
    b = torch.randn((r["n"], r["k"]) if r["kind"][1] == "T" else (r["k"], r["n"]), dtype=kind)
    left, right = (a.T if r["kind"][0] == "T" else a), (b.T if r["kind"][1] == "T" else b)
    out = torch.empty((r["m"], r["n"]), dtype=kind)
    return [lambda: torch.mm(left, right, out=out)]


def convolution(r: dict[str, Any]) -> list[Callable[[], Any]]:
    """One for each memory layout: the better one counts. TensorFlow's SAME puts the odd zero behind; PyTorch pads both sides alike, the
    sizes and the work are the same or a little more."""
    kind, stride = getattr(torch, r["type"]), r["stride"]
    padding = (max((r["out"] - 1) * stride + r["window"] - r["size"], 0) + 1) // 2 if r["padding"] == "SAME" else 0
    which = {"dX": (True, False, False), "dW": (False, True, False)}.get(r["kind"])
    actions: list[Callable[[], Any]] = []
    for layout in FORMATS:
        x = torch.randn((r["n"], r["inputs"], r["size"], r["size"]), dtype=kind).to(memory_format=layout)
        w = torch.randn((r["outputs"], r["inputs"], r["window"], r["window"]), dtype=kind).to(memory_format=layout)

        def forward(x: Any = x, w: Any = w) -> Any:
            return torch.conv2d(x, w, stride=stride, padding=padding)

        if which is None:
            actions.append(forward)
            continue
        dy = torch.randn_like(forward()).to(memory_format=layout)

        def backward(x: Any = x, w: Any = w, dy: Any = dy) -> Any:
            sides = ([stride, stride], [padding, padding], [1, 1])
            return torch.ops.aten.convolution_backward(dy, x, w, None, *sides, False, [0, 0], 1, which)

        actions.append(backward)
    return actions


def operation(r: dict[str, Any]) -> list[Callable[[], Any]]:
    """An expression of operands as benchmarks/operations.py describes them; images lie as in TensorFlow."""
    operands = []
    for described in r["inputs"]:
        kind, sizes = described.split("|")[0].split()
        shape = [int(n) for n in described.split("|")[-1].split()[-1].split("x")]
        if kind[0] == "i":
            operands.append(torch.randint(0, int(kind[1:]), shape))
            continue
        x = torch.rand(shape) + 0.1 if kind == "u" else torch.randn(shape)
        x = x.to(memory_format=torch.channels_last) if "|" in described else x
        operands.append(x > 0 if kind == "b" else x)
    names = {"torch": torch, **dict(zip("abc", operands))}
    code = compile(r["torch"], r["name"], "eval")
    if "autograd" not in r["torch"]:
        return [lambda: eval(code, names)]
    names["a"].requires_grad_(True)

    def gradient() -> Any:
        with torch.enable_grad():
            return eval(code, names)

    return [gradient]


def main() -> None:
    torch.set_num_threads(1)
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        with torch.no_grad():
            actions = {"Product": product, "Convolution": convolution, "Operation": operation}[asked["what"]](asked)
            seconds = min(best(action, asked["seconds"] / len(actions)) for action in actions)
        print(json.dumps({"seconds": seconds}), file=reply, flush=True)


main()
