"""input_data.read_data_sets: sources, settings, and TensorFlow's exact order of batches."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from graphflow import dtypes
from graphflow.data import digits, idx, locate, mnist
from graphflow.data.dataset import DataSet


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locate.ENVIRONMENT, raising=False)


def write_files(folder: Path, count: int = 30, packed: bool = True) -> np.ndarray:
    """Four MNIST files of `count` images (a third of them for the test); image k is all k."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 28, 28))
    labels = (np.arange(count) % 10).astype(np.uint8)
    parts = {
        mnist.TRAIN_IMAGES: images, mnist.TRAIN_LABELS: labels, mnist.TEST_IMAGES: images[::3], mnist.TEST_LABELS: labels[::3],
    }  # fmt: skip
    for name, array in parts.items():
        data = idx.pack(array)
        (folder / (name if packed else name[:-3])).write_bytes(gzip.compress(data) if packed else data)
    return images


def numbers(data: DataSet) -> list[int]:
    """Which image each row is."""
    return np.rint(data.images[:, 0] * 255).astype(int).tolist()


@pytest.mark.parametrize("packed", [True, False])
def test_reads_the_files_of_the_named_folder(tmp_path: Path, packed: bool) -> None:
    write_files(tmp_path, packed=packed)
    data = mnist.read_data_sets(str(tmp_path), validation_size=6)
    assert [part.num_examples for part in data] == [24, 6, 10]
    assert data.train.images.shape == (24, 784)
    assert data.train.images.dtype == np.float32
    assert numbers(data.validation) == [0, 1, 2, 3, 4, 5]
    assert numbers(data.train)[0] == 6
    assert data.test.labels.tolist() == [0, 3, 6, 9, 2, 5, 8, 1, 4, 7]
    assert data.train.images[0, 0] == np.float32(6) * np.float32(1 / 255)


def test_settings(tmp_path: Path) -> None:
    write_files(tmp_path)
    data = mnist.read_data_sets(tmp_path, one_hot=True, dtype=dtypes.uint8, reshape=False, validation_size=0)
    assert data.train.images.shape == (30, 28, 28, 1)
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.shape == (30, 10)
    assert data.validation.num_examples == 0
    with pytest.raises(ValueError, match=r"^Validation size should be between 0 and 30\. Received: 31\.$"):
        mnist.read_data_sets(tmp_path, validation_size=31)
    with pytest.raises(ValueError, match="between 0 and 30. Received: 5000"):
        mnist.read_data_sets(tmp_path)
    with pytest.raises(TypeError, match="Invalid image dtype tf.int32, expected uint8 or float32"):
        mnist.read_data_sets(tmp_path, dtype=dtypes.int32, validation_size=0)


def test_the_environment_names_a_fallback_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "mnist")
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path))
    assert mnist.read_data_sets("/no/such/folder", validation_size=0).train.num_examples == 30


def test_the_named_folder_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "named", 30)
    write_files(tmp_path / "other", 60)
    monkeypatch.setenv(locate.ENVIRONMENT, str(tmp_path / "other"))
    assert mnist.read_data_sets(str(tmp_path / "named"), validation_size=0).train.num_examples == 30


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / mnist.TEST_IMAGES).write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.gz is damaged"):
        mnist.read_data_sets(str(tmp_path), validation_size=0)


def test_batches_come_in_tensorflows_order(tmp_path: Path) -> None:
    """The generator is numpy's own, seeded as TensorFlow seeds it: once for each of the three parts, then a shuffle each epoch."""
    write_files(tmp_path)
    data = mnist.read_data_sets(str(tmp_path), validation_size=0, seed=7)
    np.random.seed(7)
    order = np.arange(30)
    first = order.copy()
    np.random.shuffle(first)
    second = order.copy()
    np.random.shuffle(second)
    np.random.seed(7)

    def batch(size: int) -> list[int]:
        return np.rint(data.train.next_batch(size)[0][:, 0] * 255).astype(int).tolist()

    assert batch(20) == first[:20].tolist()
    assert (data.train.epochs_completed, data.train.index_in_epoch) == (0, 20)
    assert batch(20) == first[20:].tolist() + first[second][:10].tolist()
    assert (data.train.epochs_completed, data.train.index_in_epoch) == (1, 10)
    assert batch(20) == first[second][10:].tolist()


def test_batches_without_shuffling(tmp_path: Path) -> None:
    write_files(tmp_path)
    train = mnist.read_data_sets(str(tmp_path), validation_size=0).train
    images, labels = train.next_batch(25, shuffle=False)
    assert labels.tolist() == [k % 10 for k in range(25)]
    images, labels = train.next_batch(10, shuffle=False)
    assert labels.tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]


def test_fake_data() -> None:
    data = mnist.read_data_sets("/no/such/folder", fake_data=True, one_hot=True)
    images, labels = data.train.next_batch(3, fake_data=True)
    assert np.shape(images) == (3, 784)
    assert labels == [[1] + [0] * 9] * 3
    assert data.train.num_examples == 10000


def test_digits_by_name_and_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = mnist.read_data_sets("digits", one_hot=True)
    assert [part.num_examples for part in data] == [1200, 197, 400]
    assert data.train.images.shape == (1200, 784)
    assert data.train.labels.sum(axis=1).tolist() == [1.0] * 1200
    assert data.train.images.max() == 1.0
    monkeypatch.setenv(locate.ENVIRONMENT, "digits")
    again = mnist.read_data_sets(str(tmp_path / "MNIST_data"), reshape=False)
    assert again.test.images.shape == (400, 28, 28, 1)
    assert np.array_equal(again.test.images.reshape(400, 784), data.test.images)


def test_digits_are_the_published_ones() -> None:
    pictures, labels = digits.load()
    assert pictures.shape == (1797, 8, 8)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert pictures[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    large = digits.enlarge(pictures[:1])[0, :, :, 0]
    assert large[:2].max() == 0, "MNIST's empty border"
    # Bilinear at 3 times the size: the centre of each cell keeps its value.
    assert large[2 + 1 : 26 : 3, 2 + 1 : 26 : 3].tolist() == np.rint(pictures[0] * (255 / 16)).astype(int).tolist()


class Response(io.BytesIO):
    def __init__(self, data: bytes, length: int | None = None) -> None:
        super().__init__(data)
        self.headers = {"Content-Length": str(len(data) if length is None else length)}


def test_download_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    data = bytes(range(256)) * 1000
    assert locate.download("u", str(target), lambda url, timeout: Response(data)) == str(target)
    assert target.read_bytes() == data
    broken = tmp_path / "broken"
    with pytest.raises(OSError, match="the connection ended after 256000 of 256001 bytes"):
        locate.download("u", str(broken), lambda url, timeout: Response(data, len(data) + 1))
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_without_files_the_message_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, target: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr(locate, "download", refuse)
    folder = str(tmp_path / "MNIST_data")
    with pytest.raises(FileNotFoundError) as caught:
        mnist.read_data_sets(folder)
    assert str(caught.value) == (
        f"The data file train-images-idx3-ubyte.gz is in none of {folder}/, {folder}/mnist; could not be downloaded from "
        "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz (no network); "
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz (no network). "
        f"Put it into '{folder}' (packed or unpacked), or set GRAPHFLOW_DATA to a folder that has it."
    )
