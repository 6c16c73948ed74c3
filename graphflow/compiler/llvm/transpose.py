"""Copies that turn rows into columns, through registers.

A parallel loop nest whose only statement stores one loaded element, where the loads lie side by side along one loop and the stores along
another, would gather every element alone. Blocks of it are read as whole vectors, transposed by shuffles and stored as whole vectors; what
is left at the edges goes as parts of vectors where the machine has masks for them, else element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphflow.compiler.llvm.builder import LLVM_TYPES, SIZES, FunctionBuilder, Reg, split_vector, vector
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import TYPES, Load
from graphflow.kernel.index import Index, product, symbols_of
from graphflow.kernel.nodes import Loop, Mode, Store

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter


FEWEST = 4  # elements of a block under a mask, along either side, for which its shuffles pay


@dataclass(frozen=True)
class Copy:
    """The loops of a copy, outermost first, with the one along which it reads, the one along which it writes, and the two strides."""

    loops: tuple[Loop, ...]
    store: Store
    load: Load
    read: Loop
    write: Loop
    far_read: Index
    far_write: Index


def transpose(em: Emitter, loop: Loop) -> bool:
    """Emit `loop` as a transposition if it is one."""
    copy = recognise(loop)
    if copy is None:
        return False
    lanes = min(16, em.target.vector_bytes // TYPES[copy.load.type].itemsize)
    least = FEWEST if _masked(em, copy) else lanes
    if lanes < 4 or any(isinstance(x.extent, int) and x.extent < least for x in (copy.read, copy.write)):
        return False
    _emit(em, copy, lanes)
    return True


def _masked(em: Emitter, copy: Copy) -> bool:
    """Whether parts of blocks are read and stored under masks."""
    return em.target.masks and TYPES[copy.load.type].itemsize >= 4


def recognise(loop: Loop) -> Copy | None:
    """The copy that a parallel loop nest makes; None where it does something else, or nothing that blocks would help."""
    loops = [loop]
    while len(loops[-1].body) == 1 and isinstance(loops[-1].body[0], Loop):
        loops.append(loops[-1].body[0])
    body = loops[-1].body
    if loop.mode is not Mode.PARALLEL or len(body) != 1 or not isinstance(body[0], Store):
        return None
    store = body[0]
    load = store.value
    if not isinstance(load, Load) or load.guard is not None or store.guard is not None or load.type == "bool":
        return None
    names = {x.var for x in loops}
    if any(symbols_of(x.extent) & names for x in loops):
        return None
    reads = {x.var: coefficient(load.offset, x.var) for x in loops}
    writes = {x.var: coefficient(store.offset, x.var) for x in loops}
    if any(c is None for c in (*reads.values(), *writes.values())):
        return None
    along = [x for x in loops if reads[x.var] == 1]
    across = [x for x in loops if writes[x.var] == 1]
    if len(along) != 1 or len(across) != 1 or along == across:
        return None
    read, write = along[0], across[0]
    far_read, far_write = reads[write.var], writes[read.var]
    if far_read in (0, 1) or far_write in (0, 1):
        return None
    assert far_read is not None and far_write is not None
    return Copy(tuple(loops), store, load, read, write, far_read, far_write)


def _emit(em: Emitter, copy: Copy, lanes: int) -> None:
    """Threads share the blocks of the outer loops and of the loop that is read along."""
    b = em.b
    outer = [x for x in copy.loops if x is not copy.read and x is not copy.write]
    blocks = (copy.read.extent + (lanes - 1)) // lanes
    total = em.index(product(x.extent for x in outer) * blocks)
    thread, threads = em.thread, em.threads
    first, last = (b.binary("sdiv", b.binary("mul", total, t), threads) for t in (thread, b.binary("add", thread, b.i64(1))))
    writes = frozenset((copy.store.buffer,))
    with b.loop("block", first, last, b.i64(1)) as unit:
        em.push(unit.point, writes, branch=True)
        rest = unit.index
        many = em.index(blocks)
        start = b.binary("mul", b.binary("urem", rest, many), b.i64(lanes))
        rest = b.binary("udiv", rest, many)
        for n, loop in enumerate(reversed(outer)):
            if n == len(outer) - 1:
                em.set_symbol(loop.var, rest)
            else:
                size = em.index(loop.extent)
                em.set_symbol(loop.var, b.binary("urem", rest, size))
                rest = b.binary("udiv", rest, size)
        _row_of_blocks(em, copy, lanes, start, writes)
        em.pop()
    em.written(copy.store.buffer)


def _row_of_blocks(em: Emitter, copy: Copy, lanes: int, start: Reg, writes: frozenset[str]) -> None:
    """All blocks that begin at position `start` of the loop that is read along."""
    b = em.b
    end = em.index(copy.write.extent)
    wide = em.index(copy.read.extent)
    stop = b.call("i64", "llvm.smin.i64", (b.binary("add", start, b.i64(lanes)), wide))
    full = b.compare("icmp eq", b.binary("sub", stop, start), b.i64(lanes))
    whole = em.index(copy.write.extent - copy.write.extent % lanes)
    whole = b.select(full, whole, b.i64(0))
    with b.loop("square", b.i64(0), whole, b.i64(lanes)) as square:
        em.push(square.point, writes, branch=True)
        em.set_symbol(copy.read.var, start)
        em.set_symbol(copy.write.var, square.index)
        _square(em, copy, lanes)
        em.pop()
    if all(isinstance(x.extent, int) and x.extent % lanes == 0 for x in (copy.read, copy.write)):
        return
    masked = _masked(em, copy)
    with b.loop("edge", whole, end, b.i64(lanes if masked else 1)) as down:
        em.push(down.point, writes, branch=True)
        em.set_symbol(copy.write.var, down.index)
        if masked:
            em.set_symbol(copy.read.var, start)
            _square(em, copy, lanes, (start, stop), (down.index, end))
        else:
            with b.loop("element", start, stop, b.i64(1)) as across:
                em.push(across.point, writes, branch=True)
                em.set_symbol(copy.read.var, across.index)
                em.run((copy.store,))
                em.pop()
        em.pop()


def _square(em: Emitter, copy: Copy, lanes: int, read: tuple[Reg, Reg] | None = None, write: tuple[Reg, Reg] | None = None) -> None:
    """One block; of one at an edge only what lies in the ranges `read` and `write`, which begin where it does."""
    b = em.b
    scalar = LLVM_TYPES[copy.load.type]
    source = em.address(copy.load.buffer, em.rename(copy.load.offset))[0]
    target = em.address(copy.store.buffer, em.rename(copy.store.offset))[0]
    rows = [
        b.load(vector(scalar, lanes), b.element(source, em.index(copy.far_read * n), scalar), mask=_part(b, lanes, read, write, n))
        for n in range(lanes)
    ]
    for n, column in enumerate(transposed(b, rows)):
        b.store(column, b.element(target, em.index(copy.far_write * n), scalar), mask=_part(b, lanes, write, read, n))


def _part(b: FunctionBuilder, lanes: int, along: tuple[Reg, Reg] | None, across: tuple[Reg, Reg] | None, number: int) -> Reg | None:
    """Which lanes of a block's vector of that number lie in the range `along`: none where its number does not lie in `across`."""
    if along is None or across is None:
        return None
    inside = b.compare("icmp slt", b.add(across[0], b.i64(number)), across[1])
    return b.select(inside, b.first_lanes(b.sub(along[1], along[0]), lanes), b.mask([False] * lanes))


