"""tf.layers: convolutions, separable and transposed convolutions."""

from __future__ import annotations

from typing import Any

from graphflow.layers.base import ZEROS, InputSpec, Layer, activation_of, applied, initializer_of, tuple_of
from graphflow.layers.pooling import layout_of
from graphflow.nn.convolution import conv1d as nn_conv1d
from graphflow.nn.convolution import conv2d as nn_conv2d
from graphflow.nn.convolution import conv2d_transpose as nn_conv2d_transpose
from graphflow.nn.convolution import conv3d as nn_conv3d
from graphflow.nn.convolution import conv3d_transpose as nn_conv3d_transpose
from graphflow.nn.convolution import separable_conv2d as nn_separable_conv2d
from graphflow.nn.dilated import DilatedWindows
from graphflow.ops.joining import stack
from graphflow.ops.matmul import bias_add
from graphflow.ops.padding import pad
from graphflow.ops.reshape import expand_dims, reshape, squeeze
from graphflow.ops.shape import shape


class Conv(Layer):
    """What all convolution layers share: `rank` spatial dimensions, kernel and bias."""

    rank = 2

    def __init__(self, filters, kernel_size, strides=1, padding="valid", data_format="channels_last", dilation_rate=1, activation=None,
                 use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None,
                 bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True,
                 name=None, **kwargs):  # fmt: skip
        super().__init__(trainable=trainable, name=name, activity_regularizer=activity_regularizer, **kwargs)
        self.filters = int(filters)
        self.kernel_size = tuple_of(kernel_size, self.rank, "kernel_size")
        self.strides = tuple_of(strides, self.rank, "strides")
        self.padding = padding.lower()
        if self.padding not in ("valid", "same", "causal"):
            raise ValueError(
                'The `padding` argument must be a list/tuple or one of "valid", "same" (or "causal", only for `Conv1D). '
                f"Received: {self.padding}"
            )
        if self.padding == "causal" and self.rank != 1:
            raise ValueError("Causal padding is only supported for `Conv1D`and ``SeparableConv1D`.")
        self.data_format = data_format.lower()
        self.layout = layout_of(self.data_format, self.rank)
        self.dilation_rate = tuple_of(dilation_rate, self.rank, "dilation_rate")
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializer_of(kernel_initializer)
        self.bias_initializer = initializer_of(bias_initializer)
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self.bias = None

    @property
    def _last(self) -> bool:
        return self.data_format == "channels_last"

    def _channels(self, input_shape: Any) -> int:
        """The number of input channels, noted in the input's spec."""
        axis = -1 if self._last else 1
        channels = input_shape.as_list()[axis]
        if channels is None:
            raise ValueError("The channel dimension of the inputs should be defined. Found `None`.")
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        return int(channels)

    def _add_bias(self) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", (self.filters,), self.dtype, self.bias_initializer, self.bias_regularizer, True, self.bias_constraint
            )

    def build(self, input_shape):
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, self._channels(input_shape), self.filters), self.dtype, self.kernel_initializer,
            self.kernel_regularizer, True, self.kernel_constraint,
        )  # fmt: skip
        self._add_bias()
        padding = "VALID" if self.padding == "causal" else self.padding.upper()
        self._windows = DilatedWindows(self.dilation_rate, padding, self.kernel.shape, data_format=self.layout)
        self.built = True

    def _causal(self, inputs: Any) -> Any:
        left = self.dilation_rate[0] * (self.kernel_size[0] - 1)
        return pad(inputs, [[0, 0], [left, 0], [0, 0]] if self._last else [[0, 0], [0, 0], [left, 0]])

    def _everywhere(self, values: tuple[int, ...]) -> tuple[int, ...]:
        """Values per spatial dimension as values per dimension."""
        return (1, *values, 1) if self._last else (1, 1, *values)

    def call(self, inputs):
        if self.padding == "causal":
            inputs = self._causal(inputs)
        return self._finished(self._windows(inputs, self._plain))

    def _plain(self, inputs: Any, rank: int, padding: str) -> Any:
        function = (nn_conv1d, nn_conv2d, nn_conv3d)[rank - 1]
        strides = self.strides if rank == 1 else self._everywhere(self.strides)
        return function(inputs, self.kernel, strides, padding, data_format=self.layout)

    def _finished(self, outputs: Any) -> Any:
        """Bias and activation."""
        if self.use_bias:
            if self.rank == 1 and not self._last:
                outputs += reshape(self.bias, (1, self.filters, 1))
            else:
                outputs = bias_add(outputs, self.bias, data_format="NHWC" if self._last else "NCHW")
        return outputs if self.activation is None else self.activation(outputs)


