"""Every pass by its text before and after."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.dump import program_text
from graphflow.compiler.passes.canonicalise import canonicalise
from graphflow.compiler.passes.cleanup import cse, dce, fold_constants
from graphflow.compiler.passes.layout import choose_layout
from graphflow.compiler.passes.settle import settle
from graphflow.compiler.passes.simplify import simplify
from graphflow.compiler.pipeline import PASSES, Pass, _check_order
from tests.compiler.support import BATCH, feed, matmul, state


def lines(program):
    """The nodes' lines, shortened."""
    return [line for line in program_text(program).splitlines() if " = feed" not in line and " = state" not in line]


def nodes(program):
    return [line.split(" = ", 1)[1] for line in lines(program) if " = " in line and not line.startswith(("size", "update"))]


def test_fold_constants():
    b = ProgramBuilder()
    x = feed(b, "x", 3, 300)
    table = b.constant(np.arange(300, dtype=np.float32))
    program = b.finish([b.add(x, b.neg(table))])
    assert nodes(program) == ["constant 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, …", "Neg %1", "AddV2 %0, %2"]
    assert nodes(fold_constants(program)) == ["constant -0.0, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, …", "AddV2 %0, %4"]


def test_fold_constants_does_not_blow_up():
    b = ProgramBuilder()
    program = b.finish([b.exp(b.broadcast(b.constant(2.0, "float32"), (300, 300)))])
    assert fold_constants(program) is program


def test_canonicalise():
    b = ProgramBuilder()
    x = feed(b, "x", 4, 1, 6)
    y = b.make("Add", x, 1.0)
    z = b.permute(b.reduce("add", y, (1,), True), (1, 0, 2))
    program = b.finish([b.make("Mul", b.constant(2.0, "float32"), z)])
    assert nodes(program) == [
        "Add %0, 1", "Reduce(combine='add', axes=(1,)) %2", "View(shape=(4, 1, 6)) %3", "Permute(perm=(1, 0, 2)) %4", "Mul 2, %5",
    ]  # fmt: skip
    assert nodes(canonicalise(program)) == ["AddV2 %0, 1", "View(shape=(1, 4, 6)) %8", "Mul %10, 2"]


def test_canonicalise_joins_permutations():
    b = ProgramBuilder()
    x = feed(b, "x", 4, 5, 6)
    program = b.finish([b.permute(b.permute(x, (1, 2, 0)), (1, 2, 0))])
    assert nodes(canonicalise(program)) == ["Permute(perm=(2, 0, 1)) %0"]


SIMPLER = [
    (lambda b, x: b.add(x, 0.0), []),
    (lambda b, x: b.sub(x, 0.0), []),
    (lambda b, x: b.mul(x, 1.0), []),
    (lambda b, x: b.mul(x, b.broadcast(b.constant(1.0, "float32"), (4, 300))), []),
    (lambda b, x: b.div(x, 1.0), []),
    (lambda b, x: b.div(x, 8.0), ["Mul %0, 0.125"]),
    (lambda b, x: b.div(x, 3.0), None),
    (lambda b, x: b.neg(b.neg(x)), []),
    (lambda b, x: b.add(x, b.neg(b.exp(x))), ["Exp %0", "Sub %0, %1"]),
    (lambda b, x: b.sub(x, b.neg(b.exp(x))), ["Exp %0", "AddV2 %0, %1"]),
    (lambda b, x: b.maximum(x, x), []),
    (lambda b, x: b.pow(x, 1.0), []),
    (lambda b, x: b.pow(x, 2.0), ["Square %0"]),
    (lambda b, x: b.pow(x, 3.0), ["Square %0", "Mul %0, %4"]),
    (lambda b, x: b.pow(x, 0.5), ["Sqrt %0"]),
    (lambda b, x: b.pow(x, -0.5), ["Rsqrt %0"]),
    (lambda b, x: b.pow(x, -1.0), ["Reciprocal %0"]),
    (lambda b, x: b.pow(x, 2.5), None),
    (lambda b, x: b.select(b.constant(True), x, 0.0), []),
    (lambda b, x: b.mul(x, 0.0), None),
]


@pytest.mark.parametrize("number", range(len(SIMPLER)))
def test_simplify(number):
    build, wanted = SIMPLER[number]
    b = ProgramBuilder()
    x = feed(b, "x", 4, 300)
    program = b.finish([b.exp(build(b, x))])
    simpler = simplify(program)
    if wanted is None:
        assert simpler is program
    else:
        assert nodes(simpler)[:-1] == wanted and nodes(simpler)[-1].startswith("Exp")


def test_simplify_keeps_the_broadcast_shape():
    b = ProgramBuilder()
    x = feed(b, "x", 5)
    program = b.finish([b.add(x, b.broadcast(b.constant(0.0, "float32"), (300, 5)))])
    assert simplify(program).outputs[0].shape == (300, 5)


def test_cse():
    b = ProgramBuilder()
    x = feed(b, "x", 4)
    program = b.finish([b.add(b.exp(x), b.mul(b.exp(x), b.constant([1.0, 2.0, 3.0, 4.0], "float32"))),
                        b.mul(b.exp(x), b.constant([1.0, 2.0, 3.0, 4.0], "float32"))])  # fmt: skip
    assert len(nodes(program)) == 8 and len(nodes(cse(program))) == 4
    assert cse(cse(program)) is not None and nodes(cse(program))[1:] == ["Exp %0", "Mul %1, %3", "AddV2 %1, %4"]


def test_dce():
    b = ProgramBuilder()
    x = feed(b, "x", 4)
    y = b.exp(x)
    program = b.finish([b.neg(y)])
    assert dce(program) is program
    assert nodes(dce(program._replace(outputs=(y,)))) == ["Exp %0"]


def test_layout_transposes_sink_into_contractions():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 8), feed(b, "w", 20, 8)
    program = b.finish([b.permute(matmul(b, x, b.permute(w, (1, 0))), (1, 0))], {"d0": ("x", 0)})
    assert nodes(choose_layout(program)) == [
        "SumOfProducts(extents=(20, d0, 8), free=2, left=((((1, 1),), 0), (((2, 1),), 0)), right=((((0, 1),), 0), (((2, 1),), 0))) %0, %1"
    ]


def test_layout_views_that_add_units_sink_too():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 1, 8), feed(b, "w", 8, 20)
    program = b.finish([matmul(b, b.view(x, (BATCH, 8)), w)], {"d0": ("x", 0)})
    assert [n.split("(")[0] for n in nodes(choose_layout(program))] == ["SumOfProducts"]


def test_settle_copies_what_would_share_memory():
    b = ProgramBuilder()
    x, v, w = feed(b, "x", 4), state(b, "v", 4), state(b, "w", 4)
    y = b.exp(x)
    b.updates.update({"v": w, "w": v})
    program = settle(b.finish([x, y, b.view(y, (2, 2)), v]))
    assert [n.op.type for n in program.nodes].count("Copy") == 5
    assert len({v.id for v in program.outputs}) == 4
    assert settle(program) is program


def test_passes_name_what_they_need():
    _check_order(PASSES)
    with pytest.raises(ValueError, match="the pass second requires x, which no pass before it establishes"):
        _check_order((Pass("first", dce, "", establishes=("y",)), Pass("second", dce, "", requires=("x",))))
