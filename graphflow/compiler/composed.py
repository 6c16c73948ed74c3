"""Elementwise ops as one: what an optimizer's update is in a Program.

An update of a variable is a dozen of operations on elements at one place, and a net has an update for each of its variables: node by node
they would be most of what the passes look at. Nothing else reads what is computed on the way, so they become one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Node, Value
from graphflow.graph.op import Effect, Kind, Op, TensorSpec


class Composed(Op, abstract=True):
    """steps: (op, its operands); given: the results. Operands and results are numbers among the inputs, followed by what the steps gave.
    A kernel is lowered from the steps, see `nodes`."""

    type = "Composed"
    kind = Kind.ELEMENTWISE
    core = True
    arity: int
    steps: tuple[tuple[Op, tuple[int, ...]], ...]
    given: tuple[int, ...]

    def _taken(self, inputs: Sequence[Any], apply: Callable[[Op, list[Any]], Any]) -> Any:
        """The results, where `apply` says what a step gives."""
        found = list(inputs)
        for op, operands in self.steps:
            results = apply(op, [found[n] for n in operands])
            found += results if isinstance(results, tuple) else (results,)
        return tuple([found[n] for n in self.given])

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return self._taken(inputs, lambda op, specs: op.infer(*specs))  # type: ignore[no-any-return]

    def reference(self, *inputs: Any) -> Any:
        return self._taken(inputs, lambda op, arrays: op.reference(*arrays))

    def nodes(self, node: Node) -> list[Node]:
        """The steps as nodes of their own, for a node of this op. Their values have numbers that are used nowhere else."""
        values = list(node.inputs)
        given = dict(zip(self.given, node.outputs, strict=True))
        fresh = -1 - (node.outputs[0].id << 20)
        out = []
        for op, operands in self.steps:
            inputs = [values[n] for n in operands]
            specs = op.infer(*[v.spec for v in inputs])
            outputs = []
            for spec in specs if isinstance(specs, tuple) else (specs,):
                outputs.append(given.get(len(values)) or Value(fresh - len(values), spec.dtype, node.outputs[0].shape))
                values.append(outputs[-1])
            out.append(Node(op, inputs, outputs, node.origins))
        return out

    @cached_property
    def elementary(self) -> tuple[Op, ...]:
        return tuple([op for op, _ in self.steps])

    def __repr__(self) -> str:
        """Operands are called $0, $1, ...; every step gives the next. Nothing may be left out: kernels are known by this text on disk."""
        steps = [f"{op!r}".removesuffix("()") + " " + _names(operands) for op, operands in self.steps]
        return f"Composed({'; '.join(f'${n} = {step}' for n, step in enumerate(steps, self.arity))} -> {_names(self.given)})"


def _names(numbers: Sequence[int]) -> str:
    return ", ".join([f"${n}" for n in numbers])


def compose(b: ProgramBuilder, start: int, results: Sequence[Value]) -> None:
    """Make one node of those from number `start` on that compute elements of the `results`, which are all that is read of them."""
    shape = results[0].shape
    made = b.nodes[start:]
    inner = [n for n in made if _fits(n, shape)] if shape else []
    if len(inner) < 2:
        return
    inside = {v.id for n in inner for v in n.outputs}
    others = [n for n in made if n.outputs[0].id not in inside]
    if any(v.id in inside for n in others for v in n.inputs):
        return  # something else lies between them
    inputs = {v.id: v for n in inner for v in n.inputs if v.id not in inside}
    numbers = {id_: k for k, id_ in enumerate(inputs)}
    outputs = [v for n in inner for v in n.outputs]
    numbers.update((v.id, k) for k, v in enumerate(outputs, len(inputs)))
    kept = {v.id for v in results}
    given = [v for v in outputs if v.id in kept]
    op = Composed(len(inputs), tuple((n.op, tuple(numbers[v.id] for v in n.inputs)) for n in inner), tuple(numbers[v.id] for v in given))
    b.withdraw(start)
    b.nodes += [*others, Node(op, tuple(inputs.values()), given, b.origins, inferred=True)]


def _fits(node: Node, shape: Sequence[Any]) -> bool:
    """Whether a node computes elements of this shape, and can be a step."""
    op = node.op
    if op.kind is not Kind.ELEMENTWISE or op.effect is not Effect.PURE or bool(getattr(op, "checks", ())):
        return False
    return all(v.shape == shape and v.known is None and not v.dtype.is_complex for v in node.outputs)


def spelled_out(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with all that is composed as the steps that it consists of."""
    out: list[Node] = []
    for node in nodes:
        out += node.op.nodes(node) if isinstance(node.op, Composed) else [node]
    return out
