"""The numbers in images: their type, brightness, contrast, colour."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import as_dtype, float16, float32
from graphflow.graph.build import convert, make, name_scope
from graphflow.ops.division import div
from graphflow.ops.joining import tile
from graphflow.ops.logic import cast, saturate_cast
from graphflow.ops.random import random_uniform
from graphflow.ops.reductions import reduce_mean, reduce_prod, reduce_std, reduce_sum
from graphflow.ops.reshape import expand_dims
from graphflow.ops.shape import shape
from graphflow.ops.source import identity
from graphflow.ops.tensordot import tensordot

_FLOATS = (float16, float32)
_TO_YIQ = [[0.299, 0.59590059, 0.2115], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]]
_TO_YUV = [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]]
_FROM_YIQ = [[1, 1, 1], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]]
_FROM_YUV = [[1, 1, 1], [0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0]]


def convert_image_dtype(image, dtype, saturate=False, name=None):
    """The image in another type, its range scaled along: [0, 1] for floats, [0, largest number] for integers."""
    image, dtype = convert(image, name="image"), as_dtype(dtype)
    given = image.dtype.base_dtype
    if not dtype.is_floating and not dtype.is_integer:
        raise AttributeError("dtype must be either floating point or integer")
    if dtype == given:
        return identity(image, name=name)
    with name_scope(name, "convert_image", [image]) as name:
        finish = saturate_cast if saturate else cast
        if given.is_integer and dtype.is_integer:
            if given.max > dtype.max:
                return finish(div(image, (given.max + 1) // (dtype.max + 1)), dtype, name=name)
            return make("Mul", finish(image, dtype), (dtype.max + 1) // (given.max + 1), name=name)
        if given.is_floating and dtype.is_floating:
            return cast(image, dtype, name=name)
        if given.is_integer:
            return make("Mul", cast(image, dtype), 1.0 / given.max, name=name)
        # half a step more than the largest number, so that the cast, which cuts off, rounds
        return finish(make("Mul", image, dtype.max + 0.5), dtype, name=name)


def in_floats(image: Any) -> Any:
    """The image as numbers in [0, 1], if it is not of a floating type already."""
    return image if image.dtype.base_dtype in _FLOATS else convert_image_dtype(image, float32)


def per_image_standardization(image):
    """Each image with mean 0 and variance 1; a uniform one becomes zeros."""
    with name_scope(None, "per_image_standardization", [image]) as scope:
        image = convert(image, name="image")
        given = image.dtype.base_dtype
        image = in_floats(image)
        pixels = reduce_prod(shape(image)[-3:])
        mean = reduce_mean(image, axis=[-1, -2, -3], keepdims=True)
        spread = reduce_std(image, axis=[-1, -2, -3], keepdims=True)
        least = make("Rsqrt", cast(pixels, image.dtype.base_dtype))
        spread = make("Maximum", spread, least)
        return convert_image_dtype(div(image - mean, spread, name=scope), given, saturate=True)


def adjust_brightness(image, delta):
    """`delta` added, on the scale of floats, where 1 is white."""
    with name_scope(None, "adjust_brightness", [image, delta]) as name:
        image = convert(image, name="image")
        given, image = image.dtype.base_dtype, in_floats(image)
        return convert_image_dtype(make("Add", image, cast(delta, image.dtype.base_dtype), name=name), given, saturate=True)


def random_brightness(image, max_delta, seed=None):
    """adjust_brightness by a random number between -max_delta and max_delta."""
    if max_delta < 0:
        raise ValueError("max_delta must be non-negative.")
    return adjust_brightness(image, random_uniform([], -max_delta, max_delta, seed=seed))


def adjust_contrast(images, contrast_factor):
    """Each channel's distance from its mean, times the factor."""
    with name_scope(None, "adjust_contrast", [images, contrast_factor]) as name:
        images = convert(images, name="images")
        given, images = images.dtype.base_dtype, in_floats(images)
        adjusted = make("AdjustContrastv2", images, cast(contrast_factor, float32), name=name)
        return convert_image_dtype(adjusted, given, saturate=True)


def random_contrast(image, lower, upper, seed=None):
    """adjust_contrast by a random factor."""
    if upper <= lower:
        raise ValueError("upper must be > lower.")
    if lower < 0:
        raise ValueError("lower must be non-negative.")
    return adjust_contrast(image, random_uniform([], lower, upper, seed=seed))


def adjust_gamma(image, gamma=1, gain=1):
    """gain * image ^ gamma, on the scale of floats."""
    with name_scope(None, "adjust_gamma", [image, gamma, gain]):
        image = convert(image, name="image")
        given, image = image.dtype.base_dtype, in_floats(image)
        if not hasattr(gamma, "graph") and gamma < 0:
            raise ValueError("Gamma should be a non-negative real number.")
        return convert_image_dtype(gain * image**gamma, given, saturate=True)


def rgb_to_grayscale(images, name=None):
    """One channel from three, weighted as the eye does."""
    with name_scope(name, "rgb_to_grayscale", [images]) as name:
        images = convert(images, name="images")
        gray = tensordot(convert_image_dtype(images, float32), [0.2989, 0.5870, 0.1140], [-1, -1])
        return convert_image_dtype(expand_dims(gray, -1), images.dtype.base_dtype, name=name)


def grayscale_to_rgb(images, name=None):
    """The one channel three times."""
    with name_scope(name, "grayscale_to_rgb", [images]) as name:
        images = convert(images, name="images")
        if images.shape.ndims is None:
            raise ValueError("grayscale_to_rgb needs images of known rank")
        result = tile(images, [*[1] * (images.shape.ndims - 1), 3], name=name)
        result.set_shape([*images.shape.as_list()[:-1], 3])
        return result


def _mixed(images: Any, kernel: list[list[float]]) -> Any:
    images = convert(images, name="images")
    return tensordot(images, convert(kernel, images.dtype.base_dtype, "kernel"), [[images.shape.ndims - 1], [0]])


def rgb_to_yiq(images):
    """Colours as the television standard NTSC codes them."""
    return _mixed(images, _TO_YIQ)


def yiq_to_rgb(images):
    """The inverse of rgb_to_yiq."""
    return _mixed(images, _FROM_YIQ)


def rgb_to_yuv(images):
    """Colours as the television standard PAL codes them."""
    return _mixed(images, _TO_YUV)


def yuv_to_rgb(images):
    """The inverse of rgb_to_yuv."""
    return _mixed(images, _FROM_YUV)


def total_variation(images, name=None):
    """The sum of the differences between neighbouring pixels."""
    with name_scope(name, "total_variation"):
        images = convert(images)
        if images.shape.ndims not in (3, 4):
            raise ValueError("'images' must be either 3 or 4-dimensional.")
        down, right = images[..., 1:, :, :] - images[..., :-1, :, :], images[..., :, 1:, :] - images[..., :, :-1, :]
        axes = [-3, -2, -1]
        return reduce_sum(make("Abs", down), axes) + reduce_sum(make("Abs", right), axes)
