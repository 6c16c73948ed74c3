"""Every recurrent program of tests/golden/recurrent.py in float64: its gradients against differences of its values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.golden import recurrent

RANDOM = ("dropout", "variational", "layer_norm_off", *recurrent.DRAWN)  # other numbers in every run
# TensorFlow computes part of them in float32 only
SINGLE = ("translation", "decoders", "monotonic", "luong_monotonic", "attention_parts", "cudnn_compatible_lstm", *recurrent.BLOCKS)
STOPPED = ("embedded_decoders",)  # no gradient goes through what is fed back
DOUBLED = ("cudnn_compatible_gru",)
NAMES = [n for n in recurrent.PROGRAMS if n in DOUBLED or n not in (*RANDOM, *SINGLE, *STOPPED, *recurrent.WITHOUT_GRADIENTS)]


class Doubled:
    """The module `tf`, whose float32 is float64."""

    float32 = tf.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)

    def zeros(self, shape: Any, dtype: Any = tf.float64) -> Any:
        return tf.zeros(shape, dtype)

    def get_variable(self, name: str, shape: Any) -> Any:
        return tf.get_variable(name, shape, tf.float64)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_slopes(name: str) -> None:
    """Along one direction of all variables and inputs together."""
    with tf.Graph().as_default() as graph:
        with tf.variable_scope(tf.get_variable_scope(), dtype=tf.float64):
            found = recurrent.PROGRAMS[name](Doubled())
        real = [t for _, t in sorted(found.items()) if t.dtype.is_floating]
        assert real and all(t.dtype == tf.float64 for t in real)
        total = tf.add_n([tf.reduce_sum(tf.sin(t)) for t in real])
        variables = tf.global_variables()
        inputs = [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]
        sources = [s for s in (*variables, *inputs) if s.dtype.base_dtype == tf.float64]
        at = {s: recurrent.numbers(s.op.name, [n or 5 for n in s.shape.as_list()]).astype(np.float64) for s in sources}
        along = {s: recurrent.numbers("along " + s.op.name, at[s].shape) for s in sources}
        slope = tf.add_n([tf.reduce_sum(tf.convert_to_tensor(g) * along[s])
                          for s, g in zip(sources, tf.gradients(total, sources), strict=True) if g is not None])  # fmt: skip
        step = 1e-6
        with tf.Session() as session:

            def value(fetch: Any, moved: float) -> Any:
                given = {s: at[s] + moved * along[s] for s in sources}
                session.run([v.initializer for v in variables], {v.initial_value: given[v] for v in variables})
                return session.run(fetch, {s: given[s] for s in sources if s in inputs})

            difference = (value(total, step) - value(total, -step)) / (2 * step)
            np.testing.assert_allclose(value(slope, 0.0), difference, rtol=1e-5, atol=1e-7)
