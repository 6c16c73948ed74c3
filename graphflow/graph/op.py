"""What an operation means: the `Op` base class and the registry.

An op is a class; an instance holds its attributes and is compared by value, so common-subexpression and cache keys need no code. A class
says in one place what the op is called, which inputs it takes, the shape rule, an independent numpy meaning, the gradient, how it
compiles and on which inputs it is tested. The registry refuses a class that leaves one of them unsaid.

Two dialects share the class tree. *TF ops* stand in a Graph with TensorFlow's type names, input order and attribute names. *Core ops*
(`ops/core.py`, `core = True`) stand in a Program; their sizes are attributes. An elementwise TF op is its own core op; any other says by
`decompose` what it is made of.

    class Sigmoid(Elementwise):
        arguments = ("x: T",)
        results = ("y: T",)
        types = {"T": FLOATING}
        cases = (Case((3, 5)), Case(()), Case((64,), low=-80, high=80))

        def reference(self, x): return 0.5 + 0.5 * np.tanh(0.5 * x)
        def scalar(self, x): return call("sigmoid", x)
        def gradient(self, node, dy): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from graphflow.dtypes import DType
from graphflow.kernel.expr import Expr
from graphflow.kernel.index import Index

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from graphflow.kernel.builder import KernelBuilder
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        return lambda cls: cls


class Kind(Enum):
    """How an op compiles; the only thing about an op that fusion looks at."""

    ELEMENTWISE = "elementwise"  # scalar(): one expression of the broadcast inputs' elements
    MOVEMENT = "movement"  # element(): which input element (or constant) stands at an output index
    REDUCTION = "reduction"  # core.Reduce
    CONTRACTION = "contraction"  # core.SumOfProducts
    KERNEL = "kernel"  # lower(): a kernel of its own
    ALIAS = "alias"  # the operand's memory taken for another type: no code
    REGION = "region"  # loops and branches of a Program, whose bodies are Programs
    COMPOSITE = "composite"  # decompose(): other ops
    SOURCE = "source"  # constants, placeholders, variables: no code
    STATE = "state"  # decompose() gives the variable's new value
    HOST = "host"  # run(): Python between native segments; never numeric work on dense tensors
    CONTROL = "control"  # branches, loops and TensorArrays: capture turns whole groups of them into regions of the Program

    __hash__ = object.__hash__  # compiling asks for it all the time, and Enum's own hashes the name


class Effect(Enum):
    """What executing an op does besides giving its results."""

    PURE = "pure"
    READS = "reads"
    WRITES = "writes"
    RANDOM = "random"
    HOST = "host"


class TensorSpec:
    """What is known of a tensor without running it.

    dtype: the element type. dims: None where the rank is unknown, else a tuple of sizes: int, IndexExpr (a run-time size, in Programs),
    or None (unknown, in Graphs). value: the contents where they are known: a numpy array, or, for integer tensors made of sizes, an
    object array that holds IndexExpr (and None where one element is unknown).
    """

    __slots__ = ("dtype", "dims", "value")

    def __init__(self, dtype: DType, dims: Iterable[Index | None] | None, value: np.ndarray[Any, Any] | None = None) -> None:
        self.dtype = dtype
        self.dims = None if dims is None else tuple(dims)
        self.value = value

    @property
    def rank(self) -> int | None:
        return None if self.dims is None else len(self.dims)

    @property
    def contents(self) -> TensorSpec:
        """Of a resource handle what is known of its variable, else the spec itself. In a Program a handle is its variable's value."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self.dtype == other.dtype and self.dims == other.dims

    def __hash__(self) -> int:
        return hash((self.dtype, self.dims))

    def __repr__(self) -> str:
        dims = "?" if self.dims is None else ", ".join("?" if d is None else str(d) for d in self.dims)
        return f"{self.dtype.name}[{dims}]"


