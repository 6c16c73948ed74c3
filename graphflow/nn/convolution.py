"""tf.nn's convolutions: plain, dilated, depthwise, separable and transposed, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.nn.dilated import DilatedWindows
from graphflow.ops.arguments import renamed
from graphflow.ops.blocks import batch_to_space, space_to_batch
from graphflow.ops.joining import concat
from graphflow.ops.reshape import expand_dims, squeeze
from graphflow.ops.shape import shape
from graphflow.shapes import as_shape


def per_dimension(value: Any, spatial: int, channel: int, name: str) -> list[int]:
    """An argument given once, per spatial dimension, or per dimension, as one entry per dimension; None is 1."""
    values = [1] if value is None else list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
    if len(values) == spatial + 2:
        return [int(v) for v in values]
    if len(values) == 1:
        values = values * spatial
    elif len(values) != spatial:
        raise ValueError(f"{name} should be of length 1, {spatial} or {spatial + 2} but was {len(values)}")
    values = [int(v) for v in values]
    return [1, 1, *values] if channel == 1 else [1, *values, 1]


def _padding(padding: Any) -> dict[str, Any]:
    """The attributes that a `padding` argument means: a name, or a list with (before, after) of each dimension."""
    if padding == "EXPLICIT":
        raise ValueError(
            '"EXPLICIT" is not a valid value for the padding parameter. To use explicit padding, the padding parameter must be a list.'
        )
    if not isinstance(padding, (list, tuple)):
        return {"padding": padding}
    for number, pair in enumerate(padding):
        if not isinstance(pair, (list, tuple)):
            raise ValueError(
                "When padding is a list, each element of padding must be a list/tuple of size 2. "
                f"Element with index {number} of padding is not a list/tuple"
            )
        if len(pair) != 2:
            raise ValueError(
                "When padding is a list, each element of padding must be a list/tuple of size 2. "
                f"Element with index {number} of padding has size {len(pair)}"
            )
    if len(padding) != 4:
        raise ValueError(f"When padding is a list, it must be of size 4. Got padding of size: {len(padding)}")
    return {"padding": "EXPLICIT", "explicit_paddings": tuple(int(p) for pair in padding for p in pair)}


def _channel(data_format: str, spatial: int) -> int:
    return 1 if data_format.startswith("NC") else spatial + 1


def conv2d(input, filter=None, strides=None, padding=None, use_cudnn_on_gpu=True, data_format="NHWC", dilations=(1, 1, 1, 1),
           name=None, filters=None):  # fmt: skip
    """Convolution of images (batch, height, width, channels) with a filter (height, width, input channels, output channels)."""
    filter = renamed("filters", filters, "filter", filter)
    data_format = data_format or "NHWC"
    channel = _channel(data_format, 2)
    return make(
        "Conv2D", input, filter, strides=per_dimension(strides, 2, channel, "strides"), use_cudnn_on_gpu=bool(use_cudnn_on_gpu),
        **_padding(padding), data_format=data_format, dilations=per_dimension(dilations, 2, channel, "dilations"), name=name,
    )  # fmt: skip


def conv2d_backprop_input(input_sizes, filter=None, out_backprop=None, strides=None, padding=None, use_cudnn_on_gpu=True,
                          data_format="NHWC", dilations=(1, 1, 1, 1), name=None, filters=None):  # fmt: skip
    """The gradient of conv2d for its input, whose sizes are given."""
    filter = renamed("filters", filters, "filter", filter)
    return make(
        "Conv2DBackpropInput", input_sizes, filter, out_backprop, strides=strides, use_cudnn_on_gpu=bool(use_cudnn_on_gpu),
        **_padding(padding), data_format=data_format, dilations=dilations, name=name,
    )  # fmt: skip


def conv2d_backprop_filter(input, filter_sizes, out_backprop, strides, padding, use_cudnn_on_gpu=True, data_format="NHWC",
                           dilations=(1, 1, 1, 1), name=None):  # fmt: skip
    """The gradient of conv2d for its filter, whose sizes are given."""
    return make(
        "Conv2DBackpropFilter", input, filter_sizes, out_backprop, strides=strides, use_cudnn_on_gpu=bool(use_cudnn_on_gpu),
        **_padding(padding), data_format=data_format, dilations=dilations, name=name,
    )  # fmt: skip


def _one_dimensional(data_format: str | None) -> tuple[str, int, int]:
    """The two-dimensional layout that stands for a one-dimensional one, where the extra dimension goes, and where the channel is."""
    if data_format in (None, "NHWC", "NWC"):
        return "NHWC", 1, 2
    if data_format in ("NCHW", "NCW"):
        return "NCHW", 2, 1
    raise ValueError('data_format must be "NWC" or "NCW".')


def conv1d(value=None, filters=None, stride=None, padding=None, use_cudnn_on_gpu=None, data_format=None, name=None, input=None,
           dilations=None):  # fmt: skip
    """Convolution of sequences (batch, width, channels) with a filter (width, input channels, output channels)."""
    value = renamed("input", input, "value", value)
    with name_scope(name, "conv1d", [value, filters]) as name:
        data_format, start, channel = _one_dimensional(data_format)
        strides = [1, *per_dimension(stride, 1, channel, "stride")]
        dilations = [1, *per_dimension(dilations, 1, channel, "dilations")]
        value = expand_dims(value, start)
        filters = expand_dims(filters, 0)
        result = make(
            "Conv2D", value, filters, strides=strides, use_cudnn_on_gpu=True if use_cudnn_on_gpu is None else bool(use_cudnn_on_gpu),
            padding=padding, data_format=data_format, dilations=dilations, name=name,
        )  # fmt: skip
        return squeeze(result, [start])


def conv1d_transpose(input, filters, output_shape, strides, padding="SAME", data_format="NWC", dilations=None, name=None):
    """The transpose of conv1d: sequences as long as `output_shape` says."""
    with name_scope(name, "conv1d_transpose", [input, filters, output_shape]) as name:
        data_format, start, channel = _one_dimensional(data_format)
        strides = [1, *per_dimension(strides, 1, channel, "stride")]
        dilations = [1, *per_dimension(dilations, 1, channel, "dilations")]
        input = expand_dims(input, start)
        filters = expand_dims(filters, 0)
        sizes = output_shape if isinstance(output_shape, Tensor) else list(output_shape)
        sizes = concat([sizes[:start], [1], sizes[start:]], 0)
        result = make(
            "Conv2DBackpropInput", sizes, filters, input, strides=strides, padding=padding, data_format=data_format, dilations=dilations,
            name=name,
        )  # fmt: skip
        return squeeze(result, [start])


def conv3d(input, filter=None, strides=None, padding=None, data_format="NDHWC", dilations=(1, 1, 1, 1, 1), name=None,
           filters=None):  # fmt: skip
    """Convolution of volumes (batch, depth, height, width, channels)."""
    filter = renamed("filters", filters, "filter", filter)
    return make("Conv3D", input, filter, strides=strides, padding=padding, data_format=data_format, dilations=dilations, name=name)


def conv2d_transpose(value=None, filter=None, output_shape=None, strides=None, padding="SAME", data_format="NHWC", name=None, input=None,
                     filters=None, dilations=None):  # fmt: skip
    """The transpose of conv2d: images of the given `output_shape`. The filter is (height, width, output channels, input channels)."""
    value = renamed("input", input, "value", value)
    filter = renamed("filters", filters, "filter", filter)
    return _transpose("Conv2DBackpropInput", 2, value, filter, output_shape, strides, padding, data_format or "NHWC", dilations, name)


def conv3d_transpose(value, filter=None, output_shape=None, strides=None, padding="SAME", data_format="NDHWC", name=None, input=None,
                     filters=None, dilations=None):  # fmt: skip
    """The transpose of conv3d: volumes of the given `output_shape`."""
    value = renamed("input", input, "value", value)
    filter = renamed("filters", filters, "filter", filter)
    return _transpose("Conv3DBackpropInputV2", 3, value, filter, output_shape, strides, padding, data_format or "NDHWC", dilations, name)


def _transpose(op, spatial, value, filter, output_shape, strides, padding, data_format, dilations, name):
    channel = _channel(data_format, spatial)
    with name_scope(name, f"conv{spatial}d_transpose", [value, filter, output_shape]) as name:
        return make(
            op, output_shape, filter, value, strides=per_dimension(strides, spatial, channel, "strides"), padding=padding,
            data_format=data_format, dilations=per_dimension(dilations, spatial, channel, "dilations"), name=name,
        )  # fmt: skip


def conv_transpose(input, filters, output_shape, strides, padding="SAME", data_format=None, dilations=None, name=None):
    """The transpose of a convolution in as many dimensions as `output_shape` has."""
    with name_scope(name, "conv_transpose", [input, filters, output_shape]) as name:
        spatial = (output_shape.shape.as_list()[0] if isinstance(output_shape, Tensor) else len(output_shape)) - 2
        if not 1 <= spatial <= 3:
            raise ValueError(f"output_shape must be of length 3, 4 or 5 but was {spatial + 2}.")
        kind = (conv1d_transpose, conv2d_transpose, conv3d_transpose)[spatial - 1]
        default = ("NWC", "NHWC", "NDHWC")[spatial - 1]
        return kind(
            input, filters, output_shape, strides, padding=padding, data_format=data_format or default, dilations=dilations, name=name
        )


def convolution(input, filter=None, padding=None, strides=None, dilation_rate=None, name=None, data_format=None, filters=None,
                dilations=None):  # fmt: skip
    """Convolution in as many dimensions as the input has, with strides and dilations given per spatial dimension."""
    filter = renamed("filters", filters, "filter", filter)
    dilations = renamed("dilations", dilations, "dilation_rate", dilation_rate)
    rank = as_shape(input.shape).ndims if as_shape(input.shape).ndims is not None else as_shape(filter.shape).ndims
    if rank is None:
        raise ValueError("rank of input or filter must be known")
    spatial = rank - 2
    if not 1 <= spatial <= 3:
        raise ValueError(f"Input tensor must be of rank 3, 4 or 5 but was {rank}.")
    channel = 1 if data_format is not None and data_format.startswith("NC") else spatial + 1
    strides = per_dimension(strides, spatial, channel, "strides")
    dilations = per_dimension(dilations, spatial, channel, "dilations")
    if max(strides) > 1 and max(dilations) > 1:
        raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
    with name_scope(name, "convolution", [input, filter]) as name:

        def plain(input: Any, _: int, padding: str) -> Any:
            if spatial == 1:
                return conv1d(input, filter, strides, padding, data_format=data_format, name=name)
            kind, default = ("Conv2D", "NHWC") if spatial == 2 else ("Conv3D", "NDHWC")
            return make(kind, input, filter, name=name, strides=strides, padding=padding, data_format=data_format or default)

        if max(dilations) == 1:
            return plain(input, spatial, padding)
        input, filter = convert_to_tensor(input, name="input"), convert_to_tensor(filter, name="filter")
        return _dilated(dilations, padding, filter.shape, data_format)(input, plain)


def _dilated(dilations: Sequence[int], padding: str, filter_shape: Any, data_format: str | None) -> DilatedWindows:
    """Of a convolution whose dilations are given per dimension."""
    spatial = dilations[2:] if data_format is not None and data_format.startswith("NC") else dilations[1:-1]
    return DilatedWindows(spatial, padding, filter_shape, data_format=data_format)


def atrous_conv2d(value, filters, rate, padding, name=None):
    """Convolution with rate - 1 gaps between the filter's elements."""
    return convolution(value, filters, padding, dilation_rate=[int(r) for r in np.broadcast_to(rate, (2,))], name=name)


