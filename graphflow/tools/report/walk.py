"""Going through Programs: groups and the bodies of loops and branches included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphflow.compiler.composed import spelled_out
from graphflow.compiler.plan import bytes_of
from graphflow.compiler.program import Node, Value
from graphflow.kernel.index import evaluate


def leaves(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes themselves, in place of the groups and regions that hold them; a region comes before what is inside."""
    for node in spelled_out(nodes):
        inside = getattr(node, "nodes", None)
        if inside is not None:
            yield from leaves(inside)
            continue
        yield node
        for body in getattr(node.op, "bodies", ()):
            yield from leaves(body.program.nodes)


def groups(nodes: Sequence[Node]) -> Iterator[Any]:
    """The groups, those in bodies included."""
    for node in nodes:
        if hasattr(node, "nodes"):
            yield node
        for leaf in getattr(node, "nodes", (node,)):
            for body in getattr(leaf.op, "bodies", ()):
                yield from groups(body.program.nodes)


def size_of(value: Value, sizes: Mapping[str, int]) -> int:
    """Bytes of a value; 0 where its size is known only while a loop runs."""
    try:
        return int(evaluate(bytes_of(value), sizes))
    except (KeyError, TypeError):
        return 0


def names(node: Node) -> list[str]:
    """The graph's operations that a node stands for."""
    return list(dict.fromkeys(o.name for o in node.origins))