def woven(b: FunctionBuilder, rows: Sequence[Reg]) -> list[Reg]:
    """Vectors whose elements, read one after the other, are those of `rows` column by column, whatever the number of rows.

    While that is even, neighbours become one row of elements twice as wide. Of an odd number of rows each vector takes its elements with
    one shuffle for every row after the first.
    """
    _, lanes = split_vector(rows[0].type)
    streams = [[row] for row in rows]  # of vectors with elements `width` lanes wide
    width = 1
    while len(streams) % 2 == 0 and width < lanes:
        halves = [[n // width % 2 * lanes + (half + n) // (2 * width) * width + n % width for n in range(lanes)] for half in (0, lanes)]
        pairs = zip(streams[::2], streams[1::2], strict=True)
        streams = [[b.shuffle(x, half, y) for x, y in zip(one, other, strict=True) for half in halves] for one, other in pairs]
        width *= 2
    out = []
    for first in range(0, len(rows) * lanes, lanes):
        places = []
        for n in range(first, first + lanes):
            along, which = divmod(n // width, len(streams))
            at, lane = divmod(along * width, lanes)
            places.append((streams[which][at], lane + n % width))
        out.append(collected(b, places))
    return out


def collected(b: FunctionBuilder, places: Sequence[tuple[Reg, int]]) -> Reg:
    """The vector whose lanes are the given ones of vectors of its size: a shuffle for every source after the first."""
    lanes = len(places)
    first, *others = dict.fromkeys(source for source, _ in places)
    value, chosen = first, [lane if source == first else n for n, (source, lane) in enumerate(places)]
    for other in others:
        value = b.shuffle(value, [lanes + lane if source == other else chosen[n] for n, (source, lane) in enumerate(places)], other)
        chosen = [*range(lanes)]
    return value if chosen == [*range(lanes)] else b.shuffle(value, chosen)


def weaving(rows: int, lanes: int) -> int:
    """How many shuffles that takes."""
    width = rows & -rows
    if width >= lanes:
        return rows * (lanes.bit_length() - 1)
    return rows * (width.bit_length() - 1 + min(rows // width, lanes // width) - 1)


def transposed(b: FunctionBuilder, rows: list[Reg]) -> list[Reg]:
    """Vectors whose elements, read one after the other, are those of `rows` column by column; the number of rows is a power of two.

    One perfect shuffle of the two halves brings the highest bit of an element's row to the end of its address; log2(rows) of them bring
    all bits there. Of a square, those bits of the address that lie inside 128 bits of a register are brought there first, and whole pieces
    of 128 bits change places after that: shuffles for which machines need no indices in registers.
    """
    scalar, lanes = split_vector(rows[0].type)
    many, piece = len(rows), 16 // SIZES[scalar]
    assert many & (many - 1) == 0, many
    if many != lanes or piece >= lanes or piece < 2:
        return _shuffled(b, rows, lanes)
    groups = [_shuffled(b, rows[n : n + piece], piece) for n in range(0, many, piece)]
    out: list[list[Reg]] = []
    halves = [[n for n in range(2 * lanes) if n // piece % 2 == half] for half in (0, 1)]
    for column in zip(*groups, strict=True):
        pieces = list(column)
        for _ in range((lanes // piece).bit_length() - 1):
            pieces = [b.shuffle(x, half, y) for half in halves for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
        out.append(pieces)
    return [column[n] for n in range(lanes // piece) for column in out]


def _shuffled(b: FunctionBuilder, rows: list[Reg], piece: int) -> list[Reg]:
    """The same within each `piece` lanes of the rows."""
    _, lanes = split_vector(rows[0].type)
    halves = [
        [start + n // 2 + part * (piece // 2) + n % 2 * lanes for start in range(0, lanes, piece) for n in range(piece)] for part in (0, 1)
    ]
    for _ in range(len(rows).bit_length() - 1):
        out: list[Reg] = []
        for x, y in zip(rows[: len(rows) // 2], rows[len(rows) // 2 :], strict=True):
            out += [b.shuffle(x, half, y) for half in halves]
        rows = out
    return rows
