"""Helpers of the compiler's tests: small Programs, and three ways to run one."""

from __future__ import annotations

import random

import numpy as np

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.groups import Shape, singleton
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import lower_group
from graphflow.compiler.pipeline import compile_program
from graphflow.compiler.program import Source
from graphflow.config import options
from graphflow.dtypes import as_dtype
from graphflow.graph.op import REGISTRY
from graphflow.kernel import interpret as kernels
from graphflow.kernel.index import evaluate, symbol
from graphflow.runtime.buffers import aligned_copy
from graphflow.runtime.executor import default_executor
from graphflow.runtime.interpreter import contents, interpret, sizes_of
from graphflow.runtime.jit import default_jit
from graphflow.runtime.launch import Launch

BATCH = symbol("d0", 1)


def feed(b: ProgramBuilder, name, *shape, dtype="float32"):
    return b.input(Source.FEED, name, as_dtype(dtype), shape)


def state(b: ProgramBuilder, name, *shape, dtype="float32"):
    return b.input(Source.STATE, name, as_dtype(dtype), shape)


def matmul(b: ProgramBuilder, x, w, transpose_x=False, transpose_w=False):
    """x @ w as a contraction."""
    m, k = reversed(x.shape) if transpose_x else x.shape
    n = w.shape[0 if transpose_w else 1]

    def axis(a):
        return ((a, 1),), 0

    left = (axis(2), axis(0)) if transpose_x else (axis(0), axis(2))
    right = (axis(1), axis(2)) if transpose_w else (axis(2), axis(1))
    return b.contract(x, w, (m, n, k), 2, left, right)


def cross_entropy(b: ProgramBuilder, z, y):
    """Loss of every row and its gradient with respect to z, as a program of differentiable ops would have them."""
    shifted = b.sub(z, b.reduce("max", z, (1,), True))
    e = b.exp(shifted)
    total = b.reduce("add", e, (1,), True)
    loss = b.reduce("add", b.mul(y, b.sub(b.log(total), shifted)), (1,))
    return loss, b.sub(b.div(e, total), y)


def mlp(rate=0.5, width=24, inputs=40, batch=BATCH):
    """A train step: two dense layers, softmax cross-entropy, gradient descent."""
    b = ProgramBuilder()
    x, y = feed(b, "x", batch, inputs), feed(b, "y", batch, 10)
    w1, b1 = state(b, "w1", inputs, width), state(b, "b1", width)
    w2, b2 = state(b, "w2", width, 10), state(b, "b2", 10)
    h = b.maximum(b.add(matmul(b, x, w1), b1), 0.0)
    loss, g = cross_entropy(b, b.add(matmul(b, h, w2), b2), y)
    count = b.cast(b.constant(batch, "int32"), "float32")
    mean = b.div(b.reduce("add", loss, (0,)), count)
    g = b.div(g, count)
    dh = b.select(b.greater(h, 0.0), matmul(b, g, w2, transpose_w=True), 0.0)
    for name, old, gradient in (
        ("w2", w2, matmul(b, h, g, transpose_x=True)), ("b2", b2, b.reduce("add", g, (0,))),
        ("w1", w1, matmul(b, x, dh, transpose_x=True)), ("b1", b1, b.reduce("add", dh, (0,))),
    ):  # fmt: skip
        b.updates[name] = b.sub(old, b.mul(gradient, rate))
    return b.finish([mean], {"d0": ("x", 0)} if batch is BATCH else {})


def inputs_for(program, batch=7, seed=0):
    """Random contents for the feeds and variables of a Program."""
    rng = np.random.default_rng(seed)
    out = {}
    for given in program.inputs:
        if given.source is not Source.CONSTANT:
            shape = [evaluate(d, dict.fromkeys(program.symbols, batch)) for d in given.value.shape]
            out[given.name] = rng.uniform(-1, 1, shape).astype(given.value.dtype.as_numpy_dtype)
    return out


