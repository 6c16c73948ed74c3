"""`tf.gradients`: extends a graph by the derivatives of some of its tensors.

    reached   the operations that depend on xs
    between   those of them on which ys depend: the only ones to differentiate
    pending   for each, how many of its consumers between have not yet given their share of its gradient

An operation is differentiated when nothing is pending: the shares of each output are added up and its definition's `gradient` builds the
shares of its inputs, under the name scope `gradients/NAME_grad`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.autodiff.counts import LINEAR, counted_for
from graphflow.autodiff.loop_states import LoopStates
from graphflow.autodiff.registry import gradient_function
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.context import EXITS
from graphflow.graph.convert import constant_in
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices, convert_n_to_tensor_or_indexed_slices
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import colocate_with
from graphflow.graph.tensor import Tensor
from graphflow.ops import source
from graphflow.ops.control_flow.gradients import is_loop_switch

TRAINABLE = frozenset(
    (dtypes.float16, dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128, dtypes.resource, dtypes.variant)
)

Shares = list[Any]  # per output: a list of gradients while they come in, then their sum, or None


class UnconnectedGradients:
    """What `gradients` gives for an x that no y depends on."""

    NONE = "none"
    ZERO = "zero"


class AggregationMethod:
    """How shares of a gradient are added up. graphflow compiles them all to the same sum."""

    ADD_N = 0
    DEFAULT = ADD_N
    EXPERIMENTAL_TREE = 1
    EXPERIMENTAL_ACCUMULATE_N = 2


def is_trainable(tensor: Any) -> bool:
    """Whether gradients flow through a tensor of its type."""
    return tensor.dtype.base_dtype in TRAINABLE


def gradients(ys: Any, xs: Any, grad_ys: Any = None, name: str | None = "gradients", colocate_gradients_with_ops: bool = False,
              gate_gradients: bool = False, aggregation_method: int | None = None, stop_gradients: Any = None,
              unconnected_gradients: str = UnconnectedGradients.NONE) -> list[Any]:  # fmt: skip
    """d sum(ys) / dx for each x: a tensor, IndexedSlices (through a gather), or None where no y depends on x.

    grad_ys: the gradient to begin with, per y (None: ones). name: of the scope. gate_gradients: give out an operation's gradients only
    when all of them are computed. stop_gradients: tensors to take as constants. unconnected_gradients: "none" or "zero".
    """
    if unconnected_gradients not in (UnconnectedGradients.NONE, UnconnectedGradients.ZERO):
        raise ValueError(f"Unknown value for unconnected_gradients: {unconnected_gradients!r}")
    if aggregation_method not in (None, 0, 1, 2):
        raise ValueError(f"Invalid aggregation_method specified {aggregation_method}.")
    ys, xs = _listed(ys), _listed(xs)
    stops = [] if stop_gradients is None else _listed(stop_gradients)
    grad_ys = [None] * len(ys) if grad_ys is None else _listed(grad_ys)
    with name_scope(name, "gradients", [*ys, *xs, *stops, *(g for g in grad_ys if g is not None)]) as scope, _under_way(scope) as graph:
        graph.unique_name("uid")  # TensorFlow takes this name too, and later names are numbered after it
        ys = convert_n_to_tensor_or_indexed_slices(ys, name="y")
        xs = convert_n_to_tensor_or_indexed_slices(xs, name="x", as_ref=True)

        def placed(op: Operation) -> AbstractContextManager[Any]:
            return colocate_with(op, ignore_existing=True) if colocate_gradients_with_ops else nullcontext()

        walk = _Walk(ys, xs, [t.op for t in stops], gate_gradients, placed)
        for y, grad_y in zip(ys, _starts(ys, grad_ys, graph, placed), strict=True):
            walk.give(y, grad_y)
        walk.run()
        return [walk.result(x, unconnected_gradients) for x in xs]


@contextmanager
def _under_way(scope: str) -> Iterator[Graph]:
    """Says in the default graph which call of `gradients` new operations belong to."""
    graph = get_default_graph()
    before, graph._gradient_call = graph._gradient_call, scope.rstrip("/")
    try:
        yield graph
    finally:
        graph._gradient_call = before


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _starts(ys: list[Any], grad_ys: list[Any], graph: Graph, placed: Callable[[Operation], AbstractContextManager[Any]]) -> list[Any]:
    """The gradients that ys begin with: those given, or ones."""
    if len(grad_ys) != len(ys):
        raise ValueError(f"Passed {len(grad_ys)} grad_ys for {len(ys)} ys")
    given = convert_n_to_tensor_or_indexed_slices(grad_ys, name="grad_y")
    starts = []
    for number, (y, grad_y) in enumerate(zip(ys, given, strict=True)):
        with placed(y.op):
            if grad_y is None:
                if y.dtype.is_complex:
                    raise TypeError(f"Gradients of complex tensors must set grad_ys (y.dtype = {y.dtype!r})")
                starts.append(_ones(y, f"grad_ys_{number}", graph))
                continue
            _check_start(y, grad_y)
            label = f"grad_ys_{number}"
            if isinstance(grad_y, IndexedSlices):
                parts = (("_values", grad_y.values), ("_indices", grad_y.indices), ("_shape", grad_y.dense_shape))
                starts.append(IndexedSlices(*(make("Identity", t, name=label + s) if isinstance(t, Tensor) else t for s, t in parts)))
            else:
                starts.append(make("Identity", grad_y, name=label))
    return starts


def _ones(y: Tensor, name: str, graph: Graph) -> Tensor:
    dims = y.shape.as_list() if y.shape.is_fully_defined() else None
    sizes = make("Shape", y, name="Shape") if dims is None else constant_in(graph, np.array(dims, np.int32), name="Shape")
    return make("Fill", sizes, constant_in(graph, 1, y.dtype.base_dtype, name=name))


def _check_start(y: Any, grad_y: Any) -> None:
    real = y.dtype.is_floating or y.dtype.is_integer
    if real and not (grad_y.dtype.is_floating or grad_y.dtype.is_integer):
        raise TypeError(
            f"Gradient type {grad_y.dtype.name} generated for real or integer-valued tensor {y} with type {y.dtype.name} must be "
            "real or integer"
        )
    if y.dtype.is_complex and not grad_y.dtype.is_complex:
        raise TypeError(
            f"Gradient type {grad_y.dtype.name} generated for complex-valued tensor {y} with type {y.dtype.name} must be real"
        )
    if not real and not y.dtype.is_complex:
        raise TypeError(f"Tensor {y} with type {y.dtype.name} must be numeric to obtain a default gradient")


class _Walk:
    """One backward walk from ys to xs."""

    def __init__(self, ys: list[Any], xs: list[Any], stops: list[Operation], gate: bool,
                 placed: Callable[[Operation], AbstractContextManager[Any]]) -> None:  # fmt: skip
        self._gate, self._placed = gate, placed
        self._shares: dict[Operation, Shares] = {}
        targets = [y.op for y in ys]
        sources = [x.op for x in xs]
        self._xs = xs
        between, self._pending, self._loops = _pending(targets, sources, placed)
        ready = dict.fromkeys(op for op in targets if op in between and not self._pending[op])
        self._queue = deque(ready)
        self._unused_exits = self._loops.begin(self._pending, list(ready))
        # A source without another source before it ends the walk; so does every operation to stop at.
        self._ends = {op for op in sources if not any(self._pending[t.op] > 0 for t in op.inputs)} | set(stops)

    def give(self, tensor: Any, share: Any) -> None:
        """Note a share of the gradient of `tensor`."""
        shares = self._shares.get(tensor.op)
        if shares is None:
            shares = self._shares[tensor.op] = [[] for _ in tensor.op.outputs]
        place = tensor.value_index if isinstance(tensor, Tensor) else tensor.values.value_index
        shares[place].append(share)

    def run(self) -> None:
        """Differentiate operation after operation until none is left."""
        self._give_zeros(self._unused_exits)
        while self._queue:
            op = self._queue.popleft()
            with self._placed(op):
                with self._loops.backwards(op, after=True):
                    given = self._given(op)
                with self._loops.backwards(op):
                    self._check_initial_value(op)
                    for tensor, share in zip(op.inputs, self._input_gradients(op, given), strict=True):
                        if share is not None:
                            if isinstance(share, Tensor) and tensor.dtype is not dtypes.resource:
                                _agree(op, tensor, share)
                            self.give(tensor, share)
            for tensor in op.inputs:
                self._done(op, tensor.op)
        self._loops.finish()

    def _done(self, user: Operation, op: Operation) -> None:
        """`user` of an operation is differentiated; after the last one it is the operation's turn. All Exits of a loop go together. The
        Switch of a loop variable has two turns: the loop backwards must begin before it can come round."""
        self._pending[op] -= 1
        if self._pending[op] and not (user.type in EXITS and is_loop_switch(op)):
            return
        loop = self._loops.of(op) if op.type in EXITS else None
        if loop is None:
            self._queue.append(op)
            return
        loop.deferred_exits += op.outputs
        loop.pending_exits -= 1
        if loop.pending_exits:
            return
        alive = [t for t in loop.deferred_exits if any(self._shares.get(t.op, ()))]
        unused = loop.unused_exits + [t for t in loop.deferred_exits if t not in alive]
        self._queue.extend(t.op for t in alive)
        if alive:
            self._give_zeros(unused)
        else:
            self._queue.extend(t.op for t in unused)

    def _give_zeros(self, exits: Sequence[Tensor]) -> None:
        """Results of loops that nothing uses; other results may come from what they were in the loop."""
        for tensor in exits:
            if is_trainable(tensor):
                self.give(tensor, self._loops.zeros_for_exit(tensor))
            self._queue.append(tensor.op)

    def _given(self, op: Operation) -> Shares | None:
        """The gradients of an operation's outputs, added up."""
        shares = self._shares.get(op)
        if shares is not None:
            for number, parts in enumerate(shares):
                if isinstance(parts, list) and (parts or not is_loop_switch(op)):  # what comes round to a Switch is still to come
                    shares[number] = _sum(parts)
            return [None if isinstance(share, list) else share for share in shares]
        return None

    def _check_initial_value(self, op: Operation) -> None:
        """A gradient within a loop's body cannot go on to the values that the loop begins with."""
        context = op._control_flow_context
        if is_loop_switch(op) and context is get_default_graph()._control_flow_context and self._loops.of(op) is None:
            entered = op.inputs[0].op.inputs[0]
            names = [x.name for x in self._xs]
            raise ValueError(
                f"Cannot compute gradient inside while loop with respect to op '{entered.op.inputs[0].op.name}'. We do not support taking "
                "the gradient wrt or through the initial value of a loop variable. Gradients can be computed through loop invariants or "
                f"wrt the input parameters to the loop body. The xs are {names}."
            )

    def _input_gradients(self, op: Operation, shares: Shares | None) -> Sequence[Any]:
        """The gradients of an operation's inputs, None for those without."""
        nothing = [None] * len(op.inputs)
        if shares is None or op in self._ends or all(share is None for share in shares):
            return nothing
        function = gradient_function(op)
        if function is None:
            return nothing
        given = list(shares)
        own_function = getattr(function, "__self__", None) is op.definition
        for number, output in enumerate(op.outputs):
            if given[number] is None and is_trainable(output) and not (own_function and op.definition.partial_gradient):
                given[number] = self._loops.zeros_like(op, number)
        with name_scope(op.name + "_grad"):
            number = counted_for(op, given) if own_function else None
            with op.graph._count.counting_for(number, whole=op.type in LINEAR):
                found = function(op, *given)
            found = list(found) if isinstance(found, (list, tuple)) else [found]
            if len(found) != len(op.inputs):
                raise ValueError(
                    f"Num gradients {len(found)} generated for op {op.node_def} do not match num inputs {len(op.inputs)}"
                )
            if self._gate and sum(share is not None for share in found) > 1:
                found = source.tuple(found)
        return found

    def result(self, x: Any, unconnected: str) -> Any:
        """The gradient of `x`, once the walk is over."""
        shares = self._shares.get(x.op)
        if shares is None:
            if unconnected == UnconnectedGradients.NONE:
                return None
            if x.dtype is dtypes.resource:
                return source.zeros(make("VariableShape", x), x.spec.contents.dtype)
            return make("ZerosLike", x, name="zeros_like")
        share = shares[x.value_index if isinstance(x, Tensor) else x.values.value_index]
        return _sum(share) if isinstance(share, list) else share


