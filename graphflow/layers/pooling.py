"""tf.layers: poolings over one to three dimensions."""

from __future__ import annotations

from typing import Any

from graphflow.layers.base import InputSpec, Layer, tuple_of
from graphflow.nn import pooling as nn
from graphflow.ops.reshape import expand_dims, squeeze

_FORMATS = {"channels_last": ("NWC", "NHWC", "NDHWC"), "channels_first": ("NCW", "NCHW", "NCDHW")}


def layout_of(data_format: str, rank: int) -> str:
    """The layout string of a `data_format` argument of tf.layers."""
    if data_format not in _FORMATS:
        raise ValueError(f'The `data_format` argument must be one of "channels_first", "channels_last". Received: {data_format}')
    return _FORMATS[data_format][rank - 1]


class Pooling(Layer):
    """What all pooling layers share."""

    rank = 2
    function: Any = None

    def __init__(self, pool_size, strides, padding="valid", data_format="channels_last", name=None, **kwargs):
        if strides is None:
            raise ValueError("Argument `strides` must not be None.")
        super().__init__(name=name, **kwargs)
        self.pool_size = tuple_of(pool_size, self.rank, "pool_size")
        self.strides = tuple_of(strides, self.rank, "strides")
        self.padding = padding.lower()
        self.data_format = data_format.lower()
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs):
        last = self.data_format == "channels_last"
        if self.rank == 1:
            # A sequence is an image of width 1.
            extra = 2 if last else 3
            size, strides = (*self.pool_size, 1), (*self.strides, 1)
            images = expand_dims(inputs, extra)
            layout = layout_of(self.data_format, 2)
        else:
            images, size, strides, layout = inputs, self.pool_size, self.strides, layout_of(self.data_format, self.rank)
        ksize, steps = ((1, *size, 1), (1, *strides, 1)) if last else ((1, 1, *size), (1, 1, *strides))
        outputs = type(self).function(images, ksize, steps, self.padding.upper(), data_format=layout)
        return squeeze(outputs, extra) if self.rank == 1 else outputs


class MaxPooling1D(Pooling):
    """The largest element of each window of sequences."""

    rank = 1
    function = staticmethod(nn.max_pool)


class MaxPooling2D(Pooling):
    """The largest element of each window of images."""

    function = staticmethod(nn.max_pool)


class MaxPooling3D(Pooling):
    """The largest element of each window of volumes."""

    rank = 3
    function = staticmethod(nn.max_pool3d)


class AveragePooling1D(Pooling):
    """The mean of each window of sequences."""

    rank = 1
    function = staticmethod(nn.avg_pool)


class AveragePooling2D(Pooling):
    """The mean of each window of images."""

    function = staticmethod(nn.avg_pool)


class AveragePooling3D(Pooling):
    """The mean of each window of volumes."""

    rank = 3
    function = staticmethod(nn.avg_pool3d)


def max_pooling1d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The largest element of each window of sequences."""
    return MaxPooling1D(pool_size, strides, padding, data_format, name)(inputs)


def max_pooling2d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The largest element of each window of images."""
    return MaxPooling2D(pool_size, strides, padding, data_format, name)(inputs)


def max_pooling3d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The largest element of each window of volumes."""
    return MaxPooling3D(pool_size, strides, padding, data_format, name)(inputs)


def average_pooling1d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The mean of each window of sequences."""
    return AveragePooling1D(pool_size, strides, padding, data_format, name)(inputs)


def average_pooling2d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The mean of each window of images."""
    return AveragePooling2D(pool_size, strides, padding, data_format, name)(inputs)


def average_pooling3d(inputs, pool_size, strides, padding="valid", data_format="channels_last", name=None):
    """The mean of each window of volumes."""
    return AveragePooling3D(pool_size, strides, padding, data_format, name)(inputs)
