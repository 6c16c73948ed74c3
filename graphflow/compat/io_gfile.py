"""`tf.io.gfile`: the functions of `tf.gfile` under the names of TensorFlow 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphflow.compat import gfile
from graphflow.compat.gfile import FileStatistics, GFile
from graphflow.missing import names_of

__all__ = [
    "GFile", "copy", "exists", "glob", "isdir", "listdir", "makedirs", "mkdir", "remove", "rename", "rmtree", "stat", "walk",
]  # fmt: skip


def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Copies a file. AlreadyExistsError where there is one and it shall not be overwritten."""
    gfile.Copy(src, dst, overwrite)


def exists(path: Any) -> bool:
    """Whether there is a file or folder."""
    return gfile.Exists(path)


def glob(pattern: Any) -> list[str]:
    """The files that fit a pattern, or several."""
    return gfile.Glob(pattern)


def isdir(path: Any) -> bool:
    """Whether it is a folder."""
    return gfile.IsDirectory(path)


def listdir(path: Any) -> list[str]:
    """The names in a folder."""
    return gfile.ListDirectory(path)


def makedirs(path: Any) -> None:
    """Makes a folder and those above it."""
    gfile.MakeDirs(path)


def mkdir(path: Any) -> None:
    """Makes a folder in one that exists."""
    gfile.MkDir(path)


def remove(path: Any) -> None:
    """Removes a file."""
    gfile.Remove(path)


def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Gives a file another name. AlreadyExistsError where that is taken and shall not be overwritten."""
    gfile.Rename(src, dst, overwrite)


def rmtree(path: Any) -> None:
    """Removes a folder with all that is in it."""
    gfile.DeleteRecursively(path)


def stat(path: Any) -> FileStatistics:
    """Size and time of a file."""
    return gfile.Stat(path)


def walk(top: Any, topdown: bool = True, onerror: Callable[[Any], Any] | None = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, folders in it, files in it) for a folder and all below. onerror: called with the error of a folder that cannot be read."""
    try:
        yield from gfile.Walk(top, topdown)
    except Exception as error:
        if onerror is None:
            raise
        onerror(error)


globals()["__getattr__"] = names_of("io.gfile")
