"""Whole files as strings: reading, writing, listing."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.graph.build import make
from graphflow.graph.op import Effect, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.io.files import make_parents, named_errors
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank, need_rank_at_most

__all__ = ["matching_files", "read_file", "write_file"]


class ReadFile(HostOp):
    """The contents of a file. NotFoundError where there is none."""

    effect = Effect.HOST
    arguments = ("filename: string",)
    results = ("contents: string",)

    def infer(self, filename: TensorSpec) -> TensorSpec:
        need_rank(filename, 0)
        return TensorSpec(dtypes.string, ())

    def run(self, filename: Any) -> Any:
        name = filename.item().decode()
        with named_errors(name), open(name, "rb") as file:
            return np.array(file.read(), dtype=object)


class WriteFile(HostOp):
    """Writes a file, making its folder if need be."""

    effect = Effect.HOST
    arguments = ("filename: string", "contents: string")
    results = ()

    def infer(self, filename: TensorSpec, contents: TensorSpec) -> tuple[TensorSpec, ...]:
        for spec in (filename, contents):
            need_rank(spec, 0)
        return ()

    def run(self, filename: Any, contents: Any) -> Any:
        name = filename.item().decode()
        make_parents(name)
        with named_errors(name), open(name, "wb") as file:
            file.write(contents.item())
        return ()


class MatchingFiles(HostOp):
    """The files whose names fit any of the patterns, sorted; as the shell matches them."""

    effect = Effect.HOST
    arguments = ("pattern: string",)
    results = ("filenames: string",)

    def infer(self, pattern: TensorSpec) -> TensorSpec:
        need_rank_at_most(pattern, 1)
        return TensorSpec(dtypes.string, (None,))

    def run(self, pattern: Any) -> Any:
        from glob import glob  # only needed where something is listed

        found = {name for text in pattern.ravel() for name in glob(text.decode())}
        result = np.empty(len(found), object)
        result[:] = [name.encode() for name in sorted(found)]
        return result


def read_file(filename: Any, name: str | None = None) -> Tensor:
    """A string tensor with the contents of a file."""
    return make("ReadFile", filename, name=name)  # type: ignore[no-any-return]


def write_file(filename: Any, contents: Any, name: str | None = None) -> Any:
    """An operation that writes a string to a file."""
    return make("WriteFile", filename, contents, name=name)


def matching_files(pattern: Any, name: str | None = None) -> Tensor:
    """The names of the files that fit a glob pattern, or several."""
    return make("MatchingFiles", pattern, name=name)  # type: ignore[no-any-return]
