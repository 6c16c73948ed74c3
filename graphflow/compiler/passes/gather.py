"""Products that are summed up, as the gradient of a weight that is used in every step of an unrolled net, are gathered in one place.

    AddN(x1 w1, x2 w2, x3 w3, ...)  ->  s1 = x1 w1;  s2 = x2 w2 + s1;  s3 = x3 w3 + s2;  ...

Each product then adds to the sum of those before it in the epilogue of its own kernel, where it lies, instead of waiting in memory of its
own until all are there.
"""

from __future__ import annotations

from graphflow.compiler.passes.rewrite import Rewriter, note, substituted, uses, with_inputs
from graphflow.compiler.program import Node, Program, Value
from graphflow.graph.op import Kind


def gather_sums(program: Program) -> Program:
    """See the module's text. The terms are added in the order in which they are computed."""
    if not any(n.op.type == "AddN" for n in program.nodes):
        return program
    read = uses(program)
    place = {v.id: k for k, n in enumerate(program.nodes) for v in n.outputs}

    def product(value: Value) -> bool:
        number = place.get(value.id)
        return number is not None and read[value.id] == 1 and program.nodes[number].op.kind is Kind.CONTRACTION

    sums = {k: n for k, n in enumerate(program.nodes) if n.op.type == "AddN" and len(n.inputs) > 2 and sum(map(product, n.inputs)) > 1}
    if not sums:
        return program
    after: dict[int, list[tuple[Node, Value, Value]]] = {}  # by number of a product: (the sum, the total so far, the total with it)
    first: dict[int, list[Value]] = {}  # by number of a sum: what is left of it
    b = Rewriter(program)
    for number, node in sums.items():
        products = sorted((v for v in node.inputs if product(v)), key=lambda v: place[v.id])
        total = products[0]
        for value in products[1:]:
            added = b.value(node.outputs[0].dtype, node.outputs[0].shape)
            after.setdefault(place[value.id], []).append((node, total, added))
            total = added
        first[number] = [total, *(v for v in node.inputs if not any(v is p for p in products))]
    env: dict[Value, Value] = {}
    for number, node in enumerate(program.nodes):
        if number in sums:
            left = [env.get(v, v) for v in first[number]]
            b.origins = node.origins
            env[node.outputs[0]] = left[0] if len(left) == 1 else b.make("AddN", *left)
            note(node, (env[node.outputs[0]],), "products add to the sum of those before them")
            continue
        inputs = tuple([env.get(v, v) for v in node.inputs])
        b.nodes.append(node if inputs == node.inputs else with_inputs(node, inputs))
        for of, total, added in after.get(number, ()):
            b.origins = of.origins
            env[added] = b.make("AddV2", node.outputs[0], env.get(total, total))
    return substituted(program, b.nodes, env)
