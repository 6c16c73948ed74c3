"""The recurrent examples: a few steps learn something."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.examples.test_examples import accuracy, losses, run
from tests.examples.test_like_tensorflow import folder


@pytest.mark.parametrize("form", [[], ["--unrolled"]])
def test_the_lstm_learns_the_digits(form: list[str]) -> None:
    text = run("mnist_lstm", "--steps", "100", "--batch", "50", "--log", "1", *form)
    assert np.mean(losses(text)[-5:]) < 0.5 * np.mean(losses(text)[:5])
    assert accuracy(text) >= 0.75


def test_the_net_that_writes_writes() -> None:
    text = run("char_rnn", "--steps", "2", "--letters", "30", "--length", "10", "--batch", "4")
    assert re.search(r"^-{60}\n.{30}\n-{60}$", text, re.M | re.S)
    assert re.search(r"^\d\.\d{3} bits a letter", text, re.M)


@pytest.mark.slow
def test_the_accuracy_on_real_mnist() -> None:
    assert accuracy(run("mnist_lstm", "--data", folder("mnist"))) >= 0.975
