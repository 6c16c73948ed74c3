"""Every update operation against what real TensorFlow computed (tests/golden/optimizers.json), without a session.

The operations' `decompose` is run on known values, which a ProgramBuilder folds as it goes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.builder import ProgramBuilder
from graphflow.graph.tensor import Tensor, known_contents
from tests.golden import optimizers as golden

GOLDEN = json.loads((Path(golden.__file__).parent / "optimizers.json").read_text())
CASES = sorted(GOLDEN)


class Machine:
    """Runs a graph of updates operation by operation in Python: values by tensor, variables by name."""

    def __init__(self) -> None:
        self.state: dict[str, np.ndarray] = {}
        self.fed: dict[str, np.ndarray] = {}

    def value(self, tensor: Tensor) -> np.ndarray:
        op = tensor.op
        if tensor.name in self.fed:
            return self.fed[tensor.name]
        if op.type == "VariableV2":
            return self.state[op.name]
        if op.type == "Const":
            return known_contents(tensor)
        return self.results(op)[tensor.value_index]

    def results(self, op: Any) -> tuple[np.ndarray, ...]:
        builder = ProgramBuilder()
        inputs = [builder.constant(self.value(t), t.dtype.base_dtype) for t in op.inputs]
        found = builder.apply(op.definition, *inputs)
        values = found if isinstance(found, tuple) else (found,)
        assert all(v.known is not None for v in values), f"{op.type} did not fold"
        contents = tuple(np.asarray(v.known) for v in values)
        for number, new in zip(getattr(op.definition, "updates", ()), contents, strict=False):
            self.state[op.inputs[number].op.name] = new
        return contents

    def run(self, op: Any, done: set[Any] | None = None) -> None:
        """An operation after all it waits for; each once, updates in the order in which they were made."""
        done = set() if done is None else done
        for other in sorted([*op.control_inputs, *(t.op for t in op.inputs)], key=lambda o: o._id):
            if other not in done:
                done.add(other)
                self.run(other, done)
        if getattr(op.definition, "updates", ()):
            self.results(op)


@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_tensorflows(case: str) -> None:
    name, _, sparse = case.partition("/")
    kind, settings = golden.OPTIMIZERS[name]
    shape = [3, 2] if sparse else [4, 2]
    with tf.Graph().as_default():
        w = tf.Variable(golden.START, name="w")
        g = tf.placeholder(tf.float32, shape)
        given = tf.IndexedSlices(g, tf.constant(golden.INDICES), tf.constant([4, 2])) if sparse else g
        optimizer = getattr(tf.train, kind)(**settings)
        step = optimizer.apply_gradients([(given, w)])
        variables = [w, *optimizer.variables()]
        machine = Machine()
        for variable in variables:
            machine.state[variable.op.name] = machine.value(variable.initializer.inputs[1])
        for k in range(golden.STEPS):
            machine.fed = {g.name: golden.gradient(k, shape)}
            machine.run(step)
        assert sorted(machine.state) == sorted(GOLDEN[case])
        for key, wanted in GOLDEN[case].items():
            np.testing.assert_allclose(machine.state[key], np.array(wanted, np.float32), rtol=3e-6, atol=1e-6, err_msg=key)
