"""Random seeds: how the graph's seed and an operation's seed give the two numbers that a random op holds."""

from __future__ import annotations

from graphflow.graph.graph import get_default_graph

__all__ = [
    "get_seed",
    "set_random_seed",
]

DEFAULT_GRAPH_SEED = 87654321
_LIMIT = 2**31 - 1


def get_seed(op_seed: int | None) -> tuple[int | None, int | None]:
    """The pair of seeds of an operation that is about to be made; (None, None) asks for random ones.

    With a graph seed and no op seed, the op seed is the number of operations made so far.
    """
    graph = get_default_graph()
    if graph.seed is not None:
        seeds = graph.seed % _LIMIT, (graph._last_id if op_seed is None else op_seed) % _LIMIT
    elif op_seed is not None:
        seeds = DEFAULT_GRAPH_SEED, op_seed % _LIMIT
    else:
        return None, None
    return (0, _LIMIT) if seeds == (0, 0) else seeds  # a pair of zeros would mean random seeds


def set_random_seed(seed: int | None) -> None:
    """Sets the graph-level seed of the default graph."""
    get_default_graph().seed = seed
