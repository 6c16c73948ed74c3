"""tf.layers: dense, dropout, flatten."""

from __future__ import annotations

import math

from graphflow.dtypes import as_dtype, float32
from graphflow.graph.build import convert_to_tensor, make
from graphflow.layers.base import ZEROS, InputSpec, Layer, activation_of, applied, initializer_of
from graphflow.layers.conditional import smart_cond
from graphflow.nn.dropout import dropout as nn_dropout
from graphflow.ops.matmul import bias_add
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.shape import shape
from graphflow.ops.tensordot import tensordot
from graphflow.shapes import TensorShape, as_shape


class Dense(Layer):
    """activation(inputs @ kernel + bias)"""

    def __init__(self, units, activation=None, use_bias=True, kernel_initializer=None, bias_initializer=ZEROS,
                 kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
                 trainable=True, name=None, **kwargs):  # fmt: skip
        super().__init__(trainable=trainable, name=name, activity_regularizer=activity_regularizer, **kwargs)
        self.units = int(units)
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializer_of(kernel_initializer)
        self.bias_initializer = initializer_of(bias_initializer)
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.input_spec = InputSpec(min_ndim=2)
        self.bias = None

    def build(self, input_shape):
        dtype = as_dtype(self.dtype or float32)
        if not dtype.is_floating:
            raise TypeError(f"Unable to build `Dense` layer with non-floating point dtype {dtype}")
        last = as_shape(input_shape).as_list()[-1]
        if last is None:
            raise ValueError("The last dimension of the inputs to `Dense` should be defined. Found `None`.")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: last})
        self.kernel = self.add_weight(
            "kernel", [last, self.units], self.dtype, self.kernel_initializer, self.kernel_regularizer, True, self.kernel_constraint
        )
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", [self.units], self.dtype, self.bias_initializer, self.bias_regularizer, True, self.bias_constraint
            )
        self.built = True

    def compute_output_shape(self, input_shape):
        """The input's shape with `units` for its last size; ValueError where that is not known."""
        shape = as_shape(input_shape).with_rank_at_least(2)
        if shape[-1].value is None:
            raise ValueError(f"The innermost dimension of input_shape must be defined, but saw: {shape}")
        return shape[:-1].concatenate(self.units)

    def call(self, inputs):
        rank = inputs.shape.ndims
        if rank > 2:
            outputs = tensordot(inputs, self.kernel, [[rank - 1], [0]])
            outputs.set_shape([*inputs.shape.as_list()[:-1], self.units])
        else:
            outputs = make("MatMul", inputs, self.kernel)
        if self.use_bias:
            outputs = bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)


class Dropout(Layer):
    """Elements set to zero at random while training, the others scaled up."""

    def __init__(self, rate=0.5, noise_shape=None, seed=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed

    def _noise(self, inputs):
        if self.noise_shape is None:
            return None
        sizes = shape(inputs)
        return convert_to_tensor([sizes[k] if n is None else n for k, n in enumerate(self.noise_shape)])

    def call(self, inputs, training=False):
        return smart_cond(
            training, lambda: nn_dropout(inputs, noise_shape=self._noise(inputs), seed=self.seed, rate=self.rate),
            lambda: make("Identity", inputs),
        )  # fmt: skip


class Flatten(Layer):
    """All dimensions but the batch made into one."""

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"
        self.input_spec = InputSpec(min_ndim=1)

    def compute_output_shape(self, input_shape):
        """The input's batch size and the product of its other sizes."""
        sizes = as_shape(input_shape).with_rank_at_least(1).as_list()
        return TensorShape([sizes[0], None if None in sizes[1:] else math.prod(sizes[1:])])

    def call(self, inputs):
        rank = inputs.shape.ndims
        if self.data_format == "channels_first" and rank is not None and rank > 1:
            inputs = transpose(inputs, perm=[0, *range(2, rank), 1])
        sizes = inputs.shape.as_list()
        outputs = reshape(inputs, (sizes[0] or shape(inputs)[0], -1))
        rest = 1
        for size in sizes[1:]:
            rest = None if size is None or rest is None else rest * size
        outputs.set_shape([sizes[0], rest])
        return outputs


def dense(inputs, units, activation=None, use_bias=True, kernel_initializer=None, bias_initializer=ZEROS,
          kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
          trainable=True, name=None, reuse=None):  # fmt: skip
    """activation(inputs @ kernel + bias)"""
    return applied(Dense, locals())


def dropout(inputs, rate=0.5, noise_shape=None, seed=None, training=False, name=None):
    """Elements set to zero at random while training, the others scaled up."""
    return Dropout(rate, noise_shape=noise_shape, seed=seed, name=name)(inputs, training=training)


def flatten(inputs, name=None, data_format="channels_last"):
    """All dimensions but the batch made into one."""
    return Flatten(name=name, data_format=data_format)(inputs)
