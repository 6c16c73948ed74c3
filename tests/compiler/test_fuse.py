"""What becomes one kernel."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.groups import Shape
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import lower_group
from graphflow.compiler.passes.fuse import fuse
from graphflow.compiler.pipeline import compile_program, run_passes
from graphflow.config import options
from graphflow.kernel.nodes import Accumulate, Loop
from graphflow.kernel.printer import body_text
from graphflow.runtime.interpreter import interpret
from graphflow.runtime.jit import default_jit
from tests.compiler.support import (
    BATCH,
    check,
    cross_entropy,
    feed,
    inputs_for,
    matmul,
    mlp,
    random_program,
    run_groups,
    same,
    state,
)  # fmt: skip


def groups(program):
    return [g for g in run_passes(program, options()._replace(verify=2)).nodes if g.form is not Shape.ALIAS]


def forms(program):
    return sorted(g.form.value for g in groups(program))


def types(group):
    return [n.op.type for n in group.nodes]


def test_softmax_cross_entropy_and_its_gradient_are_one_kernel():
    b = ProgramBuilder()
    z, y = feed(b, "z", BATCH, 10), feed(b, "y", BATCH, 10)
    program = b.finish([*cross_entropy(b, z, y)], {"d0": ("z", 0)})
    (group,) = groups(program)
    assert group.form is Shape.ROWS and len(group.outputs) == 2
    kernel = lower_group(group, None).kernel
    (phase,) = kernel.phases
    (rows,) = phase
    inner = [s for s in rows.body if isinstance(s, Loop)]
    assert len(inner) == 3, "maximum; sum of exponentials; loss and gradient"
    assert sum(isinstance(s, Accumulate) for loop in inner for s in loop.body) == 3
    check(program)


def test_the_exponentials_are_computed_once_and_wait_in_the_gradient():
    b = ProgramBuilder()
    z, y = feed(b, "z", BATCH, 10), feed(b, "y", BATCH, 10)
    (group,) = groups(b.finish([*cross_entropy(b, z, y)], {"d0": ("z", 0)}))
    kernel = lower_group(group, None).kernel
    assert body_text(kernel).count("exp(") == 1
    assert not [x for x in kernel.buffers if x.role.value == "scratch"]


def test_a_value_used_by_a_maximum_and_under_an_exponential_is_computed_once():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 33), feed(b, "w", 33)
    z = b.add(b.mul(x, w), 1.0)
    program = b.finish([b.exp(b.sub(z, b.reduce("max", z, (1,), True)))], {"d0": ("x", 0)})
    (group,) = groups(program)
    text = body_text(lower_group(group, None).kernel)
    assert text.count("* b1") == 1, text
    check(program)


def test_train_step_of_an_mlp():
    program = mlp()
    found = groups(program)
    contractions = {g.outputs[-1].id: g for g in found if g.form is Shape.CONTRACTION}
    assert len(contractions) == 5
    updates = program.updates
    for name in ("w1", "w2"):
        assert any(updates[name].dtype and types(g)[-2:] == ["Mul", "Sub"] and len(g.outputs) == 1 for g in contractions.values()), name
    assert not [g for g in found if g.form is Shape.POINTWISE], "no elementwise kernel stands alone"
    assert sorted(g.form.value for g in found) == ["columns"] * 2 + ["contraction"] * 5 + ["rows"] * 2
    check(program, tolerance=1e-4)
    check(program, batch=33, tolerance=1e-4)


def test_bias_and_activation_join_the_contraction():
    b = ProgramBuilder()
    x, w, bias = feed(b, "x", BATCH, 8), feed(b, "w", 8, 20), feed(b, "bias", 20)
    program = b.finish([b.maximum(b.add(matmul(b, x, w), bias), 0.0)], {"d0": ("x", 0)})
    (group,) = groups(program)
    assert types(group) == ["SumOfProducts", "AddV2", "Maximum"]
    check(program)


def joined(axis, outside=False):
    """The gates of a cell: elementwise results of one product, concatenated; with `outside` one of them is an output as well."""
    b = ProgramBuilder()
    x, w, c = feed(b, "x", BATCH, 30), feed(b, "w", 30, 20), feed(b, "c", BATCH, 20)
    z = matmul(b, x, w)
    parts = [b.tanh(z), b.mul(z, c), b.add(z, 1.0)]
    both = b.join(parts, axis)
    return b.finish([both, *parts[:outside], b.mul(parts[1], parts[2])], {"d0": ("x", 0)})


@pytest.mark.parametrize("axis", [0, 1])
def test_a_contraction_stores_its_results_side_by_side(axis):
    program = joined(axis)
    found = groups(program)
    assert [g.form for g in found] == [Shape.CONTRACTION] and "Join" in types(found[0])
    assert len(found[0].outputs) == 2, "the parts themselves are nowhere in memory"
    check(program)
    check(program, batch=33)


def test_a_part_that_is_needed_by_itself_is_not_only_stored_beside_others():
    program = joined(1, outside=True)
    assert "Join" in types(groups(program)[-1]) and groups(program)[-1].form is Shape.POINTWISE
    check(program)


def gates(axis, columns=20, rest=False):
    """The gradient of a cell's gates: elementwise results of several operands, concatenated, and one more; `rest`: and an operand."""
    b = ProgramBuilder()
    x, y, z = (feed(b, name, BATCH, columns) for name in "xyz")
    shared = b.mul(b.tanh(x), y)
    parts = [b.mul(shared, z), b.add(shared, 1.0), b.exp(b.minimum(z, 1.0))]
    return b.finish([b.join([*parts, *([x] if rest else [])], axis), b.mul(shared, shared)], {"d0": ("x", 0)})


