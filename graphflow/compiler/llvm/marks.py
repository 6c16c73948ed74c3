"""LLVM IR whose lines know which statement of the loop IR they were written for, and assembly whose lines know their line of LLVM IR.

Used where code is shown, never where it is run: the text is the same as `emit_kernel`'s, beside it stands a list with the owner of every
line. Assembly gets its line numbers as a debugger would: `with_locations` gives every instruction a debug location whose line is the
line of the text itself; locations change no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from graphflow.compiler.llvm.builder import FunctionBuilder, Point
from graphflow.compiler.llvm.kernel import emit_phase
from graphflow.compiler.llvm.stmt import Contraction, Emitter
from graphflow.compiler.llvm.target import Target
from graphflow.compiler.program import Node
from graphflow.kernel.expr import Expr
from graphflow.kernel.nodes import Kernel, Stmt

NodeOf = Callable[[Expr], "Node | None"]


class Owner(NamedTuple):
    """What a line of LLVM IR belongs to: a statement, and the node whose expression it computes where that is known."""

    statement: Stmt | None
    node: Node | None


NOBODY = Owner(None, None)


class _Mark(Point):
    """From here on lines belong to `owner`. It holds no lines of its own, so that it leaves no trace in the text."""

    __slots__ = ("owner",)

    def __init__(self, owner: Owner) -> None:
        super().__init__("")
        self.owner = owner


class MarkingBuilder(FunctionBuilder):
    """A FunctionBuilder that remembers the owner of every line."""

    owner = NOBODY

    @contextmanager
    def owned_by(self, owner: Owner) -> Iterator[None]:
        """What is emitted meanwhile belongs to `owner`."""
        before = self.owner
        self._own(owner)
        yield
        self._own(before)

    def _own(self, owner: Owner) -> None:
        self.owner = owner
        self._lines.append(_Mark(owner))

    @contextmanager
    def at(self, point: Point) -> Iterator[None]:
        with super().at(point):
            self._lines.append(_Mark(self.owner))
            yield

    def owners(self) -> list[Owner]:
        """The owners of the lines of `finish()`."""
        body = list(_owners(self._lines, NOBODY))
        return [NOBODY, body[0], *([NOBODY] * len(self._entry_allocas)), *body[1:], NOBODY, NOBODY, NOBODY]


def _owners(lines: Sequence[str | Point], owner: Owner) -> Iterator[Owner]:
    for line in lines:
        if isinstance(line, _Mark):
            owner = line.owner
        elif isinstance(line, Point):
            yield from _owners(line.lines, owner)
        else:
            yield owner


class MarkingEmitter(Emitter):
    """An Emitter that says for which statement and expression it emits."""

    b: MarkingBuilder
    node_of: NodeOf

    def _run(self, statements: Sequence[Stmt]) -> int:
        with self.b.owned_by(Owner(statements[0], None)):
            return super()._run(statements)

    def _emit(self, e: Expr) -> None:
        node = self.node_of(e)
        if node is None:
            super()._emit(e)
            return
        with self.b.owned_by(self.b.owner._replace(node=node)):
            super()._emit(e)


class Marked(NamedTuple):
    """A module's text and the owner of each of its lines."""

    text: str
    owners: tuple[Owner, ...]


def emit_marked(kernel: Kernel, target: Target, node_of: NodeOf) -> Marked:
    """`emit_kernel`, with owners."""

    class Noting(MarkingEmitter):
        def __init__(self, builder: FunctionBuilder, kernel: Kernel, target: Target, contraction: Contraction,
                     writes: frozenset[str] = frozenset()) -> None:  # fmt: skip
            self.node_of = node_of
            super().__init__(builder, kernel, target, contraction, writes)

    phases = [emit_phase(kernel, n, target, MarkingBuilder, Noting) for n in range(len(kernel.phases))]
    lines: list[str] = []
    owners: list[Owner] = []
    for phase in phases:
        assert isinstance(phase, MarkingBuilder)
        lines += [*phase.finish().split("\n")]
        owners += phase.owners()
    declared = sorted(set().union(*(p.declarations for p in phases)))
    lines += declared
    owners += [NOBODY] * len(declared)
    assert len(lines) == len(owners)
    return Marked("\n".join(lines) + "\n", tuple(owners))


