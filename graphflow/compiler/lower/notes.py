"""What is noted of a kernel from process to process, so that a program whose kernels are on disk lowers nothing.

A plan needs a kernel's buffers, sizes and checks, and its text to find the machine code by. The statements are wanted only where code must
be generated or somebody looks; they are then written from the group again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from graphflow.graph.op import Op
from graphflow.kernel.nodes import Buffer, Check, Kernel, Stmt

Phases = tuple[tuple[Stmt, ...], ...]


class Notes(Protocol):
    """Bytes by key that outlive the process. `load` gives None for what is not there."""

    def load(self, key: str) -> bytes | None: ...

    def store(self, key: str, data: bytes) -> None: ...


class Recalled(Kernel):
    """A kernel of which everything is known but the statements; `write` lowers it when they are asked for."""

    def __init__(
        self, name: str, buffers: tuple[Buffer, ...], symbols: tuple[str, ...], checks: tuple[Check, ...],
        write: Callable[[], Kernel] | None = None,
    ) -> None:  # fmt: skip
        fields = {"name": name, "buffers": buffers, "symbols": symbols, "checks": checks, "origin": ()}
        for field, value in (*fields.items(), ("_write", write), ("_phases", None)):
            object.__setattr__(self, field, value)

    @property
    def phases(self) -> Phases:
        found: Phases | None = self.__dict__["_phases"]
        if found is None:
            found = self.__dict__["_phases"] = self.__dict__["_write"]().phases
        return found

    def written_by(self, write: Callable[[], Kernel]) -> Recalled:
        """The same for another group that gives this kernel."""
        twin = object.__new__(Recalled)
        twin.__dict__.update(self.__dict__, _write=write, _phases=None)
        return twin


def packed(kernel: Kernel, rest: Sequence[Any]) -> bytes:
    """A note of a kernel, and of what else is to be remembered with it."""
    return pickle.dumps((kernel.name, kernel.buffers, kernel.symbols, kernel.checks, tuple(rest)), protocol=5)


def unpacked(data: bytes) -> tuple[Recalled, tuple[Any, ...]] | None:
    """What `packed` was given; None where the note cannot be read."""
    try:
        name, buffers, symbols, checks, rest = pickle.loads(data)
    except Exception:  # whatever a damaged pickle may raise: it is only a note
        return None
    return Recalled(name, buffers, symbols, checks), rest


def key_text(parts: Sequence[Any], rest: Any) -> str:
    """The signature of a group as a text that means the same in every process; "" where there is none. parts: ops and numbers."""
    shown: list[Any] = []
    for part in parts:
        if isinstance(part, Op):
            if not all(type(op).__module__.startswith("graphflow.") for op in (part, *part.elementary)):
                return ""  # an op of the program's own: nobody notices when its meaning changes
            shown += type(part).__module__, type(part).__qualname__
        shown.append(part)
    text = repr((shown, rest))
    return "" if " at 0x" in text else text
