"""Generated over the registry: every op's shape rule, its compiled form on two targets and its gradient, against its numpy meaning."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow import errors
from graphflow.autodiff.numeric import gradient_error
from graphflow.compiler.llvm.target import target
from graphflow.compiler.pipeline import compile_program
from graphflow.compiler.program import Source
from graphflow.config import options
from graphflow.dtypes import as_dtype
from graphflow.graph.build import apply
from graphflow.graph.op import Effect, TensorSpec
from graphflow.runtime.buffers import aligned_copy
from graphflow.runtime.executor import default_executor
from graphflow.runtime.jit import Jit, default_jit
from graphflow.runtime.launch import Launch
from tests.ops.cases import TESTED, TOLERANCE, Prepared, grouped, prepared, program_of, reference_of, size_operands

BY_NAME = pytest.mark.parametrize("cls", TESTED, ids=lambda c: c.type)


@BY_NAME
def test_shape_rule_is_the_references(cls) -> None:
    items = prepared(cls)
    for item in items:
        results = reference_of(item)
        spec = item.op.infer(*[TensorSpec(as_dtype(a.dtype), a.shape, a) for a in item.operands])
        specs = spec if isinstance(spec, tuple) else (spec,)
        assert len(specs) == len(results) == len(cls.results) or "*" in cls.results[0] or "list(" in cls.results[0], item.label
        for s, r in zip(specs, results, strict=True):
            assert s.dtype == as_dtype(r.dtype), item.label
            assert s.dims is not None and len(s.dims) == r.ndim, item.label
            assert all(d in (None, n) for d, n in zip(s.dims, r.shape, strict=True)), (item.label, s, r.shape)


def _assert_close(found, wanted, item: Prepared) -> None:
    assert found.dtype == wanted.dtype and found.shape == wanted.shape, (item.label, found.dtype, found.shape)
    if wanted.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, wanted, item.label)
    elif wanted.size:
        narrow = min((a.dtype for a in (*item.operands, wanted) if a.dtype.kind in "fc"), key=lambda t: t.itemsize)
        tolerance = item.case.tolerance or TOLERANCE[narrow.name]
        finite = np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * max(1.0, min(float(finite), 1e3)), err_msg=item.label)


def _check_compiled(cls, jit: Jit, name: str) -> None:
    items = prepared(cls)
    if not items:
        pytest.skip("all cases are errors")
    batch = program_of(items)
    feeds = [i.name for i in batch.program.inputs if i.source is Source.FEED]
    compiled = compile_program(batch.program, jit, options()._replace(verify=2, target=name), feeds)
    arrays = [np.ascontiguousarray(batch.inputs[f]) for f in feeds]
    storage = {s.name: aligned_copy(batch.inputs[s.name]) for s in compiled.states}
    found = Launch(compiled.bind([a.shape for a in arrays]), storage, default_executor()).run(arrays)
    at = 0
    for item, count in zip(items, batch.counts, strict=True):
        for wanted in reference_of(item):
            _assert_close(found[at], wanted, item)
            at += 1
        assert count == len(reference_of(item))


@BY_NAME
def test_compiled_is_the_reference(cls) -> None:
    _check_compiled(cls, default_jit(), options().target)


AVX2 = Jit(target("avx2"), cache_dir="")


@pytest.mark.slow
@BY_NAME
def test_compiled_for_avx2_is_the_reference(cls) -> None:
    _check_compiled(cls, AVX2, "avx2")


GRAPH_OPS = [c for c in TESTED if not c.core and not any("Ref(" in a for a in c.arguments)]  # those take no constants
DIFFERENTIABLE = [c for c in GRAPH_OPS if c.differentiable and c.effect is Effect.PURE]
WITHOUT_GRADIENT = ("PreventGradient", "StopGradient")  # by intention, or for want of an op
IGNORED = {"PadV2": (2,)}  # operands through which TensorFlow lets no gradient pass


def _gradient_items(cls) -> list[Prepared]:
    out = []
    for item in prepared(cls):
        small = sum(a.size for a in item.operands) <= 600
        if item.case.gradient and small and any(a.dtype == np.float64 for a in item.operands) and len(out) < 6:
            out.append(item)
    return out


@pytest.mark.parametrize("cls", [c for c in DIFFERENTIABLE if c.type not in WITHOUT_GRADIENT], ids=lambda c: c.type)
def test_gradient_is_the_finite_difference(cls) -> None:
    items = _gradient_items(cls)
    if not items:
        pytest.skip("no case in float64")
    with tf.Graph().as_default():
        places, arrays, outputs = [], [], []
        for item in items:
            operands = []
            for k, a in enumerate(item.operands):
                if a.dtype == np.float64 and k not in IGNORED.get(cls.type, ()):
                    operands.append(tf.placeholder(tf.float64, a.shape))
                    places.append(operands[-1])
                    arrays.append(a)
                else:
                    operands.append(tf.constant(a))
            results = apply(item.op, *grouped(cls, operands))
            results = results if isinstance(results, (tuple, list)) else [results]
            # Only the first of two results where the second is the derivative of the first by design (the cross-entropies).
            outputs += [r for r in results if r.dtype == tf.float64][: 1 if cls.type.endswith("WithLogits") else None]
        weights = [tf.placeholder(tf.float64, y.shape) for y in outputs]
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in tf.gradients(outputs, places, grad_ys=weights)]
        with tf.Session() as session:

            def function(*inputs):
                return session.run(outputs, dict(zip(places, inputs, strict=True)))

            wanted = [g for g in gradients if g is not None]

            def slope(us, inputs):
                feed = {**dict(zip(weights, us, strict=True)), **dict(zip(places, inputs, strict=True))}
                found = iter(session.run(wanted, feed))
                return [None if g is None else next(found) for g in gradients]

            assert gradient_error(function, slope, arrays, step=1e-6) < 2e-5, [i.label for i in items]




@pytest.mark.parametrize("cls", GRAPH_OPS, ids=lambda c: c.type)
def test_run_time_sizes_give_the_same(cls) -> None:
    """Every size of every operand unknown while building, a symbol while compiling."""
    items = [i for i in prepared(cls) if all(a.dtype != np.float64 for a in i.operands)] or prepared(cls)
    with tf.Graph().as_default(), tf.Session() as session:
        for item in items:
            literal = size_operands(item)
            feed, operands = {}, []
            for k, a in enumerate(item.operands):
                operands.append(tf.constant(a) if k in literal else tf.placeholder(a.dtype, [None] * a.ndim))
                if k not in literal:
                    feed[operands[-1]] = a
            results = apply(item.op, *grouped(cls, operands))
            found = session.run(list(results) if isinstance(results, (tuple, list)) else [results], feed)
            for f, r, w in zip(found, results if isinstance(results, (tuple, list)) else [results], reference_of(item), strict=True):
                _assert_close(np.asarray(f), w, item)
                assert r.shape.is_compatible_with(w.shape), item.label


REFUSING = [c for c in TESTED if any(case.error for case in c.cases)]


@pytest.mark.parametrize("cls", REFUSING, ids=lambda c: c.type)
def test_error_cases_are_refused(cls) -> None:
    for item in prepared(cls, errors=True):
        assert item.case.error is not None
        name, text = item.case.error
        static = name in ("ValueError", "TypeError")
        kind = {"ValueError": ValueError, "TypeError": TypeError}[name] if static else getattr(errors, name)
        with tf.Graph().as_default(), tf.Session() as session, pytest.raises(kind) as raised:
            places = [tf.constant(a) if static else tf.placeholder(a.dtype, a.shape) for a in item.operands]
            results = apply(item.op, *grouped(cls, places))
            results = list(results) if isinstance(results, (tuple, list)) else [results]
            session.run(results, {} if static else dict(zip(places, item.operands, strict=True)))
        assert text in str(raised.value), (item.label, str(raised.value))
