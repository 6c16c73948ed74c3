"""Aligned memory, addresses, and what counts as readable in place."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from graphflow.runtime import buffers


def test_addresses_are_numpy_s():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    readonly = base.copy()
    readonly.flags.writeable = False
    for array in (base, base[1:, 2:], base.T, np.empty(0), np.array(3), readonly, np.frombuffer(b"12345678")):
        assert buffers.address(array) == array.__array_interface__["data"][0]


def test_addresses_where_the_layout_is_unknown(monkeypatch):
    monkeypatch.setattr(buffers, "HEAD", -1)
    array = np.arange(5)[2:]
    assert buffers.address(array) == array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 3), (1000,)])
def test_aligned_arrays(shape):
    for dtype in (np.float32, np.int64, np.bool_):
        array = buffers.aligned(shape, dtype, 1)
        assert buffers.address(array) % 64 == 0
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous and (array == 1).all()


def test_a_variable_s_storage_is_private():
    source = np.arange(6.0).reshape(2, 3).T
    storage = buffers.aligned_copy(source, np.float32)
    assert storage.dtype == np.float32 and storage.flags.c_contiguous and storage.shape == (3, 2)
    source[0, 0] = 99
    assert storage.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_feeds_are_read_in_place_where_possible():
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert buffers.readable(array, np.dtype(np.float32)) is array
    assert buffers.address(buffers.readable(array[1:], np.dtype(np.float32))) == buffers.address(array) + 16
    swapped = array.astype(">f4")
    unaligned = np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(np.float32)
    for awkward in (array.T, array[:, ::2], swapped, array.astype(np.float64), [[1, 2], [3, 4]], unaligned, 3):
        read = buffers.readable(awkward, np.dtype(np.float32))
        assert read.flags.c_contiguous and read.flags.aligned and read.dtype == np.dtype("=f4") and read.dtype.isnative
        assert (read == np.asarray(awkward)).all() and not np.shares_memory(read, array)


def test_an_arena_grows_and_shows_views():
    arena = buffers.Arena(100)
    assert arena.address % 64 == 0 and arena.size == 100
    assert not arena.reserve(100)
    view = arena.view(64, (3, 3), np.float32)
    view[...] = 2
    assert buffers.address(view) == arena.address + 64
    assert arena.view(64, (9,), np.float32).tolist() == [2] * 9
    with pytest.raises((TypeError, ValueError)):
        arena.view(96, (3, 3), np.float32)
    assert arena.reserve(101) and arena.size == 101 and arena.address % 64 == 0
    arena.release()
    assert arena.size == 0


@pytest.mark.parametrize("there", [True, False])
def test_large_arrays_begin_a_huge_page_where_the_system_has_them(there, monkeypatch):
    if not there:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    small, large = (buffers.aligned((n,), np.float32, 1) for n in (1 << 10, 1 << 19))
    boundary = buffers.HUGE_PAGE if hasattr(mmap, "MADV_HUGEPAGE") else buffers.ALIGNMENT
    assert buffers.address(small) % buffers.ALIGNMENT == buffers.address(large) % boundary == 0
    assert large.flags.writeable and large.sum() == 1 << 19


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no huge pages")
def test_a_system_that_refuses_huge_pages_gives_small_ones(monkeypatch):
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 12345)  # EINVAL, as from a kernel that is built without them
    assert buffers.aligned((1 << 19,), np.float32, 2).sum() == 1 << 20
