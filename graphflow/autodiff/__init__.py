"""Differentiation: `tf.gradients` on graphs, and finite differences to check it against."""
