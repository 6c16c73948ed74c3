"""Images flipped, turned, cropped, padded and resized. An image is [height, width, channels], a batch has one axis more."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import float32, int32
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.tensor import Tensor
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.joining import stack
from graphflow.ops.logic import cast
from graphflow.ops.padding import pad
from graphflow.ops.random import random_uniform
from graphflow.ops.reshape import expand_dims, reshape, reverse, squeeze
from graphflow.ops.reshape import transpose as permuted
from graphflow.ops.rounding import round
from graphflow.ops.shape import shape
from graphflow.ops.slicing import slice as slice_of


class ResizeMethod:
    """How resize_images finds new pixels."""

    BILINEAR = 0
    NEAREST_NEIGHBOR = 1
    BICUBIC = 2
    AREA = 3


def _image(image: Any) -> Any:
    image = convert(image, name="image")
    if image.shape.ndims not in (None, 3, 4):
        raise ValueError("'image' must have either 3 or 4 dimensions.")
    return image


def _sizes(image: Any) -> list[Any]:
    """The sizes of a batch of images: numbers where they are known."""
    known = image.shape.as_list() if image.shape.ndims is not None else [None] * 4
    dynamic = shape(image) if None in known else None
    return [dynamic[a] if n is None else n for a, n in enumerate(known)]


def _static(*values: Any) -> list[int | None]:
    return [None if isinstance(v, Tensor) else v for v in values]


def _refuse(condition: Any, message: str) -> None:
    """ValueError where the condition is known to be false; where only a run tells, slicing and padding check."""
    if not isinstance(condition, Tensor) and not condition:
        raise ValueError(message)


def _flip(image: Any, axis: int, name: str) -> Any:
    with name_scope(None, name, [image]):
        image = _image(image)
        flipped = reverse(image, [axis + (image.shape.ndims == 4)])
        flipped.set_shape(image.shape)
        return flipped


def flip_left_right(image):
    """The mirror image."""
    return _flip(image, 1, "flip_left_right")


def flip_up_down(image):
    """The image upside down."""
    return _flip(image, 0, "flip_up_down")


def _random_flip(image: Any, axis: int, seed: Any, name: str) -> Any:
    with name_scope(None, name, [image]) as scope:
        image = _image(image)
        if image.shape.ndims == 4:
            count = shape(image)[0]
            flips = cast(round(reshape(random_uniform([count], 0, 1.0, seed=seed), [count, 1, 1, 1])), image.dtype.base_dtype)
            return flips * reverse(image, [axis + 1]) + (1 - flips) * image
        mirrored = make("Less", random_uniform([], 0, 1.0, seed=seed), 0.5)
        result = cond(mirrored, lambda: reverse(image, [axis]), lambda: image, name=scope)
        result.set_shape(image.shape)
        return result


def random_flip_left_right(image, seed=None):
    """The image or, half of the time, its mirror image."""
    return _random_flip(image, 1, seed, "random_flip_left_right")


def random_flip_up_down(image, seed=None):
    """The image or, half of the time, upside down."""
    return _random_flip(image, 0, seed, "random_flip_up_down")


def transpose_image(image, name=None):
    """Rows and columns exchanged."""
    with name_scope(name, "transpose", [image]):
        image = _image(image)
        return permuted(image, [0, 2, 1, 3] if image.shape.ndims == 4 else [1, 0, 2], name="transpose_image")


transpose = transpose_image


def rot90(image, k=1, name=None):
    """The image turned against the clock by k quarters."""
    with name_scope(name, "rot90", [image, k]) as scope:
        image = _image(image)
        if isinstance(k, Tensor):
            raise NotImplementedError("rot90 by a number of turns that only a run tells is not implemented")
        first = int(image.shape.ndims == 4)
        order = [*range(first), first + 1, first, first + 2]
        turns = k % 4
        if turns == 0:
            return make("Identity", image, name=scope)
        if turns == 2:
            return reverse(image, [first, first + 1], name=scope)
        if turns == 1:
            return permuted(reverse(image, [first + 1]), order, name=scope)
        return reverse(permuted(image, order), [first + 1], name=scope)


def central_crop(image, central_fraction):
    """The middle of the image: that fraction of its height and width."""
    with name_scope(None, "central_crop", [image]):
        image = _image(image)
        if central_fraction <= 0.0 or central_fraction > 1.0:
            raise ValueError("central_fraction must be within (0, 1]")
        if central_fraction == 1.0:
            return image
        batched = image.shape.ndims == 4
        height, width = _sizes(image)[batched : batched + 2]

        def start(size: Any) -> Any:
            if not isinstance(size, Tensor):
                return int((float(size) - float(size) * central_fraction) / 2)
            wide = cast(size, "float64")
            return cast((wide - wide * central_fraction) / 2, int32)

        top, left = start(height), start(width)
        rows, columns = height - top * 2, width - left * 2
        result = slice_of(image, stack([*[0] * batched, top, left, 0]), stack([*[-1] * batched, rows, columns, -1]))
        result.set_shape([*image.shape.as_list()[:batched], *_static(rows, columns), image.shape.as_list()[-1]])
        return result


def _as_batch(image: Any) -> tuple[Any, bool]:
    image = _image(image)
    return (image, True) if image.shape.ndims == 4 else (expand_dims(image, 0), False)


def crop_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    """The part of the image of a given size, from a given place on."""
    with name_scope(None, "crop_to_bounding_box", [image]):
        image, batched = _as_batch(image)
        batch, height, width, depth = _sizes(image)
        _refuse(offset_width >= 0, "offset_width must be >= 0.")
        _refuse(offset_height >= 0, "offset_height must be >= 0.")
        _refuse(target_width > 0, "target_width must be > 0.")
        _refuse(target_height > 0, "target_height must be > 0.")
        _refuse(width >= target_width + offset_width, "width must be >= target + offset.")
        _refuse(height >= target_height + offset_height, "height must be >= target + offset.")
        cropped = slice_of(image, stack([0, offset_height, offset_width, 0]), stack([-1, target_height, target_width, -1]))
        cropped.set_shape(_static(batch, target_height, target_width, depth))
        return cropped if batched else squeeze(cropped, axis=[0])


def pad_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    """The image at a given place in a larger one of zeros."""
    with name_scope(None, "pad_to_bounding_box", [image]):
        image, batched = _as_batch(image)
        batch, height, width, depth = _sizes(image)
        right, below = target_width - offset_width - width, target_height - offset_height - height
        _refuse(offset_height >= 0, "offset_height must be >= 0")
        _refuse(offset_width >= 0, "offset_width must be >= 0")
        _refuse(right >= 0, "width must be <= target - offset")
        _refuse(below >= 0, "height must be <= target - offset")
        padded = pad(image, reshape(stack([0, 0, offset_height, below, offset_width, right, 0, 0]), [4, 2]))
        padded.set_shape(_static(batch, target_height, target_width, depth))
        return padded if batched else squeeze(padded, axis=[0])


def _either(name: str, choose: Any, x: Any, y: Any) -> Any:
    return make(name, x, y) if isinstance(x, Tensor) or isinstance(y, Tensor) else choose(x, y)


def resize_image_with_crop_or_pad(image, target_height, target_width):
    """The image in a given size: its middle where it is larger, zeros around it where it is smaller."""
    with name_scope(None, "resize_image_with_crop_or_pad", [image]):
        image, batched = _as_batch(image)
        _refuse(target_width > 0, "target_width must be > 0.")
        _refuse(target_height > 0, "target_height must be > 0.")
        _, height, width, _ = _sizes(image)
        wider, higher = target_width - width, target_height - height
        left, crop_left = (_either("Maximum", max, d // 2, 0) for d in (wider, -wider))
        top, crop_top = (_either("Maximum", max, d // 2, 0) for d in (higher, -higher))
        rows, columns = _either("Minimum", min, target_height, height), _either("Minimum", min, target_width, width)
        cropped = crop_to_bounding_box(image, crop_top, crop_left, rows, columns)
        resized = pad_to_bounding_box(cropped, top, left, target_height, target_width)
        return resized if batched else squeeze(resized, axis=[0])


resize_with_crop_or_pad = resize_image_with_crop_or_pad


def resize_bilinear(images, size, align_corners=False, name=None, half_pixel_centers=False):
    """Images in another size, each pixel a mean of the four around its place."""
    return make("ResizeBilinear", images, size, name=name, align_corners=align_corners, half_pixel_centers=half_pixel_centers)


def resize_nearest_neighbor(images, size, align_corners=False, name=None, half_pixel_centers=False):
    """Images in another size, each pixel the one nearest to its place."""
    return make("ResizeNearestNeighbor", images, size, name=name, align_corners=align_corners, half_pixel_centers=half_pixel_centers)


def resize_images(images, size, method=ResizeMethod.BILINEAR, align_corners=False, preserve_aspect_ratio=False, name=None):
    """Images in another size, by one of the methods of ResizeMethod."""
    with name_scope(name, "resize", [images, size]):
        images = convert(images, name="images")
        if images.shape.ndims is None:
            raise ValueError("'images' contains no shape.")
        images, batched = _as_batch(images)
        size = convert(size, int32, "size")
        if not size.shape.is_compatible_with([2]):
            raise ValueError("'size' must be a 1-D Tensor of 2 elements: new_height, new_width")
        if preserve_aspect_ratio:
            sizes = cast(shape(images)[1:3], float32)
            scale = make("Min", cast(size, float32) / sizes, [0])
            size = cast(round(scale * sizes), int32)
        resized = _resized(images, size, method, align_corners)
        return resized if batched else squeeze(resized, axis=[0])


resize = resize_images


def _resized(images: Any, size: Any, method: Any, align_corners: bool) -> Any:
    new, old = constant_value(size), images.shape.as_list()
    if new is not None and None not in old[1:3] and new.tolist() == old[1:3]:
        return images
    if method == ResizeMethod.BILINEAR:
        return resize_bilinear(images, size, align_corners)
    if method == ResizeMethod.NEAREST_NEIGHBOR:
        return resize_nearest_neighbor(images, size, align_corners)
    if method in (ResizeMethod.BICUBIC, ResizeMethod.AREA):
        raise NotImplementedError("resizing by the methods BICUBIC and AREA is not implemented; BILINEAR and NEAREST_NEIGHBOR are")
    raise ValueError("Resize method is not implemented.")
