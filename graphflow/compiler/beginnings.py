"""How captures began, kept for those that begin in the same way.

A program that asks for one tensor more needs what it needed before, and a few operations behind it. Capture then goes on from a copy of
where it stood: the Values and Nodes of the beginning are those of the earlier Program, numbered alike, and what follows is captured as if
all had been. A beginning ends behind the last update of a variable, so that what is added to a step of training follows it, though the step
was fetched with other additions before; without updates it is all that was captured.

What capture looks at must be as it was: the operations in their order, the feeds and which of their sizes are equal, the shapes of the
variables, and nothing in the graph altered (`Graph._altered`). Loops and branches, sizes that depend on data, variables whose shape the
graph leaves open, and questions whether a variable has a value make no beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.compiler.control import Needed
from graphflow.compiler.scope import Scope, Variables, known
from graphflow.graph.op import Kind
from graphflow.graph.operation import Operation

KEPT = 4
WORTH = 16  # operations, fewer of which are captured as quickly as they are looked for


class Beginning(NamedTuple):
    """`given`: what else decides. `altered`: of the graph, then. `scope` is copied, never continued."""

    given: Any
    operations: Sequence[Operation]
    altered: int
    scope: Scope

    def fits(self, given: Any, operations: Sequence[Operation], variables: Variables) -> bool:
        """Whether a capture of these operations stands where this one did when it has captured as many."""
        mine = self.operations
        return (
            self.altered == mine[0].graph._altered
            and self.given == given
            and operations[: len(mine)] == mine
            and all(memory.shape(variables) == self.scope.initial[name].shape for name, memory in self.scope.memories.items())
        )


class Beginnings:
    """Those of a session, the last used ones last."""

    def __init__(self) -> None:
        self._kept: list[Beginning] = []

    def find(self, given: Any, operations: Sequence[Operation], variables: Variables) -> tuple[Scope, int] | None:
        """A scope that has captured the first operations, and how many; None where nothing began like that."""
        found = max((b for b in self._kept if b.fits(given, operations, variables)), key=lambda b: len(b.operations), default=None)
        if found is None:
            return None
        self._kept.remove(found)
        self._kept.append(found)
        return apart(found.scope, variables), len(found.operations)

    def run(self, scope: Scope, level: Needed, operations: Sequence[Operation], start: int, given: Any) -> None:
        """Capture `operations` from number `start` on, keeping the beginning where others may want it."""
        end = _end(operations)
        if end >= start + WORTH:
            scope.run(level, operations[start:end], {})
            fixed = all(known(memory.spec.dims) for memory in scope.memories.values())
            if fixed and not (scope.b.measured or scope.shared.answers):
                altered = operations[0].graph._altered
                self._kept.append(Beginning(given, operations[:end], altered, apart(scope, scope.shared.variables)))
                del self._kept[:-KEPT]
            start = end
        scope.run(level, operations[start:], {})


def _end(operations: Sequence[Operation]) -> int:
    """How many operations there are up to the last update of a variable; all of them where there is none."""
    for number in range(len(operations), 0, -1):
        if operations[number - 1].definition.kind is Kind.STATE:
            return number
    return len(operations)


def apart(scope: Scope, variables: Variables) -> Scope:
    """A copy of an outermost scope; what either captures from now on the other does not see."""
    twin: Scope = _twin(scope)
    twin.b = _twin(scope.b)
    twin.shared = _twin(scope.shared)
    twin.shared.variables = variables
    twin.versions = {name: list(versions) for name, versions in scope.versions.items()}
    return twin


def _twin(thing: Any) -> Any:
    """An object of the same attributes, with lists, dicts and sets of its own. Their elements are shared."""
    twin = object.__new__(type(thing))
    twin.__dict__.update((name, held.copy() if type(held) in (list, dict, set) else held) for name, held in vars(thing).items())
    return twin
