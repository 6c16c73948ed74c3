"""The verifier finds what is wrong with a Program."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Input, Node, Program, Source, Value
from graphflow.compiler.verify import VerificationError, problems, verify
from graphflow.dtypes import as_dtype
from graphflow.graph.op import REGISTRY
from graphflow.kernel.index import symbol
from graphflow.ops import core
from tests.compiler.support import feed, mlp, state

F32 = as_dtype("float32")
ADD, EXP = REGISTRY["AddV2"](), REGISTRY["Exp"]()


def small():
    b = ProgramBuilder()
    x, v = feed(b, "x", 3, 4), state(b, "v", 3, 4)
    b.updates["v"] = b.exp(b.add(x, v))
    return b.finish([b.neg(x)])


def nodes(program, *changed):
    return program._replace(nodes=tuple(changed))


def test_good_programs_pass():
    verify(small())
    verify(mlp())


def test_used_before_defined():
    program = small()
    bad = nodes(program, *reversed(program.nodes))
    with pytest.raises(VerificationError, match="after simplify: %.* is used by .* before it is defined"):
        verify(bad, "simplify")


def test_defined_twice():
    program = small()
    assert any("is defined twice" in p for p in problems(nodes(program, *program.nodes, program.nodes[0])))


def test_an_output_that_is_not_there():
    program = small()
    assert any("the output %99 is not defined" in p for p in problems(program._replace(outputs=(Value(99, F32, (3,)),))))


def test_a_shape_against_the_rule():
    x = Value(0, F32, (3, 4))
    program = Program((Input(Source.FEED, "x", x),), (Node(EXP, (x,), (Value(1, F32, (4, 4)),)),), (), {}, {})
    assert any("float32[3, 4] by its shape rule" in p for p in problems(program))


def test_a_type_against_the_rule():
    x = Value(0, F32, (3, 4))
    program = Program((Input(Source.FEED, "x", x),), (Node(EXP, (x,), (Value(1, as_dtype("int32"), (3, 4)),)),), (), {}, {})
    assert any("of type float32 by its shape rule" in p for p in problems(program))


def test_operands_that_do_not_fit():
    x, y = Value(0, F32, (3, 4)), Value(1, F32, (5,))
    program = Program((Input(Source.FEED, "x", x), Input(Source.FEED, "y", y)), (Node(ADD, (x, y), (Value(2, F32, (3, 4)),)),), (), {}, {})
    assert any("must be equal" in p for p in problems(program))


def test_an_undeclared_size():
    x = Value(0, F32, (symbol("n"), 4))
    program = Program((Input(Source.FEED, "x", x),), (), (), {}, {})
    assert any("undeclared size n" in p for p in problems(program))


def test_a_size_without_a_source():
    program = small()._replace(symbols={"n": ("nobody", 0)})
    assert any("the size n is read from axis 0 of 'nobody'" in p for p in problems(program))


def test_an_update_of_an_unknown_variable_or_another_type():
    program = small()
    value = program.updates["v"]
    assert any("'w' is updated but not an input" in p for p in problems(program._replace(updates={"w": value})))
    other = Value(50, as_dtype("int32"), (3, 4))
    bad = program._replace(updates={"v": other}, nodes=(*program.nodes, Node(core.Iota((3, 4), 0, other.dtype), (), (other,))))
    assert any("of type float32, its update of type int32" in p for p in problems(bad))


def test_two_inputs_of_one_name():
    program = small()
    twice = Input(Source.FEED, "x", Value(70, F32, (1,)))
    assert any("two inputs are called 'x'" in p for p in problems(program._replace(inputs=(*program.inputs, twice))))


def test_a_literal_without_contents():
    program = small()
    literal = Input(Source.CONSTANT, "", Value(71, F32, (2,)), np.zeros(3, np.float32))
    assert any("no contents of its shape" in p for p in problems(program._replace(inputs=(*program.inputs, literal))))


def test_a_composite_op():
    x = Value(0, F32, (3, 4))
    program = Program((Input(Source.FEED, "x", x),), (Node(REGISTRY["Identity"](), (x,), (Value(1, F32, (3, 4)),)),), (), {}, {})
    assert any("do not stand in Programs" in p for p in problems(program))


def test_what_a_shape_rule_made_is_not_asked_again_unless_thoroughly():
    """Nodes of the builder carry their rule's own shapes. One that a pass writes by hand is asked."""
    program = small()
    node = program.nodes[0]
    asked = []

    class Watched(type(node.op), abstract=True):
        def infer(self, *inputs):
            asked.append(self)
            return super().infer(*inputs)

    for inferred in (True, False):
        changed = Node(Watched(), node.inputs, node.outputs, node.origins, inferred)
        for thorough in (True, False):
            asked.clear()
            verify(nodes(program, changed, *program.nodes[1:]), thorough=thorough)
            assert bool(asked) is (thorough or not inferred)
