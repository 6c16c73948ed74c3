"""tf.contrib.distributions: what tf.distributions has, under its older name."""

from graphflow.distributions import (
    FULLY_REPARAMETERIZED,
    NOT_REPARAMETERIZED,
    Bernoulli,
    Categorical,
    Distribution,
    Exponential,
    Gamma,
    Laplace,
    Normal,
    RegisterKL,
    ReparameterizationType,
    Uniform,
    kl_divergence,
)
from graphflow.missing import names_of

__all__ = [
    "FULLY_REPARAMETERIZED", "NOT_REPARAMETERIZED", "Bernoulli", "Categorical", "Distribution", "Exponential", "Gamma", "Laplace", "Normal",
    "RegisterKL", "ReparameterizationType", "Uniform", "kl_divergence",
]  # fmt: skip

globals()["__getattr__"] = names_of("contrib.distributions")
