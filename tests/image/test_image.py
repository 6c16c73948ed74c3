"""tf.image: what TensorFlow 1.15.5 gave for the same images (sum, and sum weighted by position over the number of elements)."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

IMAGES = np.random.RandomState(0).rand(2, 6, 9, 3).astype("float32")
BYTES = (IMAGES * 255).astype("uint8")
I = tf.image

CASES = {
    "flip": (
        I.flip_left_right,
        ((2, 6, 9, 3), "float32", 160.04, 79.25),
        ((6, 9, 3), "float32", 82.31, 41.67),
        ((2, 6, 9, 3), "uint8", 40640.0, 20124.17),
    ),
    "flipud": (
        I.flip_up_down,
        ((2, 6, 9, 3), "float32", 160.04, 78.01),
        ((6, 9, 3), "float32", 82.31, 40.18),
        ((2, 6, 9, 3), "uint8", 40640.0, 19808.91),
    ),
    "rflip": (
        lambda t: I.random_flip_left_right(t, seed=5),
        ((2, 6, 9, 3), "float32", 160.04, 79.02),
        ((6, 9, 3), "float32", 82.31, 41.67),
        ((2, 6, 9, 3), "uint8", 40640.0, 20066.13),
    ),
    "crop": (
        lambda t: I.crop_to_bounding_box(t, 1, 2, 3, 4),
        ((2, 3, 4, 3), "float32", 33.07, 16.64),
        ((3, 4, 3), "float32", 16.55, 7.88),
        ((2, 3, 4, 3), "uint8", 8395.0, 4225.22),
    ),
    "pad": (
        lambda t: I.pad_to_bounding_box(t, 1, 2, 10, 12),
        ((2, 10, 12, 3), "float32", 160.04, 71.14),
        ((10, 12, 3), "float32", 82.31, 33.37),
        ((2, 10, 12, 3), "uint8", 40640.0, 18064.56),
    ),
    "cc": (
        lambda t: I.central_crop(t, 0.5),
        ((2, 4, 5, 3), "float32", 58.86, 29.69),
        ((4, 5, 3), "float32", 29.92, 15.24),
        ((2, 4, 5, 3), "uint8", 14944.0, 7538.32),
    ),
    "cp": (
        lambda t: I.resize_image_with_crop_or_pad(t, 8, 7),
        ((2, 8, 7, 3), "float32", 125.66, 61.41),
        ((8, 7, 3), "float32", 65.8, 33.04),
        ((2, 8, 7, 3), "uint8", 31911.0, 15593.95),
    ),
    "cp2": (
        lambda t: I.resize_image_with_crop_or_pad(t, 5, 12),
        ((2, 5, 12, 3), "float32", 132.75, 65.44),
        ((5, 12, 3), "float32", 66.81, 32.08),
        ((2, 5, 12, 3), "uint8", 33708.0, 16615.31),
    ),
    "bi": (
        lambda t: I.resize_images(t, [11, 5]),
        ((2, 11, 5, 3), "float32", 166.51, 82.64),
        ((11, 5, 3), "float32", 85.29, 43.26),
        ((2, 11, 5, 3), "float32", 42285.31, 20986.07),
    ),
    "nn": (
        lambda t: I.resize_images(t, [4, 13], method=1),
        ((2, 4, 13, 3), "float32", 158.88, 77.39),
        ((4, 13, 3), "float32", 82.11, 39.43),
        ((2, 4, 13, 3), "uint8", 40343.0, 19649.68),
    ),
    "bia": (
        lambda t: I.resize_images(t, [11, 5], align_corners=True),
        ((2, 11, 5, 3), "float32", 160.94, 78.0),
        ((11, 5, 3), "float32", 84.1, 41.89),
        ((2, 11, 5, 3), "float32", 40862.0, 19802.59),
    ),
    "asp": (
        lambda t: I.resize_images(t, [12, 12], preserve_aspect_ratio=True),
        ((2, 8, 12, 3), "float32", 282.9, 138.98),
        ((8, 12, 3), "float32", 146.03, 73.48),
        ((2, 8, 12, 3), "float32", 71837.88, 35290.07),
    ),
    "std": (
        I.per_image_standardization,
        ((2, 6, 9, 3), "float32", 0.0, 0.08),
        ((6, 9, 3), "float32", 0.0, 1.12),
        ((2, 6, 9, 3), "uint8", 29325.0, 14694.77),
    ),
    "br": (
        lambda t: I.adjust_brightness(t, 0.3),
        ((2, 6, 9, 3), "float32", 257.24, 127.08),
        ((6, 9, 3), "float32", 130.91, 65.37),
        ((2, 6, 9, 3), "uint8", 61728.0, 30397.54),
    ),
    "rbr": (
        lambda t: I.random_brightness(t, 0.3, seed=2),
        ((2, 6, 9, 3), "float32", 228.27, 112.64),
        ((6, 9, 3), "float32", 116.43, 58.17),
        ((2, 6, 9, 3), "uint8", 56158.0, 27649.63),
    ),
    "co": (
        lambda t: I.adjust_contrast(t, 1.7),
        ((2, 6, 9, 3), "float32", 160.04, 78.64),
        ((6, 9, 3), "float32", 82.31, 41.42),
        ((2, 6, 9, 3), "uint8", 40686.0, 19913.33),
    ),
    "rco": (
        lambda t: I.random_contrast(t, 0.2, 1.7, seed=1),
        ((2, 6, 9, 3), "float32", 160.04, 78.64),
        ((6, 9, 3), "float32", 82.31, 41.32),
        ((2, 6, 9, 3), "uint8", 40576.0, 19916.15),
    ),
    "gam": (
        lambda t: I.adjust_gamma(t, 2.0),
        ((2, 6, 9, 3), "float32", 106.67, 52.66),
        ((6, 9, 3), "float32", 54.54, 27.34),
        ((2, 6, 9, 3), "uint8", 26931.0, 13296.07),
    ),
    "gray": (
        I.rgb_to_grayscale,
        ((2, 6, 9, 1), "float32", 52.55, 25.76),
        ((6, 9, 1), "float32", 26.9, 13.31),
        ((2, 6, 9, 1), "uint8", 13316.0, 6526.31),
    ),
    "rgb": (
        lambda t: I.grayscale_to_rgb(t[..., :1]),
        ((2, 6, 9, 3), "float32", 157.85, 79.11),
        ((6, 9, 3), "float32", 77.15, 38.52),
        ((2, 6, 9, 3), "uint8", 40071.0, 20084.48),
    ),
    "conv": (
        lambda t: I.convert_image_dtype(t, tf.float32),
        ((2, 6, 9, 3), "float32", 160.04, 78.63),
        ((6, 9, 3), "float32", 82.31, 41.22),
        ((2, 6, 9, 3), "float32", 159.37, 78.3),
    ),
    "convu": (
        lambda t: I.convert_image_dtype(t, tf.uint8, saturate=True),
        ((2, 6, 9, 3), "uint8", 40722.0, 20005.97),
        ((6, 9, 3), "uint8", 20950.0, 10488.78),
        ((2, 6, 9, 3), "uint8", 40640.0, 19967.07),
    ),
    "tr": (
        I.transpose_image,
        ((2, 9, 6, 3), "float32", 160.04, 76.82),
        ((9, 6, 3), "float32", 82.31, 39.62),
        ((2, 9, 6, 3), "uint8", 40640.0, 19504.05),
    ),
    "rot": (
        lambda t: I.rot90(t, 1),
        ((2, 9, 6, 3), "float32", 160.04, 80.52),
        ((9, 6, 3), "float32", 82.31, 42.35),
        ((2, 9, 6, 3), "uint8", 40640.0, 20446.6),
    ),
    "rot3": (
        lambda t: I.rot90(t, 3),
        ((2, 9, 6, 3), "float32", 160.04, 76.75),
        ((9, 6, 3), "float32", 82.31, 39.5),
        ((2, 9, 6, 3), "uint8", 40640.0, 19486.47),
    ),
    "tv": (
        lambda t: I.total_variation(tf.cast(t, tf.float32)),
        ((2,), "float32", 191.42, 49.26),
        ((), "float32", 92.9, 0.0),
        ((2,), "float32", 48804.0, 12566.5),
    ),
    "yiq": (
        lambda t: I.rgb_to_yiq(tf.cast(t, tf.float32)),
        ((2, 6, 9, 3), "float32", 53.05, 26.42),
        ((6, 9, 3), "float32", 25.86, 12.73),
        ((2, 6, 9, 3), "float32", 13466.18, 6707.22),
    ),
    "yuv": (
        lambda t: I.yuv_to_rgb(tf.cast(t, tf.float32)),
        ((2, 6, 9, 3), "float32", 273.94, 136.0),
        ((6, 9, 3), "float32", 137.88, 69.12),
        ((2, 6, 9, 3), "float32", 69556.7, 34533.08),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_images_are_tensorflows(name: str) -> None:
    function, *wanted = CASES[name]
    for given, expected in zip((IMAGES, IMAGES[0], BYTES), wanted, strict=True):
        tf.reset_default_graph()
        tf.set_random_seed(3)
        result = function(tf.constant(given))
        with tf.Session() as session:
            value = session.run(result)
        shape, dtype, total, weighted = expected
        flat = value.astype("float64").ravel()
        assert (value.shape, value.dtype.name) == (shape, dtype)
        np.testing.assert_allclose(
            [flat.sum(), (flat * np.arange(flat.size)).sum() / max(1, flat.size)], [total, weighted], rtol=2e-4, atol=2e-2
        )


def test_sizes_known_only_at_run_time() -> None:
    tf.reset_default_graph()
    image = tf.placeholder(tf.float32, [None, None, None, 3])
    results = [I.central_crop(image, 0.5), I.resize_images(image, [12, 12], preserve_aspect_ratio=True), I.rot90(image)]
    with tf.Session() as session:
        values = session.run(results, {image: IMAGES})
    assert [v.shape for v in values] == [(2, 4, 5, 3), (2, 8, 12, 3), (2, 9, 6, 3)]


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="width must be >= target"):
        I.crop_to_bounding_box(IMAGES, 0, 5, 3, 6)
    with pytest.raises(ValueError, match="width must be <= target"):
        I.pad_to_bounding_box(IMAGES, 0, 0, 8, 8)
    with pytest.raises(ValueError, match="within"):
        I.central_crop(IMAGES, 0.0)
