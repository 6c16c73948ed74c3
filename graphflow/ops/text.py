"""Strings taken apart and changed: splitting, parts, patterns, cases, joins, hashes."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import int32, int64, string
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.dims import broadcast_dims, known_unequal
from graphflow.graph.op import TensorSpec
from graphflow.ops.arguments import renamed
from graphflow.ops.families import HostOp, axes_tuple
from graphflow.ops.fingerprint import fingerprint64, hash64
from graphflow.ops.ranges import range as range_of
from graphflow.ops.shape import rank
from graphflow.ops.sizes import contents, need_rank
from graphflow.ops.source import constant

__all__ = [
    "decode_base64", "encode_base64", "reduce_join", "regex_replace", "string_split", "string_strip",
    "string_to_hash_bucket", "string_to_hash_bucket_fast", "substr",
]  # fmt: skip


def as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def refused(text: str) -> InvalidArgumentError:
    """The error that the session gives the op's name."""
    return InvalidArgumentError(None, None, text)


def _mapped(function: Callable[[bytes], Any], array: Any, dtype: Any = object) -> Any:
    """`function` of every string of an array."""
    out = np.empty(array.shape, dtype)
    flat = out.reshape(-1)
    for k, item in enumerate(array.ravel()):
        flat[k] = function(as_bytes(item))
    return out


class TextOp(HostOp, abstract=True):
    """An op on every string by itself."""

    sized = True
    arguments: ClassVar[tuple[str, ...]] = ("input: string",)
    results: ClassVar[tuple[str, ...]] = ("output: string",)

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(string, input.dims)


class StringStrip(TextOp):
    """Without the white space at both ends."""

    def run(self, input: Any) -> Any:
        return _mapped(bytes.strip, input)


class StringLower(TextOp):
    """In small letters: of ASCII, or of all of Unicode with encoding="utf-8"."""

    encoding: str = ""
    change: ClassVar[str] = "lower"

    def run(self, input: Any) -> Any:
        if self.encoding not in ("", "utf-8", b"", b"utf-8"):
            raise refused(f"only utf-8 or '' (no encoding) is supported for encoding, received {self.encoding}")

        def changed(text: bytes) -> bytes:
            if not self.encoding:
                return getattr(text, self.change)()  # type: ignore[no-any-return]
            return getattr(text.decode("utf-8", "surrogateescape"), self.change)().encode("utf-8", "surrogateescape")  # type: ignore

        return _mapped(changed, input)


class StringUpper(StringLower):
    """In capital letters."""

    change = "upper"


class StringLength(TextOp):
    """How many bytes, or with unit="UTF8_CHAR" characters."""

    results = ("output: int32",)
    unit: str = "BYTE"

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(int32, input.dims)

    def run(self, input: Any) -> Any:
        return _mapped(len if self.unit == "BYTE" else lambda text: len(text.decode("utf-8", "replace")), input, np.int32)


class EncodeBase64(TextOp):
    """Web-safe base64, with "=" at the end if `pad`."""

    pad: bool = False

    def run(self, input: Any) -> Any:
        return _mapped(lambda text: base64.urlsafe_b64encode(text) if self.pad else base64.urlsafe_b64encode(text).rstrip(b"="), input)


class DecodeBase64(TextOp):
    """The bytes that web-safe base64 stands for."""

    def run(self, input: Any) -> Any:
        def decoded(text: bytes) -> bytes:
            if re.fullmatch(rb"[A-Za-z0-9_-]*={0,2}", text) is None or len(text.rstrip(b"=")) % 4 == 1:
                raise refused("Invalid character found in base64.")
            text = text.rstrip(b"=")
            return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))

        return _mapped(decoded, input)


class StringToHashBucketFast(TextOp):
    """FarmHash modulo num_buckets."""

    results = ("output: int64",)
    num_buckets: int

    def infer(self, input: TensorSpec) -> TensorSpec:
        if self.num_buckets < 1:
            raise ValueError(f"Value for attr 'num_buckets' of {self.num_buckets} must be at least minimum 1")
        return TensorSpec(int64, input.dims)

    def run(self, input: Any) -> Any:
        return _mapped(lambda text: fingerprint64(text) % self.num_buckets, input, np.int64)


