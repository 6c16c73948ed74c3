"""MNIST as `tensorflow.examples.tutorials.mnist.input_data` gives it.

    mnist = read_data_sets("MNIST_data/", one_hot=True)
    images, labels = mnist.train.next_batch(100)          # float32 [100, 784] in [0, 1], float64 [100, 10]

The files are looked for in the named folder, then below GRAPHFLOW_DATA, and are downloaded at last. `read_data_sets("digits")`, or any
folder without MNIST files while GRAPHFLOW_DATA=digits, gives the small digits the package carries instead (see data/digits.py).
"""

from __future__ import annotations

import os
from typing import Any

from graphflow import dtypes
from graphflow.data import dataset, digits, locate
from graphflow.data.dataset import DataSet, Datasets
from graphflow.data.idx import dense_to_one_hot, extract_images, extract_labels

__all__ = ["DataSet", "Datasets", "dense_to_one_hot", "extract_images", "extract_labels", "load_mnist", "read_data_sets"]

DEFAULT_SOURCE_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
VALIDATION_EXAMPLES = 5000


def read_data_sets(train_dir: str, fake_data: bool = False, one_hot: bool = False, dtype: Any = dtypes.float32, reshape: bool = True,
                   validation_size: int = VALIDATION_EXAMPLES, seed: int | None = None,
                   source_url: str = DEFAULT_SOURCE_URL) -> Datasets:  # fmt: skip
    """The training, validation and test sets.

    train_dir: the folder of the four IDX files (packed or not), made and filled by download where it has none.
    one_hot: labels as rows of 10. dtype: float32 scales pixels to [0, 1], uint8 leaves them. reshape: images as rows of 784 pixels.
    validation_size: how many of the training images become the validation set. seed: of the shuffling.
    fake_data: no files; every image is 784 ones.
    """
    if fake_data:
        return Datasets(*(DataSet([], [], fake_data=True, one_hot=one_hot, dtype=dtype, seed=seed) for _ in range(3)))
    settings = {"one_hot": one_hot, "dtype": dtype, "reshape": reshape, "seed": seed}
    train_dir = os.fspath(train_dir)
    if _wants_digits(train_dir):
        # MNIST's default is larger than all the digits together, so where nobody chose a size theirs holds.
        if validation_size == VALIDATION_EXAMPLES:
            validation_size = digits.VALIDATION_EXAMPLES
        return digits.read_data_sets(validation_size=validation_size, **settings)
    urls = (source_url or DEFAULT_SOURCE_URL, *MIRRORS)
    parts = [
        _read(train_dir, name, urls, extract)
        for name, extract in (
            (TRAIN_IMAGES, extract_images), (TRAIN_LABELS, extract_labels), (TEST_IMAGES, extract_images), (TEST_LABELS, extract_labels),
        )
    ]  # fmt: skip
    return dataset.make((parts[0], parts[1]), (parts[2], parts[3]), validation_size, **settings)


def _read(folder: str, name: str, urls: tuple[str, ...], extract: Any) -> Any:
    with open(locate.find(folder, name, ("mnist",), urls), "rb") as stream:
        return extract(stream)


def _wants_digits(train_dir: str) -> bool:
    """Whether the embedded digits were asked for, by name or by the environment, and no MNIST files are there instead."""
    asked = train_dir.rstrip("/") == digits.NAME or os.environ.get(locate.ENVIRONMENT) == digits.NAME
    return asked and locate.existing(train_dir, TRAIN_IMAGES, ("mnist",)) is None


def load_mnist(train_dir: str = "MNIST-data") -> Datasets:
    """All of MNIST with TensorFlow's defaults."""
    return read_data_sets(train_dir)
