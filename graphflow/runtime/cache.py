"""Compiled objects kept on disk between processes.

One file per kernel, named by the digest of everything its machine code depends on. A file is written under a temporary name and renamed,
so that a reader sees all of it or nothing, whatever other processes do; it begins with a digest of its contents, so that a torn or
damaged file is a miss and never a crash. A folder that cannot be used (read-only disk, another user's folder) switches the cache off
without a word: the program only compiles again. The files hold native code and pickled notes of kernels, therefore a folder that strangers
may write to is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from typing import NamedTuple

MAGIC = b"graphflow object 1\n"
DIGEST = 32
LIMIT = 512 << 20  # bytes
SUFFIX = ".gfo"
PARTS = 256  # folders, by the first two digits: each has its share of the limit and is swept alone, for a step waits for that
WRITES_PER_SWEEP = 16  # on the average
TOUCH_AFTER = 3600.0  # seconds: a file that is used is marked at most this often


class StoredObject(NamedTuple):
    """An object file and the names of its functions, in the order of the kernel's phases."""

    functions: tuple[str, ...]
    image: bytes


def pack(stored: StoredObject) -> bytes:
    """The contents of a cache file."""
    names = "\n".join(stored.functions).encode()
    body = len(names).to_bytes(4, "little") + names + stored.image
    return MAGIC + hashlib.sha256(body).digest() + len(body).to_bytes(8, "little") + body


def unpack(data: bytes) -> StoredObject | None:
    """What `pack` packed, or None where that cannot be true."""
    start = len(MAGIC) + DIGEST + 8
    if len(data) < start + 4 or not data.startswith(MAGIC):
        return None
    digest, length, body = data[len(MAGIC) : start - 8], int.from_bytes(data[start - 8 : start], "little"), data[start:]
    if length != len(body) or hashlib.sha256(body).digest() != digest:
        return None
    end = 4 + int.from_bytes(body[:4], "little")
    return StoredObject(tuple(body[4:end].decode().split("\n")), body[end:])


class DiskCache:
    """Objects by digest below one folder; "" is a cache that holds nothing."""

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        self.folder = os.path.join(folder, "objects") if folder else ""
        self.limit = limit
        self._usable: bool | None = None if folder else False

    def load(self, digest: str) -> StoredObject | None:
        """The object stored under `digest`, None where there is none that can be trusted."""
        if not self._ready():
            return None
        path = self._path(digest)
        try:
            with open(path, "rb") as file:
                data = file.read()
                status = os.fstat(file.fileno())
        except OSError:
            return None
        stored = unpack(data)
        if stored is None:
            self._remove(path)
        else:
            self._mark_used(path, status)
        return stored

    def holds(self, digest: str) -> bool:
        """Whether something is stored under `digest`, trusted or not."""
        return self._ready() and os.path.exists(self._path(digest))

    def store(self, digest: str, stored: StoredObject) -> bool:
        """Keep `stored`; False where the folder does not allow it."""
        if not self._ready():
            return False
        path = self._path(digest)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        except OSError:
            return False
        temporary = os.path.join(os.path.dirname(path), f".new-{os.urandom(8).hex()}")
        try:
            with open(temporary, "xb") as file:
                file.write(pack(stored))
            os.replace(temporary, path)
        except OSError:
            self._remove(temporary)
            return False
        if int.from_bytes(os.urandom(2), "little") % WRITES_PER_SWEEP == 0:
            self.sweep(digest)
        return True

    def discard(self, digest: str) -> None:
        """Forget an object that turned out to be unusable."""
        if self._ready():
            self._remove(self._path(digest))

    def sweep(self, digest: str) -> int:
        """Of the part in which `digest` is kept remove the files longest unused until at most 7/8 of its share of the limit is taken, where
        that was exceeded. Returns the bytes that the part takes on the disk."""
        files, share = sorted(self._files(os.path.dirname(self._path(digest)))), self.limit // PARTS
        total = sum(size for _, size, _ in files)
        if total <= share:
            return total
        for _, size, path in files:
            if total <= share * 7 // 8:
                break
            self._remove(path)
            total -= size
        return total

    def files(self) -> list[tuple[float, int, str]]:
        """(last use, bytes on the disk, path) of every file, unfinished ones of crashed processes included."""
        return [file for part in _paths(self.folder) for file in self._files(part)]

    @staticmethod
    def _files(folder: str) -> list[tuple[float, int, str]]:
        """The same of one part."""
        found = []
        for path in _paths(folder):
            try:
                status = os.stat(path)
            except OSError:  # another process removed it
                continue
            found.append((status.st_mtime, getattr(status, "st_blocks", 0) * 512 or status.st_size, path))
        return found

    def _ready(self) -> bool:
        """Whether the folder exists, is ours and cannot be written by others; made on first use."""
        if self._usable is None:
            try:
                os.makedirs(self.folder, mode=0o700, exist_ok=True)
                self._usable = _trusted(os.stat(self.folder)) and os.access(self.folder, os.R_OK | os.X_OK)
            except OSError:
                self._usable = False
        return self._usable

    def _path(self, digest: str) -> str:
        return os.path.join(self.folder, digest[:2], digest[2:] + SUFFIX)

    @staticmethod
    def _remove(path: str) -> None:
        try:
            os.unlink(path)
        except OSError:
            pass  # somebody else did, or the folder is read-only: both are harmless

    @staticmethod
    def _mark_used(path: str, status: os.stat_result) -> None:
        """Note the use for `sweep`; access times are switched off on many systems."""
        if time.time() - status.st_mtime > TOUCH_AFTER:
            try:
                os.utime(path)
            except OSError:
                pass


def _paths(folder: str) -> list[str]:
    """What lies in a folder, if there is one."""
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries]
    except OSError:
        return []


def _trusted(status: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True  # folders of a Windows user are private by default
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & stat.S_IWOTH


def digest_of(parts: Sequence[str]) -> str:
    """One name for a sequence of texts, whatever characters they hold."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()
