"""What the generated tests of the registry share: a Case becomes arrays, and many of them one Program.

All cases of an op are compiled together, in one Program with a feed for every operand, so that an op costs one compilation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import graphflow
from graphflow.compiler.builder import DataDependent, ProgramBuilder
from graphflow.compiler.program import Program, Source, Value
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.op import REGISTRY, Case, Kind, Op

graphflow._load_top_level()

TESTED = sorted((c for c in REGISTRY if c.kind not in (Kind.SOURCE, Kind.STATE, Kind.HOST, Kind.CONTROL)), key=lambda c: c.type)
FLOATS = ("float32", "float64")
TOLERANCE = {"float16": 4e-3, "float32": 3e-5, "float64": 1e-11, "complex64": 3e-5, "complex128": 1e-11}


class Prepared(NamedTuple):
    """One case with one choice of dtypes: the op, its operands, and a name for messages."""

    op: Op
    operands: tuple[np.ndarray[Any, Any], ...]
    case: Case
    label: str


def _lists(cls: type[Op], count: int) -> list[int]:
    """How many of `count` operands belong to each argument; several list arguments have equally many."""
    lists = [("*" in d or "list(" in d.split(":")[1]) for d in cls.arguments]
    each = (count - lists.count(False)) // max(lists.count(True), 1)
    return [each if many else 1 for many in lists]


def grouped(cls: type[Op], operands: Sequence[Any]) -> Sequence[Any]:
    """Operands as a graph op takes them: those of list arguments in lists, where there are several of them."""
    sizes = _lists(cls, len(operands))
    if sum("*" in d for d in cls.arguments) < 2:
        return operands
    ends = np.cumsum(sizes)
    return [list(operands[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _slots(cls: type[Op], count: int) -> list[str]:
    """The declared type of every operand, a list argument taken apart."""
    out: list[str] = []
    sizes = _lists(cls, count)
    for declaration, size in zip(cls.arguments, sizes, strict=True):
        kind = declaration.split(":")[1].strip()
        kind = kind.split("*")[-1]
        kind = kind[kind.index("(") + 1 : -1] if "(" in kind else kind
        out += [kind] * size
    return out


def _fixed(kind: str) -> DType | None:
    try:
        return as_dtype(kind)
    except TypeError:
        return None


def main_attribute(cls: type[Op]) -> str:
    """The type attribute that a test varies: T where there is one."""
    kinds = [k for k in _slots(cls, len(cls.arguments)) if _fixed(k) is None]
    return "T" if "T" in kinds else kinds[0] if kinds else ""


def tested_dtypes(cls: type[Op], case: Case) -> tuple[str, ...]:
    """The dtypes that the main attribute takes in a case."""
    attribute = main_attribute(cls)
    if case.dtypes:
        return case.dtypes
    allowed = [d.name for d in cls.types.get(attribute, ()) if d.kernel_type is not None or d.is_complex]
    if not allowed:
        return FLOATS if attribute else ("float32",)
    # special values have no counterpart among complex numbers: those are tested where operands are drawn
    drawn = not case.error and any(isinstance(i, tuple) for i in case.inputs)
    return tuple(d for d in allowed if d in FLOATS or (d == "complex64" and drawn)) or tuple(allowed)


def _drawn(shape: tuple[int, ...], dtype: np.dtype[Any], case: Case, random: np.random.RandomState) -> np.ndarray[Any, Any]:
    if dtype.kind == "b":
        return random.rand(*shape) < 0.5
    if dtype.kind in "iu":
        low = max(case.low, 0) if dtype.kind == "u" else case.low
        return np.asarray(random.randint(int(np.ceil(low)), int(np.floor(case.high)) + 1, shape), dtype)
    if dtype.kind == "c":
        return np.asarray(random.uniform(case.low, case.high, shape) + 1j * random.uniform(case.low, case.high, shape), dtype)
    return np.asarray(random.uniform(case.low, case.high, shape), dtype)


def prepare(cls: type[Op], case: Case, dtype: str, number: int) -> Prepared:
    """Operands for a case, the main type attribute being `dtype`."""
    random = np.random.RandomState(number)
    attribute = main_attribute(cls)
    bound: dict[str, np.dtype[Any]] = {attribute: np.dtype(as_dtype(dtype).as_numpy_dtype)} if attribute else {}
    kinds = _slots(cls, len(case.inputs))
    for kind, given in zip(kinds, case.inputs, strict=True):
        if isinstance(given, (np.ndarray, np.generic)) and _fixed(kind) is None:
            bound[kind] = given.dtype
    op = cls(**case.fields)
    operands = []
    for kind, given in zip(kinds, case.inputs, strict=True):
        fixed = _fixed(kind) or op.field_dtype(kind)
        type_ = np.dtype(fixed.as_numpy_dtype) if fixed else bound.get(kind)
        if type_ is None:
            allowed = cls.types.get(kind, ())
            type_ = bound[kind] = np.dtype(allowed[0].as_numpy_dtype if allowed else np.float32)
        operands.append(_drawn(given, type_, case, random) if isinstance(given, tuple) else np.asarray(given, type_))
    shown = ", ".join(f"{o.dtype}{list(o.shape)}" for o in operands)
    return Prepared(op, tuple(operands), case, f"case {number}: {op!r}({shown})")


def prepared(cls: type[Op], errors: bool = False) -> list[Prepared]:
    """All cases of an op in all their dtypes; those that must be refused, or the others."""
    out = []
    for number, case in enumerate(cls.cases):
        if bool(case.error) == errors:
            out += [prepare(cls, case, dtype, number) for dtype in tested_dtypes(cls, case)]
    return out


def reference_of(item: Prepared) -> tuple[np.ndarray[Any, Any], ...]:
    """What the op's numpy meaning gives."""
    with np.errstate(all="ignore"):
        results = item.op.reference(*item.operands)
    return tuple(np.asarray(r) for r in (results if isinstance(results, tuple) else (results,)))


