"""tf.sets: rows as sets."""

from graphflow.missing import names_of
from graphflow.ops.set_ops import set_difference, set_intersection, set_size, set_union

__all__ = ["difference", "intersection", "set_difference", "set_intersection", "set_size", "set_union", "size", "union"]

difference, intersection, size, union = set_difference, set_intersection, set_size, set_union
globals()["__getattr__"] = names_of("sets")
