"""tf.parse_example and its kin: the values, shapes and refusals of TensorFlow 1.15.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf


def feature(values: list[Any]) -> Any:
    if values and isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values)) if values else tf.train.Feature()


def example(**lists: list[Any]) -> Any:
    return tf.train.Example(features=tf.train.Features(feature={name: feature(v) for name, v in lists.items()}))


def sequence(context: Any, **lists: list[Any]) -> bytes:
    made = tf.train.SequenceExample(context=context.features)
    for name, steps in lists.items():
        made.feature_lists.feature_list[name].feature.extend(map(feature, steps))
    return made.SerializeToString()


A, B, EMPTY = example(a=[1.0, 2.0], b=[3], c=[b"x", b"y\0"]), example(a=[4.0, 5.0], b=[7], c=[b"z"]), example()
BATCH = [e.SerializeToString() for e in (A, B, EMPTY)]
Q, Q2 = sequence(A, t=[[1, 2], [3, 4], [5, 6]], u=[[b"p"], [b"q", b"r"]]), sequence(B, t=[[9, 9]])
Fixed, Any_, Rows = tf.FixedLenFeature, tf.VarLenFeature, tf.FixedLenSequenceFeature


def run(found: Any) -> Any:
    with tf.Session() as session:
        return session.run(found)


def listed(value: Any) -> Any:
    return [part.tolist() for part in value] if isinstance(value, tf.SparseTensorValue) else np.asarray(value).tolist()


def test_a_batch() -> None:
    found = tf.parse_example(BATCH[:2], {"a": Fixed([2], tf.float32), "b": Fixed([], tf.int64), "c": Any_(tf.string)})
    assert {k: v.shape.as_list() for k, v in found.items()} == {"a": [2, 2], "b": [2], "c": [None, None]}
    values = {k: listed(v) for k, v in run(found).items()}
    assert values["a"] == [[1, 2], [4, 5]] and values["b"] == [3, 7]
    assert values["c"] == [[[0, 0], [0, 1], [1, 0]], [b"x", b"y\0", b"z"], [2, 2]]


def test_defaults_and_rows() -> None:
    features = {
        "b": Fixed([], tf.int64, -1), "a": Fixed([2], tf.float32, [8.0, 9.0]),
    }  # fmt: skip
    assert listed(run(tf.parse_example(BATCH, features))["a"]) == [[1, 2], [4, 5], [8, 9]]
    found = tf.parse_example(BATCH, {"c": Rows([], tf.string, True, "q"), "a": Rows([2], tf.float32, True)})
    assert found["a"].shape.as_list() == [3, None, 2]
    values = run(found)
    assert listed(values["c"]) == [[b"x", b"y\0"], [b"z", b"q"], [b"q", b"q"]]
    assert listed(values["a"]) == [[[1, 2]], [[4, 5]], [[0, 0]]]


def test_sparse_features() -> None:
    rows = [example(i=[3, 1], j=[0, 1], v=[1.0, 2.0]), example(i=[0], j=[1], v=[5.0])]
    features = {"s": tf.SparseFeature(["i", "j"], "v", tf.float32, [10, 4])}
    found = run(tf.parse_example([e.SerializeToString() for e in rows], features))["s"]
    assert listed(found) == [[[0, 1, 1], [0, 3, 0], [1, 0, 1]], [2, 1, 5], [2, 10, 4]]


def test_one_example() -> None:
    features = {"a": Fixed([2], tf.float32), "b": Fixed([], tf.int64), "c": Any_(tf.string), "z": Fixed([], tf.string, "d\0")}
    for names in (None, "mine"):
        values = run(tf.parse_single_example(BATCH[0], features, example_names=names))
        assert listed(values["a"]) == [1, 2] and values["b"] == 3 and values["z"] == b"d\0"
        assert listed(values["c"]) == [[[0], [1]], [b"x", b"y\0"], [2]]


def test_sequences() -> None:
    context = {"a": Fixed([2], tf.float32), "c": Any_(tf.string)}
    lists = {"t": Rows([2], tf.int64), "u": Any_(tf.string)}
    found = tf.parse_single_sequence_example(Q, context, lists)
    assert found[1]["t"].shape.as_list() == [None, 2]
    values = run(found)
    assert listed(values[0]["c"]) == [[[0], [1]], [b"x", b"y\0"], [2]] and listed(values[1]["t"]) == [[1, 2], [3, 4], [5, 6]]
    assert listed(values[1]["u"]) == [[[0, 0], [1, 0], [1, 1]], [b"p", b"q", b"r"], [2, 2]]
    values = run(tf.io.parse_sequence_example([Q, Q2], context, lists))
    assert listed(values[1]["t"]) == [[[1, 2], [3, 4], [5, 6]], [[9, 9], [0, 0], [0, 0]]] and listed(values[2]["t"]) == [3, 1]
    assert listed(values[1]["u"]) == [[[0, 0, 0], [0, 1, 0], [0, 1, 1]], [b"p", b"q", b"r"], [2, 2, 2]]
    assert listed(run(tf.parse_single_sequence_example(Q, {}, {"zz": Rows([2], tf.int64, True)}))[1]["zz"]) == []


@pytest.mark.parametrize(
    ("features", "text"),
    [
        ({"b": Fixed([], tf.int64)}, "Name: <unknown>, Feature: b (data type: int64) is required but could not be found."),
        ({"a": Fixed([3], tf.float32)}, "Key: a, Index: 0.  Number of float values != expected.  Values size: 2 but output shape: [3]"),
        ({"b": Fixed([], tf.float32)}, "Key: b, Index: 0.  Data types don't match. Data type: int64 but expected type: float"),
        ({"b": Any_(tf.float32)}, "Key: b, Index: 0.  Data types don't match. Expected type: float, Actual type: int64"),
        ({"a": Rows([3], tf.float32, True)}, "Saw 2 values but output shape is: [?,3]"),
    ],
)  # fmt: skip
def test_examples_that_do_not_fit(features: Any, text: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        run(tf.parse_example(BATCH, features))
    assert text in str(caught.value)


def test_calls_that_make_no_sense() -> None:
    for features, text in (
        ({}, "Missing"), ({"a": Fixed([None], tf.float32)}, "First dimension of shape for feature a unknown"),
        ({"a": Fixed([2], None)}, "Missing type for feature a"), ({"a": Rows([2], tf.float32)}, "requires allow_missing to be True"),
        ({"a": 3}, "Invalid feature a:3"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            tf.parse_example(BATCH, features)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Feature list 'zz' is required but could not be found"):
        run(tf.parse_single_sequence_example(Q, {}, {"zz": Rows([2], tf.int64)}))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Could not parse example input"):
        run(tf.parse_single_example(b"\xff\xff garbage", {"a": Fixed([], tf.int64)}))


def test_serialized_tensors() -> None:
    values = np.array([[1.5, -2.0]], np.float32)
    text = tf.serialize_tensor(values)
    assert listed(run(tf.parse_tensor(text, tf.float32))) == values.tolist()
    with pytest.raises(tf.errors.InvalidArgumentError, match="Type mismatch between parsed tensor .float. and dtype .int64."):
        run(tf.parse_tensor(text, tf.int64))


def test_compressed_strings() -> None:
    import gzip
    import zlib

    for kind, packed in (("ZLIB", zlib.compress(b"hello")), ("GZIP", gzip.compress(b"hello")), ("", b"hello")):
        assert listed(run(tf.decode_compressed([packed], kind))) == [b"hello"]
    with pytest.raises(tf.errors.DataLossError, match="inflate"):
        run(tf.decode_compressed([b"hello"], "ZLIB"))