class StringToHashBucket(StringToHashBucketFast):
    """MurmurHash64 modulo num_buckets."""

    arguments = ("string_tensor: string",)

    def run(self, string_tensor: Any) -> Any:
        return _mapped(lambda text: hash64(text) % self.num_buckets, string_tensor, np.int64)


def _pattern(pattern: Any) -> re.Pattern[bytes]:
    try:
        return re.compile(as_bytes(pattern))
    except re.error as error:
        raise refused(f"Invalid pattern: {as_bytes(pattern).decode(errors='replace')}, error: {error}") from None


def _replaced(input: Any, pattern: Any, rewrite: Any, everywhere: bool) -> Any:
    found = _pattern(pattern)
    # The template's only escapes are \0 to \9 and \\; Python's has more.
    template = re.sub(rb"\\([0-9])", rb"\\g<\1>", as_bytes(rewrite))
    try:
        return _mapped(lambda text: found.sub(template, text, 0 if everywhere else 1), input)
    except (re.error, IndexError) as error:
        raise refused(f"Invalid rewrite pattern: {as_bytes(rewrite).decode(errors='replace')}: {error}") from None


class StaticRegexReplace(TextOp):
    """What the pattern finds replaced by `rewrite`, in which \\1 to \\9 stand for its groups."""

    pattern: str
    rewrite: str
    replace_global: bool = True

    def run(self, input: Any) -> Any:
        return _replaced(input, self.pattern, self.rewrite, self.replace_global)


class RegexReplace(TextOp):
    """StaticRegexReplace with tensors for the pattern and what replaces it."""

    arguments = ("input: string", "pattern: string", "rewrite: string")
    replace_global: bool = True

    def infer(self, input: TensorSpec, pattern: TensorSpec, rewrite: TensorSpec) -> TensorSpec:  # type: ignore[override]
        need_rank(pattern, 0)
        need_rank(rewrite, 0)
        return TensorSpec(string, input.dims)

    def run(self, input: Any, pattern: Any, rewrite: Any) -> Any:
        return _replaced(input, pattern.item(), rewrite.item(), self.replace_global)


class StaticRegexFullMatch(TextOp):
    """Whether the pattern matches the whole string."""

    results = ("output: bool",)
    pattern: str

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.bool, input.dims)

    def run(self, input: Any) -> Any:
        found = _pattern(self.pattern)
        return _mapped(lambda text: found.fullmatch(text) is not None, input, np.bool_)


class RegexFullMatch(TextOp):
    """StaticRegexFullMatch with a tensor for the pattern."""

    arguments = ("input: string", "pattern: string")
    results = ("output: bool",)

    def infer(self, input: TensorSpec, pattern: TensorSpec) -> TensorSpec:  # type: ignore[override]
        need_rank(pattern, 0)
        return TensorSpec(dtypes.bool, input.dims)

    def run(self, input: Any, pattern: Any) -> Any:
        return StaticRegexFullMatch(pattern.item()).run(input)


class Substr(TextOp):
    """`len` bytes (or characters) from `pos` on; a negative `pos` counts from the end."""

    arguments = ("input: string", "pos: T", "len: T")
    types = {"T": (int32, int64)}
    unit: str = "BYTE"

    def infer(self, input: TensorSpec, pos: TensorSpec, len: TensorSpec) -> TensorSpec:  # type: ignore[override]
        if self.unit not in ("BYTE", "UTF8_CHAR"):
            raise ValueError(f"Attr 'unit' of 'Substr' Op passed string '{self.unit}' not in: \"BYTE\", \"UTF8_CHAR\".")
        if len.rank is not None:
            need_rank(pos, len.rank)
        for a, b in zip(pos.dims or (), len.dims or (), strict=False):
            if known_unequal(a, b):
                raise ValueError(f"Dimensions must be equal, but are {a} and {b}")
        return TensorSpec(string, broadcast_dims(input.dims, pos.dims))

    def run(self, input: Any, pos: Any, len: Any) -> Any:
        if pos.shape != len.shape:
            raise refused(f"pos and len should have the same shape, got: {list(pos.shape)} vs. {list(len.shape)}")
        texts, starts, counts = np.broadcast_arrays(input, pos, len)
        out = np.empty(texts.shape, object)
        for at in np.ndindex(*texts.shape):
            text: Any = as_bytes(texts[at])
            text = text if self.unit == "BYTE" else text.decode("utf-8", "replace")
            size = text.__len__()
            start = int(starts[at])
            if not -size <= start <= size:
                shown, place = as_bytes(texts[at]).decode(errors="replace"), ", ".join(map(str, at or (0,)))
                raise refused(f"pos {start} out of range for string b'{shown}' at index {place}")
            start += size if start < 0 else 0
            part = text[start : start + max(int(counts[at]), 0)]
            out[at] = part if self.unit == "BYTE" else part.encode()
        return out


