"""Where values live while a phase is emitted: frames, levels, the cache of what is computed already, and the phase's
arguments.

Frame 0 is the function's entry (arguments, sizes), 1 the body of the phase, and every loop, conditional or `bind`
opens another. Each value has a *level*, the number of the frame whose facts it needs; it is emitted just before the
next inner frame begins, so that what does not change in a loop is not computed there. Values that read something that
changes are forgotten when it is written; values that are right only where a certain loop runs, when that loop ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from graphflow.compiler.llvm.builder import FunctionBuilder, Point, Reg
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.expr import Expr, Load, Local
from graphflow.kernel.index import Atom, Index, substitute
from graphflow.kernel.nodes import Kernel, Role
from graphflow.kernel.ranges import Range, limits

Placed = tuple[Reg, int]


class Turn:
    """Where the first of some lanes is: `number` whole periods of all quotients and remainders of the symbol, and `start` steps."""

    def __init__(self, name: str, start: int, number: Index, period: int, lanes: int) -> None:
        self.name = name
        self.start = start
        self.number = number
        self.period = period
        self.lanes = lanes
        self._distances: dict[Atom, tuple[int, ...]] = {}

    def at(self, atom: Atom, step: int) -> int:
        """The value of a factor `step` steps into the first period."""
        return atom.evaluate({self.name: step})

    def first(self, atom: Atom) -> Index:
        """The value of a factor in lane 0."""
        value = self.at(atom, self.start)
        return value if self.number == 0 else value + (self.at(atom, self.start + self.period) - value) * self.number

    def distances(self, atom: Atom) -> tuple[int, ...]:
        """By how much a factor differs from lane 0's, lane after lane."""
        found = self._distances.get(atom)
        if found is None:
            values = [self.at(atom, self.start + n) for n in range(self.lanes)]
            found = self._distances[atom] = tuple(n - values[0] for n in values)
        return found


class Frame:
    """One open scope. `occupied` is the condition (and its level) under which its body runs at all, None where it
    surely does.
    """

    __slots__ = ("point", "keys", "symbols", "locals", "writes", "occupied", "branch", "saved")
    saved: tuple[int, str | None, int, Reg | None, int, Mapping[str, Index]]

    def __init__(self, point: Point | None, writes: frozenset[str], branch: bool, occupied: Placed | None) -> None:
        self.point = point
        self.writes = writes
        self.branch = branch
        self.occupied = occupied
        self.keys: list[object] = []
        self.symbols: list[tuple[str, Placed | None]] = []
        self.locals: list[tuple[str, Placed | None]] = []


