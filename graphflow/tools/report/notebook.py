"""What a Graph, a Tensor, a compiled run and a Session show of themselves: the page, or the page in a frame for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from graphflow.graph.graph import Graph
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.tools.machine import available, measured
from graphflow.tools.recorder import Signature
from graphflow.tools.report.model import Model, model_of
from graphflow.tools.report.page import page_text, write

HEIGHT = 620  # of the frame


def framed(text: str) -> str:
    """A page as an element of another one."""
    return f'<iframe srcdoc="{html.escape(text)}" style="width:100%;height:{HEIGHT}px;border:1px solid #8884;border-radius:8px"></iframe>'


def html_of(thing: Any) -> str:
    """The frame for a Graph, a Tensor or a compiled run."""
    if isinstance(thing, Graph):
        return graph_html(thing)
    return tensor_html(thing) if isinstance(thing, Tensor) else compilation_html(thing)


def graph_html(graph: Any) -> str:
    """All operations of a Graph."""
    return framed(page_text(graph_model(f"graph of {len(graph.get_operations())} operations", graph.get_operations(), "#/0/graph")))


def tensor_html(tensor: Any) -> str:
    """What a Tensor is computed from."""
    start = f"#/0/op/{tensor.op.name.replace('/', '%2F')}"
    return framed(page_text(graph_model(f"what {tensor.name} is computed from", ancestors(tensor.op), start)))


def compilation_html(compilation: Any) -> str:
    """A compiled run, with the times of its last traced run if there was one."""
    launch = next((found for found in compilation.launches if found.bound is compilation.plan), None)
    signature = Signature(compilation.plan) if launch is None else of_launch(launch)
    return framed(page_text(model_of("compiled run", [signature], measured(available()))))


def session_report(session: Any, path: str) -> None:
    """Write the page of everything that a session has compiled."""
    signatures = sorted((of_launch(launch) for launch in launches(session)), key=lambda s: (-s.wall, -len(s.compiled.steps)))
    write(model_of("session", signatures, measured(available())), path)


def ancestors(op: Operation) -> list[Operation]:
    """The operation and all that it needs."""
    found: dict[Operation, None] = {}
    stack = [op]
    while stack:
        one = stack.pop()
        if one not in found:
            found[one] = None
            stack.extend([t.op for t in one.inputs] + one._control_inputs)
    return list(found)


def graph_model(title: str, operations: Sequence[Operation], start: str) -> Model:
    """Operations without a compilation."""
    model = Model(title, None)
    model.add_graph(title, operations)
    model.data["start"] = start
    return model


def launches(session: Any) -> Iterable[Any]:
    """The bound plans that a session has run."""
    found: dict[int, Any] = {}
    for route in session._routes.values():
        for step in [*filter(None, [route.step]), *route.parts.every_step()]:
            for compiled in (c for same in step._by_pattern.values() for c in same):
                found.update((id(launch), launch) for launch in compiled.launches.values())
    return found.values()


def of_launch(launch: Any) -> Signature:
    """A bound plan with the times of its last traced run."""
    signature = Signature(launch.bound)
    if launch.traced is not None:
        timing, start, called = launch.traced
        for number, begin, end in called:
            signature.python(number, begin, end)
        signature.ran(timing, start)
    return signature
