"""Passes that remove: fold_constants, cse, dce."""

from __future__ import annotations

from typing import Any

from graphflow.compiler.builder import is_symbolic, normal_contents
from graphflow.compiler.passes.rewrite import Rewriter, note, rewrite, substituted, with_inputs
from graphflow.compiler.program import Node, Program, Value, assemble
from graphflow.graph.op import Effect, Kind
from graphflow.kernel.index import product

LIMIT = 1 << 16  # elements of a folded result


def fold_constants(program: Program) -> Program:
    """Compute what depends on literals only, unless the result would be much larger than they are."""

    def rule(b: Rewriter, node: Node, inputs: tuple[Value, ...]) -> Any:
        for v in inputs:
            if v.known is None or v.dtype.kernel_type is None or is_symbolic(v.known):
                return None
        op = node.op
        if op.effect is not Effect.PURE or op.kind in (Kind.HOST, Kind.REGION, Kind.SOURCE, Kind.STATE) or not inputs:
            return None
        results = [product(v.shape) for v in node.outputs]
        given = sum(v.known.size for v in inputs if v.known is not None)
        if not all(isinstance(n, int) and n <= min(LIMIT, 4 * given + 64) for n in results):
            return None
        import numpy as np

        try:
            with np.errstate(all="ignore"):
                computed = op.reference(*[v.known for v in inputs])
        except (ArithmeticError, IndexError, TypeError, ValueError):
            return None  # it fails at run time, with its message
        many = computed if isinstance(computed, tuple) else (computed,)
        b.rule = "op(literals) -> literal"
        return [b.value(v.dtype, v.shape, normal_contents(r, v.dtype)) for v, r in zip(node.outputs, many, strict=True)]

    return rewrite(program, rule)


def _contents_key(value: Value) -> Any:
    """What identifies an operand: itself, or its contents where they are known and small."""
    known = value.known
    if known is None or known.size > 64:
        return value
    if known.dtype == object:
        return (value.dtype.name, known.shape, tuple(map(str, known.ravel())))
    return (value.dtype.name, known.shape, known.tobytes())


def cse(program: Program) -> Program:
    """One node for equal ops on equal operands."""
    seen: dict[Any, Node] = {}
    env: dict[Value, Value] = {}
    nodes: list[Node] = []
    for node in program.nodes:
        op, inputs = node.op, node.inputs
        if not env.keys().isdisjoint(inputs):
            inputs = tuple([env.get(v, v) for v in inputs])
            node = with_inputs(node, inputs)
        if op.effect is Effect.PURE and op.kind is not Kind.HOST:
            key = (op, *[v if v.known is None else _contents_key(v) for v in inputs])
            first = seen.setdefault(key, node)
            if first is not node:
                note(node, first.outputs, "equal ops on equal operands are one")
                env.update(zip(node.outputs, first.outputs, strict=True))
                continue
        nodes.append(node)
    return substituted(program, nodes, env) if env else program


def dce(program: Program) -> Program:
    """Leave out nodes whose results nothing uses, and literals."""
    kept = assemble(program.inputs, program.nodes, program.outputs, program.updates, program.symbols)
    return program if len(kept.nodes) == len(program.nodes) and len(kept.inputs) == len(program.inputs) else kept