def run_groups(program, inputs, target=AVX512, run=kernels.run):
    """Outputs and updates of a Program, every group lowered and run by the kernel interpreter, or by `run`."""
    sizes = sizes_of(program, inputs)
    values = {}
    for given in program.inputs:
        if given.source is Source.CONSTANT:
            values[given.value.id] = contents(given.data, given.value.dtype, sizes)
        else:
            values[given.value.id] = np.ascontiguousarray(inputs[given.name], given.value.dtype.as_numpy_dtype)
    for node in program.nodes:
        group = node if hasattr(node, "nodes") else singleton(node)
        if group.form is Shape.ALIAS:
            shape = [evaluate(d, sizes) for d in group.outputs[0].shape]
            values[group.outputs[0].id] = values[group.inputs[0].id].reshape(shape)
            continue
        lowered = lower_group(group, target)
        env = lowered.sizes(sizes.__getitem__)
        arrays = {
            b.name: values[v].reshape([evaluate(d, env) for d in b.shape])
            for b, v in zip(lowered.kernel.buffers, lowered.values, strict=True) if v in values
        }  # fmt: skip
        result = run(lowered.kernel, arrays, env)
        for b, v in zip(lowered.kernel.buffers, lowered.values, strict=True):
            if v is not None and v not in values:
                value = next(x for x in group.outputs if x.id == v)
                values[v] = result[b.name].reshape([evaluate(d, sizes) for d in value.shape])

    def read(value):
        return values[value.id] if value.id in values else contents(value.known, value.dtype, sizes)

    return [read(v) for v in program.outputs], {n: read(v) for n, v in program.updates.items()}


def run_native(program, inputs, compiled=None, jit=None, **changes):
    """Outputs and updates of a Program, compiled and run."""
    feeds = [i.name for i in program.inputs if i.source is Source.FEED]
    if compiled is None:
        compiled = compile_program(program, jit or default_jit(), options()._replace(**{"verify": 2, **changes}), feeds)
    arrays = [np.ascontiguousarray(inputs[name]) for name in feeds]
    storage = {s.name: aligned_copy(inputs[s.name]) for s in compiled.states}
    launch = Launch(compiled.bind([a.shape for a in arrays]), storage, default_executor())
    return launch.run(arrays), {n: storage[n] for n in program.updates}


def same(found, wanted, tolerance=2e-5):
    """Outputs and updates agree."""
    for a, b in zip(found[0], wanted[0], strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    assert found[1].keys() == wanted[1].keys()
    for name, b in wanted[1].items():
        np.testing.assert_allclose(found[1][name], b, rtol=tolerance, atol=tolerance, err_msg=name)


def check(program, batch=7, tolerance=2e-5, **changes):
    """The compiled Program gives what the numpy oracle gives."""
    inputs = inputs_for(program, batch)
    same(run_native(program, inputs, **changes), interpret(program, inputs), tolerance)


def random_program(seed):
    """A valid Program of elementwise ops, reductions and movements, and the contents of its inputs."""
    r = random.Random(seed)
    b = ProgramBuilder()
    n, columns = r.choice([BATCH, 6]), r.choice([5, 1, 16])
    values = [feed(b, "x", n, columns), feed(b, "y", columns), feed(b, "z", n, 4, columns), state(b, "s", columns)]
    for _ in range(r.randint(3, 14)):
        made = _random_node(r, b, r.choice(values), r.choice(values))
        if made is not None and all("max(" not in str(d) for d in made.shape):
            values.append(made)
    outputs = r.sample(values, min(len(values), r.randint(1, 4)))
    fitting = [v for v in values if v.shape == (columns,)]
    if r.random() < 0.7:
        b.updates["s"] = r.choice(fitting)
    return b.finish(outputs, {"d0": ("x", 0)} if n is BATCH else {})


def _random_node(r, b, v, w):
    kind = r.randrange(12)
    rank = len(v.shape)
    if kind < 4:
        if not all(x == y or 1 in (x, y) for x, y in zip(reversed(v.shape), reversed(w.shape), strict=False)):
            return None
        return b.make(r.choice(["AddV2", "Sub", "Mul", "Maximum"]), v, w)
    if kind == 4:
        return b.make(r.choice(["Exp", "Neg", "Tanh", "Abs"]), b.minimum(v, 1.0))
    if kind < 7 and rank:
        return b.reduce(r.choice(["add", "max", "min"]), v, r.sample(range(rank), r.randint(1, rank)), r.random() < 0.6)
    if kind == 7 and rank:
        return b.permute(v, r.sample(range(rank), rank))
    if kind == 8:
        return b.view(v, (v.size,)) if r.random() < 0.5 else b.view(v, (1, *v.shape))
    if kind == 9 and rank:
        return b.halo(v, [r.randint(0, 2) for _ in v.shape], [r.randint(0, 1) for _ in v.shape], -0.5)
    if kind == 10 and rank:
        return b.join([v, b.neg(v)], r.randrange(rank))
    return b.broadcast(v, (3, *v.shape)) if rank < 4 else None


def load_ops():
    """All ops that the Programs of these tests use."""
    import graphflow

    graphflow._load_top_level()
    assert "AddV2" in REGISTRY


load_ops()
