"""The finite differences themselves: they accept right gradients and refuse wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.autodiff.numeric import gradient_error

X = np.linspace(-1.0, 2.0, 12).reshape(3, 4)
Y = np.linspace(0.5, 1.5, 4)


def function(x, y):
    return [np.sin(x) * y, x.sum(axis=0)]


def right(weights, inputs):
    (u, v), (x, y) = weights, inputs
    return [u * np.cos(x) * y + v, (u * np.sin(x)).sum(axis=0)]


def test_a_right_gradient_has_no_error() -> None:
    assert gradient_error(function, right, [X, Y]) < 1e-9


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u, i: [right(u, i)[0], None],
        lambda u, i: [right(u, i)[0] * 1.001, right(u, i)[1]],
        lambda u, i: [right(u, i)[0], right(u, i)[1][::-1]],
    ],
)
def test_a_wrong_gradient_is_seen(wrong) -> None:
    assert gradient_error(function, wrong, [X, Y]) > 1e-5


def test_an_input_without_influence_may_have_none() -> None:
    assert gradient_error(lambda x, y: [x * 2], lambda u, i: [u[0] * 2, None], [X, Y]) < 1e-9
