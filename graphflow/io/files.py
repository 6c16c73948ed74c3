"""Writing files so that neither a crash nor a power cut leaves half of one, and file errors as TensorFlow names them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from typing import Any

from graphflow import errors

_CLASSES = {
    errno.ENOENT: errors.NotFoundError,
    errno.ENOTDIR: errors.FailedPreconditionError,
    errno.EISDIR: errors.FailedPreconditionError,
    errno.EEXIST: errors.AlreadyExistsError,
    errno.EACCES: errors.PermissionDeniedError,
    errno.EPERM: errors.PermissionDeniedError,
    errno.EROFS: errors.PermissionDeniedError,
    errno.ENOSPC: errors.ResourceExhaustedError,
    errno.EDQUOT: errors.ResourceExhaustedError,
    errno.EMFILE: errors.ResourceExhaustedError,
    errno.ENAMETOOLONG: errors.InvalidArgumentError,
    errno.EINVAL: errors.InvalidArgumentError,
}


@contextlib.contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turns an OSError of the block into the error class that TensorFlow has for it."""
    try:
        yield
    except OSError as error:
        kind = _CLASSES.get(error.errno or 0, errors.UnknownError)
        raise kind(None, None, f"{error.filename or path}; {error.strerror or error}") from None
    except ValueError as error:  # a null character in the name
        raise errors.InvalidArgumentError(None, None, f"{path!r}: {error}") from None


def write_new(path: str, parts: Iterable[Any]) -> str:
    """Writes bytes to a new file beside `path`, down to the disk; the result is its name, for `os.replace`."""
    temporary = f"{path}.tempstate{os.getpid():x}{int.from_bytes(os.urandom(6), 'little'):x}"
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def sync_folder(path: str) -> None:
    """Makes the names in the folder of `path` last. Some file systems cannot, and need not."""
    with contextlib.suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: str, data: bytes) -> None:
    """Replaces a file as a whole: after a crash there is the old one or the new one."""
    with named_errors(path):
        os.replace(write_new(path, (data,)), path)
        sync_folder(path)


def make_parents(path: str) -> None:
    """Makes the folder of `path`, and those above it."""
    with named_errors(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
