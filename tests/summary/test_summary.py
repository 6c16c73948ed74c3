"""Summary ops against bytes recorded from TensorFlow 1.15.5, and the writer read back by our own reader."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.io.media import encode_png, to_pixels
from graphflow.io.schema import GraphDef

# From TensorFlow 1.15.5 for the feed [0.5, -1.0, 2.0, 3.25].
RECORDED = {
    "scalar": ("0a0d0a06612f6c6f7373150000983f"),
    "family": ("0a150a0e66616d2f612f66616d2f6c6f7373150000983f"),
    "histogram": (
        "0ac7010a01682ac10109000000000000f0bf110000000000000a40190000000000001040210000000000001340290000000000a02f4032"
        "482b14facdbe24f0bf08996919155aedbffae55a25d31fde3fb03125ee8091e03fdc94cd2e8d75ff3fe011f10c744d01400d9cc5a02955"
        "094075f872caaddd0b40ffffffffffffef7f3a480000000000000000000000000000f03f0000000000000000000000000000f03f000000"
        "0000000000000000000000f03f0000000000000000000000000000f03f0000000000000000"
    ),
    "text": ("0a1d0a0174420e08071204120208024201614201624a080a060a0474657874"),
    "audio": (
        "0a540a0a61752f617564696f2f3032460d0000fa45100118022230524946462800000057415645666d74201000000001000100401f0000"
        "803e0000020010006461746104000000004000802a09617564696f2f7761760a540a0a61752f617564696f2f3132460d0000fa45100118"
        "022230524946462800000057415645666d74201000000001000100401f0000803e0000020010006461746104000000ff7fff7f2a096175"
        "64696f2f776176"
    ),
    "tensor": ("0a250a027473421a080112041202080422100000003f000080bf00000040000050404a03120164"),
    "merged": (
        "0a0d0a06612f6c6f7373150000983f0ac7010a01682ac10109000000000000f0bf110000000000000a4019000000000000104021000000"
        "0000001340290000000000a02f4032482b14facdbe24f0bf08996919155aedbffae55a25d31fde3fb03125ee8091e03fdc94cd2e8d75ff"
        "3fe011f10c744d01400d9cc5a02955094075f872caaddd0b40ffffffffffffef7f3a480000000000000000000000000000f03f00000000"
        "00000000000000000000f03f0000000000000000000000000000f03f0000000000000000000000000000f03f0000000000000000"
    ),
}


def build() -> dict[str, Any]:
    x = tf.placeholder(tf.float32, [None], name="x")
    with tf.name_scope("a"):
        scalar = tf.summary.scalar("loss", tf.reduce_mean(x))
        family = tf.summary.scalar("loss", tf.reduce_mean(x), family="fam")
    histogram = tf.summary.histogram("h", x)
    return {
        "x": x,
        "scalar": scalar,
        "family": family,
        "histogram": histogram,
        "text": tf.summary.text("t", tf.constant(["a", "b"])),
        "audio": tf.summary.audio("au", tf.reshape(x, [2, 2]), 8000),
        "tensor": tf.summary.tensor_summary("ts", x, display_name="d"),
        "merged": tf.summary.merge([scalar, histogram]),
    }


def test_bytes_are_tensorflows() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ops = build()
        for name, recorded in RECORDED.items():
            assert session.run(ops[name], {ops["x"]: [0.5, -1.0, 2.0, 3.25]}).hex() == recorded, name


def test_names_are_tensorflows() -> None:
    with tf.Graph().as_default() as graph:
        build()
        assert tf.summary.merge_all().op.name == "Merge_1/MergeSummary"
        tf.summary.scalar("bad tag!", 1.0)
        names = {op.name: op.type for op in graph.get_operations()}
    assert names["a/loss/tags"] == "Const"
    assert names["a/loss"] == names["a/fam/loss"] == names["bad_tag_"] == "ScalarSummary"
    assert names["au/sample_rate"] == "Const"
    assert names["ts"] == "TensorSummaryV2"


def test_merge_all_of_nothing_is_none() -> None:
    with tf.Graph().as_default():
        assert tf.summary.merge_all() is None


@pytest.mark.parametrize(
    ("values", "text"), [([np.nan], "Nan in summary histogram for: h"), ([1.0, np.inf], "Infinity in summary histogram for: h")]
)
def test_a_histogram_refuses_what_is_not_finite(values: list[float], text: str) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ops = build()
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            session.run(ops["histogram"], {ops["x"]: values})


def test_a_tag_stands_in_a_summary_once() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ops = build()
        twice = tf.summary.merge([ops["scalar"], ops["scalar"]])
        with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tag a/loss found in summary inputs"):
            session.run(twice, {ops["x"]: [1.0]})


def test_summaries_and_the_training_step_are_one_program() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.Variable([1.0, 2.0])
        loss = tf.reduce_sum(w * w)
        merged = tf.summary.merge([tf.summary.scalar("loss", loss), tf.summary.histogram("w", w)])
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(w.initializer)
        before = session._engine.compiled_programs
        session.run([merged, train])
        assert session._engine.compiled_programs == before + 1


def test_images_are_scaled_as_tensorflow_does() -> None:
    bad = np.array([255, 0, 0, 255], np.uint8)
    image = np.array([[[0.5], [-1.0]], [[2.0], [3.25]]], np.float32)
    assert to_pixels(image, bad).ravel().tolist() == [147, 88, 206, 255]
    assert to_pixels(np.abs(image), bad).ravel().tolist() == [39, 78, 156, 255]
    image[0, 0] = np.nan
    assert to_pixels(image, bad)[0, 0, 0] == 255


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_holds_its_pixels(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    data = encode_png(pixels)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        parts[kind], at = body, at + 12 + size
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(5, -1)
    assert rows[:, 0].tolist() == [0, 2, 2, 2, 2]  # each row but the first is the difference to the one above
    assert np.array_equal(np.add.accumulate(rows[:, 1:], axis=0, dtype=np.uint8), pixels.reshape(5, -1))


def test_a_writer_is_read_back(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        ops = build()
        with tf.summary.FileWriter(str(tmp_path), graph) as writer, tf.Session() as session:
            for step in range(3):
                writer.add_summary(session.run(ops["text"]), step)
            writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="manual", simple_value=0.0)]), 7)
            writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START))
        with pytest.warns(UserWarning, match="closed FileWriter"):
            writer.add_summary(tf.Summary(), 8)
    (path,) = tmp_path.iterdir()
    events = list(tf.train.summary_iterator(str(path)))
    kinds = [e.WhichOneof("what") for e in events]
    assert kinds == ["file_version", "graph_def", "meta_graph_def", "summary", "summary", "summary", "summary", "session_log"]
    assert events[0].file_version == "brain.Event:2"
    assert [e.summary.value[0].HasField("metadata") for e in events[3:6]] == [True, False, False]
    assert events[6].step == 7
    assert events[6].summary.value[0].WhichOneof("value") == "simple_value"
    node = GraphDef.FromString(events[1].graph_def).node[0]
    assert node.name == "x"
    assert node.attr["_output_shapes"].list.shape[0].dim[0].size == -1


def test_a_reopened_writer_begins_another_file(tmp_path: Path) -> None:
    writer = tf.summary.FileWriter(str(tmp_path))
    for step in range(2):
        writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="t", simple_value=step)]), step)
        writer.close()
        writer.reopen()
    assert len(list(tmp_path.iterdir())) == 2