def atrous_conv2d_transpose(value, filters, output_shape, rate, padding, name=None):
    """The transpose of atrous_conv2d."""
    with name_scope(name, "atrous_conv2d_transpose", [value, filters, output_shape]) as name:
        value = convert_to_tensor(value, name="value")
        filters = convert_to_tensor(filters, name="filters")
        if not value.shape.with_rank(4)[3].is_compatible_with(filters.shape.with_rank(4)[3]):
            raise ValueError(f"value's input channels does not match filters' input channels, {value.shape[3]} != {filters.shape[3]}")
        if rate < 1:
            raise ValueError(f"rate {rate} cannot be less than one")
        if rate == 1:
            return conv2d_transpose(value, filters, output_shape, [1, 1, 1, 1], padding)
        sizes: Any = convert_to_tensor(output_shape, name="output_shape")
        sizes.shape.assert_is_compatible_with([4])
        sizes = output_shape if isinstance(output_shape, (list, tuple, np.ndarray)) else sizes
        if padding == "SAME":
            window = filters.shape.as_list() if filters.shape.is_fully_defined() else shape(filters)
            around = [rate * (window[n] - 1) for n in range(2)]
        elif padding == "VALID":
            around = [0, 0]
        else:
            raise ValueError(f"padding must be either VALID or SAME: {padding}")
        before = [extra // 2 for extra in around]
        after = [extra - start for extra, start in zip(around, before, strict=True)]
        full = [sizes[1] + before[0] + after[0], sizes[2] + before[1] + after[1]]
        more = [(rate - extent % rate) % rate for extent in full]  # so that blocks of `rate` fill it
        blocks = space_to_batch(value, [[0, more[0]], [0, more[1]]], rate)
        inner = [rate * rate * sizes[0], (full[0] + more[0]) // rate, (full[1] + more[1]) // rate, sizes[3]]
        blocks = make("Conv2DBackpropInput", inner, filters, blocks, strides=(1, 1, 1, 1), padding="VALID", data_format="NHWC")
        return batch_to_space(blocks, [[start, end + extra] for start, end, extra in zip(before, after, more, strict=True)], rate)


def depthwise_conv2d_native(input, filter, strides, padding, data_format="NHWC", dilations=(1, 1, 1, 1), name=None):
    """Each channel convolved with its own filters; strides and dilations per dimension."""
    return make(
        "DepthwiseConv2dNative", input, filter, strides=strides, padding=padding, data_format=data_format, dilations=dilations, name=name
    )


def depthwise_conv2d_native_backprop_input(input_sizes, filter, out_backprop, strides, padding, data_format="NHWC",
                                           dilations=(1, 1, 1, 1), name=None):  # fmt: skip
    """The gradient of depthwise_conv2d_native for its input, whose shape is `input_sizes`."""
    return make(
        "DepthwiseConv2dNativeBackpropInput", input_sizes, filter, out_backprop, strides=strides, padding=padding, data_format=data_format,
        dilations=dilations, name=name,
    )  # fmt: skip


def depthwise_conv2d_native_backprop_filter(input, filter_sizes, out_backprop, strides, padding, data_format="NHWC",
                                            dilations=(1, 1, 1, 1), name=None):  # fmt: skip
    """The gradient of depthwise_conv2d_native for its filter, whose shape is `filter_sizes`."""
    return make(
        "DepthwiseConv2dNativeBackpropFilter", input, filter_sizes, out_backprop, strides=strides, padding=padding,
        data_format=data_format, dilations=dilations, name=name,
    )  # fmt: skip


def conv3d_backprop_filter(input, filter_sizes, out_backprop, strides, padding, data_format="NDHWC", dilations=(1, 1, 1, 1, 1),
                           name=None):  # fmt: skip
    """The gradient of conv3d for its filter, whose shape is `filter_sizes`."""
    return make(
        "Conv3DBackpropFilterV2", input, filter_sizes, out_backprop, strides=strides, padding=padding, data_format=data_format,
        dilations=dilations, name=name,
    )  # fmt: skip


def depthwise_conv2d(input, filter, strides, padding, rate=None, name=None, data_format=None, dilations=None):
    """Each channel convolved with its own filters (height, width, channels, multiplier); `rate` is the dilation."""
    rate = renamed("dilations", dilations, "rate", rate)
    with name_scope(name, "depthwise", [input, filter]) as name:
        input = convert_to_tensor(input, name="tensor_in")
        filter = convert_to_tensor(filter, name="filter_in")
        data_format = data_format or "NHWC"
        dilations = per_dimension(rate, 2, _channel(data_format, 2), "rate")
        if max(dilations) > 1 and max(strides) > 1:
            raise ValueError("strides > 1 not supported in conjunction with dilation_rate > 1")
        return _depthwise(input, filter, strides, padding, data_format, dilations, name)


def _depthwise(input: Any, filter: Any, strides: Any, padding: Any, data_format: str, dilations: Sequence[int], name: str) -> Any:
    def plain(input: Any, _: int, padding: Any) -> Any:
        return depthwise_conv2d_native(input, filter, strides, padding, data_format=data_format, name=name)

    return _dilated(dilations, padding, shape(filter), data_format)(input, plain)


def separable_conv2d(input, depthwise_filter, pointwise_filter, strides, padding, rate=None, name=None, data_format=None,
                     dilations=None):  # fmt: skip
    """A depthwise convolution followed by a 1 x 1 convolution over the channels."""
    rate = renamed("dilations", dilations, "rate", rate)
    with name_scope(name, "separable_conv2d", [input, depthwise_filter, pointwise_filter]) as name:
        input = convert_to_tensor(input, name="tensor_in")
        depthwise_filter = convert_to_tensor(depthwise_filter, name="depthwise_filter")
        pointwise_filter = convert_to_tensor(pointwise_filter, name="pointwise_filter")
        sizes = pointwise_filter.shape.with_rank(4)
        sizes.dims[0].assert_is_compatible_with(1)
        sizes.dims[1].assert_is_compatible_with(1)
        data_format = data_format or "NHWC"
        dilations = per_dimension(rate, 2, _channel(data_format, 2), "rate")
        depthwise = _depthwise(input, depthwise_filter, strides, padding, data_format, dilations, "depthwise")
        return conv2d(depthwise, pointwise_filter, (1, 1, 1, 1), "VALID", data_format=data_format, name=name)
