"""tf.layers: batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype, float16, float32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.layers.base import ONES, ZEROS, InputSpec, Layer, applied, initializer_of
from graphflow.layers.conditional import constant_value, smart_cond
from graphflow.nn.moments import moments
from graphflow.nn.normalization import batch_normalization as nn_batch_normalization
from graphflow.nn.normalization import fused_batch_norm
from graphflow.ops.logic import cast
from graphflow.ops.reshape import reshape
from graphflow.ops.state import assign_sub


class BatchNormalization(Layer):
    """Values brought to mean 0 and variance 1 over the batch, then scaled by gamma and moved by beta.

    Moving averages of mean and variance are kept for inference; the ops that update them are in the collection UPDATE_OPS.
    """

    def __init__(self, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer=ZEROS,
                 gamma_initializer=ONES, moving_mean_initializer=ZEROS,
                 moving_variance_initializer=ONES, beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                 gamma_constraint=None, renorm=False, renorm_clipping=None, renorm_momentum=0.99, fused=None, trainable=True,
                 virtual_batch_size=None, adjustment=None, name=None, **kwargs):  # fmt: skip
        super().__init__(trainable=trainable, name=name, **kwargs)
        if renorm or virtual_batch_size is not None or adjustment is not None:
            raise NotImplementedError("batch normalisation with renorm, virtual_batch_size or adjustment is not implemented")
        if not isinstance(axis, (int, list)):
            raise TypeError(f"axis must be int or list, type given: {type(axis)}")
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializer_of(beta_initializer)
        self.gamma_initializer = initializer_of(gamma_initializer)
        self.moving_mean_initializer = initializer_of(moving_mean_initializer)
        self.moving_variance_initializer = initializer_of(moving_variance_initializer)
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer
        self.beta_constraint = beta_constraint
        self.gamma_constraint = gamma_constraint
        self.fused = True if fused is None else fused

    @property
    def _parameter_dtype(self) -> Any:
        dtype = as_dtype(self.dtype or float32)
        return float32 if dtype == float16 else dtype

    def _parameter(self, name: str, sizes: Any, initializer: Any, regularizer: Any, constraint: Any, trainable: bool) -> Any:
        return self.add_weight(name, sizes, self._parameter_dtype, initializer, regularizer, trainable, constraint)

    def build(self, input_shape):
        rank = input_shape.ndims
        if not rank:
            raise ValueError("Input has undefined rank:", input_shape)
        self.axis = [a + rank if a < 0 else a for a in self.axis]
        for a in self.axis:
            if not 0 <= a < rank:
                raise ValueError(f"Invalid axis: {a}")
        if len(self.axis) != len(set(self.axis)):
            raise ValueError(f"Duplicate axis: {self.axis}")
        self.fused = bool(self.fused) and rank == 4 and self.axis in ([1], [3])
        self._layout = "NCHW" if self.axis == [1] else "NHWC"
        dims = input_shape.as_list()
        sizes = {a: dims[a] for a in self.axis}
        if None in sizes.values():
            raise ValueError("Input has undefined `axis` dimension. Input shape: ", input_shape)
        self.input_spec = InputSpec(ndim=rank, axes=sizes)
        shape = (sizes[self.axis[0]],) if len(sizes) == 1 else [sizes.get(a, 1) for a in range(rank)]
        self.gamma = self.beta = None
        numbers = self._parameter_dtype.as_numpy_dtype
        if self.scale:
            self.gamma = self._parameter("gamma", shape, self.gamma_initializer, self.gamma_regularizer, self.gamma_constraint, True)
        elif self.fused:
            self._unit_gamma = convert_to_tensor(np.ones(shape, numbers))
        if self.center:
            self.beta = self._parameter("beta", shape, self.beta_initializer, self.beta_regularizer, self.beta_constraint, True)
        elif self.fused:
            self._zero_beta = convert_to_tensor(np.zeros(shape, numbers))
        self.moving_mean = self._parameter("moving_mean", shape, self.moving_mean_initializer, None, None, False)
        self.moving_variance = self._parameter("moving_variance", shape, self.moving_variance_initializer, None, None, False)
        self.built = True

    def _follow(self, variable: Any, value: Any, momentum: Any) -> Any:
        """The op that moves a moving average towards `value`."""
        with name_scope("AssignMovingAvg") as scope:
            decay = convert_to_tensor(1.0 - momentum, name="decay")
            if decay.dtype != variable.dtype.base_dtype:
                decay = cast(decay, variable.dtype.base_dtype)
            change = (variable - cast(value, variable.dtype.base_dtype)) * decay
            return assign_sub(variable, change, name=scope)

    def _updated(self, training: Any, variable: Any, value: Any) -> Any:
        """A moving average after it has moved, while training; else as it is."""
        return smart_cond(training, lambda: self._follow(variable, value, self.momentum), lambda: variable)

    def _fused(self, inputs: Any, training: Any) -> Any:
        beta = self.beta if self.center else self._zero_beta
        gamma = self.gamma if self.scale else self._unit_gamma
        output, mean, variance = smart_cond(
            training,
            lambda: fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon, data_format=self._layout),
            lambda: fused_batch_norm(inputs, gamma, beta, mean=self.moving_mean, variance=self.moving_variance, epsilon=self.epsilon,
                                     is_training=False, data_format=self._layout),
        )  # fmt: skip
        known = constant_value(training)
        if known is None:
            momentum = smart_cond(training, lambda: self.momentum, lambda: 1.0)
        else:
            momentum = convert_to_tensor(self.momentum)
        if known is None or known:
            self.add_update(lambda: self._follow(self.moving_mean, mean, momentum), inputs)
            self.add_update(lambda: self._follow(self.moving_variance, variance, momentum), inputs)
        return output

    def call(self, inputs, training=False):
        if self.fused:
            return self._fused(inputs, training)
        rank = inputs.shape.ndims
        axes = [a for a in range(rank) if a not in self.axis]
        wide = [1] * rank
        wide[self.axis[0]] = inputs.shape.as_list()[self.axis[0]]

        def spread(v: Any) -> Any:
            return reshape(v, wide) if v is not None and v.shape.ndims != rank and axes != list(range(rank - 1)) else v

        scale, offset = spread(self.gamma), spread(self.beta)
        if constant_value(training) is False:
            mean, variance = self.moving_mean, self.moving_variance
        else:
            batch_mean, batch_variance = moments(cast(inputs, self._parameter_dtype), axes, keep_dims=len(self.axis) > 1)
            mean = smart_cond(training, lambda: batch_mean, lambda: convert_to_tensor(self.moving_mean))
            variance = smart_cond(training, lambda: batch_variance, lambda: convert_to_tensor(self.moving_variance))
            self.add_update(lambda: self._updated(training, self.moving_mean, mean), inputs)
            self.add_update(lambda: self._updated(training, self.moving_variance, variance), inputs)
        dtype = inputs.dtype.base_dtype
        mean, variance = cast(mean, dtype), cast(variance, dtype)
        offset = None if offset is None else cast(offset, dtype)
        scale = None if scale is None else cast(scale, dtype)
        outputs = nn_batch_normalization(inputs, spread(mean), spread(variance), offset, scale, self.epsilon)
        outputs.set_shape(inputs.shape)
        return outputs


def batch_normalization(inputs, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer=ZEROS,
                        gamma_initializer=ONES, moving_mean_initializer=ZEROS,
                        moving_variance_initializer=ONES, beta_regularizer=None, gamma_regularizer=None,
                        beta_constraint=None, gamma_constraint=None, training=False, trainable=True, name=None, reuse=None, renorm=False,
                        renorm_clipping=None, renorm_momentum=0.99, fused=None, virtual_batch_size=None, adjustment=None):  # fmt: skip
    """Values brought to mean 0 and variance 1 over the batch (while training) or by moving averages, then scaled and moved."""
    return applied(BatchNormalization, locals(), "training")
