"""Updates of some rows of variables, in place: the cost is that of the rows that are named, whatever the size of the tables.

    RowUpdate(rule)(operands, ids)        for i in order: the rows ids[i] of the tables = rule.step(their old rows, row i of the rest)

A rule is an op that says by `step` what one element becomes. It writes its formula once, with the names of the ProgramBuilder's arithmetic;
`Formulas` reads the same formula as expressions of a kernel, or as numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.op import REGISTRY, Case, Op, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, cast, const, maximum, minimum, position
from graphflow.kernel.index import Index, ceildiv, product
from graphflow.kernel.index import maximum as largest
from graphflow.kernel.index import minimum as least
from graphflow.kernel.nodes import Buffer, Mode
from graphflow.ops.families import Kernelised
from graphflow.ops.sizes import i32

PARTS = 8  # shares of the work (a power of two), whatever the thread count; an element's updates are all in one, in their order
BLOCK = 64  # neighbouring rows that belong to one share (a power of two)
WIDE = 16 * PARTS  # elements of a row from which on the shares are columns

_ARITHMETIC = {
    "abs": "Abs", "add": "AddV2", "div": "RealDiv", "exp": "Exp", "greater": "Greater", "log": "Log", "maximum": "Maximum",
    "minimum": "Minimum", "mul": "Mul", "neg": "Neg", "pow": "Pow", "rsqrt": "Rsqrt", "select": "SelectV2", "sign": "Sign", "sqrt": "Sqrt",
    "square": "Square", "sub": "Sub",
}  # fmt: skip


class Formulas:
    """The ProgramBuilder's arithmetic for single elements: `meaning` is "scalar" (expressions of a kernel) or "reference" (numpy)."""

    def __init__(self, meaning: str) -> None:
        self._meaning = meaning

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def apply(*operands: Any) -> Any:
            like = next((o for o in operands if not isinstance(o, (int, float)) and _type(o) != "bool"), None)
            op = REGISTRY["LogicalOr" if like is None and name == "add" else _ARITHMETIC[name]]()  # truth values add up to "any"
            return getattr(op, self._meaning)(*(_number(o, like) if isinstance(o, (int, float)) else o for o in operands))

        return apply


def _type(operand: Any) -> str:
    return operand.type if isinstance(operand, Expr) else np.asarray(operand).dtype.name


def _number(value: float, like: Any) -> Any:
    return const(value, like.type) if isinstance(like, Expr) else np.asarray(value, np.asarray(like).dtype)


class Rule(Protocol):
    """What RowUpdate asks of an op. operands: per operand of `step` "table", "row" (one row per id) or "number" (one for all)."""

    operands: tuple[str, ...]

    def step(self, b: Any, *elements: Any) -> Any:
        """The new elements of the tables, a tuple where there are several."""


class Replace(Op, abstract=True):
    """The rule of an assignment."""

    operands = ("table", "row")

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return new


class RowUpdate(Kernelised):
    """The tables among `operands`, as `rule` changes the rows that `ids` names, one id after the other. An id outside fails the step, with
    `refusal` (which may hold {position} and {value}), and nothing is changed then."""

    core = True
    arguments = ("operands: N*T", "ids: I")
    results = ("tables: N*T",)
    types = {"I": INDEX}
    rule: Any
    refusal: str = ""
    cases = (
        Case((4, 3), (5, 3), i32(1, 0, 1, 3, 1), rule=Replace()), Case((3,), (0,), i32(), rule=Replace()),
        Case((9, 130), (5, 130), i32(8, 0, 0, 8, 4), rule=Replace()), Case((200, 2, 2), (3, 2, 2), i32(199, 64, 64), rule=Replace()),
        Case((3, 3), (2, 3), i32(0, -1), rule=Replace(), error=("InvalidArgumentError", "indices[1] = -1 is not in [0, 3)")),
    )  # fmt: skip

    @property
    def inplace(self) -> tuple[int, ...]:  # type: ignore[override]  # which operands are tables is the rule's to say
        return tuple(number for number, kind in enumerate(self.rule.operands) if kind == "table")

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(inputs[number].dtype, inputs[number].dims) for number in self.inplace)

    def reference(self, *inputs: Any) -> Any:
        *operands, ids = inputs
        tables = [np.array(operands[number]) for number in self.inplace]
        rows = len(tables[0])
        for at, row in enumerate(ids):
            if not 0 <= row < rows:
                raise IndexError(f"indices[{at}] = {row} is not in [0, {rows})")
            old = iter([table[row] for table in tables])
            elements = [
                next(old) if kind == "table" else operand[at] if kind == "row" else operand
                for kind, operand in zip(self.rule.operands, operands, strict=True)
            ]
            for table, new in zip(tables, _listed(self.rule.step(Formulas("reference"), *elements)), strict=True):
                table[row] = new
        return tuple(tables)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        *operands, ids = inputs
        rows = outputs[0].shape[0]
        width = product(outputs[0].shape[1:])
        check_ids(k, ids, rows, self.refusal)
        b = Formulas("scalar")

        def change(at: Index, row: Index, begin: Index, extent: Index) -> None:
            with k.loop("c", extent, Mode.VECTOR) as c:
                elements = [_element(k, operand, kind, at, row, width, begin + c)
                            for kind, operand in zip(self.rule.operands, operands, strict=True)]  # fmt: skip
                new = [k.let("new", e) for e in _listed(self.rule.step(b, *elements))]
                for table, value in zip(outputs, new, strict=True):
                    k.store(table, row * width + (begin + c), value)

        with k.loop("part", PARTS, Mode.PARALLEL) as part, k.loop("i", ids.shape[0]) as i:
            number = k.let("number", cast(k.load(ids, (i,)), "i64"))
            row = as_index(number, 0, None)
            if isinstance(width, int) and width >= WIDE:
                share = ceildiv(width, PARTS)
                change(i, row, part * share, share if width % PARTS == 0 else least(largest(width - part * share, 0), share))
            else:
                block = (number >> (BLOCK.bit_length() - 1)) & (PARTS - 1)
                with k.when(call("eq", block, position(part))):
                    change(i, row, 0, width)


def check_ids(k: Any, ids: Buffer, rows: Index, refusal: str) -> None:
    """A phase that fails the step where one of `ids` is not a row of a table; the phases behind it are not called then."""
    with k.loop("i", ids.shape[0]) as i:
        number = k.let("number", cast(k.load(ids, (i,)), "i64"))
        valid = call("le", const(0, "i64"), number) & (number < position(rows))
        shown = (position(i) << 32) | (maximum(minimum(number, 2**31 - 1), -(2**31)) & 0xFFFFFFFF)
        message = refusal or f"indices[{{position}}] = {{value}} is not in [0, {rows})"
        k.let("valid", k.check("InvalidArgumentError", message, valid, shown, number))
    k.next_phase()


def _listed(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else (values,)


def _element(k: Any, operand: Buffer, kind: str, at: Index, row: Index, width: Index, column: Index) -> Expr:
    if kind == "number":
        return k.load(operand, 0)
    return k.load(operand, (row if kind == "table" else at) * width + column)
