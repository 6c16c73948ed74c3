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
from graphflow.ops.stateless_random import stateless_categorical, stateless_multinomial, stateless_truncated_normal
from graphflow.ops.stateless_random import stateless_random_normal as stateless_normal
from graphflow.ops.stateless_random import stateless_random_uniform as stateless_uniform

__all__ = [
    "all_candidate_sampler", "categorical", "fixed_unigram_candidate_sampler", "gamma", "get_seed", "learned_unigram_candidate_sampler",
    "log_uniform_candidate_sampler", "multinomial", "normal", "poisson", "set_random_seed", "shuffle", "stateless_categorical",
    "stateless_multinomial", "stateless_normal", "stateless_truncated_normal", "stateless_uniform", "truncated_normal", "uniform",
    "uniform_candidate_sampler",
]  # fmt: skip

globals()["__getattr__"] = names_of("random")
