"""Strings taken apart and changed; the expected values are what real TensorFlow 1.15 gives."""

from __future__ import annotations

from typing import Any

import pytest

import graphflow as tf


def run(fetch: Any) -> Any:
    with tf.Session() as session:
        return session.run(fetch)


@pytest.fixture(autouse=True)
def graph() -> Any:
    with tf.Graph().as_default():
        yield


def test_splitting() -> None:
    found = run(tf.string_split(["a b  c", " x,y", ""]))
    assert found.values.tolist() == [b"a", b"b", b"c", b"x,y"]
    assert found.indices.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]] and found.dense_shape.tolist() == [3, 3]
    assert run(tf.string_split(["a b  c", ""], ", ", skip_empty=False)).values.tolist() == [b"a", b"b", b"", b"c"]
    assert run(tf.string_split(["abc"], "")).values.tolist() == [b"a", b"b", b"c"]
    assert run(tf.strings.split(["a,b,,c"], ",", maxsplit=2)).values.tolist() == [b"a", b"b", b",c"]


def test_parts_patterns_and_cases() -> None:
    assert run(tf.substr(["hello", "world"], [-3, 0], [2, 9])).tolist() == [b"ll", b"world"]
    assert run(tf.strings.substr("h\u00e9llo", 1, 2, unit="UTF8_CHAR")) == "\u00e9l".encode()
    assert run(tf.regex_replace(["a1b2", "c"], "([a-z])([0-9])", r"\2\1")).tolist() == [b"1a2b", b"c"]
    assert run(tf.regex_replace(["a1b2"], "[0-9]", "#", replace_global=False)).tolist() == [b"a#b2"]
    assert run(tf.strings.regex_full_match(["abc", "ab"], "a.c")).tolist() == [True, False]
    assert run(tf.strings.upper(["\u00e9a"], encoding="utf-8")).tolist() == ["\u00c9A".encode()]
    with pytest.raises(tf.errors.InvalidArgumentError, match="pos 5 out of range for string b'hi' at index 0"):
        run(tf.substr(["hi"], 5, 1))


@pytest.mark.parametrize(("axis", "wanted"), [(None, b"abcd"), (0, [b"ac", b"bd"]), ([0, 1], b"acbd")])
def test_joining_along_axes(axis: Any, wanted: Any) -> None:
    found = run(tf.reduce_join([["a", "b"], ["c", "d"]], axis))
    assert (found.tolist() if isinstance(wanted, list) else found) == wanted


def test_base64() -> None:
    assert run(tf.encode_base64(["hello?>", "ab"])).tolist() == [b"aGVsbG8_Pg", b"YWI"]
    assert run(tf.decode_base64(["aGVsbG8_Pg", "YWI="])).tolist() == [b"hello?>", b"ab"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid character found in base64"):
        run(tf.decode_base64(["a*b"]))


def test_numbers_in_bytes() -> None:
    assert run(tf.decode_raw([b"\x01\x00\x02\x00", b"\x03\x00\x04\x00"], tf.int16)).tolist() == [[1, 2], [3, 4]]
    assert run(tf.decode_raw(b"\x00\x01", tf.uint16, little_endian=False)).tolist() == [1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="length 3 that is not a multiple of 2, the size of int16"):
        run(tf.decode_raw(b"abc", tf.int16))


def test_columns() -> None:
    whole, real, text = run(tf.decode_csv(["1,2.5,a", '3,,"b,c"'], [[0], [9.0], ["z"]]))
    assert (whole.tolist(), real.tolist(), text.tolist()) == ([1, 3], [2.5, 9.0], [b"a", b"b,c"])
    assert run(tf.decode_csv("1|x|3", [[0], [0]], field_delim="|", select_cols=[0, 2])) == [1, 3]


@pytest.mark.parametrize(
    ("record", "text"),
    [("1", "Expect 2 fields but have 1 in record 0"), ("a,1", "Field 0 in record 0 is not a valid int32: a"),
     (",1", "Field 0 is required but missing in record 0!")],
)  # fmt: skip
def test_bad_records(record: str, text: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        run(tf.decode_csv([record], [tf.constant([], tf.int32), [0]]))


def test_substr_broadcasts_and_refuses_what_does_not_fit() -> None:
    words = [[b"thirteen", b"fourteen", b"fifteen"], [b"sixteen", b"seventeen", b"eighteen"]]
    with tf.Session() as session:
        rows = tf.strings.substr(words, [[1], [2]], [[2], [3]])
        assert rows.shape == (2, 3) and session.run(rows).tolist() == [[b"hi", b"ou", b"if"], [b"xte", b"ven", b"ght"]]
        assert session.run(tf.strings.substr(words, [1, 2, 3], [1, 2, 3])).tolist()[0] == [b"h", b"ur", b"tee"]
        fed = tf.placeholder(tf.string, [None, None])
        assert session.run(tf.strings.substr(fed, [[1], [2]], [[2], [3]]), {fed: words}).tolist()[1] == [b"xte", b"ven", b"ght"]
    for pos, length, message in (([1, 2, 3], 2, "must be rank 0"), ([1, 2], [1, 2], "must be equal, but are 3 and 2")):
        with pytest.raises(ValueError, match=message):
            tf.strings.substr(words, pos, length)
    with pytest.raises(ValueError, match="'unit' of 'Substr' Op passed string 'X'"):
        tf.strings.substr(words, 1, 2, unit="X")
