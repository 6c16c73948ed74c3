"""The text of a kernel: for people, for golden tests, and as the key under which its machine code is cached.

The text says everything that the code depends on and nothing else: no object identities, no order of construction.
What several places of one statement share is named once (%0, %1, …).

    kernel bias_relu
      in x: f32[n, 10]
      in b: f32[10]
      out y: f32[n, 10]
      sizes n
    phase 0
      parallel i < n
        vector j < 10
          y[10*i + j] = max(x[10*i + j] + b[j], 0.0)

"""

from __future__ import annotations

import json
from collections.abc import Sequence

from graphflow.kernel.expr import Call, Const, Expr, Load, Local, Position, Value, values_in, walk
from graphflow.kernel.index import Atom, Index, IndexExpr, Pair, Symbol
from graphflow.kernel.nodes import Accumulate, Axis, Contract, If, Kernel, Let, Loop, Set, Stmt, Store, Var

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "floormod": "mod", "lt": "<", "le": "<=",
    "eq": "==", "ne": "!=",
    "and": "&", "or": "|", "xor": "^", "shl": "<<", "shr": ">>",
}  # fmt: skip
LONG = 100  # an operand whose text is longer gets a name of its own


def text(kernel: Kernel) -> str:
    """The kernel as text. `origin` is left out: it is not part of what the kernel means."""
    return f"kernel {kernel.name}\n{body_text(kernel)}"


def body_text(kernel: Kernel) -> str:
    """The text without the name: equal for kernels that do the same."""
    return "\n".join(line for line, _ in owned_lines(kernel)) + "\n"


def owned_lines(kernel: Kernel) -> list[tuple[str, Stmt | None]]:
    """The lines of `body_text`, each with the statement that it shows (None in the head)."""
    lines = [f"  {b.role.value} {b.name}: {b.type}[{', '.join(map(index_text, b.shape))}]" for b in kernel.buffers]
    if kernel.symbols:
        lines.append("  sizes " + ", ".join(kernel.symbols))
    for n, check in enumerate(kernel.checks):
        lines.append(f"  check {n} {check.error} {json.dumps(check.message)}")
    owned: list[tuple[str, Stmt | None]] = [(line, None) for line in lines]
    for n, phase in enumerate(kernel.phases):
        owned.append((f"phase {n}", None))
        writer = _Writer()
        writer.block(phase, "  ")
        owned += zip(writer.lines, writer.owners, strict=True)
    return owned


def expr_text(e: Expr) -> str:
    """One expression in full."""
    writer = _Writer()
    result = writer.expressions([e], "", name_shared=False)[0]
    return result


def index_text(index: Index) -> str:
    """An index expression; data inside it is shown in braces with the promised limits."""
    return _index(index, {})


def _index(index: Index, known: dict[Expr, str]) -> str:
    if not isinstance(index, IndexExpr):
        return str(index)
    terms = []
    for factors, scale in index.terms:
        names = sorted(_atom(a, known) for a in factors)
        body = "*".join(names if abs(scale) == 1 and names else [str(abs(scale)), *names])
        terms.append((not names, body, "-" if scale < 0 else "+"))
    terms.sort(key=lambda t: (t[0], t[2] == "-", t[1]))
    first, *rest = terms
    return ("-" if first[2] == "-" else "") + first[1] + "".join(f" {sign} {body}" for _, body, sign in rest)


def _atom(atom: Atom, known: dict[Expr, str]) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    if isinstance(atom, Value):
        low, high = atom.bounds
        inside = known.get(atom.expr) or expr_text(atom.expr)
        return f"{{{inside} in {'' if low is None else low}..{'' if high is None else high}}}"
    assert isinstance(atom, Pair)
    parts = [_index(side, known) for side in (atom.left, atom.right)]
    if atom.spelling in ("max", "min"):
        parts.sort()
    return f"{atom.spelling}({', '.join(parts)})"


