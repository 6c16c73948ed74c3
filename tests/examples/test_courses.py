"""The examples of what courses teach: a few steps on the embedded digits, and the figure that each prints in the end."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.examples.test_examples import accuracy, losses, run

SLOW = pytest.mark.slow


def figures(pattern: str, text: str) -> list[float]:
    """The numbers that stand in the groups of a pattern."""
    found = re.search(pattern, text, re.M)
    assert found is not None, text
    return [float(group) for group in found.groups()]


def test_linear_regression_finds_what_least_squares_finds() -> None:
    text = run("linear_regression", "--steps", "200", "--log", "1")
    found, exact = (np.array(line.split()[-6:], float) for line in re.findall(r"^(?:weights and bias|least squares) .*$", text, re.M))
    np.testing.assert_allclose(found, exact, atol=0.03)
    assert losses(text)[-1] < 0.01 * losses(text)[0]


def test_logistic_regression_tells_odd_from_even() -> None:
    text = run("logistic_regression", "--steps", "100")
    assert losses(text)[0] == pytest.approx(np.log(2), abs=1e-6)  # nothing is known: both are equally probable
    assert accuracy(text) >= 0.85


@pytest.mark.parametrize("more", [(), pytest.param(("--noise", "0.3"), marks=SLOW)])
def test_the_autoencoder_tells_more_than_the_mean_picture(more: tuple[str, ...]) -> None:
    text = run("autoencoder", "--steps", "150", *more)
    error, plain = figures(r"^test squared error (\S+) from 32 numbers a picture; of the mean picture (\S+)$", text)
    assert error < 0.7 * plain


def test_the_vae_raises_its_bound() -> None:
    text = run("vae", "--steps", "100", "--log", "1")
    (bound,) = figures(r"^test bound (\S+) nats a picture$", text)
    assert -0.7 * losses(text)[0] < bound < 0


@pytest.mark.slow
def test_the_gan_does_not_lose_for_ever() -> None:
    real, drawn = figures(r"^taken for real: (\S+) of the real pictures, (\S+) of the drawn ones$", run("gan", "--steps", "1500"))
    assert real > 0.3 and 0.02 < drawn < 0.9


@pytest.mark.slow
def test_the_conditional_gan_draws_what_it_is_asked_for() -> None:
    text = run("conditional_gan", "--steps", "2000")
    (asked,) = figures(r"^(\S+) of the drawn digits are read as what was asked for$", text)
    (real,) = figures(r"^(\S+) of the real ones$", text)
    assert asked > 0.3 and real > 0.95  # by chance 0.1; nets that learn against each other go up and down


def test_the_penalty_of_the_wgan_bounds_the_slope() -> None:
    distance, slope = figures(r"^distance (\S+), mean slope of the critic (\S+)$", run("wgan_gp", "--steps", "40"))
    assert distance > 0 and abs(slope - 1) < 0.7  # without the penalty it grows with every step


def test_normalisation_lets_a_deep_net_learn() -> None:
    with_it, without = (run("batch_norm", "--steps", "60", "--log", "1", *more) for more in ((), ("--plain",)))
    assert np.mean(losses(with_it)[-5:]) < 1.0 < 2.0 < np.mean(losses(without)[-5:])
    assert accuracy(with_it) > 0.3


@pytest.mark.slow
def test_dropout_keeps_a_net_from_learning_by_heart() -> None:
    text = run("dropout", "--steps", "300")
    accuracies = np.array(re.findall(r"accuracy (\S+) on the pictures it learnt from, test accuracy (\S+)$", text, re.M), float)
    assert accuracies.shape == (2, 2) and accuracies[0, 0] == 1.0 and accuracies.min() > 0.9


def test_a_restored_run_goes_on_as_the_whole_one(tmp_path: Path) -> None:
    text = run("save_restore", "--steps", "40", "--folder", str(tmp_path))
    whole, broken, difference = figures(r"^after 40 steps without a break (\S+), with one (\S+), difference (\S+)$", text)
    assert whole == broken and difference == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"half.index", "model-30.index", "model-40.index"} <= names and "model-20.index" not in names
    assert "in the checkpoint: beta1_power [], beta2_power [], global_step [], hidden/bias [64], ..." in text


@pytest.mark.slow
def test_what_was_learnt_from_other_digits_helps() -> None:
    text = run("transfer_learning", "--steps", "300")
    low, fresh, moved = figures(r"^test accuracy 0 to 4: (\S+); 5 to 9 from the start: (\S+); with the other's convolutions: (\S+)$", text)
    assert low > 0.95 and moved > 0.85 and moved > fresh - 0.03


@pytest.mark.slow
def test_the_fully_convolutional_net_finds_digits() -> None:
    right, overlap = figures(r"^pixels right (\S+), mean of intersection over union (\S+)$", run("fcn", "--steps", "100"))
    assert right > 0.9 and overlap > 0.35


@pytest.mark.slow
def test_inception_blocks_learn() -> None:
    assert accuracy(run("inception", "--steps", "150")) > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("net", "weights"), [("alexnet", 34066792), ("googlenet", 6998552)])
def test_the_large_nets_build_and_take_a_step(net: str, weights: int) -> None:
    text = run("large_nets", "--net", net, "--side", "96", "--batch", "2", "--steps", "1")
    counted = int(figures(rf"^{net}: (\d+) weights in \d+ variables$", text)[0])
    assert counted == weights
    assert losses(text)[0] == pytest.approx(np.log(1000), rel=0.2)
