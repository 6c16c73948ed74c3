"""Files that TensorFlow reads and writes: protobuf messages, the tables and data files of checkpoints. Knows no graph."""

from graphflow.missing import names_of

globals()["__getattr__"] = names_of("io", aliases=True)
