"""Which node of a group an expression of its kernel comes from: noted while a kernel is lowered for people to look at, never otherwise.

Lowering substitutes indices (loops are merged, split, cut into tiles), so an expression is known by what it computes and on which
buffers and locals, not by where: `key` leaves index arithmetic out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphflow.compiler.program import Node
from graphflow.kernel.expr import Call, Const, Expr, Load, Local, walk
from graphflow.kernel.nodes import Accumulate, If, Let, Set, Stmt, Store, Var


class Provenance:
    """`node(expr)` and `maker(statement)` say which node something was made for; None where that cannot be told."""

    def __init__(self) -> None:
        self._keys: dict[Any, int] = {}
        self._of: dict[Expr, int] = {}  # the key of an expression; also keeps the (interned) expression alive
        self._nodes: dict[int, Node] = {}
        self._locals: dict[str, Node] = {}
        self._buffers: dict[str, Node] = {}
        self.root: Node | None = None

    def note(self, node: Node, results: Iterable[Expr]) -> None:
        """`results` were made for `node`; what they are made of belongs to it too, unless it was noted before."""
        for result in results:
            for e in walk(result):
                if not isinstance(e, (Const, Local)):
                    self._nodes.setdefault(self.key(e), node)

    def note_local(self, name: str, node: Node) -> None:
        """The local `name` accumulates the result of `node`."""
        self._locals[name] = node

    def note_buffer(self, name: str, node: Node) -> None:
        """The buffer `name` holds a result of `node`."""
        self._buffers[name] = node

    def key(self, e: Expr) -> int:
        """A number for everything that computes the same on the same buffers and locals, wherever in them."""
        found = self._of.get(e)
        if found is None:
            for part in walk(e):
                if part not in self._of:
                    described = (type(part).__name__, part.type, _own(part), *(self._of[c] for c in part.children()))
                    self._of[part] = self._keys.setdefault(described, len(self._keys))
            found = self._of[e]
        return found

    def node(self, e: Expr) -> Node | None:
        """The node that an expression was made for."""
        if isinstance(e, Local):
            return self._locals.get(e.name)
        return self._nodes.get(self.key(e))

    def maker(self, statement: Stmt) -> Node | None:
        """The node whose result a statement gives."""
        match statement:
            case Accumulate(name=name) | Set(name=name) if name in self._locals:
                return self._locals[name]
            case Var(name=name):
                return self._locals.get(name, self.root)
            case Let(value=value) | Accumulate(value=value) | Set(value=value):
                return self.node(value) or self.root
            case Store(buffer=buffer, value=value):
                return self._buffers.get(buffer) or self.node(value) or self.root
            case If(condition=condition):
                return self.node(condition) or self.root
        return self.root


def _own(e: Expr) -> Any:
    """What an expression is besides its type and children."""
    match e:
        case Const(value=value):
            return repr(value)
        case Load(buffer=buffer, guard=guard):
            return buffer, guard is not None
        case Local(name=name):
            return name
        case Call(function=function, detail=detail):
            return function, detail
    return None


def nodes_of(provenance: Provenance, statement: Stmt, expressions: Iterable[Expr]) -> list[Node]:
    """Every node that a statement computes something for, its maker first."""
    found: dict[int, Node] = {}
    maker = provenance.maker(statement)
    if maker is not None:
        found[id(maker)] = maker
    for expression in expressions:
        for e in walk(expression):
            node = provenance.node(e)
            if node is not None:
                found.setdefault(id(node), node)
    return list(found.values())
