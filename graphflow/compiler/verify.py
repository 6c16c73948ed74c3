"""Whether a Program is well formed: run between passes in verify mode, and by tests.

Every value is defined once, before it is used; shape rules give the shapes that are written; sizes use declared symbols only; outputs and
updates exist, and an update has the type and size of its variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from graphflow.compiler.groups import Group, floating, kept
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.compiler.regions import Loop, Region, body_operands
from graphflow.compiler.views import plan_problems
from graphflow.graph.op import Kind
from graphflow.kernel.index import Index, IndexExpr, symbols_of
from graphflow.ops.measured import measured_in

if TYPE_CHECKING:
    from graphflow.compiler.plan import BoundPlan


NOTHING: Mapping[int, Value | None] = {}
NOT_IN_PROGRAMS = (Kind.COMPOSITE, Kind.STATE, Kind.SOURCE)


class VerificationError(Exception):
    """A pass has left a Program that is not well formed."""


def verify(program: Program, after: str = "", thorough: bool = False) -> None:
    """Raise VerificationError where `program` breaks a rule; `after` names the pass to blame. `thorough`: also apply the shape rules to
    nodes that were made by them."""
    for problem in problems(program, thorough=thorough):
        raise VerificationError(f"{'after ' + after + ': ' if after else ''}{problem}")


def verify_plan(bound: BoundPlan) -> None:
    """Raise VerificationError where values of a bound plan are in each other's way."""
    for problem in plan_problems(bound):
        raise VerificationError(problem)


def problems(program: Program, inside: bool = False, thorough: bool = True) -> list[str]:
    """Every rule that is broken. `inside`: it is the body of a loop or branch, whose sizes are read outside."""
    found = _Found(program, thorough)
    names: set[tuple[Source, str]] = set()
    for given in program.inputs:
        found.define(given.value)
        if given.source is Source.CONSTANT:
            if given.data is None or given.data.shape != given.value.shape:
                found.append(f"the literal %{given.value.id} has no contents of its shape")
        elif (given.source, given.name) in names:
            found.append(f"two inputs are called {given.name!r}")
        else:
            names.add((given.source, given.name))
        found.look_at_sizes(given.value.shape, given.value)
    for name, (source, axis) in () if inside else program.symbols.items():
        if not source:
            continue
        feed = next((i for i in program.inputs if i.name == source and i.source is not Source.CONSTANT), None)
        if feed is None or not 0 <= axis < len(feed.value.shape):
            found.append(f"the size {name} is read from axis {axis} of {source!r}, which is not there")
    for node in program.nodes:
        if isinstance(node, Group):
            found.look_at_group(node)
        else:
            found.look_at(node)
    for value in (*program.outputs, *program.updates.values()):
        if value.id not in found.defined:
            found.append(f"the output %{value.id} is not defined")
    states = {i.name: i.value for i in program.inputs if i.source is Source.STATE}
    for name, value in program.updates.items():
        if name not in states:
            found.append(f"{name!r} is updated but not an input")
        elif states[name].dtype != value.dtype:
            found.append(f"{name!r} is of type {states[name].dtype.name}, its update of type {value.dtype.name}")
    return found


