"""tf.train.Example and its parts: a training example as features by name, each a list of strings, floats or integers."""

from __future__ import annotations

import base64
import json
from typing import Any

from graphflow.io.wire import DecodeError, Message, OneOf

__all__ = ["BytesList", "Example", "Feature", "FeatureList", "FeatureLists", "Features", "FloatList", "Int64List", "SequenceExample"]


class BytesList(Message):
    fields = ("1 value* bytes",)


class FloatList(Message):
    fields = ("1 value* float",)


class Int64List(Message):
    fields = ("1 value* int64",)


class Feature(OneOf):
    """One of the three lists."""

    fields = ("1 bytes_list BytesList", "2 float_list FloatList", "3 int64_list Int64List")
    choices = ("bytes_list", "float_list", "int64_list")


class Features(Message):
    fields = ("1 feature{} Feature",)


class FeatureList(Message):
    """A feature for each step of a sequence."""

    fields = ("1 feature* Feature",)


class FeatureLists(Message):
    fields = ("1 feature_list{} FeatureList",)


class Example(Message):
    """`Example(features=Features(feature={"label": Feature(int64_list=Int64List(value=[3]))}))`"""

    fields = ("1 features Features",)


class SequenceExample(Message):
    """Features of a whole sequence, `context`, and of its steps, `feature_lists`."""

    fields = ("1 context Features", "2 feature_lists FeatureLists")


_CAMEL = {"bytesList": "bytes_list", "floatList": "float_list", "int64List": "int64_list"}
_LISTS: dict[str, tuple[type[Message], Any]] = {
    "bytes_list": (BytesList, lambda text: base64.b64decode(text, validate=True)),
    "float_list": (FloatList, float),
    "int64_list": (Int64List, int),
}


def example_from_json(text: bytes) -> Example:
    """The Example that protobuf's JSON form describes: names in camel case or as in the .proto file, integers as text or numbers, bytes in
    base64. DecodeError where it does not."""
    try:
        document = json.loads(text)
        example = Example()
        features = _only(document, ("features",)).get("features", {})
        for key, feature in _only(features, ("feature",)).get("feature", {}).items():
            entry = example.features.feature[key]
            for name, given in _only(feature, (*_CAMEL, *_LISTS)).items():
                name = _CAMEL.get(name, name)
                kind, read = _LISTS[name]
                setattr(entry, name, kind(value=map(read, _only(given, ("value",)).get("value", []))))
        return example
    except (ValueError, TypeError, AttributeError) as error:
        raise DecodeError(f"Error while parsing JSON: {error}") from None


def _only(given: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    unknown = given.keys() - set(known)
    if unknown:
        raise ValueError(f"no such field: {sorted(unknown)[0]!r}")
    return given
