"""Protobuf messages without protobuf: a class lists its fields, and has the binary form and the parts of the API that programs use.

    class TensorInfo(Message):
        fields = ("1 name string", "2 dtype DataType", "3 tensor_shape TensorShapeProto")

A field is "number name type". After the name, `*` marks a repeated field, `{}` a map from strings, `?` a scalar that is written even where
it holds its default (a member of a oneof). A type is a scalar type of protobuf, a message class or an enum, by name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

MAX_DEPTH = 100  # of messages in each other
_LIMIT = 1 << 31  # bytes of one message, as in protobuf


class DecodeError(ValueError):
    """The bytes are not a message of this type."""


class Field(NamedTuple):
    """A declaration, taken apart. `form`: "", "*", "{}" or "?"."""

    number: int
    name: str
    form: str
    kind: str


MESSAGES: dict[str, type[Message]] = {}
ENUMS: dict[str, dict[str, int]] = {}

_FIXED = {"float": "<f", "double": "<d", "fixed32": "<I", "fixed64": "<Q"}
_DEFAULTS: dict[str, Any] = {"string": "", "bytes": b"", "bool": False, "float": 0.0, "double": 0.0}


class Message:
    """Base of all messages. A field that has not been set gives its default; a message, list or map comes to be when it is asked for."""

    fields: ClassVar[tuple[str, ...]] = ()
    by_name: ClassVar[dict[str, Field]] = {}
    by_number: ClassVar[dict[int, Field]] = {}
    _touched: set[str]

    def __init_subclass__(cls) -> None:
        cls.by_name, cls.by_number = {}, {}
        for text in cls.fields:
            number, name, kind = text.split()
            form = next((f for f in ("*", "{}", "?") if name.endswith(f)), "")
            field = Field(int(number), name.removesuffix(form), form, kind)
            cls.by_name[field.name] = cls.by_number[field.number] = field  # type: ignore[index]
        cls.by_number = {f.number: f for f in cls.by_name.values()}
        MESSAGES[cls.__name__] = cls

    def __init__(self, **values: Any) -> None:
        self.__dict__["_touched"] = set()
        for name, value in values.items():
            if name not in self.by_name:
                raise ValueError(f'Protocol message {type(self).__name__} has no "{name}" field.')
            if value is None:
                continue
            form = self.by_name[name].form
            if form == "*":
                getattr(self, name).extend(value)
            elif form == "{}":
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        field = type(self).by_name.get(name)
        if field is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        if field.form == "*":
            value: Any = Repeated(MESSAGES.get(field.kind))
        elif field.form == "{}":
            value = Map(MESSAGES[field.kind])
        elif field.kind in MESSAGES:
            value = MESSAGES[field.kind]()
        else:
            return _DEFAULTS.get(field.kind, 0)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in type(self).by_name:
            raise AttributeError(f"Assignment not allowed (no field \"{name}\" in protocol message object).")
        field = type(self).by_name[name]
        if field.form == "*" and not isinstance(value, Repeated):
            value = Repeated(MESSAGES.get(field.kind), value)
        elif field.kind == "string" and isinstance(value, bytes):
            value = value.decode()
        elif field.kind == "bytes" and isinstance(value, str):
            value = value.encode()
        self.__dict__[name] = value
        self._touched.add(name)

    # -- what is set -----------------------------------------------------------------------------------------------------------

    def present(self) -> Iterator[tuple[Field, Any]]:
        """The fields that are written, with their values, by number."""
        for number in sorted(self.by_number):
            field = self.by_number[number]
            if field.name in self.__dict__:
                value = self.__dict__[field.name]
                if field.form in ("*", "{}"):
                    if value:
                        yield field, value
                elif field.form == "?" or field.name in self._touched and isinstance(value, Message):
                    yield field, value
                elif isinstance(value, Message):
                    if value:
                        yield field, value
                elif value != _DEFAULTS.get(field.kind, 0):
                    yield field, value

    def __bool__(self) -> bool:
        return next(self.present(), None) is not None

    def HasField(self, name: str) -> bool:
        """Whether a field has been set."""
        return any(field.name == name for field, _ in self.present())

    def ListFields(self) -> list[tuple[Field, Any]]:
        """The fields that have been set, with their values."""
        return list(self.present())

    def WhichOneof(self, name: str) -> str | None:
        """The first field that has been set: the messages with a oneof consist of it."""
        return next((field.name for field, _ in self.present()), None)

    def Clear(self) -> None:
        """Unsets every field."""
        self.__dict__.clear()
        self.__dict__["_touched"] = set()

    def ClearField(self, name: str) -> None:
        """Unsets a field."""
        self.__dict__.pop(name, None)
        self._touched.discard(name)

    def SetInParent(self) -> None:
        """Accepted: a message that is assigned counts as set."""

    def IsInitialized(self) -> bool:
        """True: no field is required."""
        return True

    # -- copies ------------------------------------------------------------------------------------------------------------------

    def MergeFrom(self, other: Message) -> None:
        """Takes over what is set in `other`; lists and maps grow."""
        self.MergeFromString(other.SerializeToString())

    def CopyFrom(self, other: Message) -> None:
        """Becomes a copy of `other`."""
        if other is not self:
            data = other.SerializeToString()
            self.Clear()
            self.MergeFromString(data)

    def __deepcopy__(self, memo: Any) -> Message:
        return type(self).FromString(self.SerializeToString())

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.SerializeToString() == other.SerializeToString()  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        from graphflow.io.text import to_text  # the text form is the less common one, and knows this module

        return to_text(self)

    __repr__ = __str__

    # -- the binary form ---------------------------------------------------------------------------------------------------------

    def SerializeToString(self, deterministic: bool = True) -> bytes:
        """The message as bytes."""
        out = bytearray()
        _encode(self, out, 0)
        if len(out) >= _LIMIT:
            raise ValueError(f"Message {type(self).__name__} exceeds maximum protobuf size of 2GB: {len(out)}")
        return bytes(out)

    SerializePartialToString = SerializeToString

    def ByteSize(self) -> int:
        """The length of its bytes."""
        return len(self.SerializeToString())

    @classmethod
    def FromString(cls, data: Any) -> Any:
        """The message that `data` holds."""
        message = cls()
        message.MergeFromString(data)
        return message

    def ParseFromString(self, data: Any) -> int:
        """Becomes the message that `data` holds."""
        self.Clear()
        return self.MergeFromString(data)

    def MergeFromString(self, data: Any) -> int:
        """Takes over the fields that `data` holds."""
        view = memoryview(data).cast("B")
        if len(view) >= _LIMIT:
            raise DecodeError(f"a message of {len(view)} bytes: the limit is 2 GB")
        try:
            _decode(self, view, 0)
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise DecodeError(f"Error parsing message {type(self).__name__}: {error}") from None
        return len(view)


class OneOf(Message):
    """A message with a oneof beside ordinary fields: the field that was set last counts."""

    choices: ClassVar[tuple[str, ...]] = ()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name in self.choices:
            for other in self.choices:
                if other != name:
                    self.ClearField(other)

    def WhichOneof(self, name: str) -> str | None:
        """The member of the oneof that is set."""
        return next((field.name for field, _ in self.present() if field.name in self.choices), None)


class Repeated(list[Any]):
    """A repeated field."""

    def __init__(self, kind: type[Message] | None, values: Any = ()) -> None:
        super().__init__(values)
        self._kind = kind

    def add(self, **values: Any) -> Any:
        """A new message at the end."""
        assert self._kind is not None
        self.append(self._kind(**values))
        return self[-1]


class Map(dict[str, Any]):
    """A map field: what is asked for comes to be."""

    def __init__(self, kind: type[Message]) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, key: str) -> Any:
        self[key] = value = self._kind()
        return value


# -- writing ---------------------------------------------------------------------------------------------------------------------


def put_varint(out: bytearray, value: int) -> None:
    """Appends a number, seven bits a byte; a negative one as 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _encode(message: Message, out: bytearray, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError("messages are nested too deeply")
    for field, value in message.present():
        kind, tag = field.kind, field.number << 3
        if field.form == "{}":
            for key in sorted(value):
                entry = bytearray()
                _encode_one(entry, 8, "string", key, depth)
                _encode_one(entry, 16, kind, value[key], depth)
                _encode_bytes(out, tag, entry)
        elif field.form == "*" and not (kind in MESSAGES or kind in ("string", "bytes")):
            packed = bytearray()
            if kind in _FIXED:
                packed += struct.pack(f"<{len(value)}{_FIXED[kind][1]}", *value)
            else:
                for item in value:
                    put_varint(packed, int(item))
            _encode_bytes(out, tag, packed)
        else:
            for item in value if field.form == "*" else (value,):
                _encode_one(out, tag, kind, item, depth)


def _encode_bytes(out: bytearray, tag: int, data: Any) -> None:
    put_varint(out, tag | 2)
    put_varint(out, len(data))
    out += data


def _encode_one(out: bytearray, tag: int, kind: str, value: Any, depth: int) -> None:
    if kind in MESSAGES:
        inner = bytearray()
        _encode(value, inner, depth + 1)
        _encode_bytes(out, tag, inner)
    elif kind in ("string", "bytes"):
        _encode_bytes(out, tag, value.encode() if isinstance(value, str) else value)
    elif kind in _FIXED:
        put_varint(out, tag | (1 if struct.calcsize(_FIXED[kind]) == 8 else 5))
        out += struct.pack(_FIXED[kind], value)
    else:
        put_varint(out, tag)
        put_varint(out, int(value))


# -- reading ---------------------------------------------------------------------------------------------------------------------


def take_varint(view: Any, at: int) -> tuple[int, int]:
    """The number at a position, and the position after it. IndexError past the end."""
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise DecodeError("a number of more than ten bytes")


def _take_bytes(view: memoryview, at: int) -> tuple[memoryview, int]:
    size, at = take_varint(view, at)
    if size > len(view) - at:
        raise DecodeError(f"Error parsing message: {size} bytes announced, {len(view) - at} left")
    return view[at : at + size], at + size


def _number(kind: str, value: int) -> Any:
    if kind == "bool":
        return value != 0
    if kind.startswith("u"):
        return value if kind == "uint64" else value & 0xFFFFFFFF
    if kind == "int64":
        return value - (1 << 64) if value >> 63 else value
    value &= 0xFFFFFFFF  # int32 and enums
    return value - (1 << 32) if value >> 31 else value


def _decode(message: Message, view: memoryview, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise DecodeError("messages are nested too deeply")
    at, end = 0, len(view)
    while at < end:
        tag, at = take_varint(view, at)
        field, wire = type(message).by_number.get(tag >> 3), tag & 7
        data: Any
        if wire == 0:
            data, at = take_varint(view, at)
        elif wire == 2:
            data, at = _take_bytes(view, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > end:
                raise DecodeError("a number is cut off")
            data, at = view[at : at + size], at + size
        else:
            raise DecodeError(f"Error parsing message: wire type {wire}")
        if field is not None:
            _take(message, field, wire, data, depth)


def _take(message: Message, field: Field, wire: int, data: Any, depth: int) -> None:
    kind = field.kind
    if kind in MESSAGES:
        if wire != 2:
            return
        if field.form == "{}":
            entry = _MapEntry()
            _decode(entry, data, depth + 1)
            value = MESSAGES[kind]()
            _decode(value, memoryview(entry.value), depth + 1)
            getattr(message, field.name)[entry.key] = value
            return
        value = MESSAGES[kind]() if field.form == "*" or field.name not in message.__dict__ else message.__dict__[field.name]
        _decode(value, data, depth + 1)
    elif kind in ("string", "bytes"):
        if wire != 2:
            return
        value = str(data, "utf-8") if kind == "string" else bytes(data)
    elif kind in _FIXED:
        size = struct.calcsize(_FIXED[kind])
        if wire == 2 and field.form == "*":
            count, rest = divmod(len(data), size)
            if rest:
                raise DecodeError(f"{len(data)} bytes of {kind}")
            getattr(message, field.name).extend(struct.unpack(f"<{count}{_FIXED[kind][1]}", data))
            return
        if wire != (1 if size == 8 else 5):
            return
        (value,) = struct.unpack(_FIXED[kind], data)
    elif wire == 2 and field.form == "*":
        at, values = 0, getattr(message, field.name)
        while at < len(data):
            number, at = take_varint(data, at)
            values.append(_number(kind, number))
        return
    elif wire == 0:
        value = _number(kind, data)
    else:
        return
    if field.form == "*":
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


class _MapEntry(Message):
    fields = ("1 key string", "2 value bytes")