class ReduceJoin(HostOp):
    """The strings along some axes joined: along the first named one first."""

    arguments = ("inputs: string", "reduction_indices: int32")
    results = ("output: string",)
    keep_dims: bool = False
    separator: str = ""

    def infer(self, inputs: TensorSpec, reduction_indices: TensorSpec) -> TensorSpec:
        axes = contents(reduction_indices)
        if inputs.dims is None or axes is None:
            return TensorSpec(string, None)
        reduced = axes_tuple(axes, len(inputs.dims))
        return TensorSpec(string, [1 if k in reduced else d for k, d in enumerate(inputs.dims) if self.keep_dims or k not in reduced])

    def run(self, inputs: Any, reduction_indices: Any) -> Any:
        axes = [int(a) % inputs.ndim for a in np.ravel(reduction_indices)]
        if len(set(axes)) < len(axes):
            raise refused(f"Duplicate reduction dimension {axes}")
        kept = [k for k in range(inputs.ndim) if k not in axes]
        moved = np.transpose(inputs, [*kept, *reversed(axes)])
        rows = moved.reshape(*moved.shape[: len(kept)], -1)
        out = np.empty(rows.shape[:-1], object)
        for at in np.ndindex(*out.shape):
            out[at] = as_bytes(self.separator).join(as_bytes(item) for item in rows[at])
        return out.reshape([1 if k in axes else d for k, d in enumerate(inputs.shape)]) if self.keep_dims else out


