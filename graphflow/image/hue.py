"""tf.image's functions of hue and saturation, and measures of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import float32
from graphflow.graph.build import convert, make, name_scope
from graphflow.image.color import convert_image_dtype, in_floats
from graphflow.nn.convolution import depthwise_conv2d
from graphflow.ops.joining import concat, tile
from graphflow.ops.padding import pad
from graphflow.ops.random import random_uniform
from graphflow.ops.reductions import reduce_mean
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.shape import shape
from graphflow.ops.source import zeros
from graphflow.shapes import as_shape


def rgb_to_hsv(images, name=None):
    """Red, green and blue in [0, 1] (the last dimension) as hue, saturation and value in [0, 1]."""
    return make("RGBToHSV", images, name=name)


def hsv_to_rgb(images, name=None):
    """Hue, saturation and value in [0, 1] (the last dimension) as red, green and blue in [0, 1]."""
    return make("HSVToRGB", images, name=name)


def _changed(kind: str, image: Any, amount: Any, name: str | None, default: str) -> Any:
    with name_scope(name, default, [image]):
        image = convert(image, name="image")
        given = image.dtype.base_dtype
        return convert_image_dtype(make(kind, in_floats(image), amount), given)


def adjust_hue(image, delta, name=None):
    """The RGB images with `delta`, in [-1, 1], added to their hues."""
    return _changed("AdjustHue", image, delta, name, "adjust_hue")


def adjust_saturation(image, saturation_factor, name=None):
    """The RGB images with their saturations times saturation_factor."""
    return _changed("AdjustSaturation", image, saturation_factor, name, "adjust_saturation")


def random_hue(image, max_delta, seed=None):
    """adjust_hue by a number drawn from [-max_delta, max_delta); max_delta is in [0, 0.5]."""
    if max_delta > 0.5:
        raise ValueError("max_delta must be <= 0.5.")
    if max_delta < 0:
        raise ValueError("max_delta must be non-negative.")
    return adjust_hue(image, random_uniform([], -max_delta, max_delta, seed=seed))


def random_saturation(image, lower, upper, seed=None):
    """adjust_saturation by a factor drawn from [lower, upper)."""
    if upper <= lower:
        raise ValueError("upper must be > lower.")
    if lower < 0:
        raise ValueError("lower must be non-negative.")
    return adjust_saturation(image, random_uniform([], lower, upper, seed=seed))


def psnr(a, b, max_val, name=None):
    """The peak signal-to-noise ratio of images [..., height, width, channels] in decibels; max_val is the range of their values."""
    with name_scope(name, "PSNR", [a, b]):
        top = convert_image_dtype(convert(max_val, convert(a).dtype), float32)
        a, b = convert_image_dtype(convert(a), float32), convert_image_dtype(convert(b), float32)
        error = reduce_mean(make("SquaredDifference", a, b), [-3, -2, -1])
        peak = 20 * make("Log", top) / np.float32(np.log(10.0))
        return make("Sub", peak, np.float32(10 / np.log(10)) * make("Log", error), name="psnr")


def image_gradients(image):
    """(dy, dx) of images [batch, height, width, channels]: the next row or column minus this one, 0 in the last."""
    if image.shape.ndims != 4:
        raise ValueError(f"image_gradients expects a 4D tensor [batch_size, h, w, d], not {image.shape}.")
    sizes = shape(image)
    batch, height, width, depth = (sizes[n] for n in range(4))
    dy, dx = image[:, 1:, :, :] - image[:, :-1, :, :], image[:, :, 1:, :] - image[:, :, :-1, :]
    dy = concat([dy, zeros(make("Pack", [batch, 1, width, depth]), image.dtype)], 1)
    dx = concat([dx, zeros(make("Pack", [batch, height, 1, depth]), image.dtype)], 2)
    return reshape(dy, sizes), reshape(dx, sizes)


def sobel_edges(image):
    """The edges [batch, height, width, channels, 2] of images: Sobel's filter down the rows and along the columns, borders reflected."""
    static = as_shape(image.shape)
    kernels = np.array([[[-1, -2, -1], [0, 0, 0], [1, 2, 1]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]], np.float32)
    kernel = expand_dims(np.transpose(kernels, (1, 2, 0)), -2)
    depth = shape(image)[3]
    padded = pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    found = depthwise_conv2d(padded, tile(kernel, [1, 1, depth, 1], name="sobel_filters"), [1, 1, 1, 1], "VALID")
    edges = reshape(found, concat([shape(image), [2]], 0))
    edges.set_shape(static.concatenate([2]))
    return edges
