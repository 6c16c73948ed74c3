"""The 1,797 handwritten digits of the UCI repository, carried with the package.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998), the test part:
8x8 pictures of 16 grey levels by 13 writers. Licensed under CC BY 4.0 (data/DIGITS.txt). They are enlarged here to MNIST's 28x28 with
256 levels, so that a program written for MNIST runs on them without a download.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.data import dataset, idx

NAME = "digits"
FILE = os.path.join(os.path.dirname(__file__), "digits.idx.gz")
TEST_EXAMPLES = 400
VALIDATION_EXAMPLES = 197
SIDE = 28
BORDER = 2  # MNIST's digits do not touch the edge either


def load() -> tuple[np.ndarray, np.ndarray]:
    """The pictures as published, uint8 [1797, 8, 8] with values 0 to 16, and the labels, uint8 [1797]."""
    with open(FILE, "rb") as stream:
        rows = idx.parse(idx.read_bytes(stream, FILE), FILE)
    return rows[:, :64].reshape(-1, 8, 8), rows[:, 64]


def enlarge(pictures: np.ndarray) -> np.ndarray:
    """8x8 pictures of 16 levels as uint8 [count, 28, 28, 1]: bilinear to 24x24, inside an empty border."""
    inner = SIDE - 2 * BORDER
    weights = _bilinear(pictures.shape[1], inner)
    large = np.einsum("ij,njk,lk->nil", weights, pictures.astype(np.float64), weights)
    out = np.zeros((len(pictures), SIDE, SIDE, 1), np.uint8)
    out[:, BORDER:-BORDER, BORDER:-BORDER, 0] = np.rint(large * (255.0 / 16.0))
    return out


def _bilinear(size: int, to: int) -> np.ndarray:
    """The matrix [to, size] that interpolates between the centres of `size` cells at the centres of `to` cells."""
    centres = np.clip((np.arange(to) + 0.5) * size / to - 0.5, 0, size - 1)
    return np.maximum(0.0, 1.0 - np.abs(centres[:, None] - np.arange(size)))


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, test images and labels, at 28x28.

    The file goes by writer and has few of them, so the parts are drawn from the whole by a fixed permutation: the test images are by
    writers that the training images know.
    """
    pictures, labels = load()
    order = np.random.RandomState(1797).permutation(len(labels))
    images, labels = enlarge(pictures)[order], labels[order]
    return images[TEST_EXAMPLES:], labels[TEST_EXAMPLES:], images[:TEST_EXAMPLES], labels[:TEST_EXAMPLES]


def read_data_sets(one_hot: bool = False, dtype: Any = dtypes.float32, reshape: bool = True,
                   validation_size: int = VALIDATION_EXAMPLES, seed: int | None = None) -> dataset.Datasets:  # fmt: skip
    """The digits as the same Datasets object that MNIST gives, with the same settings."""
    train_images, train_labels, test_images, test_labels = split()
    return dataset.make((train_images, train_labels), (test_images, test_labels), validation_size, one_hot,
                        dtype=dtype, reshape=reshape, seed=seed)  # fmt: skip