def _pending(
    targets: Iterable[Operation], sources: Iterable[Operation], placed: Callable[[Operation], AbstractContextManager[Any]]
) -> tuple[dict[Operation, None], dict[Operation, int], LoopStates]:
    """The operations between sources and targets, for each how many uses of its outputs are between too, and the loops among them."""
    reached: set[Operation] = set()
    queue = deque(sources)
    while queue:
        op = queue.popleft()
        if op not in reached:
            reached.add(op)
            for output in op.outputs:
                if is_trainable(output):
                    queue.extend(output._consumers)
    between: dict[Operation, None] = {}
    queue = deque(targets)
    while queue:
        op = queue.popleft()
        if op in reached and op not in between:
            between[op] = None
            queue.extend(t.op for t in op.inputs)
    loops = LoopStates()
    for op in list(between):
        if op.type in EXITS:
            with placed(op):
                loops.add(op, between)
    pending: dict[Operation, int] = defaultdict(int)
    for op in between:
        for tensor in op.inputs:
            if tensor.op in between:
                pending[tensor.op] += 1
    return between, pending, loops


def _sum(parts: list[Any]) -> Any:
    """The sum of an output's shares: None where there are none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    if any(isinstance(part, Tensor) for part in parts):
        return make("AddN", [convert_to_tensor(part) for part in parts])
    kinds = {part.indices.dtype.base_dtype for part in parts}
    indices = [part.indices for part in parts]
    if len(kinds) > 1:
        indices = [make("Cast", i, DstT=dtypes.int64) for i in indices]
    values = make("ConcatV2", [part.values for part in parts], 0, name="concat")
    return IndexedSlices(values, make("ConcatV2", indices, 0, name="concat"), parts[0].dense_shape)


def _agree(op: Operation, tensor: Tensor, share: Tensor) -> None:
    """The gradient has the shape of what it is the gradient of."""
    try:
        share.set_shape(tensor.get_shape())
    except ValueError:
        raise ValueError(
            f"Incompatible shapes between op input and calculated input gradient.  Forward operation: {op.name}.  Input index: "
            f"{op.inputs.index(tensor)}. Original input shape: {tensor.shape}.  Calculated input gradient shape: {share.shape}"
        ) from None


def hessians(ys: Any, xs: Any, name: str = "hessians", colocate_gradients_with_ops: bool = False, gate_gradients: bool = False,
             aggregation_method: int | None = None) -> list[Any]:  # fmt: skip
    """The matrix of second derivatives of sum(ys) for each x, of the shape of x twice. The shape must be known."""
    settings = (colocate_gradients_with_ops, gate_gradients, aggregation_method)
    found = []
    for x in _listed(xs):
        count = x.get_shape().num_elements()
        if count is None:
            raise ValueError(f"The Hessian for {x} needs its size, which is not known: {x.get_shape()}")
        with name_scope(name, "hessians"):
            first = gradients(ys, x, None, "gradients", *settings)[0]
            if first is None:
                raise ValueError(f"No gradient: the ys do not depend on {x}")
            flat = make("Reshape", first, [-1])
            rows = [gradients(flat[k], x, None, "gradients", *settings)[0] for k in range(count)]
            if any(row is None for row in rows):  # TensorFlow's class and words for a linear function
                raise ValueError(f"None values not supported: the gradient by {x} does not depend on it, so that there is no Hessian.")
            sizes = x.get_shape().as_list()
            found.append(make("Reshape", make("Pack", rows, axis=0), sizes + sizes))
    return found
