"""TFRecord files: known bytes, compression, damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphflow import errors
from graphflow.io.records import TFRecordOptions, TFRecordWriter, framed, tf_record_iterator

RECORDS = [b"", b"abc", bytes(range(256)) * 300]


def test_the_frame_of_a_record() -> None:
    # from TensorFlow 1.15.5: tf.python_io.TFRecordWriter
    assert framed(b"abc").hex() == "0300000000000000b099490e6162636e57f121"


@pytest.mark.parametrize("kind", ["", "ZLIB", "GZIP"])
def test_records_are_read_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "records"
    with TFRecordWriter(path, TFRecordOptions(kind)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(tf_record_iterator(path, TFRecordOptions(kind))) == RECORDS


@pytest.mark.parametrize("at", [0, 9, 14, 20])
def test_damage_is_found(tmp_path: Path, at: int) -> None:
    data = bytearray(framed(b"some record"))
    data[at] ^= 1
    path = tmp_path / "records"
    path.write_bytes(data)
    with pytest.raises(errors.DataLossError, match="corrupted record at"):
        list(tf_record_iterator(path))


@pytest.mark.parametrize("length", [5, 12, 20])
def test_a_cut_is_found(tmp_path: Path, length: int) -> None:
    path = tmp_path / "records"
    path.write_bytes(framed(b"first") + framed(b"some record")[:length])
    records = tf_record_iterator(path)
    assert next(records) == b"first"
    with pytest.raises(errors.DataLossError, match="truncated record at 21"):
        next(records)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError):
        list(tf_record_iterator(tmp_path / "none"))
