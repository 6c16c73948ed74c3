"""CIFAR-10 batches: reading, batching, and pickles that are not what they should be."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from graphflow.data import cifar, locate


def write_batches(folder: Path, rows: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate((*cifar.TRAIN_FILES, cifar.TEST_FILE)):
        data = np.full((rows, cifar.ROW_BYTES), 10 * k, np.uint8)
        batch = {b"data": data, b"labels": [k] * rows}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locate.ENVIRONMENT, raising=False)


def test_reads_all_batches(tmp_path: Path) -> None:
    write_batches(tmp_path / cifar.FOLDER)
    train, test = cifar.read_data_sets(str(tmp_path), seed=1)
    assert (train.num_examples, test.num_examples) == (20, 4)
    assert test.labels.tolist() == [5, 5, 5, 5]
    assert train.images[4, 0] == np.float32(10) / np.float32(255)
    seen = np.concatenate([train.next_batch(5)[1] for _ in range(4)])
    assert sorted(seen.tolist()) == sorted(train.labels.tolist())
    assert train.epochs_completed == 0
    train.next_batch(5)
    assert train.epochs_completed == 1
    with pytest.raises(ValueError, match="a batch of 21 from 20 images"):
        train.next_batch(21)


def test_unpacks_an_archive_without_leaving_its_folder(tmp_path: Path) -> None:
    write_batches(tmp_path / "made")
    with tarfile.open(tmp_path / cifar.ARCHIVE, "w:gz") as tar:
        for path in (tmp_path / "made").iterdir():
            tar.add(path, f"../../{path.name}")
    data = cifar.read_data_sets(str(tmp_path))
    assert data.train.num_examples == 20
    assert sorted(p.name for p in (tmp_path / cifar.FOLDER).iterdir()) == sorted((*cifar.TRAIN_FILES, cifar.TEST_FILE))


def test_a_pickle_cannot_call_anything(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return print, ("called",)

    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(ValueError, match=r"is not a CIFAR-10 batch: UnpicklingError: builtins\.print is not part of a CIFAR-10 batch"):
        cifar.read_batch(str(path))


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({b"data": [1]}), pickle.dumps(3)])
def test_damage_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test_batch"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a CIFAR-10 batch"):
        cifar.read_batch(str(path))


def test_wrong_sizes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]}, protocol=2))
    with pytest.raises(ValueError, match=r"holds images \(2, 5\) and labels \(2,\), expected \(N, 3072\) and \(N,\)"):
        cifar.read_batch(str(path))