def with_locations(text: str) -> str:
    """The module with a debug location at every instruction: its line number in `text`, counted from 1."""
    out: list[str] = []
    numbers: list[tuple[int, int]] = []  # line and function of each location
    functions = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith("define ")]
    base = _FIRST + len(functions)
    function, inside = -1, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("define "):
            function, inside = function + 1, True
            line = f"{line[: line.rindex('{')]}!dbg !{_FIRST + function} {{"
        elif line == "}":
            inside = False
        elif inside and line.startswith("  ") and not line.lstrip().startswith(";"):
            line += f", !dbg !{base + len(numbers)}"
            numbers.append((number, function))
        out.append(line)
    unit, file, version, signature, nothing = (f"!{_FIRST - k}" for k in range(1, 6))
    metadata = [
        f"!llvm.dbg.cu = !{{{unit}}}",
        f"!llvm.module.flags = !{{{version}}}",
        f'{unit} = distinct !DICompileUnit(language: DW_LANG_C99, file: {file}, producer: "graphflow", isOptimized: true, '
        "emissionKind: LineTablesOnly)",
        f'{file} = !DIFile(filename: "kernel.ll", directory: "")',
        f'{version} = !{{i32 2, !"Debug Info Version", i32 3}}',
        f"{signature} = !DISubroutineType(types: {nothing})",
        f"{nothing} = !{{}}",
        *(f'!{_FIRST + n} = distinct !DISubprogram(name: "f{n}", scope: {file}, file: {file}, line: {line}, type: {signature}, '
          f"scopeLine: {line}, spFlags: DISPFlagDefinition, unit: {unit})" for n, line in enumerate(functions)),
        *(f"!{base + n} = !DILocation(line: {line}, column: 1, scope: !{_FIRST + scope})"
          for n, (line, scope) in enumerate(numbers)),
    ]  # fmt: skip
    return "\n".join([*out, *metadata]) + "\n"


_FIRST = 100_000  # number of the first function's metadata: far from those that kernels use themselves


class AssemblyLine(NamedTuple):
    """A line of assembly as it is shown, and its line of LLVM IR (from 1; 0 where there is none)."""

    text: str
    line: int


_DROPPED = re.compile(
    r"\s*\.(loc|file|cfi_\w+|section|type|size|p2align|globl|text|ident|addrsig\w*|note|byte|long|short|quad|ascii|asciz|zero)\b"
)
_LOCATION = re.compile(r"\s*\.loc\s+\d+\s+(\d+)")
_INTERNAL = re.compile(r"\.L(tmp|func_end|func_begin|info|debug|line|pub|cu_|sec_|abbrev|str_)\w*:")


def located_assembly(text: str) -> list[AssemblyLine]:
    """Assembly of a module `with_locations`, without what is for the linker and debuggers; constants in memory stay."""
    found: list[AssemblyLine] = []
    line = 0
    constants = code = False
    for raw in text.split("\n"):
        stripped = raw.split("#", 1)[0].rstrip()
        if re.match(r"\s*\.(section|text)\b", stripped):
            code = stripped.lstrip().startswith(".text")
            constants = ".rodata" in stripped
        location = _LOCATION.match(stripped)
        if location:
            line = int(location[1])
        if not stripped or not (code or constants):
            continue
        if constants:
            if not re.match(r"\s*\.(p2align|section|type|size)\b", stripped):
                found.append(AssemblyLine(stripped, 0))
            continue
        if _DROPPED.match(stripped) or _INTERNAL.match(stripped):
            continue
        label = stripped.endswith(":")
        if label:
            line = 0 if not stripped.startswith(".L") else line
        found.append(AssemblyLine(stripped, 0 if label else line))
    return found
