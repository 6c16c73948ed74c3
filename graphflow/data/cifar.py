"""CIFAR-10 in the layout of its Python version: pickled batches of {b"data": uint8 [N, 3072], b"labels": list}.

    train, test = read_data_sets("cifar-10-batches-py")
    images, labels = train.next_batch(20)               # float32 [20, 3072] in [0, 1], channels first; int32 [20]
"""

from __future__ import annotations

import os
import pickle
from typing import Any, NamedTuple

import numpy as np

from graphflow.data import locate

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
SOURCE_URL = "https://www.cs.toronto.edu/~kriz/"
TRAIN_FILES = tuple(f"data_batch_{k}" for k in range(1, 6))
TEST_FILE = "test_batch"
ROW_BYTES = 3 * 32 * 32


class Images:
    """Images in rows of 3,072 values in [0, 1] (red, green, blue planes of 32x32) with labels, handed out in shuffled batches."""

    def __init__(self, data: np.ndarray, labels: np.ndarray, seed: int | None = None) -> None:
        self.images = data.astype(np.float32) / np.float32(255)
        self.labels = labels
        self.num_examples = len(labels)
        self.epochs_completed = 0
        self._random = np.random.RandomState(seed)
        self._order = self._random.permutation(self.num_examples)
        self._next = 0

    def next_batch(self, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """The next images and labels; an epoch's last images that do not fill a batch are left out."""
        if batch_size > self.num_examples:
            raise ValueError(f"a batch of {batch_size} from {self.num_examples} images")
        if self._next + batch_size > self.num_examples:
            self.epochs_completed += 1
            self._order = self._random.permutation(self.num_examples)
            self._next = 0
        chosen = self._order[self._next : self._next + batch_size]
        self._next += batch_size
        return self.images[chosen], self.labels[chosen]


class Datasets(NamedTuple):
    """The two parts of CIFAR-10."""

    train: Images
    test: Images


class _ArrayUnpickler(pickle.Unpickler):
    """Admits only what a batch file is made of: a pickle can otherwise call anything."""

    ALLOWED = frozenset([("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode")])

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self.ALLOWED:
            return super().find_class(module, name)
        if name in ("_reconstruct", "scalar") and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            # numpy 2 moved the module; pickles of either age are read by either numpy.
            return super().find_class("numpy._core.multiarray" if hasattr(np, "_core") else "numpy.core.multiarray", name)
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a CIFAR-10 batch")


def read_batch(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one batch file, uint8 [N, 3072], and its labels, int32 [N]."""
    try:
        with open(path, "rb") as stream:
            batch = _ArrayUnpickler(stream, encoding="bytes").load()
        data, labels = np.asarray(batch[b"data"], np.uint8), np.asarray(batch[b"labels"], np.int32)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"{path} is not a CIFAR-10 batch: {type(error).__name__}: {error}") from None
    if data.ndim != 2 or data.shape[1] != ROW_BYTES or labels.shape != data.shape[:1]:
        raise ValueError(f"{path} holds images {data.shape} and labels {labels.shape}, expected (N, {ROW_BYTES}) and (N,)")
    return data, labels


def read_data_sets(data_dir: str, seed: int | None = None) -> Datasets:
    """CIFAR-10 from the folder of its batch files, or from below GRAPHFLOW_DATA, else downloaded and unpacked into `data_dir`."""
    path = os.path.dirname(_test_file(data_dir))
    parts = [read_batch(os.path.join(path, name)) for name in TRAIN_FILES]
    train = Images(np.concatenate([d for d, _ in parts]), np.concatenate([n for _, n in parts]), seed)
    return Datasets(train, Images(*read_batch(os.path.join(path, TEST_FILE)), seed))


def _test_file(data_dir: str) -> str:
    found = locate.existing(data_dir, TEST_FILE, (FOLDER,))
    if found is not None:
        return found
    archive = locate.find(data_dir, ARCHIVE, urls=(SOURCE_URL,))
    import tarfile  # 15 ms, needed once in the life of a data folder

    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            # Only the batch files, by their own names: an archive may name any path.
            name = os.path.basename(member.name)
            content = tar.extractfile(member) if member.isfile() and name in (*TRAIN_FILES, TEST_FILE) else None
            if content is not None:
                folder = os.path.join(data_dir, FOLDER)
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, name), "wb") as out:
                    out.write(content.read())
    return locate.find(data_dir, TEST_FILE, (FOLDER,))
