"""tf.random: random tensors and seeds."""

from graphflow.graph.seeds import get_seed, set_random_seed
from graphflow.missing import names_of
from graphflow.ops.random import random_normal as normal
from graphflow.ops.random import random_uniform as uniform
from graphflow.ops.random import truncated_normal
from graphflow.ops.random_choice import categorical, multinomial
from graphflow.ops.random_choice import random_shuffle as shuffle
from graphflow.ops.random_rates import random_gamma as gamma
from graphflow.ops.random_rates import random_poisson as poisson
from graphflow.ops.samplers import (
    all_candidate_sampler,
    fixed_unigram_candidate_sampler,
    learned_unigram_candidate_sampler,
    log_uniform_candidate_sampler,
    uniform_candidate_sampler,
)  # fmt: skip

__all__ = [
    "all_candidate_sampler", "categorical", "fixed_unigram_candidate_sampler", "gamma", "get_seed", "learned_unigram_candidate_sampler",
    "log_uniform_candidate_sampler", "multinomial", "normal", "poisson", "set_random_seed", "shuffle", "truncated_normal", "uniform",
    "uniform_candidate_sampler",
]  # fmt: skip

globals()["__getattr__"] = names_of("random")
