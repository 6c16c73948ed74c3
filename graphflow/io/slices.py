"""Parts of tensors: how checkpoints name them, and their order-preserving key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphflow.errors import InvalidArgumentError
from graphflow.io.schema import Extent, TensorSliceProto

Bounds = tuple[tuple[int, int | None], ...]  # per axis: begin and length; None: the whole axis


class Part(NamedTuple):
    """What a saved variable is of the tensor in the checkpoint."""

    full_shape: tuple[int, ...]
    bounds: Bounds

    @property
    def shape(self) -> tuple[int, ...]:
        """The part's own shape."""
        return tuple(full if size is None else size for full, (_, size) in zip(self.full_shape, self.bounds, strict=True))

    @property
    def index(self) -> tuple[slice, ...]:
        """The part as an index of the whole."""
        return tuple(slice(begin, begin + size) for (begin, _), size in zip(self.bounds, self.shape, strict=True))


def parse_part(spec: str) -> Part | None:
    """The part that a text like "4 3 0,2:0,3" or "4 3 0,2:-" means; None for "", the whole."""
    if not spec:
        return None
    *sizes, parts = spec.split(" ")
    try:
        shape = tuple(int(s) for s in sizes if s)
        bounds: list[tuple[int, int | None]] = []
        for part in parts.split(":") if parts else ():
            if part == "-":
                bounds.append((0, None))
            else:
                begin, size = part.split(",")
                bounds.append((int(begin), int(size)))
        for full, (begin, size) in zip(shape, bounds, strict=True):
            if begin < 0 or size is not None and (size < 1 or begin + size > full):
                raise ValueError
    except ValueError:
        raise InvalidArgumentError(None, None, f"Invalid shape and slice specification: {spec!r}") from None
    return Part(shape, tuple(bounds))


def bounds_of(proto: TensorSliceProto) -> Bounds:
    """The bounds that a message says."""
    return tuple((extent.start, extent.length if "length" in extent.__dict__ else None) for extent in proto.extent)


def proto_of(bounds: Bounds) -> TensorSliceProto:
    """The message for these bounds."""
    return TensorSliceProto(extent=[Extent() if size is None else Extent(start=begin, length=size) for begin, size in bounds])


def _unsigned(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def _signed(value: int) -> bytes:
    """As many leading ones as bytes (zeros for negative numbers), then the number: sorts like the number."""
    size = 1
    while not -(1 << 7 * size - 1) <= value < 1 << 7 * size - 1:
        size += 1
    bits = 8 * size
    data = (value & (1 << bits) - 1) if size < 10 else value & (1 << 80) - 1
    header = ((1 << size) - 1) << (bits - size)
    return (data ^ header).to_bytes(size, "big")


def slice_key(name: bytes, bounds: Sequence[tuple[int, int | None]]) -> bytes:
    """The key under which a part of a tensor stands in the table."""
    escapes = {0: b"\0\xff", 255: b"\xff\0"}
    out = _unsigned(0) + b"".join(escapes.get(byte) or bytes([byte]) for byte in name) + b"\0\x01" + _unsigned(len(bounds))
    for begin, size in bounds:
        out += _signed(begin) + _signed(-1 if size is None else size)
    return out
