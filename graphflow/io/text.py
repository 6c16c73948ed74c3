"""The text form of protobuf messages: `checkpoint` files, `.pbtxt`, and what printing a message shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphflow.io.wire import ENUMS, MAX_DEPTH, MESSAGES, Field, Message


class ParseError(ValueError):
    """The text is not a message of this type."""


_ESCAPES = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 39: "\\'", 92: "\\\\"}


def quote(value: str | bytes) -> str:
    """A string in the text form."""
    data = value.encode() if isinstance(value, str) else value
    return '"' + "".join(_ESCAPES.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data) + '"'


def to_text(message: Message) -> str:
    """A message in the text form, one field a line."""
    return "".join(f"{line}\n" for line in _lines(message))


def _lines(message: Message) -> Iterator[str]:
    for field, value in message.present():
        if field.form == "{}":
            for key in sorted(value):
                yield from (f"{field.name} {{", f"  key: {quote(key)}")
                yield from ("  " + line for line in _one("value", field.kind, value[key]))
                yield "}"
        else:
            for item in value if field.form == "*" else (value,):
                yield from _one(field.name, field.kind, item)


def _one(name: str, kind: str, value: Any) -> Iterator[str]:
    if kind in MESSAGES:
        yield name + " {"
        yield from ("  " + line for line in _lines(value))
        yield "}"
    else:
        yield f"{name}: {_scalar(kind, value)}"


def _scalar(kind: str, value: Any) -> str:
    if kind in ("string", "bytes"):
        return quote(value)
    if kind == "bool":
        return "true" if value else "false"
    if kind == "float":
        return repr(float(str(np.float32(value))))
    if kind == "double":
        return repr(float(value))
    if kind in ENUMS:
        return next((name for name, number in ENUMS[kind].items() if number == value), str(value))
    return str(int(value))


_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[-+.\w/]+)|(?P<sign>[{}<>\[\]:;,]))""", re.S
)
_UNQUOTE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.S)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _unquote(text: str) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, other = match.groups()
        if octal or hexadecimal:
            return bytes([int(octal, 8) & 255 if octal else int(hexadecimal, 16)])
        return _NAMED.get(other, other)

    return _UNQUOTE.sub(plain, text[1:-1].encode())


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.kind: str | None = None
        self.token = ""
        self.next()

    def next(self) -> str:
        """Moves on; gives the token that was current."""
        before = self.token
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            rest = re.sub(r"#[^\n]*", "", self.text[self.at :]).strip()
            if rest:
                self.fail(f"unexpected {rest[:20]!r}")
            self.kind, self.token = None, ""
        else:
            self.at = match.end()
            self.kind = match.lastgroup
            self.token = match.group(self.kind)  # type: ignore[arg-type]
        return before

    def fail(self, wrong: str) -> None:
        line = self.text.count("\n", 0, self.at) + 1
        raise ParseError(f"{line} : {wrong}")

    def accept(self, *signs: str) -> bool:
        if self.kind == "sign" and self.token in signs:
            self.next()
            return True
        return False

    def message(self, into: Message, end: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.fail("messages are nested too deeply")
        while not (self.accept(end) if end else self.kind is None):
            if self.kind != "word":
                self.fail(f"expected a field name, found {self.token!r}")
            name = self.next()
            field = into.by_name.get(name)
            if field is None:
                self.fail(f'Message type "{type(into).__name__}" has no field named "{name}".')
            else:
                self.field(into, field, depth)
            self.accept(",", ";")

    def field(self, into: Message, field: Field, depth: int) -> None:
        colon = self.accept(":")
        if field.form == "{}" or field.kind in MESSAGES:
            closing = ">" if self.token == "<" else "}"
            if not self.accept("{", "<"):
                self.fail(f"expected '{{' after {field.name}")
            if field.form == "{}":
                self.entry(into, field, closing, depth)
            elif field.form == "*":
                self.message(getattr(into, field.name).add(), closing, depth + 1)
            else:
                value = into.__dict__.get(field.name) or MESSAGES[field.kind]()
                self.message(value, closing, depth + 1)
                setattr(into, field.name, value)
            return
        if not colon:
            self.fail(f"expected ':' after {field.name}")
        if field.form == "*" and self.accept("["):
            while not self.accept("]"):
                getattr(into, field.name).append(self.scalar(field.kind))
                self.accept(",")
        elif field.form == "*":
            getattr(into, field.name).append(self.scalar(field.kind))
        else:
            setattr(into, field.name, self.scalar(field.kind))

    def entry(self, into: Message, field: Field, closing: str, depth: int) -> None:
        key, value = "", MESSAGES[field.kind]()
        while not self.accept(closing):
            name = self.next()
            colon = self.accept(":")
            if name == "key" and colon:
                key = self.scalar("string")
            elif name == "value" and self.accept("{"):
                self.message(value, "}", depth + 2)
            else:
                self.fail(f"expected a key and a value, found {name!r}")
        getattr(into, field.name)[key] = value

    def scalar(self, kind: str) -> Any:
        if kind in ("string", "bytes"):
            parts = []
            while self.kind == "string":
                parts.append(_unquote(self.next()))
            if not parts:
                self.fail(f"expected a string, found {self.token!r}")
            data = b"".join(parts)
            return data if kind == "bytes" else data.decode("utf-8", "surrogateescape")
        if self.kind != "word":
            self.fail(f"expected a value, found {self.token!r}")
        word = self.next()
        try:
            if kind == "bool":
                return {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}[word]
            if kind in ENUMS:
                return ENUMS[kind][word] if word in ENUMS[kind] else int(word)
            if kind in ("float", "double"):
                return float(word.rstrip("fF") if word.lower() not in ("inf", "-inf") else word)
            return int(word, 0)
        except (ValueError, KeyError):
            self.fail(f"{word!r} is no {kind}")


def from_text(text: str | bytes, message: Message) -> Message:
    """Takes over into `message` what a text says."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    _Reader(text).message(message, "", 0)
    return message
