"""Images with labels, handed out in shuffled batches: the object that `input_data.read_data_sets` gives."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.data.idx import dense_to_one_hot
from graphflow.graph.seeds import get_seed

IMAGE_PIXELS = 28 * 28
FAKE_EXAMPLES = 10000

Datasets = namedtuple("Datasets", ["train", "validation", "test"])


class DataSet:
    """Images and labels, handed out in shuffled batches.

    images: uint8 [count, rows, columns, 1]; with dtype float32 they become values in [0, 1], with `reshape` rows of pixels.
    Shuffling uses numpy's global generator, which is seeded here, because TensorFlow does so and published programs depend on it.
    """

    def __init__(self, images: Any, labels: Any, fake_data: bool = False, one_hot: bool = False, dtype: Any = dtypes.float32,
                 reshape: bool = True, seed: int | None = None) -> None:  # fmt: skip
        self.one_hot = one_hot
        seed1, seed2 = get_seed(seed)
        np.random.seed(seed1 if seed is None else seed2)
        dtype = dtypes.as_dtype(dtype).base_dtype
        if dtype not in (dtypes.uint8, dtypes.float32):
            raise TypeError(f"Invalid image dtype {dtype!r}, expected uint8 or float32")
        if fake_data:
            self._num_examples = FAKE_EXAMPLES
        else:
            if images.shape[0] != labels.shape[0]:
                raise AssertionError(f"images.shape: {images.shape} labels.shape: {labels.shape}")
            self._num_examples = images.shape[0]
            if reshape:
                if images.shape[3] != 1:
                    raise AssertionError(f"images of depth {images.shape[3]} cannot be reshaped to rows of pixels")
                images = images.reshape(images.shape[0], images.shape[1] * images.shape[2])
            if dtype == dtypes.float32:
                images = np.multiply(images.astype(np.float32), np.float32(1.0 / 255.0))
        self._images = images
        self._labels = labels
        self._epochs_completed = 0
        self._index_in_epoch = 0

    @property
    def images(self) -> Any:
        """All images, in the order of the present epoch."""
        return self._images

    @property
    def labels(self) -> Any:
        """The labels of `images`."""
        return self._labels

    @property
    def num_examples(self) -> int:
        """How many images there are."""
        return self._num_examples

    @property
    def epochs_completed(self) -> int:
        """How often `next_batch` has gone through all of them."""
        return self._epochs_completed

    @property
    def index_in_epoch(self) -> int:
        """Where the next batch begins."""
        return self._index_in_epoch

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[Any, Any]:
        """The next `batch_size` images and labels; a batch across the end of an epoch takes the rest and the beginning of the next."""
        if fake_data:
            label: Any = [1] + [0] * 9 if self.one_hot else 0
            return [[1] * IMAGE_PIXELS for _ in range(batch_size)], [label for _ in range(batch_size)]
        start = self._index_in_epoch
        if self._epochs_completed == 0 and start == 0 and shuffle:
            self._shuffle()
        if start + batch_size <= self._num_examples:
            self._index_in_epoch += batch_size
            end = self._index_in_epoch
            return self._images[start:end], self._labels[start:end]
        self._epochs_completed += 1
        rest = self._num_examples - start
        images, labels = self._images[start:], self._labels[start:]
        if shuffle:
            self._shuffle()
        end = self._index_in_epoch = batch_size - rest
        return np.concatenate((images, self._images[:end]), axis=0), np.concatenate((labels, self._labels[:end]), axis=0)

    def _shuffle(self) -> None:
        order = np.arange(self._num_examples)
        np.random.shuffle(order)
        self._images = self._images[order]
        self._labels = self._labels[order]


def make(train: tuple[Any, Any], test: tuple[Any, Any], validation_size: int, one_hot: bool, **settings: Any) -> Datasets:
    """Datasets of (images, labels) pairs: the first `validation_size` training images are set apart."""
    images, labels = train
    if not 0 <= validation_size <= len(images):
        raise ValueError(f"Validation size should be between 0 and {len(images)}. Received: {validation_size}.")
    if one_hot:
        labels, test = dense_to_one_hot(labels, 10), (test[0], dense_to_one_hot(test[1], 10))
    cut = validation_size
    return Datasets(
        train=DataSet(images[cut:], labels[cut:], **settings),
        validation=DataSet(images[:cut], labels[:cut], **settings),
        test=DataSet(*test, **settings),
    )
