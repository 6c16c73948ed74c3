"""The disk cache: what it gives back, what it refuses, and that it never fails loudly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graphflow.runtime.cache import PARTS, SUFFIX, DiskCache, StoredObject, digest_of, pack, unpack

STORED = StoredObject(("k.phase0", "k.phase1"), bytes(range(256)) * 5)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_gives_back_what_was_stored(tmp_path):
    cache = DiskCache(str(tmp_path))
    assert cache.load("ab12") is None
    assert cache.store("ab12", STORED)
    assert cache.load("ab12") == STORED
    assert DiskCache(str(tmp_path)).load("ab12") == STORED
    cache.discard("ab12")
    assert cache.load("ab12") is None


def test_any_damage_is_noticed():
    good = pack(STORED)
    assert unpack(good) == STORED
    for place in range(0, len(good), 7):
        assert unpack(good[:place] + bytes([good[place] ^ 0x40]) + good[place + 1 :]) is None, place
        assert unpack(good[:place]) is None, place
    assert unpack(good + b"x") is None


def test_a_damaged_file_is_a_miss_and_is_removed(tmp_path):
    cache = DiskCache(str(tmp_path))
    cache.store("ab12", STORED)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.load("ab12") is None
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_switches_the_cache_off(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = DiskCache(str(tmp_path / "file"))
    assert not cache.store("ab12", STORED)
    assert cache.load("ab12") is None


def test_no_folder_is_no_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = DiskCache("")
    assert not cache.store("ab12", STORED)
    assert cache.load("ab12") is None
    assert files(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_a_folder_that_strangers_may_write_to_is_refused(tmp_path):
    DiskCache(str(tmp_path)).store("ab12", STORED)
    os.chmod(tmp_path / "objects", 0o777)
    cache = DiskCache(str(tmp_path))
    assert cache.load("ab12") is None
    assert not cache.store("cd34", STORED)


def test_the_longest_unused_files_go_first(tmp_path):
    DiskCache(str(tmp_path)).store("0000", STORED)
    (status,) = (path.stat() for path in files(tmp_path))
    size = status.st_blocks * 512 or status.st_size  # that it takes on the disk
    cache = DiskCache(str(tmp_path), limit=8 * size * PARTS)
    cache.store("ab00", STORED)  # in another part, which is not looked at
    for number in range(8):
        cache.store(f"{number:04d}", STORED)
    now = time.time()
    for path in files(tmp_path / "objects" / "00"):
        age = int(path.parent.name + path.name.removesuffix(SUFFIX))
        os.utime(path, (now, now - 10000 * (9 - age)))
    assert cache.load("0000") == STORED  # used now: the oldest is 0001
    assert cache.sweep("0000") == 8 * size
    cache.store("0008", STORED)
    assert cache.sweep("0000") == 7 * size
    assert cache.load("0001") is None and cache.load("0002") is None and cache.load("ab00") == STORED
    assert all(cache.load(f"{number:04d}") == STORED for number in (0, 3, 4, 5, 6, 7, 8))


def test_digest_separates_its_parts():
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"]) != digest_of(["abc"])
    assert digest_of(["ü"]) == digest_of(["ü"])


WRITER = """
import sys
from graphflow.runtime.cache import DiskCache, StoredObject
cache = DiskCache(sys.argv[1], limit=40000 * 256)
for round in range(60):
    for number in range(10):
        wanted = StoredObject(("f",), bytes([number]) * 3000)
        cache.store(f"{number:04d}", wanted)
        found = cache.load(f"{number:04d}")
        assert found is None or found == wanted, number
    cache.sweep("0000")
print("fine")
"""


def test_two_processes_write_and_sweep_at_once(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        out, err = writer.communicate(timeout=60)
        assert out.strip() == "fine", err
    assert not [path for path in files(tmp_path) if path.name.startswith(".new-")]