class Access(Protocol):
    """An input of a fused op, read element by element while lowering."""

    shape: tuple[Index, ...]
    type: str  # the element type, a name of kernel.expr.TYPES

    def __call__(self, index: Sequence[Index]) -> Expr:
        """The element at `index`, which must lie inside the shape."""

    def flat(self, offset: Index) -> Expr:
        """The element at row-major position `offset`."""

    def check(self, error: str, message: str, condition: Expr, shown: Expr, value: Expr) -> Expr:
        """`value`, which must be safe to use in any case; where `condition` is false the step fails with tf.errors.<error>, its message
        formatted with {value}: `shown` (i64)."""


class Case:
    """One input set of the generated tests.

    inputs: per argument a shape (values drawn uniformly from [low, high]), a numpy array, or a Python scalar or list (taken as is).
    dtypes: the types given to the type attribute `T` in turn; default: float32 and float64 where allowed, else all allowed ones.
    fields: the op's attributes. error: (exception class name, part of its message) where the case must be refused.
    gradient=False leaves the case out of the gradient check (a kink, an integer input).
    """

    __slots__ = ("inputs", "low", "high", "dtypes", "fields", "error", "gradient", "tolerance")

    def __init__(self, *inputs: Any, low: Any = -2.0, high: Any = 2.0, dtypes: Sequence[str] = (), gradient: bool = True,
                 error: tuple[str, str] | None = None, tolerance: float | None = None, **fields: Any) -> None:  # fmt: skip
        for name, value in (("low", low), ("high", high)):
            if isinstance(value, tuple):  # a field of the op that is called so
                fields[name] = value
        self.inputs, self.dtypes = inputs, tuple(dtypes)
        self.low = -2.0 if isinstance(low, tuple) else low
        self.high = 2.0 if isinstance(high, tuple) else high
        self.fields, self.error, self.gradient, self.tolerance = fields, error, gradient, tolerance


def _freeze(value: Any) -> Any:
    """Lists as tuples, at any depth."""
    if type(value) is tuple:
        try:
            hash(value)
        except TypeError:
            pass
        else:
            return value  # there is no list in it, which is found out quickest so
    if isinstance(value, (list, tuple)):
        return tuple([_freeze(v) for v in value])
    return value