class Conv1D(Conv):
    """Convolution of sequences."""

    rank = 1


class Conv2D(Conv):
    """Convolution of images."""


class Conv3D(Conv):
    """Convolution of volumes."""

    rank = 3


class Transposed(Conv):
    """What the transposed convolutions share: the output's size is worked out from the input's."""

    def build(self, input_shape):
        self.kernel = self.add_weight(
            "kernel", (*self.kernel_size, self.filters, self._channels(input_shape)), self.dtype, self.kernel_initializer,
            self.kernel_regularizer, True, self.kernel_constraint,
        )  # fmt: skip
        self._add_bias()
        self.built = True

    def _length(self, size: Any, kernel: int, stride: int) -> Any:
        if size is None:
            return None
        length = size * stride
        return length + max(kernel - stride, 0) if self.padding == "valid" else length

    def call(self, inputs):
        sizes = shape(inputs)
        axes = range(1, self.rank + 1) if self._last else range(2, self.rank + 2)
        batch = sizes[0]
        given = [sizes[a] for a in axes]
        lengths = [self._length(s, k, t) for s, k, t in zip(given, self.kernel_size, self.strides, strict=True)]
        wanted = (batch, *lengths, self.filters) if self._last else (batch, self.filters, *lengths)
        sizes = stack(wanted)
        if self.rank == 2:
            sizes[0]  # TensorFlow looks whether this is known; names and seeds of later ops count on the nodes
        function = nn_conv2d_transpose if self.rank == 2 else nn_conv3d_transpose
        outputs = function(
            inputs, self.kernel, sizes, self._everywhere(self.strides), padding=self.padding.upper(), data_format=self.layout
        )
        known = inputs.shape.as_list()
        spatial = [self._length(known[a], k, t) for a, k, t in zip(axes, self.kernel_size, self.strides, strict=True)]
        outputs.set_shape([known[0], *spatial, self.filters] if self._last else [known[0], self.filters, *spatial])
        return self._finished(outputs)


class Conv2DTranspose(Transposed):
    """The transpose of a convolution of images."""


class Conv3DTranspose(Transposed):
    """The transpose of a convolution of volumes."""

    rank = 3


class SeparableConv(Conv):
    """A depthwise convolution followed by one over the channels of single pixels."""

    def __init__(self, filters, kernel_size, strides=1, padding="valid", data_format="channels_last", dilation_rate=1, depth_multiplier=1,
                 activation=None, use_bias=True, depthwise_initializer=None, pointwise_initializer=None,
                 bias_initializer=ZEROS, depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None,
                 activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, trainable=True,
                 name=None, **kwargs):  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer, activity_regularizer=activity_regularizer, bias_constraint=bias_constraint,
            trainable=trainable, name=name, **kwargs,
        )  # fmt: skip
        self.depth_multiplier = int(depth_multiplier)
        self.depthwise_initializer = initializer_of(depthwise_initializer)
        self.pointwise_initializer = initializer_of(pointwise_initializer)
        self.depthwise_regularizer = depthwise_regularizer
        self.pointwise_regularizer = pointwise_regularizer
        self.depthwise_constraint = depthwise_constraint
        self.pointwise_constraint = pointwise_constraint

    def build(self, input_shape):
        channels = self._channels(input_shape)
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier), self.dtype, self.depthwise_initializer,
            self.depthwise_regularizer, True, self.depthwise_constraint,
        )  # fmt: skip
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel", (*(1,) * self.rank, self.depth_multiplier * channels, self.filters), self.dtype,
            self.pointwise_initializer, self.pointwise_regularizer, True, self.pointwise_constraint,
        )  # fmt: skip
        self._add_bias()
        self.built = True

    def _separable(self, inputs: Any, depthwise: Any, pointwise: Any, strides: tuple[int, ...], padding: str, rate: Any) -> Any:
        layout = layout_of(self.data_format, 2)
        outputs = nn_separable_conv2d(inputs, depthwise, pointwise, strides, padding.upper(), rate=rate, data_format=layout)
        return bias_add(outputs, self.bias, data_format=layout) if self.use_bias else outputs


