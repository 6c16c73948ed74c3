"""tf.bitwise: logic and shifts on the bits of integers."""

from graphflow.missing import names_of
from graphflow.ops.bits import bitwise_and, bitwise_or, bitwise_xor, invert, left_shift, right_shift

__all__ = ["bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"]

globals()["__getattr__"] = names_of("bitwise")
