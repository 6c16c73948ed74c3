"""tf.contrib.util: tensors as messages and back."""

from graphflow.compat.tensor_util import constant_value, make_ndarray, make_tensor_proto
from graphflow.missing import names_of

__all__ = ["constant_value", "make_ndarray", "make_tensor_proto"]

globals()["__getattr__"] = names_of("contrib.util")