@pytest.mark.parametrize("axis", [0, 1])
def test_elementwise_results_are_stored_side_by_side(axis):
    program = gates(axis)
    (group,) = groups(program)
    assert group.form is Shape.POINTWISE and len(group.outputs) == 2
    kernel = lower_group(group, None).kernel
    assert len(kernel.phases) == 1
    tanh = emit_kernel(kernel, AVX512).count("= call <16 x float> @llvm.x86.avx512.rcp14")
    assert tanh == 2, "what the parts share is computed once in the loop, and once in its tail"
    check(program)
    check(program, batch=33)


@pytest.mark.parametrize("program", [gates(1, columns=5), gates(1, rest=True)], ids=["short rows", "an operand among the parts"])
def test_where_parts_are_not_stored_side_by_side(program):
    assert len(groups(program)) == 2
    check(program)


@pytest.mark.parametrize(("axis", "widths", "phases"), [(1, (5, 300, 40), 1), (0, (300, 300), 1), (2, (3, 4), 1)])
def test_the_parts_of_a_concatenation_are_copied_row_by_row(axis, widths, phases):
    b = ProgramBuilder()
    shapes = [tuple([BATCH, 6, 7][:axis]) + (n,) + tuple([11, 30][: 2 - axis]) for n in widths]
    if axis == 0:
        shapes = [(n, 11, 30) for n in widths]
    parts = [feed(b, f"x{k}", *shape) for k, shape in enumerate(shapes)]
    program = b.finish([b.join(parts, axis)], {"d0": ("x0", 0)} if axis else {})
    (group,) = groups(program)
    assert len(lower_group(group, None).kernel.phases) == phases
    check(program)
    check(program, batch=50)


def test_a_concatenation_of_two_products_is_a_kernel_of_its_own():
    b = ProgramBuilder()
    x, w, v = feed(b, "x", BATCH, 30), feed(b, "w", 30, 20), feed(b, "v", 30, 20)
    program = b.finish([b.join([b.tanh(matmul(b, x, w)), b.tanh(matmul(b, x, v))], 1)], {"d0": ("x", 0)})
    assert forms(program) == ["contraction", "contraction", "pointwise"]
    check(program)


