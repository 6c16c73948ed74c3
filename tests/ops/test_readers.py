"""tf.TextLineReader and its kin: keys, values and counts of TensorFlow 1.15.5."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

import graphflow as tf


def read(reader: Any, names: list[Any], most: int = 10) -> list[tuple[bytes, bytes]]:
    """What is read until the queue has no further file."""
    queue = tf.FIFOQueue(10, [tf.string], shapes=[[]])
    record, counts, reset = reader.read(queue), (reader.num_records_produced(), reader.num_work_units_completed()), reader.reset()
    found = []
    with tf.Session() as session:
        session.run(queue.enqueue_many([[str(n) for n in names]]))
        session.run(queue.close())
        with pytest.raises(tf.errors.OutOfRangeError):
            for _ in range(most):
                found.append(tuple(session.run(record)))
        assert session.run(counts) == (len(found), len(names))
        session.run(reset)
        assert session.run(counts) == (0, 0)
    return found


def test_lines(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"h1\nline one\r\n\nlast")
    second.write_bytes(b"h2\nx\n")
    (tmp_path / "e").write_bytes(b"")
    found = read(tf.TextLineReader(), [first, tmp_path / "e", second])
    assert [value for _, value in found] == [b"h1", b"line one", b"", b"last", b"h2", b"x"]
    assert found[4][0] == f"{second}:1".encode()
    assert [value for _, value in read(tf.TextLineReader(skip_header_lines=1), [second])] == [b"x"]


def test_whole_files_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"all\0of it")
    assert read(tf.WholeFileReader(), [tmp_path / "a"]) == [(str(tmp_path / "a").encode(), b"all\0of it")]
    assert read(tf.IdentityReader(), ["x", "y"]) == [(b"x", b"x"), (b"y", b"y")]


def test_records(tmp_path: Path) -> None:
    name = str(tmp_path / "r")
    with tf.python_io.TFRecordWriter(name) as writer:
        for record in (b"one", b"three"):
            writer.write(record)
    assert read(tf.TFRecordReader(), [name]) == [(f"{name}:0".encode(), b"one"), (f"{name}:19".encode(), b"three")]


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"record_bytes": 4}, [b"0123", b"4567", b"89ab"]), ({"record_bytes": 4, "hop_bytes": 6}, [b"0123", b"6789"]),
        ({"record_bytes": 4, "hop_bytes": 2}, [b"0123", b"2345", b"4567", b"6789", b"89ab"]), ({"record_bytes": 5}, [b"01234", b"56789"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_pieces_of_one_size(tmp_path: Path, options: dict[str, int], values: list[bytes], packed: bool) -> None:
    data, name = b"HH0123456789abFF", tmp_path / "f"
    name.write_bytes(gzip.compress(data) if packed else data)
    reader = tf.FixedLengthRecordReader(header_bytes=2, footer_bytes=2, encoding="GZIP" if packed else None, **options)
    found = read(reader, [name])
    assert [value for _, value in found] == values and found[1][0] == f"{name}:1".encode()


def test_several_at_once_come_from_one_file(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"1\n2\n3\n")
    queue = tf.FIFOQueue(10, [tf.string], shapes=[[]])
    values = tf.TextLineReader().read_up_to(queue, 2)[1]
    with tf.Session() as session:
        session.run(queue.enqueue_many([[str(tmp_path / name) for name in "ab"]]))
        assert [session.run(values).tolist() for _ in range(3)] == [[b"1", b"2"], [b"3"], [b"1", b"2"]]


def test_a_state_is_saved_and_restored() -> None:
    queue, reader = tf.FIFOQueue(10, [tf.string], shapes=[[]]), tf.IdentityReader()
    record, state, count = reader.read(queue), reader.serialize_state(), reader.num_records_produced()
    given = tf.placeholder(tf.string, [])
    restore = reader.restore_state(given)
    with tf.Session() as session:
        session.run(queue.enqueue_many([["a", "b"]]))
        session.run(record)
        saved = session.run(state)
        assert saved == b'\x08\x01\x10\x01\x18\x01"\x01a'  # TensorFlow's own bytes
        session.run(record)
        session.run(restore, {given: saved})
        assert session.run(count) == 1
        with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse state"):
            session.run(restore, {given: b"BOGUS"})
        with pytest.raises(tf.errors.UnimplementedError):
            session.run(tf.TextLineReader().serialize_state())


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no record at all, but long enough for one")
    for reader, name, error in (
        (tf.TextLineReader(), "nofile", tf.errors.NotFoundError), (tf.TFRecordReader(), "a", tf.errors.DataLossError),
    ):  # fmt: skip
        queue = tf.FIFOQueue(10, [tf.string], shapes=[[]])
        record = reader.read(queue)
        with tf.Session() as session:
            session.run(queue.enqueue(str(tmp_path / name)))
            with pytest.raises(error):
                session.run(record)
    with pytest.raises(ValueError, match="record_bytes must be > 0"):
        tf.FixedLengthRecordReader(record_bytes=0)
