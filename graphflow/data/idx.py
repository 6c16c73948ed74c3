"""The IDX format of the MNIST files: a magic number (type and rank), the sizes, then the bytes. All numbers are big endian.

    00 00 08 RR | size 1 | ... | size RR | unsigned bytes          08: unsigned byte, RR: number of dimensions
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import IO

import numpy as np

IMAGES_MAGIC = 2051
LABELS_MAGIC = 2049


def read_bytes(stream: IO[bytes], name: str) -> bytes:
    """All of `stream`, unpacked if it is a gzip file. Damage is a ValueError that names the file."""
    raw = stream.read()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ValueError(f"{name} is damaged: {error}. Delete it and fetch it again.") from None


def parse(data: bytes, name: str) -> np.ndarray:
    """The array of unsigned bytes that IDX bytes hold; ValueError naming the file where they hold none."""
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{name} is not an IDX file of unsigned bytes: it begins with {data[:4].hex(' ') or 'nothing'}")
    rank = data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise ValueError(f"{name} ends inside its header: {len(data)} bytes, {start} expected")
    shape = struct.unpack(f">{rank}I", data[4:start])
    count = 1
    for size in shape:
        count *= size
    if len(data) - start != count:
        raise ValueError(f"{name} holds {len(data) - start} bytes, but its header says {' x '.join(map(str, shape))} = {count}")
    return np.frombuffer(data, np.uint8, count, start).reshape(shape)


def pack(array: np.ndarray) -> bytes:
    """The IDX bytes of an array of unsigned bytes."""
    array = np.ascontiguousarray(array, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def magic_of(data: bytes) -> int:
    """The magic number at the beginning (-1 where there are not four bytes)."""
    return int.from_bytes(data[:4], "big") if len(data) >= 4 else -1


def extract_images(f: IO[bytes]) -> np.ndarray:
    """The images of an open (gzip) IDX file as uint8 [count, rows, columns, 1]. Says so, as TensorFlow does."""
    name = getattr(f, "name", "the image file")
    print("Extracting", name)
    data = read_bytes(f, name)
    if magic_of(data) != IMAGES_MAGIC:
        raise ValueError(f"Invalid magic number {magic_of(data)} in MNIST image file: {name}")
    return parse(data, name)[..., np.newaxis]


def extract_labels(f: IO[bytes], one_hot: bool = False, num_classes: int = 10) -> np.ndarray:
    """The labels of an open (gzip) IDX file as uint8 [count], or as float64 [count, num_classes] where `one_hot`."""
    name = getattr(f, "name", "the label file")
    print("Extracting", name)
    data = read_bytes(f, name)
    if magic_of(data) != LABELS_MAGIC:
        raise ValueError(f"Invalid magic number {magic_of(data)} in MNIST label file: {name}")
    labels = parse(data, name)
    return dense_to_one_hot(labels, num_classes) if one_hot else labels


def dense_to_one_hot(labels_dense: np.ndarray, num_classes: int) -> np.ndarray:
    """A row per label with 1 at the label's place."""
    if labels_dense.size and int(labels_dense.max()) >= num_classes:
        raise ValueError(f"label {int(labels_dense.max())} is not one of {num_classes} classes")
    return np.eye(num_classes)[labels_dense.ravel()]