class Batch(NamedTuple):
    """A Program that computes several cases, and the arrays of its inputs by name."""

    program: Program
    inputs: dict[str, np.ndarray[Any, Any]]
    counts: list[int]  # how many outputs each case has


def _apply(b: ProgramBuilder, item: Prepared, stem: str, literal: frozenset[int]) -> tuple[Value, ...]:
    values = []
    for k, array in enumerate(item.operands):
        dtype = as_dtype(array.dtype)
        if k in literal:
            values.append(b.constant(array, dtype))
        else:
            values.append(b.input(Source.FEED, f"{stem}_{k}", dtype, array.shape))
    results = b.apply(item.op, *values)
    return results if isinstance(results, tuple) else (results,)


def program_of(items: list[Prepared]) -> Batch:
    """One Program for several cases. Operands that hold sizes become literals, all others feeds."""
    literals = [size_operands(item) for item in items]
    b = ProgramBuilder(measures=True)
    outputs: list[Value] = []
    counts = []
    inputs = {}
    for n, (item, literal) in enumerate(zip(items, literals, strict=True)):
        results = _apply(b, item, f"in{n}", literal)
        outputs += results
        counts.append(len(results))
        inputs.update({f"in{n}_{k}": a for k, a in enumerate(item.operands) if k not in literal})
    program = b.finish(outputs)
    for given in program.inputs:
        if given.source is Source.STATE:  # the stream of a random op at its beginning
            inputs[given.name] = np.zeros(given.value.shape, given.value.dtype.as_numpy_dtype)
    return Batch(program, inputs, counts)


def size_operands(item: Prepared) -> frozenset[int]:
    """The operands whose contents the op's decomposition asks for, found by trying."""
    literal: set[int] = set()
    while True:
        b = ProgramBuilder(measures=True)
        try:
            _apply(b, item, "x", frozenset(literal))
        except DataDependent as missing:
            names = {i.value.id: i.name for i in b.inputs}
            assert missing.value.id in names, f"{item.label} needs the contents of a computed value"
            literal.add(int(names[missing.value.id].split("_")[1]))
        else:
            return frozenset(literal)
