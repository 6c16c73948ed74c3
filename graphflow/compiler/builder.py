"""ProgramBuilder: writes the nodes of a Program one after the other. It is the `b` that `Op.decompose(b, *values)` is given.

Values whose contents are known while compiling (`Value.known`) fold at once: shape arithmetic never becomes code. An array of sizes is an
object array that holds ints and IndexExpr. A known value needs no node: used as an operand it becomes a CONSTANT input of the Program.

    b.apply(op, *values)            the results of a core, elementwise or composite op: one Value, or a tuple for several results
    b.make("Mul", x, 2.0)           the same by registered name; Python numbers take the dtype of the first Value beside them
    b.known(value)                  contents of a size operand; raises DataDependent where they are not known (capture cuts there)
    b.measure(count, limit)         a size that depends on data, as a symbol; raises Unmeasured where there can be none
    b.random_state(blocks)          uint64[2] for an op with effect RANDOM, see there
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.compiler.measuring import Measuring
from graphflow.compiler.presumptions import Presumptions
from graphflow.compiler.program import Input, Node, Origin, Program, Source, Value, assemble
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.op import REGISTRY, Effect, Kind, Op, TensorSpec
from graphflow.kernel.index import Index, IndexExpr, product
from graphflow.ops import core
from graphflow.ops.parts import Interleaved, Paired, complex_of

FOLD_LIMIT = 256  # elements: a larger result is left to the pass fold_constants, which weighs it against its operands

Operand = Value | float | int | bool | np.generic


class DataDependent(Exception):
    """A size operand's contents depend on data: what follows can only be captured when the value is there."""

    def __init__(self, value: Value) -> None:
        super().__init__(f"the contents of {value!r} are needed as a size but depend on data")
        self.value = value


def normal_contents(array: Any, dtype: DType) -> np.ndarray[Any, Any]:
    """Known contents in their one form: the dtype's own numpy array, or an object array where a size is symbolic (or for strings)."""
    out = np.asarray(array)
    if dtype.kernel_type is None:
        return out if out.dtype == dtype.as_numpy_dtype else out.astype(dtype.as_numpy_dtype)
    if out.dtype == object:
        if any(isinstance(e, IndexExpr) for e in out.ravel()):
            return out
        return out.astype(dtype.as_numpy_dtype)
    return out if out.dtype == dtype.as_numpy_dtype else out.astype(dtype.as_numpy_dtype)


def is_symbolic(known: np.ndarray[Any, Any]) -> bool:
    """Whether contents hold a run-time size."""
    return known.dtype == object and any(isinstance(e, IndexExpr) for e in known.ravel())


