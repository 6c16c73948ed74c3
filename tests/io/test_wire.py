"""The protobuf codec: against bytes worked out by hand, there and back, and on what is no message."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.io import schema
from graphflow.io.crc32c import crc32c, mask, unmask
from graphflow.io.text import ParseError, from_text, to_text
from graphflow.io.wire import MAX_DEPTH, DecodeError
from tests.fuzzing import examples


def bytewise(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_crc_of_the_standard_check() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


@pytest.mark.parametrize("size", [1, 63, 64, 65, 67, 255, 1000, 65536, 65537, 65539, 70001])
def test_crc_of_every_length(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert crc32c(data) == bytewise(data)
    for cut in (0, 1, size // 3, size):
        assert crc32c(data[cut:], crc32c(data[:cut])) == crc32c(data)


def test_mask_and_back() -> None:
    assert all(unmask(mask(n)) == n for n in (0, 1, 0xE3069283, 0xFFFFFFFF))


def test_scalars_as_protobuf_writes_them() -> None:
    saver = schema.SaverDef(filename_tensor_name="a", max_to_keep=300, sharded=True, keep_checkpoint_every_n_hours=1.5, version=2)
    assert saver.SerializeToString() == b"\x0a\x01a\x20\xac\x02\x28\x01\x35\x00\x00\xc0\x3f\x38\x02"
    assert schema.SaverDef(max_to_keep=-1).SerializeToString() == b"\x20" + b"\xff" * 9 + b"\x01"
    assert schema.SaverDef(max_to_keep=0).SerializeToString() == b""
    assert schema.AttrValue(i=0).SerializeToString() == b"\x18\x00"
    assert schema.ListValue(i=[1, 300]).SerializeToString() == b"\x1a\x03\x01\xac\x02"


def test_repeated_numbers_are_read_packed_or_not() -> None:
    for data in (b"\x1a\x03\x01\xac\x02", b"\x18\x01\x18\xac\x02"):
        assert list(schema.ListValue.FromString(data).i) == [1, 300]


attr_values = st.recursive(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1).map(lambda i: schema.AttrValue(i=i)),
        st.floats(width=32, allow_nan=False).map(lambda f: schema.AttrValue(f=f)),
        st.binary(max_size=20).map(lambda s: schema.AttrValue(s=s)),
        st.booleans().map(lambda b: schema.AttrValue(b=b)),
        st.lists(st.integers(-5, 5), max_size=4).map(
            lambda sizes: schema.AttrValue(shape=schema.TensorShapeProto(dim=[schema.TensorShapeDim(size=n) for n in sizes]))
        ),
    ),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3).map(
        lambda attr: schema.AttrValue(func=schema.NameAttrList(name="f", attr=attr))
    ),
    max_leaves=8,
)


@examples(80)
@given(st.dictionaries(st.text(max_size=6), attr_values, max_size=4))
def test_messages_survive_both_forms(attr: dict[str, schema.AttrValue]) -> None:
    node = schema.NodeDef(name="n", input=["a", "^b"], attr=attr)
    again = schema.NodeDef.FromString(node.SerializeToString())
    assert again == node and set(again.attr) == set(attr)
    assert from_text(to_text(node), schema.NodeDef()) == node


def test_unknown_fields_are_passed_over() -> None:
    data = b"\xf8\x01\x05" + b"\xfa\x01\x02xy" + b"\xf9\x01" + bytes(8) + schema.NodeList(value=["a"]).SerializeToString()
    assert list(schema.NodeList.FromString(data).value) == ["a"]


@pytest.mark.parametrize("data", [b"\x0a\x05a", b"\x0a", b"\x80", b"\x0b", b"\x0a\x01\xff", b"\x35\x00", b"\x20" + b"\xff" * 11])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        schema.SaverDef.FromString(data)


def test_nesting_has_a_limit() -> None:
    data = b""
    for _ in range(2 * MAX_DEPTH):
        for tag in (b"\x12", b"\x12", b"\x52"):  # value of a map entry, attr, func
            size = len(data)
            length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14])
            data = tag + length + data
    with pytest.raises(DecodeError, match="nested too deeply"):
        schema.AttrValue.FromString(data)


def test_random_bytes_give_ordinary_exceptions() -> None:
    source = random.Random(7)
    good = schema.MetaGraphDef(graph_def=schema.GraphDef(node=[schema.NodeDef(name="n", attr={"a": schema.AttrValue(i=3)})]))
    good = good.SerializeToString()
    refused = 0
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            schema.MetaGraphDef.FromString(bytes(data))
        except DecodeError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("text", ["model_checkpoint_path:", "a: 1", "model_checkpoint_path: 3", 'model_checkpoint_path "a"', "}"])
def test_text_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        from_text(text, schema.CheckpointState())


def test_text_as_people_write_it() -> None:
    text = """# a comment
    model_checkpoint_path: 'a\\tb' "c"   all_model_checkpoint_timestamps: [1, 2.5]
    last_preserved_timestamp: 1e3"""
    state = from_text(text, schema.CheckpointState())
    assert state.model_checkpoint_path == "a\tbc"  # type: ignore[attr-defined]
    assert list(state.all_model_checkpoint_timestamps) == [1.0, 2.5]  # type: ignore[attr-defined]
    assert state.last_preserved_timestamp == 1000.0  # type: ignore[attr-defined]
