"""ProgramBuilder: folding, sizes as contents, finishing."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.compiler.builder import DataDependent, ProgramBuilder
from graphflow.compiler.program import Origin, Source
from graphflow.kernel.index import IndexExpr
from tests.compiler.support import BATCH, feed, state


def test_known_operands_fold():
    b = ProgramBuilder()
    x = b.constant([1.0, 2.0], "float32")
    y = b.mul(b.add(x, 1), x)
    assert y.known.tolist() == [2.0, 6.0] and y.known.dtype == np.float32
    assert not b.nodes


def test_sizes_fold_in_symbols():
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, 28, 28)
    shape = b.constant(x.shape, "int32")
    rest = b.reduce("mul", b.section(shape, (1,), (2,)), (0,))
    target = b.join([b.section(shape, (0,), (1,)), b.view(rest, (1,))], 0)
    assert b.sizes(target) == (BATCH, 784)
    doubled = b.cast(b.mul(b.view(b.section(shape, (0,), (1,)), ()), 2), "int64")
    (size,) = b.sizes(doubled)
    assert isinstance(size, IndexExpr) and str(size) == "2*d0"
    assert not b.nodes


def test_division_by_zero_is_left_for_the_run():
    b = ProgramBuilder()
    y = b.floordiv(b.constant(1, "int32"), b.constant(0, "int32"))
    assert y.known is None and len(b.nodes) == 1


def test_large_results_do_not_fold():
    b = ProgramBuilder()
    y = b.broadcast(b.constant(0, "float32"), (784, 512))
    assert y.known is None and y.shape == (784, 512)


def test_a_size_that_depends_on_data_is_refused():
    b = ProgramBuilder()
    x = feed(b, "x", 3, dtype="int32")
    with pytest.raises(DataDependent) as caught:
        b.known(x)
    assert caught.value.value is x


def test_movements_that_move_nothing_make_no_node():
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, 4)
    assert b.view(x, x.shape) is x and b.permute(x, (0, 1)) is x and b.halo(x, (0, 0), (0, 0)) is x
    assert b.section(x, (0, 0), x.shape) is x and b.join([x], 0) is x and b.cast(x, "float32") is x and b.broadcast(x, x.shape) is x


def test_numbers_take_the_type_beside_them():
    b = ProgramBuilder()
    x = feed(b, "x", 3, dtype="float64")
    assert b.mul(x, 2).dtype.name == "float64" and b.sub(1, x).dtype.name == "float64"
    condition = b.greater(x, 0)
    assert b.select(condition, x, 0).dtype.name == "float64"


def test_finish_keeps_feeds_and_what_is_needed():
    b = ProgramBuilder()
    x, unused = feed(b, "x", 3), feed(b, "unused", 3)
    used_state, unused_state = state(b, "v", 3), state(b, "w", 3)
    b.exp(unused_state)
    y = b.mul(b.add(x, used_state), b.constant(np.arange(300, dtype=np.float32).reshape(100, 3)))
    program = b.finish([y])
    names = [(i.source, i.name) for i in program.inputs]
    assert names == [(Source.FEED, "x"), (Source.FEED, "unused"), (Source.STATE, "v"), (Source.CONSTANT, "")]
    assert [n.op.type for n in program.nodes] == ["AddV2", "Mul"] and unused.id != x.id


def test_the_state_of_a_random_op_moves_on():
    b = ProgramBuilder()
    b.origins = (Origin("noise", "train.py:3"),)
    first = b.random_state(10)
    second = b.random_state(5)
    program = b.finish([first, second])
    assert list(program.updates) == ["random/noise"] and first is program.inputs[0].value
    assert second is not first