@dataclass_transform(frozen_default=True)
class Op:
    """Meaning of one operation. Annotated class attributes (not ClassVar) are the op's fields; equality is by value.

    arguments: "name: type" per input, where type is a type attribute ("T"), a field name, or a dtype name ("int32"); "N*T" is a list of
    N tensors of one type. results: the same for outputs; an output type may name a field. types: the dtypes each type attribute allows.
    """

    type: ClassVar[str] = ""
    arguments: ClassVar[tuple[str, ...]] = ()
    results: ClassVar[tuple[str, ...]] = ("output: T",)
    types: ClassVar[Mapping[str, Sequence[DType]]] = {}
    kind: ClassVar[Kind]
    effect: ClassVar[Effect] = Effect.PURE
    core: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    partial_gradient: ClassVar[bool] = False  # gradient() is given None, not zeros, for an output that no gradient comes to
    symbolic: ClassVar[bool] = False  # reference() also works on object arrays of sizes, so shape arithmetic stays symbolic
    updates: ClassVar[tuple[int, ...]] = ()  # STATE: the ref inputs that get a new value, in the order decompose() gives them
    inplace: ClassVar[tuple[int, ...]] = ()  # KERNEL: output k is input inplace[k], changed where it lies (the pass `overwrite`)
    run_time: ClassVar[tuple[str, ...]] = ()  # whole numbers among the attributes that a kernel can also take as sizes, when it runs
    overwrites: ClassVar[bool] = False  # STATE: the second input is the new value of the first, whatever the old one was
    forwards: ClassVar[bool] = False  # the result is the input's own memory: a variable passes through as a variable
    variable: ClassVar[bool] = False  # SOURCE: the result is the memory, or the handle, of a variable of the fields `shape` and `dtype`
    asks: ClassVar[bool] = False  # SOURCE: answered at capture: is the variable (its input) initialised?
    concurrent: ClassVar[bool] = False  # HOST: calls that do not wait for each other run in threads of their own
    linear: ClassVar[bool] = False  # on complex numbers: the op itself on the real parts and on the imaginary parts
    uses_kept: ClassVar[bool] = False  # HOST: run() is given, before its inputs, the dict of what the session keeps between runs
    knows_name: ClassVar[bool] = False  # HOST: run() is given, before its inputs (and after what is kept), the operation's name
    least: ClassVar[int] = 1  # how many tensors an argument "N*T" has at least
    sized: ClassVar[bool] = False  # HOST: the results' sizes follow from those of the inputs, so that the call can be part of a plan
    cases: ClassVar[tuple[Case, ...]] = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, Any]] = {}
    _key: tuple[Any, ...]  # type and fields
    _hash: int  # of the key, once it has been asked for

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        fields, own = self._fields, self.__dict__
        given = {**dict(zip(fields, args, strict=False)), **kwargs}
        if len(given) != len(args) + len(kwargs) or not given.keys() <= set(fields):
            raise TypeError(f"{self.type} has the fields {fields}, got {args} and {sorted(kwargs)}")
        for name in fields:
            if name in given:
                own[name] = _freeze(given[name])
            elif name in self._defaults:
                own[name] = _freeze(self._defaults[name])
            else:
                raise TypeError(f"{self.type} needs the field '{name}'")
        own["_key"] = (type(self), *[own[name] for name in fields])

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {n for n, a in cls.__dict__.get("__annotations__", {}).items() if "ClassVar" not in str(a)}
        if own:
            cls._fields = (*cls._fields, *(n for n in cls.__dict__["__annotations__"] if n in own and n not in cls._fields))
            cls._defaults = {**cls._defaults, **{n: cls.__dict__[n] for n in own if n in cls.__dict__}}
        if not abstract:
            if "type" not in cls.__dict__:
                cls.type = cls.__name__
            REGISTRY.add(cls)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.type} is immutable: cannot set '{name}'")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self._key == other._key

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            try:
                found = hash(self._key)
            except TypeError:  # a field is a TensorShape, which has no hash
                found = hash((type(self), repr(self)))
            self.__dict__["_hash"] = found
            return found

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.__dict__["_key"][1:]  # hashes of texts differ from process to process

    def __repr__(self) -> str:
        shown = (f"{n}={getattr(self, n)!r}" for n in self._fields if n not in self._defaults or getattr(self, n) != self._defaults[n])
        return f"{self.type}({', '.join(shown)})"

    @property
    def elementary(self) -> tuple[Op, ...]:
        """The ops that it consists of: itself, but for what the compiler has composed of several."""
        return (self,)

    # -- meaning ---------------------------------------------------------------------------------------------------------------

    def infer(self, *inputs: TensorSpec) -> TensorSpec | tuple[TensorSpec, ...]:
        """Types and shapes of the results. Called on graph construction (sizes may be None), at capture (sizes may be symbolic), and by
        the checkers. Raises ValueError with TensorFlow's wording for shapes that cannot work."""
        raise NotImplementedError

    def requires(self, *inputs: TensorSpec) -> Iterable[Index]:
        """At capture: what `infer` could not decide while sizes are symbolic, as numbers that must not be negative in a run. Where one is,
        the op is captured again with the sizes of that run, and `infer` says what is wrong."""
        return ()

    def reference(self, *inputs: Any) -> Any:
        """The results by numpy alone, on a different road than the compiled one: the oracle of tests and interpreter, and the constant
        folder. Takes and gives numpy arrays (a tuple for several results)."""
        raise NotImplementedError

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        """d loss / d inputs as graph tensors (None where there is none), from d loss / d outputs: `dy`, zeros where no gradient comes to an
        output (None if `partial_gradient`, or if no gradient can)."""
        raise NotImplementedError

    # -- compilation: one of these, by kind --------------------------------------------------------------------------------------

    def decompose(self, b: Any, *inputs: Any) -> Any:
        """COMPOSITE and STATE: the same results from other ops, built with a compiler.program.ProgramBuilder. A size operand is read with
        `b.known(value)`, which cuts the Program there if its contents depend on data."""
        raise NotImplementedError

    def on_parts(self, b: Any, *inputs: Any) -> Any:
        """The same on complex numbers, which a Program computes as pairs of real values: built with `b.parts(x)`, `b.pair(re, im)` and
        real ops. A `linear` op does to both parts what it does to a real value, its real operands (a condition, indices) unchanged."""
        if not self.linear:
            raise TypeError(f"{self.type} is not available for complex numbers")
        parts = [b.parts(x) if x.dtype.is_complex else (x, x) for x in inputs]
        results = [b.apply(self, *operands) for operands in zip(*parts, strict=True)]
        if isinstance(results[0], tuple):
            return tuple(b.pair(re, im) if re is not im else re for re, im in zip(*results, strict=True))
        return b.pair(*results)

    def scalar(self, *inputs: Expr) -> Expr | tuple[Expr, ...]:
        """ELEMENTWISE: one element of the result (a tuple for several results)."""
        raise NotImplementedError

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        """MOVEMENT: the result's element at `index`."""
        raise NotImplementedError

    def lower(self, k: KernelBuilder, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """KERNEL: write the whole kernel; inputs and outputs are kernel.nodes.Buffer in the op's order."""
        raise NotImplementedError

    def contents(self) -> np.ndarray[Any, Any] | None:
        """SOURCE: the literal of a constant; None for a placeholder."""
        return None

    def run(self, *inputs: Any) -> Any:
        """HOST: called between native segments with numpy arrays."""
        raise NotImplementedError

    # -- type checking -----------------------------------------------------------------------------------------------------------------

    def field_dtype(self, name: str) -> DType | None:
        """The dtype that a field holds, if it is one."""
        value = self.__dict__.get(name)
        return value if isinstance(value, DType) else None


class Registry:
    """All op classes by type name."""

    def __init__(self) -> None:
        self._ops: dict[str, type[Op]] = {}

    def add(self, cls: type[Op]) -> None:
        """Enter a class, refusing one that leaves something unsaid."""
        unsaid = []
        if not hasattr(cls, "kind"):
            unsaid.append("kind")
        if cls.infer is Op.infer:
            unsaid.append("infer (the shape rule)")
        without = (Kind.SOURCE, Kind.HOST, Kind.STATE, Kind.CONTROL)
        if cls.reference is Op.reference and cls.kind not in without:
            unsaid.append("reference (the numpy meaning)")
        if cls.differentiable and cls.gradient is Op.gradient and not cls.core:
            unsaid.append("gradient, or differentiable = False")
        if not cls.cases and cls.kind not in without:
            unsaid.append("cases (test inputs)")
        compiled = {
            Kind.ELEMENTWISE: "scalar", Kind.MOVEMENT: "element", Kind.KERNEL: "lower",
            Kind.COMPOSITE: "decompose", Kind.STATE: "decompose", Kind.HOST: "run",
        }.get(getattr(cls, "kind", Kind.SOURCE))  # fmt: skip
        if compiled and getattr(cls, compiled) is getattr(Op, compiled):
            unsaid.append(compiled)
        if cls.type in self._ops:
            raise TypeError(f"the op type '{cls.type}' is defined twice: {self._ops[cls.type].__module__} and {cls.__module__}")
        if unsaid:
            raise TypeError(f"op {cls.type} ({cls.__module__}) leaves unsaid: {', '.join(unsaid)}")
        self._ops[cls.type] = cls

    def __getitem__(self, type_: str) -> type[Op]:
        return self._ops[type_]

    def get(self, type_: str) -> type[Op] | None:
        """The class of a type, None where there is none."""
        return self._ops.get(type_)

    def __contains__(self, type_: str) -> bool:
        return type_ in self._ops

    def __iter__(self) -> Iterator[type[Op]]:
        return iter(self._ops.values())


REGISTRY = Registry()
