"""Whether a Program is well formed: run between passes in verify mode, and by tests.

Every value is defined once, before it is used; shape rules give the shapes that are written; sizes use declared symbols only; outputs and
updates exist, and an update has the type and size of its variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphflow.compiler.groups import Group, floating
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.compiler.regions import Loop, Region, body_operands
from graphflow.compiler.views import plan_problems
from graphflow.graph.op import Kind
from graphflow.kernel.index import Index, IndexExpr, symbols_of
from graphflow.ops.measured import measured_in

if TYPE_CHECKING:
    from graphflow.compiler.plan import BoundPlan


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


def problems(program: Program, inside: bool = False, thorough: bool = True) -> Iterator[str]:
    """Every rule that is broken. `inside`: it is the body of a loop or branch, whose sizes are read outside."""
    defined: dict[int, Value] = {}
    names: set[tuple[Source, str]] = set()
    for given in program.inputs:
        if given.value.id in defined:
            yield f"%{given.value.id} is defined twice"
        defined[given.value.id] = given.value
        if given.source is Source.CONSTANT:
            if given.data is None or given.data.shape != given.value.shape:
                yield f"the literal %{given.value.id} has no contents of its shape"
        elif (given.source, given.name) in names:
            yield f"two inputs are called {given.name!r}"
        else:
            names.add((given.source, given.name))
        yield from _sizes(program, given.value.shape, f"input %{given.value.id}")
    for name, (source, axis) in () if inside else program.symbols.items():
        if not source:
            continue
        feed = next((i for i in program.inputs if i.name == source and i.source is not Source.CONSTANT), None)
        if feed is None or not 0 <= axis < len(feed.value.shape):
            yield f"the size {name} is read from axis {axis} of {source!r}, which is not there"
    for node in program.nodes:
        yield from _node(program, node, defined, thorough)
    for value in (*program.outputs, *program.updates.values()):
        if value.id not in defined:
            yield f"the output %{value.id} is not defined"
    states = {i.name: i.value for i in program.inputs if i.source is Source.STATE}
    for name, value in program.updates.items():
        if name not in states:
            yield f"{name!r} is updated but not an input"
        elif states[name].dtype != value.dtype:
            yield f"{name!r} is of type {states[name].dtype.name}, its update of type {value.dtype.name}"


def _node(program: Program, node: Node, defined: dict[int, Value], thorough: bool) -> Iterator[str]:
    for value in node.inputs:
        if value.id not in defined:
            yield f"%{value.id} is used by {node!r} before it is defined"
        elif defined[value.id] is not value and (defined[value.id].shape, defined[value.id].dtype) != (value.shape, value.dtype):
            yield f"%{value.id} is {defined[value.id]!r} where it is defined and {value!r} in {node!r}"
    if isinstance(node, Group):
        inner = {v.id: v for n in node.nodes for v in n.inputs if v.known is not None}
        own = {v.id for n in node.nodes for v in n.outputs}
        saved = {i: defined.get(i) for i in (*inner, *own)}  # what the group says of them counts inside it only
        defined.update(inner)
        for number in floating(node.nodes):  # may also stand in other groups, and in memory
            for value in node.nodes[number].outputs:
                defined.pop(value.id, None)
        for part in node.nodes:
            yield from _node(program, part, defined, thorough)
        missing = [v.id for v in node.outputs if v.id not in defined]
        for i, before in saved.items():
            if before is None:
                defined.pop(i, None)
            else:
                defined[i] = before
        for value in node.outputs:
            if value.id in defined:
                yield f"%{value.id} is defined twice"
            defined[value.id] = value
        for i in missing:
            yield f"the group does not compute its output %{i}"
        return
    for value in node.outputs:
        if value.id in defined:
            yield f"%{value.id} is defined twice"
        defined[value.id] = value
        yield from _sizes(program, value.shape, node)
    if node.op.kind in (Kind.COMPOSITE, Kind.STATE, Kind.SOURCE):
        yield f"{node!r}: ops of kind {node.op.kind.value} do not stand in Programs"
        return
    if node.inferred and not thorough:
        return
    try:
        inferred = node.op.infer(*[v.spec for v in node.inputs])
    except ValueError as error:
        yield f"{node!r}: {error}"
        return
    specs = inferred if isinstance(inferred, tuple) else (inferred,)
    if isinstance(node.op, Region):
        yield from _bodies(node, node.op, thorough)
    if len(specs) != len(node.outputs):
        yield f"{node!r}: {len(specs)} results by its shape rule"
        return
    for spec, value in zip(specs, node.outputs, strict=True):
        if spec.dtype.base_dtype != value.dtype:
            yield f"{node!r}: the result is of type {spec.dtype.name} by its shape rule"
        if not _agrees(spec.dims, value.shape):
            yield f"{node!r}: the result is {spec!r} by its shape rule"


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


def _sizes(program: Program, shape: tuple[Index, ...], where: object) -> Iterator[str]:
    for size in shape:
        if isinstance(size, IndexExpr):
            unknown = symbols_of(size) - program.symbols.keys() - measured_in(size)
            if unknown:
                yield f"{where} uses the undeclared size {', '.join(sorted(unknown))}"
        elif not isinstance(size, int) or size < 0:
            yield f"{where} has the size {size!r}"