class _Writer:
    """Collects lines; numbers the shared values of a phase."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.owners: list[Stmt | None] = []  # of the lines: the statement that each belongs to
        self.count = 0

    def block(self, statements: Sequence[Stmt], indent: str) -> None:
        for s in statements:
            self.statement(s, indent)

    def own(self, owner: Stmt) -> None:
        """What was written since the last call belongs to `owner`."""
        self.owners += [owner] * (len(self.lines) - len(self.owners))

    def statement(self, s: Stmt, indent: str) -> None:
        self._statement(s, indent)
        self.own(s)

    def _statement(self, s: Stmt, indent: str) -> None:
        deeper = indent + "  "
        match s:
            case Let(name, value):
                self.lines.append(f"{indent}let {name}: {value.type} = {self.expressions([value], indent)[0]}")
            case Var(name, value):
                self.lines.append(f"{indent}var {name}: {value.type} = {self.expressions([value], indent)[0]}")
            case Set(name, value):
                self.lines.append(f"{indent}{name} := {self.expressions([value], indent)[0]}")
            case Accumulate(name, combine, value):
                self.lines.append(f"{indent}{name} {combine}= {self.expressions([value], indent)[0]}")
            case Store(buffer, offset, value, guard):
                roots = [value, *([guard] if guard is not None else []), *values_in(offset)]
                texts = self.expressions(roots, indent)
                known = dict(zip(roots, texts, strict=True))
                where = f" where {known[guard]}" if guard is not None else ""
                self.lines.append(f"{indent}{buffer}[{_index(offset, known)}] = {texts[0]}{where}")
            case If(condition, body):
                self.lines.append(f"{indent}if {self.expressions([condition], indent)[0]}")
                self.own(s)
                self.block(body, deeper)
            case Loop(var, extent, mode, body):
                self.lines.append(f"{indent}{mode.value} {var} < {index_text(extent)}")
                self.own(s)
                self.block(body, deeper)
            case Contract():
                self.lines.append(f"{indent}contract {_axes(s.free)} over {_axes(s.reduced)}")
                left, right = self.expressions([s.left, s.right], deeper)
                self.lines.append(f"{deeper}acc = sum {left} * {right}")
                if s.plan is not None:
                    self.lines.append(f"{deeper}plan {s.plan!r}")
                self.own(s)
                self.block(s.epilogue, deeper)

    def expressions(self, roots: Sequence[Expr], indent: str, name_shared: bool = True) -> list[str]:
        """The texts of expressions; before them go lines that name what they share."""
        uses: dict[Expr, int] = {}
        order: dict[Expr, None] = {}
        for root in roots:
            uses[root] = uses.get(root, 0) + 1
            for e in walk(root):
                if e not in order:
                    order[e] = None
                    for child in e.children():
                        uses[child] = uses.get(child, 0) + 1
        texts: dict[Expr, str] = {}
        for e in order:
            body = self.expression(e, texts)
            if (
                name_shared
                and e not in roots
                and (len(body) > LONG or (uses[e] > 1 and (isinstance(e, Call) or len(body) > 30)))
            ):
                self.lines.append(f"{indent}%{self.count}: {e.type} = {body}")
                body = f"%{self.count}"
                self.count += 1
            texts[e] = body
        return [texts[root] for root in roots]

    def expression(self, e: Expr, texts: dict[Expr, str]) -> str:
        match e:
            case Const(value=value):
                if e.type == "bool":
                    return "true" if value else "false"
                return repr(value) if e.type == "f32" else f"{value!r}:{e.type}"
            case Load(buffer=buffer, offset=offset, guard=guard):
                where = f" where {texts[guard]}" if guard is not None else ""
                return f"{buffer}[{_index(offset, texts)}{where}]"
            case Position(index=index):
                return f"{e.type}({_index(index, texts)})"
            case Local(name=name):
                return name
            case Call(function=function, arguments=arguments):
                inner = [texts[a] for a in arguments]
                if function in INFIX:
                    return " ".join([_closed(inner[0]), INFIX[function], _closed(inner[1])])
                if function == "cast":
                    return f"{e.type}({inner[0]})"
                name = f"check{e.detail}" if function == "check" else function
                return f"{name}({', '.join(inner)})"
        raise TypeError(f"{e!r} is not an expression")


def _closed(text: str) -> str:
    """In parentheses where there is a space outside all brackets."""
    depth = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == " " and not depth:
            return f"({text})"
    return text


def _axes(axes: Sequence[Axis]) -> str:
    return ", ".join(
        (f"{index_text(a.start)} <= " if a.start != 0 else "") + f"{a.name} < {index_text(a.start + a.extent)}" for a in axes
    )