def test_an_optimizer_with_slots_updates_them_in_the_epilogue():
    b = ProgramBuilder()
    x, y = feed(b, "x", BATCH, 8), feed(b, "y", BATCH, 20)
    w, m, v = state(b, "w", 8, 20), state(b, "m", 8, 20), state(b, "v", 8, 20)
    g = matmul(b, x, y, transpose_x=True)
    b.updates["m"] = b.add(b.mul(m, 0.9), b.mul(g, 0.1))
    b.updates["v"] = b.add(b.mul(b.abs(v), 0.99), b.mul(b.mul(g, g), 0.01))
    b.updates["w"] = b.sub(w, b.div(b.updates["m"], b.add(b.sqrt(b.updates["v"]), 1e-3)))
    program = b.finish([], {"d0": ("x", 0)})
    (group,) = groups(program)
    assert group.form is Shape.CONTRACTION and len(group.outputs) == 3
    check(program, tolerance=1e-3)


def test_sibling_column_sums_are_one_kernel():
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, 6, 6, 16)
    outputs = [b.reduce("add", x, (0, 1, 2)), b.reduce("add", b.square(x), (0, 1, 2))]
    program = b.finish(outputs, {"d0": ("x", 0)})
    assert forms(program) == ["columns"]
    check(program, tolerance=1e-4)


def test_no_circle_through_an_outside_reader():
    b = ProgramBuilder()
    x, w = feed(b, "x", 5, 8), feed(b, "w", 8, 8)
    y = matmul(b, x, w)
    back = b.reduce("add", b.permute(y, (1, 0)), (0,))  # needs all of y
    program = b.finish([b.add(y, b.view(back, (5, 1)))])
    kinds = forms(program)
    assert "contraction" in kinds and len(kinds) >= 2
    check(program)


def test_a_permutation_of_a_groups_own_value_is_not_read_inside():
    b = ProgramBuilder()
    x = feed(b, "x", 6, 6)
    y = b.exp(x)
    program = b.finish([b.add(y, b.permute(y, (1, 0)))])
    check(program)


def test_fusing_twice_changes_nothing():
    program = run_passes(mlp(), options()._replace(verify=2))
    assert fuse(program) is program


def test_groups_agree_with_the_oracle_on_random_programs():
    for seed in range(120):
        program = random_program(seed)
        inputs = inputs_for(program, seed=seed)
        grouped = run_passes(program, options()._replace(verify=2))
        same(run_groups(grouped, inputs), interpret(program, inputs), 2e-4)


def test_kernels_of_equal_groups_are_equal():
    b = ProgramBuilder()
    values = []
    for k in range(4):
        x, w = feed(b, f"x{k}", 5, 8), feed(b, f"w{k}", 8, 20)
        values.append(b.tanh(matmul(b, x, w)))
    program = b.finish(values)
    compiled = compile_program(program, default_jit(), options(), [f"{n}{k}" for k in range(4) for n in "xw"])
    assert len(compiled.steps) == 4 and len(compiled.codes) == 1
    assert np.array_equal(compiled.kernel_of, [0, 0, 0, 0])


def test_what_is_computed_flat_joins_a_reader_of_another_shape():
    b = ProgramBuilder()
    x, bias = feed(b, "x", BATCH, 6), feed(b, "bias", 6)
    ramp = b.cast(b.iota((BATCH * 6,), 0, "int32"), "float32")
    noise = b.tanh(b.mul(ramp, 0.3))
    program = b.finish([b.mul(b.add(x, bias), b.view(noise, (BATCH, 6)))], {"d0": ("x", 0)})
    (group,) = groups(program)
    assert group.form is Shape.POINTWISE and types(group).count("View") == 1
    check(program)


def test_an_activation_behind_a_reshape_joins_the_contraction():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 8), feed(b, "w", 8, 20)
    y = b.view(matmul(b, x, w), (BATCH, 4, 5))
    mask = feed(b, "mask", BATCH, 4, 5)
    program = b.finish([b.mul(b.maximum(y, 0.0), mask)], {"d0": ("x", 0)})
    assert forms(program) == ["contraction"]
    check(program)


