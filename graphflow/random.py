"""tf.random: random tensors and seeds."""

from graphflow.graph.seeds import get_seed, set_random_seed
from graphflow.ops.random import random_normal as normal
from graphflow.ops.random import random_uniform as uniform
from graphflow.ops.random import truncated_normal
from graphflow.ops.random_choice import categorical, multinomial
from graphflow.ops.random_choice import random_shuffle as shuffle

__all__ = [
    "categorical", "get_seed", "multinomial", "normal", "set_random_seed", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip
