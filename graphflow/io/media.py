"""Images as PNG, sound as WAV, numbers as histograms: what a summary holds in place of an array."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's number for them
_ZERO = 1e-6  # the largest value of an image below which it is shown black


def encode_png(pixels: Array) -> bytes:
    """A PNG of uint8 pixels [height, width, channels]."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # the first byte of a row: filter 2 (the difference to the row above)
    flat = pixels.reshape(height, width * channels)
    rows[1:, 0] = 2
    rows[:1, 1:] = flat[:1]
    rows[1:, 1:] = flat[1:] - flat[:-1]
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def encode_wav(samples: Array, rate: int) -> bytes:
    """A WAV file of 16-bit samples, from floats [frames, channels] between -1 and 1."""
    frames, channels = samples.shape
    scaled = np.asarray(samples, np.float32) * np.float32(1 << 15)
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))  # halves away from zero, as C's roundf
    data = np.clip(rounded, -(1 << 15), (1 << 15) - 1).astype("<i2").tobytes()
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def to_pixels(image: Array, bad_color: Array) -> Array:
    """A float image [height, width, channels] as uint8. Values that are all positive are scaled so that the largest is 255; with negative
    ones, zero is at 128. Pixels that are not finite get `bad_color`; they do not count for the scale."""
    finite = np.isfinite(image).all(axis=-1)
    good = image[finite].astype(np.float32)
    low, high = (float(good.min()), float(good.max())) if good.size else (np.inf, -np.inf)
    if low < 0:
        largest, offset = max(abs(low), abs(high)), 128.0
        scale = 0.0 if largest < _ZERO else np.float32(127.0) / np.float32(largest)
    else:
        offset = 0.0
        scale = 0.0 if high < _ZERO else np.float32(255.0) / np.float32(high)
    kind = image.dtype.type
    pixels = np.empty(image.shape, np.uint8)
    pixels[...] = bad_color[: image.shape[-1]]
    pixels[finite] = (image[finite] * kind(scale) + kind(offset)).astype(np.uint8)
    return pixels


@lru_cache(maxsize=1)
def bucket_limits() -> Array:
    """The limits of TensorFlow's histogram buckets: they grow by a tenth from 1e-12 to 1e20, and the same below zero."""
    limits, value = [], 1.0e-12
    while value < 1.0e20:
        limits.append(value)
        value *= 1.1
    limits.append(float(np.finfo(np.float64).max))
    return np.array([-v for v in reversed(limits)] + [0.0, *limits])


class Histogram:
    """What a HistogramProto says of some finite values. Buckets without values stand together as one."""

    def __init__(self, values: Array) -> None:
        limits = bucket_limits()
        ordered = np.sort(values, axis=None)  # numpy sorts faster than it looks each value up among the limits
        counts = np.diff(np.searchsorted(ordered, limits), prepend=0).astype(np.float64)
        flat = values.ravel().astype(np.float64)
        self.min = float(ordered[0]) if flat.size else float(limits[-1])
        self.max = float(ordered[-1]) if flat.size else float(-limits[-1])
        self.num = float(flat.size)
        # one after the other, so that the last bits are TensorFlow's
        self.sum = float(np.add.accumulate(flat)[-1]) if flat.size else 0.0
        self.sum_squares = float(np.add.accumulate(flat * flat)[-1]) if flat.size else 0.0
        full = counts > 0
        shown = full | np.append(full[1:], True)  # of a run of empty buckets the last one
        self.bucket_limit: list[float] = limits[shown].tolist()
        self.bucket: list[float] = counts[shown].tolist()