class SeparableConv1D(SeparableConv):
    """A separable convolution of sequences."""

    rank = 1

    def call(self, inputs):
        padding = self.padding
        if padding == "causal":
            inputs, padding = self._causal(inputs), "valid"
        extra = 1 if self._last else 2
        inputs = expand_dims(inputs, extra)
        depthwise, pointwise = expand_dims(self.depthwise_kernel, 0), expand_dims(self.pointwise_kernel, 0)
        outputs = self._separable(inputs, depthwise, pointwise, self._everywhere(self.strides * 2), padding, (1, *self.dilation_rate))
        outputs = squeeze(outputs, [extra])
        return outputs if self.activation is None else self.activation(outputs)


class SeparableConv2D(SeparableConv):
    """A separable convolution of images."""

    def call(self, inputs):
        outputs = self._separable(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self._everywhere(self.strides), self.padding, self.dilation_rate
        )
        return outputs if self.activation is None else self.activation(outputs)


def conv1d(inputs, filters, kernel_size, strides=1, padding="valid", data_format="channels_last", dilation_rate=1, activation=None,
           use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None, bias_regularizer=None,
           activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True, name=None, reuse=None):  # fmt: skip
    """Convolution of sequences."""
    return applied(Conv1D, locals())


def conv2d(inputs, filters, kernel_size, strides=(1, 1), padding="valid", data_format="channels_last", dilation_rate=(1, 1),
           activation=None, use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None,
           bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True, name=None,
           reuse=None):  # fmt: skip
    """Convolution of images."""
    return applied(Conv2D, locals())


def conv3d(inputs, filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format="channels_last", dilation_rate=(1, 1, 1),
           activation=None, use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None,
           bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True, name=None,
           reuse=None):  # fmt: skip
    """Convolution of volumes."""
    return applied(Conv3D, locals())


def conv2d_transpose(inputs, filters, kernel_size, strides=(1, 1), padding="valid", data_format="channels_last", activation=None,
                     use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None,
                     bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True,
                     name=None, reuse=None):  # fmt: skip
    """The transpose of a convolution of images."""
    return applied(Conv2DTranspose, locals())


def conv3d_transpose(inputs, filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format="channels_last", activation=None,
                     use_bias=True, kernel_initializer=None, bias_initializer=ZEROS, kernel_regularizer=None,
                     bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None, trainable=True,
                     name=None, reuse=None):  # fmt: skip
    """The transpose of a convolution of volumes."""
    return applied(Conv3DTranspose, locals())


def separable_conv1d(inputs, filters, kernel_size, strides=1, padding="valid", data_format="channels_last", dilation_rate=1,
                     depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer=None, pointwise_initializer=None,
                     bias_initializer=ZEROS, depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None,
                     activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None,
                     trainable=True, name=None, reuse=None):  # fmt: skip
    """A separable convolution of sequences."""
    return applied(SeparableConv1D, locals())


def separable_conv2d(inputs, filters, kernel_size, strides=(1, 1), padding="valid", data_format="channels_last", dilation_rate=(1, 1),
                     depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer=None, pointwise_initializer=None,
                     bias_initializer=ZEROS, depthwise_regularizer=None, pointwise_regularizer=None, bias_regularizer=None,
                     activity_regularizer=None, depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None,
                     trainable=True, name=None, reuse=None):  # fmt: skip
    """A separable convolution of images."""
    return applied(SeparableConv2D, locals())
