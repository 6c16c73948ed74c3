"""Where a data file lies: in the folder the program names, below GRAPHFLOW_DATA, or fetched from a public mirror.

    find("MNIST_data/", "train-images-idx3-ubyte.gz", subfolders=("mnist",), urls=(...))  ->  a path
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any

ENVIRONMENT = "GRAPHFLOW_DATA"
TIMEOUT_SECONDS = 15
CHUNK_BYTES = 1 << 16


def folders(named: str, subfolders: Sequence[str] = ()) -> list[str]:
    """The folders to look in, in order; ENVIRONMENT is read at each call so that a notebook may set it late."""
    roots = [named]
    if os.environ.get(ENVIRONMENT):
        roots.append(os.environ[ENVIRONMENT])
    return [os.path.expanduser(os.path.join(root, sub)) for root in roots for sub in ("", *subfolders)]


def existing(named: str, name: str, subfolders: Sequence[str] = ()) -> str | None:
    """The file called `name` (a ".gz" may be missing: unpacked) in the first folder that has it."""
    names = [name, name[: -len(".gz")]] if name.endswith(".gz") else [name]
    for folder in folders(named, subfolders):
        for candidate in names:
            path = os.path.join(folder, candidate)
            if os.path.exists(path):
                return path
    return None


def find(named: str, name: str, subfolders: Sequence[str] = (), urls: Sequence[str] = ()) -> str:
    """The path of a data file: found, or downloaded into the folder `named`; FileNotFoundError says what to put where."""
    path = existing(named, name, subfolders)
    if path is not None:
        return path
    target = os.path.join(os.path.expanduser(named), name)
    reasons = []
    for url in urls:
        try:
            return download(url + name, target)
        except OSError as error:
            reasons.append(f"{url}{name} ({error})")
    looked = ", ".join(folders(named, subfolders))
    tried = f"; could not be downloaded from {'; '.join(reasons)}" if reasons else ""
    raise FileNotFoundError(
        f"The data file {name} is in none of {looked}{tried}. Put it into {named!r} (packed or unpacked), or set "
        f"{ENVIRONMENT} to a folder that has it."
    )


def download(url: str, target: str, opener: Callable[..., Any] | None = None) -> str:
    """Fetch `url` into the file `target`, which appears only when it is complete."""
    if opener is None:
        from urllib.request import urlopen  # 40 ms that a program with its data at hand need not pay

        opener = urlopen
    partial = f"{target}.{os.getpid()}.part"
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    try:
        with opener(url, timeout=TIMEOUT_SECONDS) as response:
            total = int(response.headers.get("Content-Length") or 0)
            with open(partial, "wb") as out:
                done = _copy(response, out, os.path.basename(target), total)
        if total and done != total:
            raise OSError(f"the connection ended after {done} of {total} bytes")
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return target


def _copy(source: Any, out: IO[bytes], name: str, total: int) -> int:
    done = 0
    while chunk := source.read(CHUNK_BYTES):
        out.write(chunk)
        done += len(chunk)
        _show(name, done, total)
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return done


def _show(name: str, done: int, total: int) -> None:
    """One redrawn line: a bar where the size is known, else the bytes so far. Silent where nobody watches."""
    if not sys.stderr.isatty():
        return
    if total:
        filled = 30 * done // total
        sys.stderr.write(f"\r{name} [{'#' * filled}{'.' * (30 - filled)}] {100 * done // total:3d} %")
    else:
        sys.stderr.write(f"\r{name} {done / 1e6:.1f} MB")
    sys.stderr.flush()
