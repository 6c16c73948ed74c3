"""The workloads in PyTorch: eager, channels-last ("torch-nhwc") or torch.compile ("torch-compile")."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTM(28, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        states, _ = self.cell(x.view(-1, 28, 28))
        return self.out(states[:, -1])


def block(inputs: int, outputs: int, size: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]


def net(name: str) -> tuple[nn.Module, str, float]:
    """The model, the optimizer and its rate."""
    image = nn.Unflatten(1, (1, 28, 28))
    if name == "softmax":
        return nn.Linear(784, 10), "sgd", 0.5
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), "adam", 1e-3
    if name == "mlpbn":
        return nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.2), nn.Linear(512, 512), nn.BatchNorm1d(512),
            nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 10)), "adam", 1e-3  # fmt: skip
    if name == "lenet5":
        return nn.Sequential(
            image, *block(1, 6, 5, 0), *block(6, 16, 5, 0), nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84),
            nn.ReLU(), nn.Linear(84, 10)), "sgd", 0.05  # fmt: skip
    if name == "mnistcnn":
        return nn.Sequential(
            image, *block(1, 32, 5, 2), *block(32, 64, 5, 2), nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 10)
        ), "sgd", 0.05  # fmt: skip
    if name == "cifarcnn":
        return nn.Sequential(
            nn.Unflatten(1, (3, 32, 32)), *block(3, 32, 3, 1), *block(32, 32, 3, 1), *block(32, 32, 3, 1), nn.Flatten(),
            nn.Linear(512, 10)), "adam", 1e-3  # fmt: skip
    return Lstm(), "sgd", 0.05


def prepare(name: str, batch: int, images: Any, labels: Any, implementation: str, threads: int) -> Any:
    """(step(i), loss(), about(machine)) of one workload."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, kind, rate = net(name)
    if implementation == "torch-nhwc":
        model = model.to(memory_format=torch.channels_last)
    optimizer = (torch.optim.SGD if kind == "sgd" else torch.optim.Adam)(model.parameters(), rate, fused=True)

    def loss_of(x: Any, y: Any) -> Any:
        out = F.cross_entropy(model(x), y)
        return out + 0.01 * model[4].weight.square().sum() if name == "mlpbn" else out

    forward = torch.compile(loss_of) if implementation == "torch-compile" else loss_of
    count = len(images) // batch

    def step(i: int) -> None:
        k = (i % count) * batch
        loss = forward(torch.from_numpy(images[k : k + batch]), torch.from_numpy(labels[k : k + batch]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step, lambda: float(loss_of(torch.from_numpy(images[:batch]), torch.from_numpy(labels[:batch]))), lambda machine: {}