class StringSplit(HostOp):
    """The parts of each string between delimiters, of which every byte is one (none: each byte is a part), as a sparse matrix."""

    arguments = ("input: string", "delimiter: string")
    results = ("indices: int64", "values: string", "shape: int64")
    skip_empty: bool = True

    def infer(self, input: TensorSpec, delimiter: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(input, 1)
        need_rank(delimiter, 0)
        return TensorSpec(int64, (None, 2)), TensorSpec(string, (None,)), TensorSpec(int64, (2,))

    def _parts(self, text: bytes, delimiter: bytes) -> list[bytes]:
        if not text:
            return []
        if delimiter:
            parts = re.split(b"[" + re.escape(delimiter) + b"]", text)
        else:
            parts = [text[k : k + 1] for k in range(len(text))]
        return [p for p in parts if p] if self.skip_empty else parts

    def run(self, input: Any, delimiter: Any) -> Any:
        return _rows([self._parts(as_bytes(text), as_bytes(delimiter.item())) for text in input])


class StringSplitV2(StringSplit):
    """The parts of each string between separators (none: white space), at most maxsplit + 1 if that is not negative."""

    arguments = ("input: string", "sep: string")
    skip_empty: ClassVar[bool] = True  # type: ignore[misc]  # the split at white space leaves nothing empty, the other keeps it
    maxsplit: int = -1

    def _parts(self, text: bytes, delimiter: bytes) -> list[bytes]:
        return text.split(delimiter or None, self.maxsplit)


def _rows(parts: Sequence[Sequence[bytes]]) -> tuple[Any, Any, Any]:
    """Indices, values and shape of a sparse matrix of strings."""
    indices = [(k, j) for k, row in enumerate(parts) for j in range(len(row))]
    values = np.empty(len(indices), object)
    values[:] = [item for row in parts for item in row]
    longest = max(map(len, parts), default=0)
    return np.array(indices, np.int64).reshape(-1, 2), values, np.array([len(parts), longest], np.int64)


# -- public functions --------------------------------------------------------------------------------------------------------------------


def _split(kind: str, source: Any, sep: Any, **fields: Any) -> SparseTensor:
    return SparseTensor(*make(kind, source, sep, **fields))


def string_split(source, sep=None, skip_empty=True, delimiter=None, result_type="SparseTensor", name=None):
    """The parts of each string of a vector, a SparseTensor [strings, most parts]. Every byte of `sep` (default " ") separates."""
    if result_type != "SparseTensor":
        raise ValueError(f"result_type must be 'SparseTensor', not {result_type!r}")
    sep = renamed("sep", sep, "delimiter", delimiter)
    with name_scope(name, "StringSplit", [source]):
        sep = convert_to_tensor(" " if sep is None else sep, dtype=string)
        return _split("StringSplit", convert_to_tensor(source, dtype=string), sep, skip_empty=skip_empty)


def string_split_v2(input=None, sep=None, maxsplit=-1, result_type="SparseTensor", source=None, name=None):
    """The parts of each string of a vector between the separator `sep` (default: white space), a SparseTensor."""
    if result_type != "SparseTensor":
        raise ValueError(f"result_type must be 'SparseTensor', not {result_type!r}")
    given = renamed("input", input, "source", source)
    with name_scope(name, "StringSplit", [given]):
        given = convert_to_tensor(given, dtype=string, name="input")
        return _split("StringSplitV2", given, convert_to_tensor("" if sep is None else sep, dtype=string), maxsplit=maxsplit)


def substr(input, pos, len, name=None, unit="BYTE"):
    """`len` bytes of each string from `pos` on (unit="UTF8_CHAR": characters)."""
    return make("Substr", input, pos, len, unit=unit, name=name)


def string_strip(input, name=None):
    """The strings without white space at both ends."""
    return make("StringStrip", input, name=name)


def string_lower(input, encoding="", name=None):
    """The strings in small letters; encoding="utf-8" for more than ASCII."""
    return make("StringLower", input, encoding=encoding, name=name)


def string_upper(input, encoding="", name=None):
    """The strings in capital letters; encoding="utf-8" for more than ASCII."""
    return make("StringUpper", input, encoding=encoding, name=name)


def string_length(input, name=None, unit="BYTE"):
    """The number of bytes (unit="UTF8_CHAR": characters) of each string."""
    return make("StringLength", input, unit=unit, name=name)


def regex_replace(input, pattern, rewrite, replace_global=True, name=None):
    """The strings with what `pattern` finds replaced by `rewrite`, in which \\1 to \\9 stand for its groups."""
    if isinstance(pattern, (str, bytes)) and isinstance(rewrite, (str, bytes)):
        return make("StaticRegexReplace", input, pattern=pattern, rewrite=rewrite, replace_global=replace_global, name=name)
    return make("RegexReplace", input, pattern, rewrite, replace_global=replace_global, name=name)


def regex_full_match(input, pattern, name=None):
    """Whether `pattern` matches each string as a whole."""
    if isinstance(pattern, (str, bytes)):
        return make("StaticRegexFullMatch", input, pattern=pattern, name=name)
    return make("RegexFullMatch", input, pattern, name=name)


def reduce_join(inputs, axis=None, keep_dims=None, separator="", name=None, reduction_indices=None, keepdims=None):
    """The strings along some axes (default: all, the last one first) joined with `separator` between them."""
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    axis = renamed("axis", axis, "reduction_indices", reduction_indices)
    with name_scope(None, "ReduceJoin", [inputs, axis]):
        inputs = convert_to_tensor(inputs)
        if axis is None:
            count = inputs.shape.ndims
            axis = range_of(rank(inputs) - 1, -1, -1) if count is None else constant(np.arange(count - 1, -1, -1, dtype=np.int32))
        return make("ReduceJoin", inputs, axis, keep_dims=keep, separator=separator, name=name)


def string_to_hash_bucket(string_tensor=None, num_buckets=None, name=None, input=None):
    """A number below num_buckets for each string, the same in every run; string_to_hash_bucket_fast is the better choice."""
    return make("StringToHashBucket", renamed("input", input, "string_tensor", string_tensor), num_buckets=num_buckets, name=name)


def string_to_hash_bucket_fast(input, num_buckets, name=None):
    """A number below num_buckets for each string, always the same for the same string (FarmHash)."""
    return make("StringToHashBucketFast", input, num_buckets=num_buckets, name=name)


def encode_base64(input, pad=False, name=None):
    """The strings in web-safe base64."""
    return make("EncodeBase64", input, pad=pad, name=name)


def decode_base64(input, name=None):
    """The bytes of strings in web-safe base64."""
    return make("DecodeBase64", input, name=name)
