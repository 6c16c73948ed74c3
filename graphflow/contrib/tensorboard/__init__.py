"""tf.contrib.tensorboard: what programs tell TensorBoard."""

from graphflow.contrib.tensorboard import plugins
from graphflow.missing import names_of

__all__ = ["plugins"]

globals()["__getattr__"] = names_of("contrib.tensorboard")
