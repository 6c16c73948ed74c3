"""One step of a recurrent net as one op of a graph, as TensorFlow's contrib.rnn has them; compiled they are what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float16, float32
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.sizes import need_rank


def _logistic(x: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _affine(b: Any, left: Any, right: Any, weights: Any, bias: Any) -> Any:
    """[left, right] @ weights + bias"""
    return b.make("BiasAdd", b.make("MatMul", b.join([left, right], 1), weights), bias)


def _columns(b: Any, x: Any, number: int) -> list[Any]:
    """x [batch, number * n] cut into `number` parts [batch, n]."""
    rows, width = x.shape
    n = width // number
    return [b.section(x, (0, k * n), (rows, n)) for k in range(number)]


def _by_weights(left: Any, right: Any, weights: Any, dsum: Any) -> tuple[Any, Any, Any, Any]:
    """The gradients by left, right, weights and bias where dsum is the one by [left, right] @ weights + bias."""
    both = make("MatMul", dsum, weights, transpose_b=True)
    width = weights.shape[0].value - right.shape[1].value
    dleft, dright = make("SplitV", both, [width, right.shape[1].value], 1, num_split=2)
    joined = make("ConcatV2", [left, right], 1)
    return dleft, dright, make("MatMul", joined, dsum, transpose_a=True), make("BiasAddGrad", dsum)


class GRUBlockCell(Composite):
    """h = (1 - u) * c + u * h_prev with r, u = sigmoid([x, h_prev] @ w_ru + b_ru), c = tanh([x, h_prev * r] @ w_c + b_c).

    x: [batch, depth]; h_prev and results: [batch, n]; w_ru: [depth + n, 2n]; w_c: [depth + n, n]. Gradients come from h only.
    """

    arguments = ("x: T", "h_prev: T", "w_ru: T", "w_c: T", "b_ru: T", "b_c: T")
    results = ("r: T", "u: T", "c: T", "h: T")
    types = {"T": (float32,)}
    partial_gradient = True
    cases = (Case((3, 4), (3, 2), (6, 4), (6, 2), (4,), (2,), gradient=False), Case((0, 4), (0, 2), (6, 4), (6, 2), (4,), (2,)))

    def infer(self, *specs: TensorSpec) -> tuple[TensorSpec, ...]:
        return (_state_spec(specs[0], specs[1]),) * 4

    def reference(self, x: Any, h_prev: Any, w_ru: Any, w_c: Any, b_ru: Any, b_c: Any) -> Any:
        r, u = np.split(_logistic(np.hstack([x, h_prev]) @ w_ru + b_ru), 2, axis=1)
        c = np.tanh(np.hstack([x, h_prev * r]) @ w_c + b_c)
        return r, u, c, c + u * (h_prev - c)

    def decompose(self, b: Any, x: Any, h_prev: Any, w_ru: Any, w_c: Any, b_ru: Any, b_c: Any) -> Any:
        r, u = _columns(b, b.sigmoid(_affine(b, x, h_prev, w_ru, b_ru)), 2)
        c = b.tanh(_affine(b, x, b.mul(h_prev, r), w_c, b_c))
        return r, u, c, b.add(b.mul(b.sub(1, u), c), b.mul(u, h_prev))

    def gradient(self, node: Any, dr: Any, du: Any, dc: Any, dh: Any) -> Sequence[Any]:
        if dh is None:
            return [None] * 6
        x, h_prev, w_ru, w_c, _, _ = node.inputs
        r, u, c, _ = node.outputs
        one = make("OnesLike", u)
        dc_sum = make("Mul", make("Mul", dh, make("Sub", one, u)), make("Sub", one, make("Square", c)))
        du_sum = make("SigmoidGrad", u, make("Mul", dh, make("Sub", h_prev, c)))
        dx_c, dgated, dw_c, db_c = _by_weights(x, make("Mul", h_prev, r), w_c, dc_sum)
        dr_sum = make("SigmoidGrad", r, make("Mul", dgated, h_prev))
        dx_ru, dh_ru, dw_ru, db_ru = _by_weights(x, h_prev, w_ru, make("ConcatV2", [dr_sum, du_sum], 1))
        dh_prev = make("AddN", [dh_ru, make("Mul", dgated, r), make("Mul", dh, u)])
        return [make("AddV2", dx_c, dx_ru), dh_prev, dw_ru, dw_c, db_ru, db_c]


def _state_spec(x: TensorSpec, state: TensorSpec) -> TensorSpec:
    """What the op gives: of the batch's size and the state's width."""
    for spec in (x, state):
        need_rank(spec, 2)
    batch = x.dims[0] if x.dims is not None else None
    return TensorSpec(x.dtype, (batch, state.dims[1] if state.dims is not None else None))


class LSTMBlockCell(Composite):
    """cs = ci * i + cs_prev * f and h = co * o, where i, ci, f, o are made of [x, h_prev] @ w + b and co = tanh(cs).

    x: [batch, depth]; states and results: [batch, n]; w: [depth + n, 4n]; wci, wcf, wco: [n], the peepholes. Past `cell_clip` a cs is cut;
    the gradient takes no notice of that, and comes from cs and h only.
    """

    arguments = ("x: T", "cs_prev: T", "h_prev: T", "w: T", "wci: T", "wcf: T", "wco: T", "b: T")
    results = ("i: T", "cs: T", "f: T", "o: T", "ci: T", "co: T", "h: T")
    types = {"T": (float16, float32)}
    partial_gradient = True
    forget_bias: float = 1.0
    cell_clip: float = 3.0
    use_peephole: bool = False
    cases = (
        Case((3, 4), (3, 2), (3, 2), (6, 8), (2,), (2,), (2,), (8,), gradient=False),
        Case((3, 4), (3, 2), (3, 2), (6, 8), (2,), (2,), (2,), (8,), use_peephole=True, cell_clip=0.25, forget_bias=0.5, gradient=False),
    )

    def infer(self, *specs: TensorSpec) -> tuple[TensorSpec, ...]:
        return (_state_spec(specs[0], specs[1]),) * 7

    def reference(self, x: Any, cs_prev: Any, h_prev: Any, w: Any, wci: Any, wcf: Any, wco: Any, b: Any) -> Any:
        i, ci, f, o = np.split(np.hstack([x, h_prev]) @ w + b, 4, axis=1)
        peephole = float(self.use_peephole)
        i, f, ci = _logistic(i + cs_prev * wci * peephole), _logistic(f + self.forget_bias + cs_prev * wcf * peephole), np.tanh(ci)
        cs = i * ci + f * cs_prev
        if self.cell_clip > 0:
            cs = np.clip(cs, -self.cell_clip, self.cell_clip)
        o, co = _logistic(o + cs * wco * peephole), np.tanh(cs)
        return tuple(np.asarray(part, x.dtype) for part in (i, cs, f, o, ci, co, o * co))

    def decompose(self, b: Any, x: Any, cs_prev: Any, h_prev: Any, w: Any, wci: Any, wcf: Any, wco: Any, bias: Any) -> Any:
        i, ci, f, o = _columns(b, _affine(b, x, h_prev, w, bias), 4)
        f = b.add(f, self.forget_bias)
        if self.use_peephole:
            i, f = b.add(i, b.mul(cs_prev, wci)), b.add(f, b.mul(cs_prev, wcf))
        i, f, ci = b.sigmoid(i), b.sigmoid(f), b.tanh(ci)
        cs = b.add(b.mul(ci, i), b.mul(cs_prev, f))
        if self.cell_clip > 0:
            cs = b.minimum(b.maximum(cs, -self.cell_clip), self.cell_clip)
        o = b.sigmoid(b.add(o, b.mul(cs, wco)) if self.use_peephole else o)
        co = b.tanh(cs)
        return i, cs, f, o, ci, co, b.mul(co, o)

    def gradient(self, node: Any, di: Any, dcs: Any, df: Any, do: Any, dci: Any, dco: Any, dh: Any) -> Sequence[Any]:
        x, cs_prev, h_prev, w, wci, wcf, wco, _ = node.inputs
        i, cs, f, o, ci, co, _ = node.outputs
        if dcs is None and dh is None:
            return [None] * 8
        do_sum = make("ZerosLike", o) if dh is None else make("SigmoidGrad", o, make("Mul", dh, co))
        parts = [] if dcs is None else [dcs]
        if dh is not None:
            parts.append(make("TanhGrad", co, make("Mul", dh, o)))
            if self.use_peephole:
                parts.append(make("Mul", do_sum, wco))
        dmemory = parts[0] if len(parts) == 1 else make("AddN", parts)
        di_sum = make("SigmoidGrad", i, make("Mul", dmemory, ci))
        df_sum = make("SigmoidGrad", f, make("Mul", dmemory, cs_prev))
        dci_sum = make("TanhGrad", ci, make("Mul", dmemory, i))
        dx, dh_prev, dw, db = _by_weights(x, h_prev, w, make("ConcatV2", [di_sum, dci_sum, df_sum, do_sum], 1))
        dcs_prev = make("Mul", dmemory, f)
        dpeepholes: list[Any] = [None] * 3
        if self.use_peephole:
            dcs_prev = make("AddN", [dcs_prev, make("Mul", di_sum, wci), make("Mul", df_sum, wcf)])
            pairs = ((di_sum, cs_prev), (df_sum, cs_prev), (do_sum, cs))
            dpeepholes = [make("Sum", make("Mul", dsum, memory), 0) for dsum, memory in pairs]
        return [dx, dcs_prev, dh_prev, dw, *dpeepholes, db]
