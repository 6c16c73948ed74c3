"""The IDX reader: what it reads, and what it says about damaged files."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from graphflow.data import idx


def named(data: bytes, name: str = "images.gz") -> io.BytesIO:
    stream = io.BytesIO(data)
    stream.name = name
    return stream


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,), (0, 28, 28)])
def test_pack_and_parse_are_inverse(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(idx.parse(idx.pack(array), "x"), array)


def test_images_and_labels_packed_or_not() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    labels = np.array([3, 9], np.uint8)
    for wrap in (bytes, gzip.compress):
        assert np.array_equal(idx.extract_images(named(wrap(idx.pack(images)))), images[..., None])
        assert np.array_equal(idx.extract_labels(named(wrap(idx.pack(labels)))), labels)
    hot = idx.extract_labels(named(idx.pack(labels)), one_hot=True)
    assert hot.dtype == np.float64
    assert hot.tolist() == [[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]


def test_wrong_magic_number_is_named() -> None:
    labels = idx.pack(np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match=r"^Invalid magic number 2049 in MNIST image file: images\.gz$"):
        idx.extract_images(named(labels))
    with pytest.raises(ValueError, match=r"^Invalid magic number -1 in MNIST label file: labels$"):
        idx.extract_labels(named(b"", "labels"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:-3], r"^f holds 21 bytes, but its header says 2 x 3 x 4 = 24$"),
        (lambda d: d + b"!", r"^f holds 25 bytes, but its header says 2 x 3 x 4 = 24$"),
        (lambda d: d[:10], r"^f ends inside its header: 10 bytes, 16 expected$"),
        (lambda d: b"\x00\x00\x0d" + d[3:], r"^f is not an IDX file of unsigned bytes: it begins with 00 00 0d 03$"),
        (lambda d: b"", r"^f is not an IDX file of unsigned bytes: it begins with nothing$"),
    ],
)
def test_damage_is_a_value_error(damage, message: str) -> None:
    whole = idx.pack(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match=message):
        idx.parse(damage(whole), "f")


def test_damaged_gzip_is_a_value_error() -> None:
    packed = gzip.compress(idx.pack(np.arange(240, dtype=np.uint8).reshape(10, 24)))
    with pytest.raises(ValueError, match=r"^cut\.gz is damaged: .*\. Delete it and fetch it again\.$"):
        idx.extract_images(named(packed[: len(packed) // 2], "cut.gz"))
    with pytest.raises(ValueError, match=r"^flipped\.gz is damaged"):
        idx.extract_images(named(packed[:30] + bytes([packed[30] ^ 255]) + packed[31:], "flipped.gz"))


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(ValueError, match="label 11 is not one of 10 classes"):
        idx.dense_to_one_hot(np.array([11], np.uint8), 10)
