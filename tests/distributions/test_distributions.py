"""tf.distributions against formulas; that their graphs and samples are TensorFlow's was seen with shared/oracle/record.py."""

import math

import numpy as np
import pytest

import graphflow as tf

D = tf.distributions


def value(*tensors, feed=None):
    with tf.Session() as session:
        return session.run(tensors, feed)


def test_a_policy_of_unknown_batch_has_its_density_and_gradients() -> None:
    mean, spread = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 2])
    policy = D.Normal(mean, spread, name="pi")
    action = np.float32([[0.5, -1.0]])
    log, entropy, slopes = value(
        policy.log_prob(action), policy.entropy(), tf.gradients(policy.log_prob(action), [mean, spread]),
        feed={mean: [[0.0, 1.0]], spread: [[2.0, 0.5]]},
    )  # fmt: skip
    z = np.array([0.25, -4.0])
    np.testing.assert_allclose(log[0], -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - np.log([2.0, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(entropy[0], 0.5 * math.log(2 * math.pi * math.e) + np.log([2.0, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(slopes[0][0], z / [2.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(slopes[1][0], (z**2 - 1) / [2.0, 0.5], rtol=1e-6)


def test_tails_of_the_normal_distribution_keep_their_digits() -> None:
    x = np.float32([-20.0, -11.0, -3.0, 0.0, 3.0, 9.0])
    tails = [0.5 * math.erfc(abs(number) / math.sqrt(2)) for number in x]  # of double precision
    exact = [math.log(tail) if number <= 0 else math.log1p(-tail) for number, tail in zip(x, tails, strict=True)]
    np.testing.assert_allclose(value(D.Normal(0.0, 1.0).log_cdf(x))[0], exact, rtol=5e-5)


def test_samples_have_sample_shape_then_batch_shape_and_carry_gradients() -> None:
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        scale = tf.constant([1.0, 3.0])
        normal = D.Normal([0.0, 5.0], scale)
        draws = normal.sample([400, 2])
        assert draws.shape == (400, 2, 2)
        assert D.Normal(0.0, 1.0).sample(4).shape == (4,) and D.Normal(0.0, 1.0).sample().shape == ()
        found, slope = value(draws, tf.gradients(draws, scale)[0])
        np.testing.assert_allclose(found.mean((0, 1)), [0, 5], atol=0.4)
        np.testing.assert_allclose(slope, ((found - [0, 5]) / [1, 3]).sum((0, 1)), rtol=1e-3)


@pytest.mark.parametrize("given", [{"logits": np.log([[0.2, 0.3, 0.5]]).astype(np.float32)}, {"probs": np.float32([[0.2, 0.3, 0.5]])}])
def test_a_die_from_logits_or_probabilities(given) -> None:
    die = D.Categorical(**given)
    log, entropy, mode, below, shape = value(die.log_prob([2, 0]), die.entropy(), die.mode(), die.cdf([2]), die.batch_shape_tensor())
    np.testing.assert_allclose(log, np.log([0.5, 0.2]), rtol=1e-6)
    np.testing.assert_allclose(entropy, [-(0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 0.5 * np.log(0.5))], rtol=1e-6)
    assert mode.tolist() == [2] and shape.tolist() == [1]
    np.testing.assert_allclose(below, [0.5], rtol=1e-6)


def test_divergences_go_by_type() -> None:
    coin = value(D.kl_divergence(D.Bernoulli(probs=0.3), D.Bernoulli(probs=0.5)))[0]
    np.testing.assert_allclose(coin, 0.3 * np.log(0.6) + 0.7 * np.log(1.4), rtol=1e-5)
    wide = D.Normal(1.0, 2.0)
    np.testing.assert_allclose(value(D.kl_divergence(D.Normal(0.0, 1.0), wide))[0], 0.125 + 0.125 - 0.5 + math.log(2), rtol=1e-6)
    rate = value(D.kl_divergence(D.Exponential(2.0), D.Gamma(1.0, 3.0)))[0]  # by the base class of Exponential
    np.testing.assert_allclose(rate, math.log(2 / 3) + 0.5, rtol=1e-5)
    with pytest.raises(NotImplementedError, match="type Normal and distribution_b type Bernoulli"):
        D.kl_divergence(wide, D.Bernoulli(0.0))
    with pytest.raises(ValueError, match="already been registered"):
        D.RegisterKL(D.Normal, D.Normal)(lambda a, b, name=None: None)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="Must pass probs or logits, but not both"):
        D.Bernoulli(logits=0.0, probs=0.5)
    with pytest.raises(NotImplementedError, match="quantile is not implemented: Laplace"):
        D.Laplace(0.0, 1.0).quantile(0.5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="x > 0"):
        value(D.Normal(0.0, tf.placeholder_with_default(-1.0, []), validate_args=True).mean())
