"""tf.nn's poolings."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.nn.convolution import per_dimension
from graphflow.nn.dilated import with_space_to_batch
from graphflow.ops.arguments import renamed
from graphflow.ops.reshape import expand_dims, squeeze
from graphflow.shapes import as_shape


def _channel(data_format: str, spatial: int) -> int:
    return 1 if data_format.startswith("NC") else spatial + 1


def _plain(kind: str, value: Any, ksize: Any, strides: Any, padding: str, data_format: str | None, name: str | None) -> Any:
    """A pooling over as many dimensions as its kind has."""
    spatial = 3 if kind.endswith("3D") else 2
    data_format = data_format or ("NDHWC" if spatial == 3 else "NHWC")
    channel = _channel(data_format, spatial)
    if kind == "MaxPool" and (isinstance(ksize, Tensor) or isinstance(strides, Tensor)):
        return make("MaxPoolV2", value, ksize, strides, padding=padding, data_format=data_format, name=name)
    ksize = per_dimension(ksize, spatial, channel, "ksize")
    strides = per_dimension(strides, spatial, channel, "strides")
    if 0 in ksize:
        raise ValueError("ksize cannot be zero.")
    return make(kind, value, ksize=ksize, strides=strides, padding=padding, data_format=data_format, name=name)


def max_pool(value, ksize, strides, padding, data_format="NHWC", name=None, input=None):
    """The largest element of each window of images. ksize and strides may be int32 tensors of four sizes."""
    value = renamed("input", input, "value", value)
    with name_scope(name, "MaxPool", [value]) as name:
        return _plain("MaxPool", value, ksize, strides, padding, data_format, name)


def avg_pool(value, ksize, strides, padding, data_format="NHWC", name=None, input=None):
    """The mean of each window of images; padding does not count."""
    with name_scope(name, "AvgPool", [value]) as name:
        value = renamed("input", input, "value", value)
        return _plain("AvgPool", value, ksize, strides, padding, data_format, name)


avg_pool2d = avg_pool


def max_pool2d(input, ksize, strides, padding, data_format="NHWC", name=None):
    """The largest element of each window of images."""
    with name_scope(name, "MaxPool2d", [input]) as name:
        return _plain("MaxPool", input, ksize, strides, padding, data_format, name)


def max_pool3d(input, ksize, strides, padding, data_format="NDHWC", name=None):
    """The largest element of each window of volumes."""
    with name_scope(name, "MaxPool3D", [input]) as name:
        return _plain("MaxPool3D", input, ksize, strides, padding, data_format, name)


def avg_pool3d(input, ksize, strides, padding, data_format="NDHWC", name=None):
    """The mean of each window of volumes."""
    with name_scope(name, "AvgPool3D", [input]) as name:
        return _plain("AvgPool3D", input, ksize, strides, padding, data_format, name)


def _sequence(kind: str, input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None, name: str) -> Any:
    """A pooling of sequences, as one of images of height 1."""
    data_format = data_format or "NWC"
    channel = _channel(data_format, 1)
    ksize = [1, *per_dimension(ksize, 1, channel, "ksize")]
    strides = [1, *per_dimension(strides, 1, channel, "strides")]
    extra = 1 if data_format == "NWC" else 2
    input = expand_dims(input, extra)
    if extra == 2:
        # The channel comes second and the extra dimension third: (1, 1, 1, width).
        ksize, strides = [1, 1, 1, ksize[-1]], [1, 1, 1, strides[-1]]
    images = "NHWC" if data_format == "NWC" else "NCHW"
    return squeeze(make(kind, input, ksize=ksize, strides=strides, padding=padding, data_format=images, name=name), extra)


def max_pool1d(input, ksize, strides, padding, data_format="NWC", name=None):
    """The largest element of each window of sequences."""
    with name_scope(name, "MaxPool1d", [input]) as name:
        return _sequence("MaxPool", input, ksize, strides, padding, data_format, name)


def avg_pool1d(input, ksize, strides, padding, data_format="NWC", name=None):
    """The mean of each window of sequences."""
    with name_scope(name, "AvgPool1D", [input]) as name:
        return _sequence("AvgPool", input, ksize, strides, padding, data_format, name)


def _any_rank(kinds: tuple[Any, str, str], input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None, name: Any) -> Any:
    rank = as_shape(input.shape).ndims
    if rank is None and data_format is None:
        raise ValueError("The input must have a rank or a data format must be given.")
    spatial = (rank if rank is not None else len(data_format)) - 2  # type: ignore[arg-type]
    if not 1 <= spatial <= 3:
        raise ValueError(f"Input tensor must be of rank 3, 4 or 5 but was {spatial + 2}.")
    if spatial == 1:
        return kinds[0](input, ksize, strides, padding, data_format=data_format, name=name)
    return _plain(kinds[spatial - 1], input, ksize, strides, padding, data_format, name)


def max_pool_v2(input, ksize, strides, padding, data_format=None, name=None):
    """The largest element of each window, in as many dimensions as the input has."""
    return _any_rank((max_pool1d, "MaxPool", "MaxPool3D"), input, ksize, strides, padding, data_format, name)


def avg_pool_v2(input, ksize, strides, padding, data_format=None, name=None):
    """The mean of each window, in as many dimensions as the input has."""
    return _any_rank((avg_pool1d, "AvgPool", "AvgPool3D"), input, ksize, strides, padding, data_format, name)


def max_pool_with_argmax(input, ksize, strides, padding, data_format="NHWC", Targmax=None, name=None, output_dtype=None,
                         include_batch_in_index=False):  # fmt: skip
    """The largest element of each window, and its flat position."""
    if data_format != "NHWC":
        raise ValueError("Data formats other than 'NHWC' are not yet supported")
    dtype = renamed("output_dtype", output_dtype, "Targmax", Targmax)
    return make(
        "MaxPoolWithArgmax", input, ksize=ksize, strides=strides, padding=padding, Targmax=int64 if dtype is None else as_dtype(dtype),
        include_batch_in_index=bool(include_batch_in_index), name=name,
    )  # fmt: skip


def pool(input, window_shape, pooling_type, padding, dilation_rate=None, strides=None, name=None, data_format=None, dilations=None):
    """A pooling ("MAX" or "AVG") with window and strides given per spatial dimension."""
    rate = renamed("dilations", dilations, "dilation_rate", dilation_rate)
    with name_scope(name, f"{pooling_type.lower()}_pool", [input]) as scope:
        input = convert_to_tensor(input, name="input")
        spatial = len(window_shape)
        if not 1 <= spatial <= 3:
            raise ValueError("It is required that 1 <= num_spatial_dims <= 3.")
        input.shape.with_rank(spatial + 2)
        rate = [1] * spatial if rate is None else list(rate)
        strides = [1] * spatial if strides is None else list(strides)
        if any(r < 1 for r in rate):
            raise ValueError(f"all values of dilation_rate must be positive, but got {rate}")
        if max(rate) > 1 and max(strides) > 1:
            raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
        if any(s > w for s, w in zip(strides, window_shape, strict=True)):
            raise ValueError("strides > window_shape not supported due to inconsistency between CPU and GPU implementations")
        if pooling_type not in ("MAX", "AVG"):
            raise ValueError(f"{spatial}-D {pooling_type} pooling is not supported.")
        # TensorFlow makes this constant while it looks whether there is a dilation; later names count on it.
        convert_to_tensor(np.array(rate, np.int32), int32, name="dilation_rate")
        function = {
            ("MAX", 1): max_pool1d, ("AVG", 1): avg_pool1d, ("MAX", 2): max_pool, ("AVG", 2): avg_pool, ("MAX", 3): max_pool3d,
            ("AVG", 3): avg_pool3d,
        }[pooling_type, spatial]  # fmt: skip
        window = list(window_shape)
        if max(rate) > 1:
            if padding == "SAME":
                raise ValueError("pooling with SAME padding is not implemented for dilation_rate > 1")

            def plain(blocks: Any, _: int, inner: str) -> Any:
                return function(blocks, window, strides, inner, data_format=data_format)

            return with_space_to_batch(input, rate, padding, plain, filter_shape=window, data_format=data_format)
        return function(input, window, strides, padding, data_format=data_format, name=scope)
