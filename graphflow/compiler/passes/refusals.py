"""Why nodes are not computed together (clusters.py)."""

from __future__ import annotations

from typing import NamedTuple

NODES = 64  # most ops of a kernel
OPERANDS = 30  # most values that a kernel reads

FULL = f"the kernel would have more than {NODES} nodes"
CROWDED = f"the kernel would read more than {OPERANDS} values"
ELSEWHERE = "it reads elements of the other's result that stand elsewhere: they must be in memory first"
BETWEEN = "something outside lies between them: computing them together would make a circle of kernels"
SPACES = "their loops run over different index spaces"
WAITS = "it needs a sum that is complete only after the loop over all elements"
TAKEN = "it is computed with another of its operands already"
AXES = "they are reduced over different axes"
CONTRACTED = "a sum of products reads its operands from memory, and takes in elementwise work on its result only"
REDUCED = "a reduction begins a loop nest of its own here: the other one's form takes in elementwise work only"
BLOCKS = "random numbers are made four at a time, which a loop over rows or columns with sums does not do"


class Refusal(NamedTuple):
    """Nodes that were not taken in with others, and the rule that said so."""

    nodes: tuple[int, ...]
    others: tuple[int, ...]
    reason: str