class _Found(list[str]):
    """The rules that are broken, and the values that are defined so far, by number."""

    def __init__(self, program: Program, thorough: bool) -> None:
        super().__init__()
        self.program = program
        self.thorough = thorough
        self.defined: dict[int, Value] = {}
        self._sound: set[tuple[Index, ...]] = set()  # shapes that have been looked at

    def define(self, value: Value) -> None:
        """From here on a value may be used."""
        if value.id in self.defined:
            self.append(f"%{value.id} is defined twice")
        self.defined[value.id] = value

    def look_at_inputs(self, node: Node, inner: Mapping[int, Value | None] = NOTHING) -> None:
        """Whether what a node reads is there, or `inner`, where that has something to say of it."""
        for value in node.inputs:
            known = inner[value.id] if value.id in inner else self.defined.get(value.id)
            if known is value:
                continue
            if known is None:
                self.append(f"%{value.id} is used by {node!r} before it is defined")
            elif (known.shape, known.dtype) != (value.shape, value.dtype):
                self.append(f"%{value.id} is {known!r} where it is defined and {value!r} in {node!r}")

    def look_at_group(self, group: Group) -> None:
        """A group, and the nodes in it; what these say of values counts inside it only. Nothing has changed in a group that was in an
        earlier Program."""
        self.look_at_inputs(group)
        if group.sound and not self.thorough:
            for value in group.outputs:
                self.define(value)
            return
        count = len(self)
        inner: dict[int, Value | None] = {v.id: v for n in group.nodes for v in n.inputs if v.known is not None}
        if not self.defined.keys().isdisjoint([v.id for n in group.nodes for v in n.outputs]):
            # Movements and the like may also stand in other groups, and in memory.
            repeated = [v.id for number in floating(group.nodes, kept(group.nodes)) for v in group.nodes[number].outputs]
            inner.update(dict.fromkeys(repeated))
            for value in (v for n in group.nodes for v in n.outputs if v.id in self.defined and v.id not in inner):
                self.append(f"%{value.id} is defined twice")
        for part in group.nodes:
            self.look_at_inputs(part, inner)
            for value in part.outputs:
                if inner.get(value.id) is not None:
                    self.append(f"%{value.id} is defined twice")
                inner[value.id] = value
            self.look_at_result(part)
        for value in group.outputs:
            if inner.get(value.id) is None:
                self.append(f"the group does not compute its output %{value.id}")
            self.define(value)
        group.sound = len(self) == count

    def look_at(self, node: Node) -> None:
        """A node that is no group."""
        self.look_at_inputs(node)
        for value in node.outputs:
            self.define(value)
        self.look_at_result(node)

    def look_at_result(self, node: Node) -> None:
        """Whether a node gives what it may give."""
        for value in node.outputs:
            self.look_at_sizes(value.shape, node)
        if node.op.kind in NOT_IN_PROGRAMS:
            self.append(f"{node!r}: ops of kind {node.op.kind.value} do not stand in Programs")
        elif self.thorough or not node.inferred:
            self.look_at_rule(node)

    def look_at_rule(self, node: Node) -> None:
        """Whether a node's results are what its op's shape rule gives."""
        try:
            inferred = node.op.infer(*[v.spec for v in node.inputs])
        except ValueError as error:
            self.append(f"{node!r}: {error}")
            return
        specs = inferred if isinstance(inferred, tuple) else (inferred,)
        if isinstance(node.op, Region):
            self.extend(_bodies(node, node.op, self.thorough))
        if len(specs) != len(node.outputs):
            self.append(f"{node!r}: {len(specs)} results by its shape rule")
            return
        for spec, value in zip(specs, node.outputs, strict=True):
            if spec.dtype.base_dtype != value.dtype:
                self.append(f"{node!r}: the result is of type {spec.dtype.name} by its shape rule")
            if not _agrees(spec.dims, value.shape):
                self.append(f"{node!r}: the result is {spec!r} by its shape rule")

    def look_at_sizes(self, shape: tuple[Index, ...], where: object) -> None:
        """Whether sizes are numbers, or made of symbols that are declared."""
        if shape in self._sound:
            return
        count = len(self)
        for size in shape:
            if isinstance(size, IndexExpr):
                unknown = symbols_of(size) - self.program.symbols.keys() - measured_in(size)
                if unknown:
                    self.append(f"{where!r} uses the undeclared size {', '.join(sorted(unknown))}")
            elif not isinstance(size, int) or size < 0:
                self.append(f"{where!r} has the size {size!r}")
        if len(self) == count:
            self._sound.add(shape)


def _bodies(node: Node, op: Region, thorough: bool) -> Iterator[str]:
    """What is wrong inside a loop or branch, and between its bodies and the operands."""
    operands = body_operands(node)
    for number, body in enumerate(op.bodies):
        yield from problems(body.program, True, thorough)
        for given in body.program.inputs:
            if given.source is Source.CONSTANT:
                continue
            position = operands.get((number, given.name))
            if position is None:
                yield f"{node!r}: a body reads {given.name!r}, which is no operand"
            elif (given.value.dtype, given.value.shape) != (node.inputs[position].dtype, node.inputs[position].shape):
                yield f"{node!r}: a body takes {given.name!r} for {given.value!r}, it is {node.inputs[position]!r}"
        wanted = 1 if isinstance(op, Loop) else len(node.outputs) - op.carried
        if len(body.program.outputs) != wanted:
            yield f"{node!r}: a body gives {len(body.program.outputs)} results, {wanted} are wanted"


def _agrees(dims: tuple[Index | None, ...] | None, shape: tuple[Index, ...]) -> bool:
    """Whether no size by the shape rule contradicts the one that is written."""
    if dims is None or len(dims) != len(shape):
        return False
    return all(a == b or not (isinstance(a, int) and isinstance(b, int)) for a, b in zip(dims, shape, strict=True))