class ProgramBuilder(Measuring):
    """Collects inputs and nodes; `finish` gives the Program."""

    def __init__(self, measures: bool = False, boundless: bool = False, presumed: Presumptions | None = None) -> None:
        super().__init__(measures, boundless, presumed)
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.updates: dict[str, Value] = {}
        self.origins: tuple[Origin, ...] = ()  # given to every node that is made; set by capture for each graph op
        self.expected: Sequence[int | None] | None = None  # the sizes that the graph has for the first result of that op
        self._next = 0
        self._scalars: dict[Any, Value] = {}
        self._random: dict[str, Value] = {}
        self._makers: dict[int, Node] = {}
        self._looked = 0  # nodes that _makers knows
        self.numbers: dict[Any, list[Value]] = {}  # see templates.py: results of arithmetic on single numbers, by op and operands
        self.asked = 0  # times that somebody asked who made a value
        self._parts: dict[int, tuple[Value, Value]] = {}  # real and imaginary part of complex values, by id

    # -- values ----------------------------------------------------------------------------------------------------------------

    def value(self, dtype: DType, shape: Sequence[Index], known: np.ndarray[Any, Any] | None = None) -> Value:
        """A new value that nothing defines yet."""
        self._next += 1
        return Value(self._next - 1, dtype.base_dtype, shape, known)

    def maker(self, value: Value) -> Node | None:
        """The node that gives a value, None for an input or a literal."""
        self.asked += 1
        makers = self._makers
        if self._looked < len(self.nodes):
            for node in self.nodes[self._looked :]:
                for made in node.outputs:
                    makers[made.id] = node
            self._looked = len(self.nodes)
        return makers.get(value.id)

    def withdraw(self, count: int) -> None:
        """Forget all but the first `count` nodes."""
        del self.nodes[count:]
        self._looked = min(self._looked, count)

    def input(self, source: Source, name: str, dtype: DType, shape: Sequence[Index]) -> Value:
        """A FEED or STATE input of the Program."""
        value = self.value(dtype, shape)
        self.inputs.append(Input(source, name, value))
        return value

    def constant(self, contents: Any, dtype: DType | str | None = None) -> Value:
        """A value with known contents: a number, an array, or nested sequences or an object array with IndexExpr among the sizes."""
        if isinstance(contents, Value):
            return contents
        if isinstance(contents, IndexExpr):
            array = np.empty((), object)
            array[()] = contents
        elif isinstance(contents, (list, tuple)) and _holds_symbol(contents):
            array = np.array(contents, dtype=object)
        else:
            array = np.asarray(contents)
        given = as_dtype(dtype) if dtype is not None else as_dtype(np.int64 if array.dtype == object else array.dtype)
        return self._literal(given, normal_contents(array, given))

    def _literal(self, dtype: DType, known: np.ndarray[Any, Any]) -> Value:
        """A value with these contents; the same one for equal numbers."""
        if known.ndim or known.dtype == object:
            return self.value(dtype, known.shape, known)
        key = dtype.name, known.tobytes()
        found = self._scalars.get(key)
        if found is None:
            found = self._scalars[key] = self.value(dtype, (), known)
        return found

    def shared_key(self, value: Value) -> tuple[str, bytes] | None:
        """Under which `constant` keeps its one value for a number; None where `value` is not that."""
        key = None if value.known is None else (value.dtype.name, value.known.tobytes())
        return key if key is not None and self._scalars.get(key) is value else None

    def known(self, value: Value) -> np.ndarray[Any, Any]:
        """The contents of a size operand: numpy array, or object array with IndexExpr where sizes are symbolic."""
        if value.known is None:
            raise DataDependent(value)
        return value.known

    def sizes(self, value: Value) -> tuple[Index, ...]:
        """The contents of a size operand as a flat tuple of ints and IndexExpr."""
        return tuple(e if isinstance(e, IndexExpr) else int(e) for e in self.known(value).ravel())

    def random_state(self, blocks: Index) -> Value:
        """uint64[2] kept per op and session for an op with effect RANDOM: element 0 is a number drawn once when the session first meets
        the op (the key of an op without seeds; ignore it otherwise), element 1 is how many Philox blocks (of four u32) earlier runs of
        this op consumed, 0 at first. This run is charged with `blocks`."""
        name, current = self.kept_state("", "uint64", (2,))
        self.updates[name] = self.make("AddV2", current, self.constant([0, blocks], "uint64"))
        return current

    def kept_state(self, what: str, dtype: str, shape: Sequence[Index]) -> tuple[str, Value]:
        """The name and present value of an array kept per op and session, zeros at first; `updates[name]` takes the new value. `what`
        tells several of an op apart."""
        name = "random/" + (self.origins[-1].name if self.origins else str(len(self._random))) + (f"/{what}" if what else "")
        return name, self.state(name, as_dtype(dtype), shape)

    def state(self, name: str, dtype: DType, shape: Sequence[Index]) -> Value:
        """The present value of the kept array `name`."""
        if name not in self._random:
            self.updates[name] = self._random[name] = self.input(Source.STATE, name, dtype, shape)
        return self.updates[name]

    def state_input(self, name: str) -> Value | None:
        """What the kept array `name` was to begin with; None where nothing asked for it."""
        return self._random.get(name)

    # -- nodes -----------------------------------------------------------------------------------------------------------------

    def apply(self, op: Op, *values: Value) -> Any:
        """The results of `op`: one Value, or a tuple of Values. Composite ops are taken apart; known operands fold."""
        if op.kind is Kind.COMPOSITE or op.kind is Kind.STATE:
            return op.decompose(self, *values)
        inferred = op.infer(*[v.spec for v in values])
        specs = inferred if isinstance(inferred, tuple) else (inferred,)
        folded = self._fold(op, values, specs)
        if folded is not None:
            return folded[0] if len(folded) == 1 and not isinstance(inferred, tuple) else folded
        if op.kind not in (Kind.HOST, Kind.ALIAS) and any([*(v.dtype.is_complex for v in values), *(s.dtype.is_complex for s in specs)]):
            return op.on_parts(self, *values)
        if self.measured or any(v.known is not None and v.known.dtype == object for v in values):
            op, values = self._behind_sizes(op, values, specs)
        outputs = []
        for spec in specs:
            assert spec.dims is not None and None not in spec.dims, f"{op!r} leaves a size unsaid: {spec!r}"
            known = spec.value
            if known is not None and any(e is None for e in np.asarray(known, object).ravel()):
                known = None
            outputs.append(self.value(spec.dtype, spec.dims, None if known is None else normal_contents(known, spec.dtype)))  # type: ignore[arg-type]
        if op.kind is Kind.HOST or not all(v.known is not None for v in outputs):
            self.nodes.append(Node(op, values, outputs, self.origins, inferred=True))
        return outputs[0] if not isinstance(inferred, tuple) else tuple(outputs)

    def _fold(self, op: Op, values: Sequence[Value], specs: Sequence[TensorSpec]) -> tuple[Value, ...] | None:
        """Results computed now, where all operands are known and the results are small."""
        if op.effect is not Effect.PURE or not all(v.known is not None for v in values) or op.kind in (Kind.HOST, Kind.SOURCE):
            return None
        sizes = [product(s.dims) for s in specs]  # type: ignore[arg-type]
        if not all(isinstance(n, int) and n <= FOLD_LIMIT for n in sizes):
            return None
        if not all(d.kernel_type is not None or d.is_complex for d in (*(v.dtype for v in values), *(s.dtype for s in specs))):
            return None
        contents = [v.known for v in values]
        if any(is_symbolic(c) for c in contents):  # type: ignore[arg-type]
            if op.type == "Cast" and specs[0].dtype.is_integer:
                return (self.value(specs[0].dtype, specs[0].dims, contents[0]),)  # type: ignore[arg-type]
            if not (op.symbolic or op.kind is Kind.MOVEMENT or op.kind is Kind.REDUCTION):
                return None
            contents = [np.asarray(c, dtype=object) if c.dtype.kind in "iu" else c for c in contents]  # type: ignore[union-attr]
        try:
            with np.errstate(all="ignore"):
                results = op.reference(*contents)
        except (ArithmeticError, IndexError, TypeError, ValueError):
            return None  # fails at run time, with the message of its check
        results = results if isinstance(results, tuple) else (results,)
        return tuple(self._literal(s.dtype, normal_contents(r, s.dtype)) for s, r in zip(specs, results, strict=True))

    def decompose(self, op: Op, *values: Value) -> Any:
        """The results of a composite op, inlined."""
        return op.decompose(self, *values)

    def make(self, name: str, *operands: Operand, **fields: Any) -> Any:
        """The results of the op registered as `name`."""
        return self.apply(REGISTRY[name](**fields), *self._values(operands))

    def _only(self, op: Op, *values: Value) -> Value:
        """The result of an op that has one."""
        result = self.apply(op, *values)
        assert isinstance(result, Value), op
        return result

    def _one(self, name: str, *operands: Operand, **fields: Any) -> Value:
        """The result of the op registered as `name`, which has one."""
        return self._only(REGISTRY[name](**fields), *self._values(operands))

    def _values(self, operands: Iterable[Operand]) -> list[Value]:
        operands = list(operands)
        like = next((o for o in operands if isinstance(o, Value) and o.dtype.name != "bool"), None)
        if like is None:
            like = next((o for o in operands if isinstance(o, Value)), None)
        return [o if isinstance(o, Value) else self.constant(o, None if like is None else like.dtype) for o in operands]

    # -- complex numbers -------------------------------------------------------------------------------------------------------

    def parts(self, x: Value) -> tuple[Value, Value]:
        """The real and the imaginary part of x; of a real x itself and 0."""
        if not x.dtype.is_complex:
            return x, self.constant(0, x.dtype)
        found = self._parts.get(x.id)
        if found is None:
            real = x.dtype.real_dtype
            if x.known is not None:
                found = self.constant(x.known.real, real), self.constant(x.known.imag, real)
            else:
                pairs = self._only(Interleaved(), x)
                zeros = (0,) * len(x.shape)
                re, im = (self.view(self.section(pairs, (*zeros, k), (*x.shape, 1)), x.shape) for k in (0, 1))
                found = re, im
            self._parts[x.id] = found
        return found

    def pair(self, re: Operand, im: Operand) -> Value:
        """The complex numbers of these parts, which are broadcast to one shape."""
        re, im = self._values((re, im))
        shape = re.shape if re.shape == im.shape else broadcast_dims(re.shape, im.shape)
        assert shape is not None
        re, im = self.broadcast(re, shape), self.broadcast(im, shape)  # type: ignore[arg-type]
        if re.known is not None and im.known is not None:
            whole = np.empty(re.known.shape, complex_of(re.dtype).as_numpy_dtype)
            whole.real, whole.imag = re.known, im.known  # a sum would lose the sign of a zero
            return self.constant(whole, complex_of(re.dtype))
        out = self._only(Paired(), self.join([self.view(p, (*re.shape, 1)) for p in (re, im)], -1))
        self._parts[out.id] = re, im
        return out

    # -- structure -------------------------------------------------------------------------------------------------------------

    def view(self, x: Value, shape: Sequence[Index]) -> Value:
        """The same elements in row-major order under another shape."""
        shape = tuple(shape)
        return x if shape == x.shape else self._only(core.View(shape), x)

    def permute(self, x: Value, perm: Sequence[int]) -> Value:
        """Axes reordered: result axis i is axis perm[i] of x."""
        perm = tuple(int(p) for p in perm)
        return x if perm == tuple(range(len(perm))) else self._only(core.Permute(perm), x)

    def expand(self, x: Value, shape: Sequence[Index], axes: Sequence[int]) -> Value:
        """Broadcast, axis i of x becoming axis axes[i]."""
        shape, axes = tuple(shape), tuple(int(a) for a in axes)
        return x if shape == x.shape and axes == tuple(range(len(shape))) else self._only(core.Expand(shape, axes), x)

    def broadcast(self, x: Value, shape: Sequence[Index]) -> Value:
        """Broadcast as numpy does, shapes aligned at the right."""
        return self.expand(x, shape, range(len(shape) - len(x.shape), len(shape)))

    def section(self, x: Value, begin: Sequence[Index], size: Sequence[Index], step: Sequence[int] | None = None) -> Value:
        """x[begin : begin + size*step : step] in every dimension."""
        begin, size = tuple(begin), tuple(size)
        step = (1,) * len(size) if step is None else tuple(int(s) for s in step)
        if size == x.shape and all(b == 0 for b in begin) and all(s == 1 for s in step):
            return x
        return self._only(core.Section(begin, size, step), x)

    def halo(self, x: Value, low: Sequence[Index], high: Sequence[Index], value: float = 0, interior: Sequence[int] | None = None) -> Value:
        """x inside a border of `value`, with `interior` such elements between neighbours."""
        low, high = tuple(low), tuple(high)
        interior = (0,) * len(low) if interior is None else tuple(int(i) for i in interior)
        if all(n == 0 for n in (*low, *high, *interior)):
            return x
        return self._only(core.Halo(low, high, interior, value), x)

    def join(self, values: Sequence[Value], axis: int) -> Value:
        """Concatenation."""
        axis = axis % len(values[0].shape)
        return values[0] if len(values) == 1 else self._only(core.Join(axis), *values)

    def take(self, x: Value, indices: Value, axis: int, batch: int = 0) -> Value:
        """Elements of x along `axis` chosen by `indices`, which a run checks unless they are known."""
        extent, known = x.shape[axis], indices.known
        inside = isinstance(extent, int) and known is not None and known.dtype != object and bool(((known >= 0) & (known < extent)).all())
        return self._only(core.Take(axis, batch, inside), x, indices)

    def iota(self, shape: Sequence[Index], axis: int, dtype: DType | str) -> Value:
        """Positions along `axis`."""
        return self._only(core.Iota(tuple(shape), axis, as_dtype(dtype)))

    def reduce(self, combine: str, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
        """Combine ("add", "mul", "max", "min", "and", "or") over `axes`."""
        rank = len(x.shape)
        axes = tuple(sorted({int(a) % rank for a in axes})) if rank else ()
        out = x if not axes else self._only(core.Reduce(combine, axes), x)
        return self.view(out, [1 if a in axes else d for a, d in enumerate(x.shape)]) if keepdims else out

    def cast(self, x: Value, dtype: DType | str) -> Value:
        """Conversion to another element type."""
        dtype = as_dtype(dtype).base_dtype
        return x if x.dtype == dtype else self._one("Cast", x, DstT=dtype)

    def contract(self, left: Value, right: Value, extents: Sequence[Index], free: int, left_map: Any, right_map: Any) -> Value:
        """A sum of products, see core.SumOfProducts."""
        return self._only(core.SumOfProducts(tuple(extents), free, left_map, right_map), left, right)

    # -- arithmetic ------------------------------------------------------------------------------------------------------------

    def add(self, x: Operand, y: Operand) -> Value:
        return self._one("AddV2", x, y)

    def sub(self, x: Operand, y: Operand) -> Value:
        return self._one("Sub", x, y)

    def mul(self, x: Operand, y: Operand) -> Value:
        return self._one("Mul", x, y)

    def div(self, x: Operand, y: Operand) -> Value:
        return self._one("RealDiv", x, y)

    def floordiv(self, x: Operand, y: Operand) -> Value:
        return self._one("FloorDiv", x, y)

    def neg(self, x: Value) -> Value:
        return self._one("Neg", x)

    def maximum(self, x: Operand, y: Operand) -> Value:
        return self._one("Maximum", x, y)

    def minimum(self, x: Operand, y: Operand) -> Value:
        return self._one("Minimum", x, y)

    def pow(self, x: Operand, y: Operand) -> Value:
        return self._one("Pow", x, y)

    def select(self, condition: Value, x: Operand, y: Operand) -> Value:
        """x where the condition holds, else y."""
        x, y = self._values((x, y))
        return self._one("SelectV2", condition, x, y)

    def exp(self, x: Value) -> Value:
        return self._one("Exp", x)

    def log(self, x: Value) -> Value:
        return self._one("Log", x)

    def log1p(self, x: Value) -> Value:
        return self._one("Log1p", x)

    def sqrt(self, x: Value) -> Value:
        return self._one("Sqrt", x)

    def rsqrt(self, x: Value) -> Value:
        return self._one("Rsqrt", x)

    def square(self, x: Value) -> Value:
        return self._one("Square", x)

    def abs(self, x: Value) -> Value:
        return self._one("Abs", x)

    def sign(self, x: Value) -> Value:
        return self._one("Sign", x)

    def tanh(self, x: Value) -> Value:
        return self._one("Tanh", x)

    def sigmoid(self, x: Value) -> Value:
        return self._one("Sigmoid", x)

    def equal(self, x: Operand, y: Operand) -> Value:
        return self._one("Equal", x, y)

    def not_equal(self, x: Operand, y: Operand) -> Value:
        return self._one("NotEqual", x, y)

    def less(self, x: Operand, y: Operand) -> Value:
        return self._one("Less", x, y)

    def less_equal(self, x: Operand, y: Operand) -> Value:
        return self._one("LessEqual", x, y)

    def greater(self, x: Operand, y: Operand) -> Value:
        return self._one("Greater", x, y)

    def greater_equal(self, x: Operand, y: Operand) -> Value:
        return self._one("GreaterEqual", x, y)

    def logical_and(self, x: Value, y: Value) -> Value:
        return self._one("LogicalAnd", x, y)

    def logical_or(self, x: Value, y: Value) -> Value:
        return self._one("LogicalOr", x, y)

    def logical_not(self, x: Value) -> Value:
        return self._one("LogicalNot", x)

    # -- the end ---------------------------------------------------------------------------------------------------------------

    def finish(self, outputs: Sequence[Value], symbols: Mapping[str, tuple[str, int]] | None = None) -> Program:
        """The Program that gives `outputs` and the updates noted so far; nodes that neither needs are left out."""
        return assemble(self.inputs, self.nodes, [self.settled(v) for v in outputs], self.updates, symbols or {})


def _holds_symbol(contents: Any) -> bool:
    if isinstance(contents, (list, tuple)):
        return any(_holds_symbol(c) for c in contents)
    return isinstance(contents, IndexExpr)
