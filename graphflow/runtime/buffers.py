"""Memory that native code works on: aligned arenas, addresses of arrays, and results that belong to the caller.

`ndarray.ctypes.data` costs a microsecond, more than a small kernel. An address is read from the array object itself instead, either here
(0.1 us) or, cheaper still, by the native code, which is then given `id(array)` (see runtime/layout.py, Plan.HEAD).
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ALIGNMENT = 64  # one cache line, one AVX-512 register
HUGE_PAGE = 2 << 20  # what fills at least half of one is put into huge pages, where the system has them


def _find_head() -> int:
    """How many bytes behind the beginning of an ndarray object its data address lies; -1 where the layout is not the known one.

    It is the first field after the object's header in every numpy since 1.0, and numpy promises it to compiled extensions.
    """
    head = object.__basicsize__
    for array in (np.empty(3, np.float32), np.empty((4, 6), np.int64)[1:, 2:], np.empty((), np.bool_)):
        try:
            found = ctypes.c_void_p.from_address(id(array) + head).value
        except (ValueError, TypeError):
            return -1
        if found != array.__array_interface__["data"][0]:
            return -1
    return head


HEAD = _find_head()
_pointer_at = ctypes.c_void_p.from_address


def address(array: Array) -> int:
    """Where the elements of `array` begin. Valid as long as somebody holds the array."""
    if HEAD < 0:
        return int(array.__array_interface__["data"][0])
    return _pointer_at(id(array) + HEAD).value or 0


def aligned_bytes(size: int) -> Array:
    """`size` bytes at a 64-byte boundary, undefined contents. Large ones begin a huge page: rows of a matrix lie in pages of their own
    otherwise, more of them than a core remembers the places of."""
    huge = size >= HUGE_PAGE // 2 and hasattr(mmap, "MADV_HUGEPAGE")
    alignment = HUGE_PAGE if huge else ALIGNMENT
    block = _huge_pages(size + alignment) if huge else np.empty(size + alignment, np.uint8)
    skip = -address(block) % alignment
    return block[skip : skip + size]


def _huge_pages(size: int) -> Array:
    """Memory that the system is asked to have in huge pages; what is never touched costs nothing."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a system without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)


def aligned(shape: Sequence[int], dtype: np.dtype[Any] | type, fill: float | None = None) -> Array:
    """An array of its own at a 64-byte boundary; every element is `fill` where that is given."""
    element = np.dtype(dtype)
    size = element.itemsize
    for extent in shape:
        size *= extent
    array: Array = np.ndarray(tuple(shape), element, aligned_bytes(max(size, 1)))
    if fill is not None:
        array.fill(fill)
    return array


def aligned_copy(value: Any, dtype: np.dtype[Any] | type | None = None) -> Array:
    """A private, dense, aligned copy: the storage of a variable."""
    source = np.asarray(value, dtype)
    array = aligned(source.shape, source.dtype)
    array[...] = source
    return array


def readable(value: Any, dtype: np.dtype[Any]) -> Array:
    """`value` as a dense array of `dtype` that native code may read: the array itself where it is one already, a copy otherwise."""
    array = np.asarray(value, dtype)
    if not (array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative):
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    return array


class Arena:
    """One block of bytes that the intermediate values of a plan share by offset. Grows, never shrinks; `release` gives it back."""

    def __init__(self, size: int = 0) -> None:
        self.block = aligned_bytes(size)
        self.address = address(self.block)

    @property
    def size(self) -> int:
        return int(self.block.nbytes)

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes. True where the arena moved: addresses into it are stale and its contents are lost."""
        if size <= self.size:
            return False
        self.block = aligned_bytes(size)
        self.address = address(self.block)
        return True

    def release(self) -> None:
        """Give the memory back."""
        self.block = aligned_bytes(0)
        self.address = address(self.block)

    def view(self, offset: int, shape: Sequence[int], dtype: np.dtype[Any] | type) -> Array:
        """The array that lies at byte `offset`. It shares the arena's memory: copy it before it leaves the runtime."""
        array: Array = np.ndarray(tuple(shape), np.dtype(dtype), self.block, offset)
        return array
