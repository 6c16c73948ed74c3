"""CRC-32C, the checksum of TensorFlow's files, over arrays of any size by numpy alone (1.6 GB/s).

A CRC is the remainder of a polynomial, so the contributions of parts add up: a block of words is *folded* by moving its first half on by
half a block (multiplying with a fixed 32x32 bit matrix, kept as two tables of 65,536 entries) and adding it to the second half. Large
data are first added up row by row into one block.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli, reflected
_ROW = 14  # a row has 2 ** 14 words: it and the tables stay in the cache
_SMALL = 64  # bytes below which a loop in Python is faster
_MASK = 0xA282EAD8

Matrix = tuple[int, ...]
Array = np.ndarray[Any, Any]


def _apply(matrix: Matrix, state: int) -> int:
    result = 0
    for column in matrix:
        if state & 1:
            result ^= column
        state >>= 1
    return result


@functools.lru_cache(None)
def _advance(power: int) -> Matrix:
    """The matrix that moves a state on by 2 ** power bytes of zeros."""
    if power:
        half = _advance(power - 1)
        return tuple(_apply(half, column) for column in half)
    columns = []
    for bit in range(32):
        state = 1 << bit
        for _ in range(8):
            state = state >> 1 ^ (_POLYNOMIAL if state & 1 else 0)
        columns.append(state)
    return tuple(columns)


@functools.lru_cache(None)
def _tables(power: int) -> Array:
    """`_advance(power)` as two tables: by the lower and by the upper half of the state."""
    tables = np.zeros((2, 1 << 16), np.uint32)
    for number, column in enumerate(_advance(power)):
        size = 1 << number % 16
        half = tables[number // 16]
        half[size : 2 * size] = half[:size] ^ np.uint32(column)
    return tables


@functools.lru_cache(None)
def _bytewise() -> tuple[int, ...]:
    return tuple(_apply(_advance(0), byte) for byte in range(256))


def _moved(words: Array, power: int) -> Array:
    low, high = _tables(power)
    halves = words.view(np.uint16).reshape(-1, 2)
    if sys.byteorder == "big":
        halves = halves[:, ::-1]
    moved = np.take(low, halves[:, 0])
    moved ^= np.take(high, halves[:, 1])
    return moved


def crc32c(data: Any, crc: int = 0) -> int:
    """The CRC-32C of bytes or of an array's memory; `crc` is that of what stands before."""
    array = np.frombuffer(data, np.uint8)
    state = crc ^ 0xFFFFFFFF
    size = len(array)
    if size < _SMALL:
        table = _bytewise()
        for byte in array.tolist():
            state = state >> 8 ^ table[(state ^ byte) & 255]
        return state ^ 0xFFFFFFFF
    power = min(_ROW, ((size + 3) // 4 - 1).bit_length())
    row = 4 << power
    rest = (size - 1) % row + 1  # zeros before the data change nothing: the first row is filled up with them
    if rest < 4:  # the state would reach into the second row
        return crc32c(array[4:], crc32c(array[:4], crc))
    first = np.zeros(row, np.uint8)
    first[row - rest :] = array[:rest]
    first[row - rest : row - rest + 4] ^= np.array([state], "<u4").view(np.uint8)
    words = first.view("<u4").astype(np.uint32, copy=False)
    for begin in range(rest, size, row):
        words = _moved(words, power + 2)
        words ^= array[begin : begin + row].view("<u4")
    while power:
        power -= 1
        half = 1 << power
        words = _moved(words[:half], power + 2) ^ words[half:]
    return _apply(_advance(2), int(words[0])) ^ 0xFFFFFFFF


def mask(crc: int) -> int:
    """A CRC as files store it, so that the CRC of data with CRCs in them is still good."""
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + _MASK) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The CRC that `mask` has hidden."""
    rotated = (masked - _MASK) & 0xFFFFFFFF
    return rotated >> 17 | rotated << 15 & 0xFFFFFFFF


def masked_crc32c(data: Any, crc: int = 0) -> int:
    """The CRC of `data` as files store it."""
    return mask(crc32c(data, crc))