class Scopes:
    """The state of one phase that is being emitted into a FunctionBuilder with parameters (args, thread, threads)."""

    def __init__(
        self, builder: FunctionBuilder, kernel: Kernel, target: Target, writes: frozenset[str] = frozenset()
    ) -> None:
        self.b = builder
        self.kernel = kernel
        self.target = target
        self.args, self.thread, self.threads = builder.params[:3]
        self.buffers = {buffer.name: buffer for buffer in kernel.buffers}
        self.changing = writes | {buffer.name for buffer in kernel.buffers if buffer.role is not Role.IN}
        self.slots = {name: n for n, name in enumerate([*(b.name for b in kernel.buffers), *kernel.symbols, "status"])}
        self.symbols: dict[str, Placed] = {}
        self.ranges: dict[str, Range] = {}
        self.locals: dict[str, Placed] = {}
        self.types: dict[str, str] = {}
        self.cache: dict[object, Placed] = {}
        self.volatile: dict[str, list[object]] = {}
        self.presumed: dict[Expr, int] = {}
        self.lanes = 1
        self.vector: str | None = None
        self.vector_level = 0
        self.mask: Reg | None = None
        self.mask_level = 0
        self.renaming: Mapping[str, Index] = {}
        self._reads: dict[Expr, frozenset[str]] = {}
        self.turns: dict[str, Turn] = {}  # of vector symbols
        self.frames: list[Frame] = [Frame(None, frozenset(), False, None), Frame(builder.point(), writes, False, None)]
        self._restart()

    # -- frames ------------------------------------------------------------------------------------------------------

    @property
    def top(self) -> int:
        return len(self.frames) - 1

    def _restart(self) -> None:
        """A new block after a point in the middle of one, so that later phi instructions name the right predecessor."""
        label = self.b.label("go")
        self.b.branch(label)
        self.b.start(label)

    def push(
        self, point: Point, writes: Iterable[str] = (), branch: bool = False, occupied: Placed | None = None
    ) -> Frame:
        """Open a frame whose body begins after `point`."""
        frame = Frame(point, frozenset(writes), branch, occupied)
        frame.saved = (self.lanes, self.vector, self.vector_level, self.mask, self.mask_level, self.renaming)
        self.frames.append(frame)
        return frame

    def pop(self) -> None:
        """Close the innermost frame: what was computed in it is forgotten."""
        frame = self.frames.pop()
        for key in frame.keys:
            self.cache.pop(key, None)
        for table, saved in ((self.symbols, frame.symbols), (self.locals, frame.locals)):
            for name, before in reversed(saved):
                if before is None:
                    del table[name]
                else:
                    table[name] = before
        for name, _ in frame.locals:
            self.written(name)
        self.lanes, self.vector, self.vector_level, self.mask, self.mask_level, self.renaming = frame.saved

    def set_symbol(self, name: str, value: Reg, level: int | None = None) -> None:
        """Bind an index symbol to an i64 register within the innermost frame. It may be bound further out to the same register only:
        values that were computed from it are kept by its name."""
        assert self.symbols.get(name, (value,))[0] == value, f"symbol {name} has a value already"
        self.frames[-1].symbols.append((name, self.symbols.get(name)))
        self.symbols[name] = (value, self.top if level is None else level)

    def set_range(self, name: str, extent: Index) -> None:
        """A loop variable lies in [0, extent)."""
        _, most = self.limits(extent)
        self.ranges[name] = (0, None if most is None else max(most - 1, 0))

    def limits(self, index: Index) -> Range:
        """What is known of an index value."""
        return limits(index, self.ranges)

    def set_local(self, name: str, value: Placed) -> None:
        """Bind or rebind a local within the innermost frame."""
        self.frames[-1].locals.append((name, self.locals.get(name)))
        self.locals[name] = value
        self.written(name)

    def set_vector(self, name: str, lanes: int) -> None:
        """From here on in this frame, symbol `name` counts along the lanes. What differs between lanes stays in the frame, even where
        the symbol's register is known further out: the next frame may have another number of lanes."""
        self.vector, self.lanes, self.vector_level = name, lanes, self.top

    def set_mask(self, mask: Reg) -> None:
        """From here on in this frame only these lanes are active."""
        self.mask, self.mask_level = mask, self.top

    @contextmanager
    def bind(
        self, symbols: Mapping[str, Reg | Index] | None = None, vector: str | None = None, lanes: int = 1,
        mask: Reg | None = None, locals: Mapping[str, tuple[Reg, str]] | None = None, writes: Iterable[str] = (),
    ) -> Iterator[None]:  # fmt: skip
        """A frame in straight-line code in which symbols and locals have the given registers (see expr.py)."""
        assert vector is None or isinstance((symbols or {}).get(vector), Reg), (
            "bind the vector symbol's register with it"
        )
        point = self.b.point()
        self._restart()
        self.push(point, writes)
        renaming = {}
        for name, value in (symbols or {}).items():
            if isinstance(value, Reg):
                self.set_symbol(name, value)
            else:
                renaming[name] = value
        if renaming:
            self.renaming = {**{n: substitute(i, renaming) for n, i in self.renaming.items()}, **renaming}
        for name, (register, _) in (locals or {}).items():
            self.set_local(name, (register, self.top))
        if vector is not None:
            self.set_vector(vector, lanes)
        if mask is not None:
            self.set_mask(mask)
        yield
        self.pop()

    @contextmanager
    def place(self, level: int) -> Iterator[None]:
        """Emit where values of `level` belong: here, or before the frame that follows that level."""
        if level >= self.top:
            yield
            return
        point = self.frames[level + 1].point
        assert point is not None
        with self.b.at(point):
            yield

    def _keep(self, key: object, value: Reg, level: int, of: Iterable[Expr] = (), presumes: int = 0) -> Placed:
        """Remember a value of `level` that was computed from `of` (for an Expr: from its children). It is right only while the frame
        `presumes` is open, and those that its sources presume: a load that left a loop which may run zero times is not the element that
        another loop would read."""
        placed = (value, level)
        self.cache[key] = placed
        if isinstance(key, Expr):
            reads, of = self.reads(key), key.children()
        else:
            of = tuple(of)
            reads = frozenset().union(*map(self.reads, of))
        presumes = max([presumes, *(self.presumed[x] for x in of)])
        if isinstance(key, Expr):
            self.presumed[key] = presumes
        self.frames[max(level, presumes)].keys.append(key)
        for name in reads:
            self.volatile.setdefault(name, []).append(key)
        return placed

    def written(self, name: str) -> None:
        """A buffer or local has changed: values that were computed from it are no longer known."""
        for key in self.volatile.pop(name, ()):
            self.cache.pop(key, None)

    def reads(self, e: Expr) -> frozenset[str]:
        """The changing buffers and locals that a value depends on."""
        found = self._reads.get(e)
        if found is None:
            found = frozenset().union(*(self.reads(c) for c in e.children()))
            name = e.buffer if isinstance(e, Load) else e.name if isinstance(e, Local) else None
            if name is not None and (name in self.changing or isinstance(e, Local)):
                found |= {name}
            self._reads[e] = found
        return found

    def _pinned(self, names: Iterable[str]) -> int:
        """The innermost frame in which one of `names` is written: a value that reads it must not leave that frame."""
        for level in range(self.top, 0, -1):
            if not self.frames[level].writes.isdisjoint(names):
                return level
        return 0

    def _anchor(self, level: int) -> int:
        """The level at which something with effects, or a load, may stand: inside every open conditional."""
        for n in range(self.top, level, -1):
            if self.frames[n].branch:
                return n
        return level

    # -- arguments ---------------------------------------------------------------------------------------------------

    def _argument(self, name: str, type_: str) -> Placed:
        key = ("argument", name)
        found = self.cache.get(key)
        if found is None:
            with self.place(0):
                address = self.b.element(self.args, self.b.i64(self.slots[name]), "i64")
                found = self._keep(key, self.b.load(type_, address, tail=", !invariant.load !0"), 0)
                self.b.declarations.add("!0 = !{}")
        return found

    def pointer(self, buffer: str) -> Reg:
        """The address of a buffer's first element."""
        return self._argument(buffer, "ptr")[0]

    def status(self) -> Reg:
        """The address of the status block."""
        return self._argument("status", "ptr")[0]

    def symbol(self, name: str) -> Reg:
        """An index symbol's value (in lane 0)."""
        return self._symbol(name)[0]

    def _symbol(self, name: str) -> Placed:
        found = self.symbols.get(name)
        return self._argument(name, "i64") if found is None else found
