"""tf.train.Example and its kin: bytes and text as protobuf's, which wrote those here."""

from __future__ import annotations

import pytest

from graphflow.io.example import BytesList, Example, Feature, Features, FloatList, Int64List, SequenceExample, example_from_json
from graphflow.io.wire import DecodeError

BYTES = b"\n\x0c\n\n\n\x01b\x12\x05\x1a\x03\n\x01\x03"  # by the protobuf of TensorFlow 1.15.5


def test_bytes_are_protobufs() -> None:
    example = Example(features=Features(feature={"b": Feature(int64_list=Int64List(value=[3]))}))
    assert example.SerializeToString() == BYTES
    assert Example.FromString(BYTES) == example
    assert " ".join(str(example).split()) == 'features { feature { key: "b" value { int64_list { value: 3 } } } }'


def test_a_feature_is_one_of_three_lists() -> None:
    feature = Feature(float_list=FloatList(value=[1.5, -2.0]))
    assert feature.WhichOneof("kind") == "float_list"
    feature.bytes_list.CopyFrom(BytesList(value=[b"x\0"]))
    feature.bytes_list = feature.bytes_list
    assert feature.WhichOneof("kind") == "bytes_list" and not feature.HasField("float_list")
    assert Feature.FromString(feature.SerializeToString()).bytes_list.value == [b"x\0"]
    assert Feature().WhichOneof("kind") is None
    assert Feature.FromString(Feature(int64_list=Int64List()).SerializeToString()).WhichOneof("kind") == "int64_list"  # empty, but there


def test_numbers_of_all_sizes() -> None:
    numbers = [0, 1, -1, 127, 128, 1 << 40, -(1 << 63), (1 << 63) - 1]
    assert Int64List.FromString(Int64List(value=numbers).SerializeToString()).value == numbers


def test_sequences() -> None:
    example = SequenceExample()
    example.context.feature["n"].int64_list.value.append(2)
    steps = example.feature_lists.feature_list["t"].feature
    for number in (1.0, 2.0):
        steps.add().float_list.value.append(number)
    found = SequenceExample.FromString(example.SerializeToString())
    assert [f.float_list.value for f in found.feature_lists.feature_list["t"].feature] == [[1.0], [2.0]]


def test_json() -> None:
    text = b'{"features":{"feature":{"a":{"int64List":{"value":["1","2"]}},"b":{"bytes_list":{"value":["eHg="]}}}}}'
    features = example_from_json(text).features.feature
    assert features["a"].int64_list.value == [1, 2] and features["b"].bytes_list.value == [b"xx"]
    for wrong in (b"{", b'{"feature":{}}', b'{"features":{"feature":{"a":{"int64List":{"value":["x"]}}}}}', b"[]"):
        with pytest.raises(DecodeError, match="Error while parsing JSON"):
            example_from_json(wrong)


@pytest.mark.parametrize("cut", range(1, len(BYTES)))
def test_what_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(DecodeError):
        Example.FromString(BYTES[:cut])
