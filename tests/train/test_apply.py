"""Every update operation against what real TensorFlow computed (tests/golden/optimizers.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden import optimizers as golden

GOLDEN = json.loads((Path(golden.__file__).parent / "optimizers.json").read_text())
CASES = sorted(GOLDEN)


@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_tensorflows(case: str) -> None:
    name, _, sparse = case.partition("/")
    kind, settings = golden.OPTIMIZERS[name]
    shape = [3, 2] if sparse else [4, 2]
    with tf.Graph().as_default():
        w = tf.Variable(golden.START, name="w")
        g = tf.placeholder(tf.float32, shape)
        given = tf.IndexedSlices(g, tf.constant(golden.INDICES), tf.constant([4, 2])) if sparse else g
        step, optimizer = golden.step_of(tf, kind, settings, [(given, w)])
        found = {v.op.name: v for v in (w, *optimizer.variables())}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for k in range(golden.STEPS):
                session.run(step, {g: golden.gradient(k, shape)})
            found = session.run(found)
        assert sorted(found) == sorted(GOLDEN[case])
        for key, wanted in GOLDEN[case].items():
            np.testing.assert_allclose(found[key], np.array(wanted, np.float32), rtol=3e-6, atol=1e-6, err_msg=key)
