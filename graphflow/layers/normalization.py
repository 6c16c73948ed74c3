"""tf.layers: batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype, float16, float32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.layers.base import ONES, ZEROS, InputSpec, Layer, applied, initializer_of
from graphflow.layers.conditional import constant_value, smart_cond
from graphflow.nn.moments import moments
from graphflow.nn.normalization import batch_normalization as nn_batch_normalization
from graphflow.nn.normalization import fused_batch_norm
from graphflow.ops.arithmetic import maximum, minimum
from graphflow.ops.logic import cast
from graphflow.ops.reductions import reduce_mean
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import identity, ones_like, stop_gradient, zeros_like
from graphflow.ops.state import assign, assign_sub
from graphflow.ops.unary import sqrt

_CLIPPED = ["rmax", "rmin", "dmax"]


class BatchNormalization(Layer):
    """Values brought to mean 0 and variance 1 over the batch, then scaled by gamma and moved by beta.

    Moving averages of mean and variance are kept for inference; the ops that update them are in the collection UPDATE_OPS.

    renorm: batch renormalisation (Ioffe, https://arxiv.org/abs/1702.03275): while training the values are corrected to what moving averages
    (renorm_momentum) would have given, the corrections r and d, which have no gradient, limited by renorm_clipping, a dict with some of
    "rmax", "rmin" and "dmax". virtual_batch_size: normalise each that many examples by themselves. adjustment: a function of the input's
    shape that gives a scale and an offset for training, before gamma and beta. With any of them the operations are not fused.
    """

    def __init__(self, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer=ZEROS,
                 gamma_initializer=ONES, moving_mean_initializer=ZEROS,
                 moving_variance_initializer=ONES, beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                 gamma_constraint=None, renorm=False, renorm_clipping=None, renorm_momentum=0.99, fused=None, trainable=True,
                 virtual_batch_size=None, adjustment=None, name=None, **kwargs):  # fmt: skip
        super().__init__(trainable=trainable, name=name, **kwargs)
        unknown = set(renorm_clipping or ()) - set(_CLIPPED)
        if renorm and unknown:
            raise ValueError(f"renorm_clipping {renorm_clipping} contains keys not in {_CLIPPED}")
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
        self.renorm = renorm
        self.renorm_clipping = renorm_clipping or {}
        self.renorm_momentum = renorm_momentum
        self.virtual_batch_size = virtual_batch_size
        self.adjustment = adjustment
        plain = not renorm and virtual_batch_size is None and adjustment is None
        self.fused = plain and (fused is None or bool(fused))

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
        if self.virtual_batch_size is not None:
            if self.virtual_batch_size <= 0:
                raise ValueError("virtual_batch_size must be a positive integer that divides the true batch size of the input Tensor")
            if 0 in self.axis:
                raise ValueError("When using virtual_batch_size, the batch dimension must be 0 and thus axis cannot include 0")
            if self.adjustment is not None:
                raise ValueError("When using virtual_batch_size, adjustment cannot be specified")
        self.fused = self.fused and rank == 4 and self.axis in ([1], [3])
        self._layout = "NCHW" if self.axis == [1] else "NHWC"
        dims = input_shape.as_list()
        sizes = {a: dims[a] for a in self.axis}
        if None in sizes.values():
            raise ValueError("Input has undefined `axis` dimension. Input shape: ", input_shape)
        self.input_spec = InputSpec(ndim=rank, axes=sizes)
        shape: Any = (sizes[self.axis[0]],)
        if len(sizes) > 1 or self.virtual_batch_size is not None:
            shape = [sizes.get(a, 1) for a in range(rank)]
        if self.virtual_batch_size is not None:  # the batch becomes two dimensions, see `call`
            shape.insert(1, 1)
            self.axis = [a + 1 for a in self.axis]
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
        if self.renorm:
            def deviation(*args: Any, **kwargs: Any) -> Any:
                return sqrt(self.moving_variance_initializer(*args, **kwargs))

            self.moving_stddev = self._parameter("moving_stddev", shape, deviation, None, None, False)
            self.renorm_mean = self._parameter("renorm_mean", shape, self.moving_mean_initializer, None, None, False)
            self.renorm_stddev = self._parameter("renorm_stddev", shape, deviation, None, None, False)
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

    def _updated_variance(self, training: Any, variance: Any) -> Any:
        """The moving variance after it has moved. With renorm the deviation moves, as in the paper, and the variance with it."""
        if not self.renorm:
            return self._updated(training, self.moving_variance, variance)

        def moved() -> Any:
            deviation = self._follow(self.moving_stddev, sqrt(variance + self.epsilon), self.momentum)
            with name_scope("AssignNewValue") as scope:  # rounding could make it negative
                return assign(self.moving_variance, make("Relu", deviation * deviation - self.epsilon), name=scope)

        return smart_cond(training, moved, lambda: self.moving_variance)

    def _corrections(self, mean: Any, variance: Any, training: Any) -> tuple[Any, Any, Any, Any]:
        """Batch renormalisation: r and d, with which x becomes x * r + d, and the moments, behind the update of its averages."""
        deviation = sqrt(variance + self.epsilon)
        average = maximum(self.renorm_stddev, sqrt(self.epsilon))  # not 0 early on
        r = deviation / average
        d = (mean - self.renorm_mean) / average
        with control_dependencies([r, d]):  # which are of the averages before their update
            mean, deviation = identity(mean), identity(deviation)
        least, most, far = (self.renorm_clipping.get(key) for key in ("rmin", "rmax", "dmax"))
        r = r if least is None else maximum(r, least)
        r = r if most is None else minimum(r, most)
        d = d if far is None else minimum(maximum(d, -far), far)
        r = smart_cond(training, lambda: r, lambda: ones_like(r))
        d = smart_cond(training, lambda: d, lambda: zeros_like(d))

        def follow(variable: Any, value: Any) -> Any:
            value = identity(value)
            return smart_cond(training, lambda: self._follow(variable, value, self.renorm_momentum), lambda: identity(variable))

        with control_dependencies([follow(self.renorm_mean, mean), follow(self.renorm_stddev, deviation)]):
            return r, d, identity(mean), identity(variance)

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
        if self.virtual_batch_size is None:
            return self._normalized(inputs, training)
        shape = [-1, *inputs.shape.as_list()[1:]]
        outputs = self._normalized(reshape(inputs, [self.virtual_batch_size, -1, *shape[1:]]), training)
        return reshape(outputs, shape)

    def _normalized(self, inputs: Any, training: Any) -> Any:
        rank = inputs.shape.ndims
        axes = [a for a in range(rank) if a not in self.axis]
        if self.virtual_batch_size is not None:
            del axes[1]  # one set of moments for each virtual batch
        wide = [1] * rank
        wide[self.axis[0]] = inputs.shape.as_list()[self.axis[0]]

        def spread(v: Any) -> Any:
            return reshape(v, wide) if v is not None and v.shape.ndims != rank and axes != list(range(rank - 1)) else v

        scale, offset = spread(self.gamma), spread(self.beta)
        if constant_value(training) is False:
            mean, variance = self.moving_mean, self.moving_variance
        else:
            if self.adjustment is not None:
                more_scale, more_offset = self.adjustment(shape_of(inputs))
                more_scale = smart_cond(training, lambda: more_scale, lambda: ones_like(more_scale))
                more_offset = smart_cond(training, lambda: more_offset, lambda: zeros_like(more_offset))
                scale, offset = _composed(more_scale, more_offset, scale, offset)
            keep_dims = self.virtual_batch_size is not None or len(self.axis) > 1
            batch_mean, batch_variance = moments(cast(inputs, self._parameter_dtype), axes, keep_dims=keep_dims)
            mean = smart_cond(training, lambda: batch_mean, lambda: convert_to_tensor(self.moving_mean))
            variance = smart_cond(training, lambda: batch_variance, lambda: convert_to_tensor(self.moving_variance))
            new_mean, new_variance = mean, variance
            if self.virtual_batch_size is not None:
                new_mean, new_variance = (reduce_mean(v, axis=1, keepdims=True) for v in (mean, variance))
            if self.renorm:
                r, d, new_mean, new_variance = self._corrections(new_mean, new_variance, training)
                r, d = spread(stop_gradient(r, name="renorm_r")), spread(stop_gradient(d, name="renorm_d"))
                scale, offset = _composed(r, d, scale, offset)
            self.add_update(lambda: self._updated(training, self.moving_mean, new_mean), inputs)
            self.add_update(lambda: self._updated_variance(training, new_variance), inputs)
        dtype = inputs.dtype.base_dtype
        mean, variance = cast(mean, dtype), cast(variance, dtype)
        offset = None if offset is None else cast(offset, dtype)
        scale = None if scale is None else cast(scale, dtype)
        outputs = nn_batch_normalization(inputs, spread(mean), spread(variance), offset, scale, self.epsilon)
        outputs.set_shape(inputs.shape)
        return outputs


def _composed(scale: Any, offset: Any, then_scale: Any, then_offset: Any) -> tuple[Any, Any]:
    """Scale and offset of one transform after another, of which either may be None."""
    if then_scale is not None:
        scale, offset = scale * then_scale, offset * then_scale
    return scale, offset if then_offset is None else offset + then_offset


def batch_normalization(inputs, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer=ZEROS,
                        gamma_initializer=ONES, moving_mean_initializer=ZEROS,
                        moving_variance_initializer=ONES, beta_regularizer=None, gamma_regularizer=None,
                        beta_constraint=None, gamma_constraint=None, training=False, trainable=True, name=None, reuse=None, renorm=False,
                        renorm_clipping=None, renorm_momentum=0.99, fused=None, virtual_batch_size=None, adjustment=None):  # fmt: skip
    """Values brought to mean 0 and variance 1 over the batch (while training) or by moving averages, then scaled and moved."""
    return applied(BatchNormalization, locals(), "training")