def test_a_broadcast_behind_a_reshape_does_not():
    b = ProgramBuilder()
    x, w, bias = feed(b, "x", BATCH, 8), feed(b, "w", 8, 20), feed(b, "bias", 5)
    program = b.finish([b.add(b.view(matmul(b, x, w), (BATCH, 4, 5)), bias)], {"d0": ("x", 0)})
    assert forms(program) == ["contraction", "pointwise"]
    check(program)


def test_few_columns_are_summed_side_by_side():
    b = ProgramBuilder()
    x, bias = feed(b, "x", BATCH, 24, 24, 6), state(b, "bias", 6)
    y = b.maximum(x, 0.0)
    b.updates["bias"] = b.sub(bias, b.mul(b.reduce("add", y, (0, 1, 2)), 0.01))
    program = b.finish([y, b.reduce("max", y, (0, 1, 2))], {"d0": ("x", 0)})
    (group,) = groups(program)
    scratch = [x.shape for x in lower_group(group, None).kernel.buffers if x.role.value == "scratch"]
    assert scratch == [(8, 24, 6)] * 2, "100 images, as an unknown number is taken to be: thirteen for each part"
    check(program, tolerance=1e-3)
    check(program, batch=40, tolerance=1e-3)


@pytest.mark.parametrize("axes", [(1, 2), (0, 1, 2), (1,), (2,), (0, 1)])
@pytest.mark.parametrize("shape", [(3, 8, 6, 20), (3, 12, 10, 3), (2, 1, 12, 6), (1, 7, 7, 50), (4, 1, 16, 1), (3, 4, 8, 48)])
def test_few_columns_are_summed_side_by_side_for_each_image(shape, axes):
    """Sums of squares around the mean: the second sum reads the first one's results beside the rows."""
    b = ProgramBuilder()
    x = feed(b, "x", *shape)
    mean = b.div(b.reduce("add", x, axes, keepdims=True), float(np.prod([shape[a] for a in axes])))
    apart = b.sub(x, mean)
    largest = b.reduce("max", b.mul(x, feed(b, "scale", shape[-1])), axes)
    check(b.finish([b.reduce("add", b.mul(apart, apart), axes), largest]), tolerance=1e-4)


@pytest.mark.parametrize("columns", [2, 3, 5, 8])
@pytest.mark.parametrize("rows", [(BATCH, 70), (300,), (3, 1, 129)])
def test_lanes_take_short_rows(rows, columns):
    b = ProgramBuilder()
    x, y = feed(b, "x", *rows, columns), feed(b, "y", rows[-1], columns)
    outputs = [b.sqrt(b.reduce("add", b.square(b.sub(x, y)), (len(rows),))), b.reduce("max", x, (len(rows),))]
    program = b.finish(outputs, {"d0": ("x", 0)} if rows[0] is BATCH else {})
    for group in groups(program):
        text = body_text(lower_group(group, AVX512).kernel)
        assert f"serial c0 < {columns}" in text and "vector r" in text
    check(program, tolerance=1e-5)


@pytest.mark.parametrize("shape", [(2, 9000), (16, 8192), (3, 4, 2800), (5, 3, 4, 700)])
def test_threads_share_the_columns_of_a_few_wide_rows(shape):
    """The mean of several towers' gradients and what is done with it, without a copy of either."""
    b = ProgramBuilder()
    x, w = feed(b, "x", *shape), state(b, "w", *shape[:-2], shape[-1])
    mean = b.mul(b.reduce("add", x, (len(shape) - 2,)), 1 / shape[-2])
    b.updates["w"] = b.sub(w, b.mul(mean, 0.1))
    program = b.finish([b.reduce("max", b.square(x), (len(shape) - 2,))])
    for group in groups(program):
        kernel = lower_group(group, AVX512).kernel
        assert not any(x.role.value == "scratch" for x in kernel.buffers) and len(kernel.phases) == 1
    check(program, tolerance=1e-5)
