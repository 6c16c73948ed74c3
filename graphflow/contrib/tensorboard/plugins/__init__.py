"""tf.contrib.tensorboard.plugins."""

from graphflow.contrib.tensorboard.plugins import projector
from graphflow.missing import names_of

__all__ = ["projector"]

globals()["__getattr__"] = names_of("contrib.tensorboard.plugins")
