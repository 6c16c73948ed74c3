"""Lowering: one fused group becomes one kernel of the loop IR.

    lowered = lower_group(group, target)

Kernels are written in canonical names (buffers b0, b1, …; sizes d0, d1, … in order of appearance), so that equal groups give equal kernels,
whatever program they come from, and are compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from graphflow.compiler.composed import Composed, spelled_out
from graphflow.compiler.groups import Group, Shape, inlined, uniform
from graphflow.compiler.llvm.kernel import shared
from graphflow.compiler.lower.columns import lower_columns
from graphflow.compiler.lower.contraction import lower_contraction
from graphflow.compiler.lower.custom import lower_custom
from graphflow.compiler.lower.general import Numbers, general
from graphflow.compiler.lower.inplace import aliasable
from graphflow.compiler.lower.notes import Notes, Recalled, key_text, packed, unpacked
from graphflow.compiler.lower.pointwise import lower_pointwise
from graphflow.compiler.lower.provenance import Provenance
from graphflow.compiler.lower.rows import lower_rows
from graphflow.compiler.lower.scope import CannotFuse, Scope
from graphflow.compiler.lower.shares import PhaseUse, uses_of
from graphflow.compiler.program import Node, Value, field_indices
from graphflow.graph.op import Op
from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import Index, IndexExpr, product, substitute, symbol, symbols_of
from graphflow.kernel.nodes import Kernel
from graphflow.kernel.printer import body_text

__all__ = ["CannotFuse", "Lowered", "Notes", "lower_group", "lower_traced", "symbols_of_group"]

KERNEL_NAME = "k"  # of every kernel: names for people are the plan's
REMEMBERED = 4096  # kernels of this process
PRICED = (Shape.COLUMNS, Shape.CONTRACTION)  # forms whose kernels depend on what sizes the first run has

_known: dict[Any, Lowered] = {}
SizeT = TypeVar("SizeT")


class Lowered(NamedTuple):
    """A kernel and what it is called with. values: what each buffer holds (an id of the group's values; None for scratch). symbols: the
    Program's symbol, or the number, behind each size of the kernel. inplace: pairs (input buffer number, output buffer number) that may be
    one memory. text: the kernel as text, which is what tells kernels apart. parallel: for each phase whether all threads share it.
    bytes: of each buffer, over the sizes of the kernel. uses: for each phase what threads' shares of it touch."""

    kernel: Kernel
    values: tuple[int | None, ...]
    symbols: tuple[str | int, ...]
    inplace: tuple[tuple[int, int], ...]
    text: str
    parallel: tuple[bool, ...]
    bytes: tuple[Index, ...]
    uses: tuple[PhaseUse, ...]

    def sizes(self, of: Callable[[str], SizeT]) -> dict[str, SizeT | int]:
        """What the sizes of the kernel are; `of` says it of those of the Program."""
        behind = zip(self.kernel.symbols, self.symbols, strict=True)
        return {name: s if isinstance(s, int) else of(s) for name, s in behind}


def lower_group(group: Group, target: Any, notes: Notes | None = None, usual: Mapping[str, int] = MappingProxyType({})) -> Lowered:
    """The kernel of a group; raises CannotFuse where the group has no loop nest of its form. Kernels are remembered for groups that differ
    in nothing but the numbers of their values and what general.py makes sizes of, so that a nearly equal program lowers only what is new;
    with `notes` other processes too. `usual`: what the Program's symbols are in its first run, which plans of contractions are priced for;
    what a group has been lowered for once it keeps."""
    if group.lowered is None or group.lowered[0] is not target:
        if group.form in PRICED:
            group.usual = {name: usual[name] for name in symbols_of_group(group) if name in usual} if usual else usual
        group.lowered = target, _found(group, target, notes)
    lowered: Lowered = group.lowered[1]
    return lowered


def _found(group: Group, target: Any, notes: Notes | None) -> Lowered:
    """The kernel of a group that has not been asked for before."""
    usual = group.usual
    group, given = general(group)
    key, numbers = signature(group)
    key = (key, tuple(usual.items())), target
    found = _known.get(key)
    if found is None:
        named = (key, tuple(n.origins[-1].name if n.origins else "" for n in group.nodes))
        found = _known.get(named)
    if found is None:
        text = "" if notes is None else _text_of(key)
        texts = text, text and f"{text} {named[1]!r}"
        found = _noted(notes, texts)
        if found is None:
            low = _lower(group, target, given, usual)
            positions = {v: k for k, v in enumerate(numbers)}
            found = low._replace(values=tuple(None if v is None else positions[v] for v in low.values))
            if notes is not None and texts[0]:
                notes.store(texts[bool(low.kernel.checks)], packed(found.kernel, found[1:]))
        if len(_known) >= REMEMBERED:
            _known.clear()
        _known[named if found.kernel.checks else key] = found  # a check names the op that it belongs to
    kernel = found.kernel
    if isinstance(kernel, Recalled):
        kernel = kernel.written_by(lambda: _lower(group, target, given, usual).kernel)
    values = tuple([None if n is None else numbers[n] for n in found.values])
    symbols = tuple([given[s][0] if s in given else s for s in found.symbols]) if given else found.symbols
    return Lowered(kernel, values, symbols, found.inplace, found.text, found.parallel, found.bytes, found.uses)


def _text_of(key: Any) -> str:
    """The key of a remembered kernel as text; "" where it cannot be one."""
    ((parts, *rest), usual), target = key
    return key_text(parts, (rest, usual, target))


def _noted(notes: Notes | None, texts: Sequence[str]) -> Lowered | None:
    """What another process has noted under one of these keys."""
    for text in texts:
        data = notes.load(text) if notes is not None and text else None
        found = None if data is None else unpacked(data)
        if found is not None:
            return Lowered(found[0], *found[1])
    return None


def signature(group: Group) -> tuple[Any, list[int]]:
    """What decides a group's kernel: each op with the numbers of its operands and results, which are those of their appearance, and what
    values these are; and the ids that the numbers stand for."""
    numbers: dict[int, int] = {}
    described: list[Any] = []
    parts: list[Any] = []
    for part in (*group.nodes, group):
        parts += part.op, len(part.inputs)
        for value in (*part.inputs, *part.outputs):
            n = numbers.get(value.id)
            if n is None:
                n = numbers[value.id] = len(numbers)
                described.append(value.traits or _traits(value))
            parts.append(n)
    root = -1 if group.root is None else group.nodes.index(group.root)
    return (tuple(parts), root, tuple(described)), list(numbers)


def _traits(value: Value) -> tuple[Any, ...]:
    """What of a value decides kernels that read or make it."""
    known = value.known
    literal = repr(uniform(known)) if known is not None and inlined(value) else None
    # Contents that are read from a buffer do not matter, but the sizes in them are among the kernel's.
    sizes = () if known is None or literal is not None else tuple(map(str, _indices(value)))
    value.traits = value.dtype.name, value.shape, literal, sizes
    return value.traits


def lower_traced(group: Group, target: Any) -> tuple[Lowered, Provenance]:
    """`lower_group`, not remembered, and what in the kernel comes from which node."""
    usual = group.usual
    group, given = general(group)
    provenance = Provenance()
    provenance.root = group.root
    return _lower(group, target, given, usual, provenance), provenance


def _lower(group: Group, target: Any, given: Numbers, usual: Mapping[str, int], provenance: Provenance | None = None) -> Lowered:
    if any(isinstance(n.op, Composed) for n in group.nodes):
        group = Group(group.form, spelled_out(group.nodes), group.inputs, group.outputs, group.root)
    names = symbols_of_group(group)
    highs = [given[n][1] if n in given else None for n in names]
    # What a size is at most decides what becomes of expressions, so it must show in the text that kernels are known by.
    canonical = tuple(f"d{k}" if high is None else f"d{k}to{high}" for k, high in enumerate(highs))
    if names != canonical:
        group = renamed_group(group, {n: symbol(c, 0, high) for n, c, high in zip(names, canonical, highs, strict=True)})
    back = dict(zip(canonical, names, strict=True))
    if group.form is Shape.KERNEL:
        kernel, held = lower_custom(group, KERNEL_NAME)
    else:
        scope = Scope(group, target, provenance)
        if group.form is Shape.POINTWISE:
            phases = lower_pointwise(scope)
        elif group.form is Shape.ROWS:
            phases = lower_rows(scope)
        elif group.form in PRICED:
            from graphflow.compiler.contract import priced_for  # the cost model is needed only where something is compiled

            with priced_for({c: usual[n] for c, n in back.items() if n in usual}):
                phases = lower_columns(scope) if group.form is Shape.COLUMNS else lower_contraction(scope, target)
        else:
            raise TypeError(f"a group of form {group.form.value} has no kernel")
        kernel = Kernel(KERNEL_NAME, tuple(scope.buffers), canonical, tuple(phases) or ((),), tuple(scope.checks))
        held = list(scope.values) + [None] * (len(scope.buffers) - len(scope.values))
    values = tuple(None if v is None else v.id for v in held)
    parallel = tuple(shared(phase) for phase in kernel.phases)
    sizes = tuple(product(b.shape) * TYPES[b.type].itemsize for b in kernel.buffers)
    symbols = tuple(back[s] for s in kernel.symbols)
    return Lowered(kernel, values, symbols, aliasable(kernel), body_text(kernel), parallel, sizes, uses_of(kernel))


def symbols_of_group(group: Group) -> tuple[str, ...]:
    """Names of the run-time sizes that a group's shapes and attributes use, in order of appearance."""
    values = dict.fromkeys((*group.inputs, *group.outputs, *[v for n in group.nodes for v in (*n.inputs, *n.outputs)]))
    sizes = [size for value in values for size in _indices(value) if isinstance(size, IndexExpr)]
    sizes += [size for node in group.nodes for size in field_indices(node.op)]
    return tuple(dict.fromkeys([name for size in dict.fromkeys(sizes) for name in sorted(symbols_of(size))]))


def _indices(value: Value) -> Sequence[Index]:
    if value.known is not None and value.known.dtype == object:
        return *value.shape, *[e for e in value.known.ravel() if isinstance(e, IndexExpr)]
    return value.shape


def renamed_group(group: Group, env: Mapping[str, Index]) -> Group:
    """The same group over other symbols. Values keep their ids."""
    made: dict[int, Value] = {}

    def value(v: Value) -> Value:
        if v.id not in made:
            known = v.known
            if known is not None and known.dtype == object and known.size and isinstance(known.flat[0], (int, IndexExpr)):
                fresh = np.empty(known.shape, object)
                fresh.reshape(-1)[:] = [substitute(e, env) for e in known.ravel()]
                known = fresh
            made[v.id] = Value(v.id, v.dtype, [substitute(d, env) for d in v.shape], known)
        return made[v.id]

    def node(n: Node) -> Node:
        return Node(renamed_op(n.op, env), [value(v) for v in n.inputs], [value(v) for v in n.outputs], n.origins)

    nodes = {id(n): node(n) for n in group.nodes}
    root = None if group.root is None else nodes[id(group.root)]
    return Group(group.form, tuple(nodes.values()), [value(v) for v in group.inputs], [value(v) for v in group.outputs], root)


def renamed_op(op: Op, env: Mapping[str, Index]) -> Op:
    """The same op with its symbolic attributes over other symbols."""
    if not any(True for _ in field_indices(op)):
        return op

    def swap(item: Any) -> Any:
        if isinstance(item, IndexExpr):
            return substitute(item, env)
        return tuple(swap(i) for i in item) if isinstance(item, tuple) else item

    return type(op)(**{f: swap(getattr(op, f)) for f in op._fields})
