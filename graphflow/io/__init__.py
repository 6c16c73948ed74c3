"""Files that TensorFlow reads and writes: protobuf messages, the tables and data files of checkpoints. Knows no graph."""
