"""`tf.gfile`: the local file system under TensorFlow's names, with TensorFlow's errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphflow import errors
from graphflow.missing import names_of

_ERRORS = (
    (FileNotFoundError, errors.NotFoundError),
    (FileExistsError, errors.AlreadyExistsError),
    (PermissionError, errors.PermissionDeniedError),
    (NotADirectoryError, errors.FailedPreconditionError),
    (IsADirectoryError, errors.FailedPreconditionError),
)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = next((theirs for ours, theirs in _ERRORS if isinstance(error, ours)), errors.UnknownError)
        raise kind(None, None, f"{path}; {error.strerror or error}") from None


class GFile:
    """A file: text under "r", "w", "a"; bytes under "rb", "wb", "ab"; a "+" adds the other direction. Opened at its first use."""

    def __init__(self, name: Any, mode: str = "r") -> None:
        self._name, self._mode = os.fspath(name), mode
        self._file: Any = None

    @property
    def name(self) -> str:
        """The path."""
        return self._name

    @property
    def mode(self) -> str:
        """How it is opened."""
        return self._mode

    def _open(self) -> Any:
        if self._file is None:
            with _translated(self._name):
                text = {} if "b" in self._mode else {"encoding": "utf-8"}
                self._file = open(self._name, self._mode, **text)
        return self._file

    def size(self) -> int:
        """Bytes on disk."""
        return Stat(self._name).length

    def read(self, n: int = -1) -> Any:
        """The next n characters or bytes, or all that is left."""
        return self._open().read(n)

    def readline(self) -> Any:
        """The next line with its end."""
        return self._open().readline()

    def readlines(self) -> list[Any]:
        """All lines that are left."""
        return self._open().readlines()

    def write(self, file_content: Any) -> None:
        """Append to the file; bytes are decoded for a text file."""
        if "b" not in self._mode and isinstance(file_content, bytes):
            file_content = file_content.decode("utf-8")
        self._open().write(file_content)

    def seek(self, offset: int, whence: int = 0) -> None:
        """Go to a position."""
        self._open().seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._open().tell()

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Finish with the file."""
        if self._file is None and "w" in self._mode:
            self._open()  # an empty file is a file too
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._open())


FastGFile = Open = GFile


class FileStatistics:
    """What `Stat` tells: length in bytes, modification time in nanoseconds, whether it is a directory."""

    def __init__(self, length: int, mtime_nsec: int, is_directory: bool) -> None:
        self.length, self.mtime_nsec, self.is_directory = length, mtime_nsec, is_directory


def Exists(filename: Any) -> bool:
    """Whether there is something of that name."""
    return os.path.exists(filename)


def IsDirectory(dirname: Any) -> bool:
    """Whether it is a directory."""
    return os.path.isdir(dirname)


def Stat(filename: Any) -> FileStatistics:
    """Size and age of a file."""
    with _translated(filename):
        found = os.stat(filename)
    return FileStatistics(found.st_size, found.st_mtime_ns, os.path.isdir(filename))


def Glob(filename: Any) -> list[str]:
    """The paths that match a pattern, or any of several."""
    import glob

    patterns = [filename] if isinstance(filename, (str, os.PathLike)) else filename
    return [path for pattern in patterns for path in sorted(glob.glob(os.fspath(pattern)))]


def ListDirectory(dirname: Any) -> list[str]:
    """The names in a directory."""
    with _translated(dirname):
        return sorted(os.listdir(dirname))


def MkDir(dirname: Any) -> None:
    """Make one directory."""
    with _translated(dirname):
        os.mkdir(dirname)


def MakeDirs(dirname: Any) -> None:
    """Make a directory and those above it; it may be there already."""
    with _translated(dirname):
        os.makedirs(dirname, exist_ok=True)


def Remove(filename: Any) -> None:
    """Delete a file."""
    with _translated(filename):
        os.remove(filename)


def DeleteRecursively(dirname: Any) -> None:
    """Delete a directory with all in it."""
    import shutil

    with _translated(dirname):
        shutil.rmtree(dirname)


def _refuse_existing(path: Any, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path):
        raise errors.AlreadyExistsError(None, None, f"file already exists: {path}")


def Copy(oldpath: Any, newpath: Any, overwrite: bool = False) -> None:
    """Copy a file."""
    import shutil

    _refuse_existing(newpath, overwrite)
    with _translated(oldpath):
        shutil.copyfile(oldpath, newpath)


def Rename(oldname: Any, newname: Any, overwrite: bool = False) -> None:
    """Move a file."""
    _refuse_existing(newname, overwrite)
    with _translated(oldname):
        os.replace(oldname, newname)


def Walk(top: Any, in_order: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """(directory, its directories, its files) for `top` and all below, parents first where `in_order`."""
    return os.walk(top, topdown=in_order)

globals()["__getattr__"] = names_of("gfile")
