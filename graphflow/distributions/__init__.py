"""tf.distributions: the common ones, with sampling, densities, moments and divergences."""

from graphflow.distributions.base import FULLY_REPARAMETERIZED, NOT_REPARAMETERIZED, Distribution, ReparameterizationType
from graphflow.distributions.continuous import Exponential, Gamma, Laplace, Normal, Uniform
from graphflow.distributions.discrete import Bernoulli, Categorical
from graphflow.distributions.divergence import RegisterKL, kl_divergence
from graphflow.missing import names_of

__all__ = [
    "FULLY_REPARAMETERIZED", "NOT_REPARAMETERIZED", "Bernoulli", "Categorical", "Distribution", "Exponential", "Gamma", "Laplace", "Normal",
    "RegisterKL", "ReparameterizationType", "Uniform", "kl_divergence",
]  # fmt: skip

globals()["__getattr__"] = names_of("distributions")
