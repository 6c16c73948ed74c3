"""Where the user made an operation, and shape rules whose refusals say so."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from graphflow.errors import describe
from graphflow.graph.dims import shown
from graphflow.graph.op import Op, TensorSpec
from graphflow.graph.operation import Frame, Operation
from graphflow.graph.tensor import Tensor

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_ours: set[str] = set()  # files of the package that have been met


def user_frames(limit: int | None = 1) -> tuple[Frame, ...]:
    """The user's code on the stack (outside this package), innermost last; only the innermost unless `limit` is None."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file not in _ours:
            if not file.startswith(_PACKAGE):
                break
            _ours.add(file)
        frame = frame.f_back
    if frame is None:
        return ()
    if limit == 1:
        return ((frame.f_code, frame.f_lineno),)
    found = []
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            found.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(reversed(found))


class Place:
    """Stands for an operation that could not be made, in a message."""

    created_at = Operation.created_at

    def __init__(self, type_: str, name: str, frames: tuple[Frame, ...]) -> None:
        self.type = type_
        self.name = name
        self._frames = frames


def infer(definition: Op, inputs: Sequence[Tensor], name: str, frames: tuple[Frame, ...]) -> Sequence[TensorSpec]:
    """The results' specs; what the shape rule refuses is worded with the node, the shapes and the user's line."""
    try:
        specs = definition.infer(*[t.spec for t in inputs])
    except ValueError as error:
        shapes = ", ".join(shown(t._dims) for t in inputs)
        wrong = f"{error} for '{name}' (op: '{definition.type}') with input shapes: {shapes}"
        hint = error.args[1] if len(error.args) > 1 else "Check the shapes of its inputs."
        raise ValueError(describe(Place(definition.type, name, frames), wrong, hint)) from None
    return (specs,) if isinstance(specs, TensorSpec) else specs
