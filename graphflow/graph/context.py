"""Control flow contexts: in which branch of which conditional, in which loop, an operation stands.

A Graph has a current context, under which new operations fall; an Operation keeps the one it was made in. The contexts themselves
(`ops/control_flow/contexts.py`) know how a value gets into a branch or a loop; here is what all of them share, and the questions that
the graph asks. Method names are TensorFlow's: programs and its own libraries call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.graph.graph import Graph
    from graphflow.graph.operation import Operation
    from graphflow.graph.tensor import Tensor

ENTERS = frozenset(("Enter", "RefEnter"))
EXITS = frozenset(("Exit", "RefExit"))
SWITCHES = frozenset(("Switch", "RefSwitch"))
MERGES = frozenset(("Merge", "RefMerge"))


class ControlFlowContext:
    """One branch of a conditional, or one loop.

    Between `Enter` and `Exit` new operations of the graph belong to it. `_values` holds the tensors that are known inside by themselves,
    `_external_values` by what a tensor from outside is represented inside (a Switch output, an Enter).
    """

    def __init__(self, graph: Graph, name: str, outer: ControlFlowContext | None) -> None:
        self._graph = graph
        self._name = name
        self._outer_context = outer
        self._nested_contexts: list[ControlFlowContext] = []
        self._stack: list[ControlFlowContext | None] = []
        self._values: set[Tensor] = set()
        self._external_values: dict[Tensor, Tensor] = {}
        if outer is not None:
            outer._nested_contexts.append(self)

    @property
    def name(self) -> str:
        """Its unique name; a loop's is the name of its frame."""
        return self._name

    @property
    def outer_context(self) -> ControlFlowContext | None:
        """The context that this one stands in."""
        return self._outer_context

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self._graph

    def Enter(self) -> None:
        """New operations belong to this context until `Exit`."""
        self._stack.append(self._graph._control_flow_context)
        self._graph._control_flow_context = self

    def Exit(self) -> None:
        """New operations belong to the context before `Enter` again."""
        self._graph._control_flow_context = self._stack.pop()

    def AddName(self, name: str) -> None:
        """Makes the tensor called `name` known inside as it is."""
        self._values.add(self._graph.as_graph_element(name, allow_operation=False))

    def AddValue(self, value: Tensor) -> Tensor:
        """What represents `value` inside this context, made if there is nothing yet."""
        raise NotImplementedError

    def AddOp(self, op: Operation) -> None:
        """Takes in a new operation: its inputs are replaced by what represents them inside."""
        raise NotImplementedError

    def ExitResult(self, results: Iterable[Tensor]) -> None:
        """Makes the results of this context known in the outer one."""
        if self._outer_context is not None:
            self._outer_context._values.update(results)

    def GetWhileContext(self) -> ControlFlowContext | None:
        """The innermost loop around, this context included."""
        return None if self._outer_context is None else self._outer_context.GetWhileContext()

    def GetControlPivot(self) -> Tensor | None:
        """The tensor that is alive exactly when the context runs."""
        return None

    def IsWhileContext(self) -> bool:
        """Whether it is a loop."""
        return False

    def IsCondContext(self) -> bool:
        """Whether it is a branch of a conditional."""
        return False

    @property
    def grad_state(self) -> Any:
        """For a loop that computes gradients: what connects it with the loop it differentiates."""
        loop = self.GetWhileContext()
        return None if loop is None or loop is self else loop.grad_state

    def _keep_inner_control_inputs(self, op: Operation) -> list[Operation]:
        """Takes those control inputs from `op` that stand outside the innermost loop, and gives them back: nothing in a loop can wait for
        what runs once outside."""
        loop = self.GetWhileContext()
        if loop is None or not op._control_inputs:
            return []
        inner: list[Operation] = []
        outer: list[Operation] = []
        for other in op._control_inputs:
            context = output_context(other)
            kept = context is not None and context.GetWhileContext() is loop
            (inner if kept else outer).append(other)
        if outer:
            op._remove_all_control_inputs()
            op._add_control_inputs(inner)
        return outer

    def __str__(self) -> str:
        return self._name


@contextmanager
def inside(graph: Graph, context: ControlFlowContext | None) -> Iterator[None]:
    """New operations of the graph belong to `context` (None: to none) in the block."""
    before, graph._control_flow_context = graph._control_flow_context, context
    try:
        yield
    finally:
        graph._control_flow_context = before


def output_context(op: Operation) -> ControlFlowContext | None:
    """The context in which an operation's results are: what leaves a loop is outside of it."""
    context: ControlFlowContext | None = op._control_flow_context
    return context._outer_context if context is not None and op.type in EXITS else context


def contains(outer: ControlFlowContext | None, context: ControlFlowContext | None) -> bool:
    """Whether `context` is `outer` or lies inside it; None is the graph itself."""
    while context is not outer:
        if context is None:
            return False
        context = context._outer_context
    return True


def loop_of(context: ControlFlowContext | None) -> ControlFlowContext | None:
    """The innermost loop that `context` is or lies in."""
    return None if context is None else context.GetWhileContext()


def check_inputs(op_type: str, name: str, context: ControlFlowContext | None, inputs: Sequence[Tensor]) -> None:
    """ValueError where a new operation takes a tensor out of a loop that it does not stand in."""
    for tensor in inputs:
        if tensor.op._control_flow_context is not None:
            source = output_context(tensor.op)
            if source is not None and source is not context and not _reachable(op_type, context, source):
                _refuse(name, context, tensor.op.name)


def _reachable(op_type: str, context: ControlFlowContext | None, source: ControlFlowContext) -> bool:
    loop, source_loop = loop_of(context), loop_of(source)
    if source_loop is None or contains(source_loop, loop):
        return True
    if loop is None:
        return op_type in ENTERS or op_type in SWITCHES  # made outside every context, on the way into one
    forward = None if loop.grad_state is None else loop.grad_state.forward_context
    if forward is not None:  # values of the loop being differentiated, and of those in it, are handed over by its history
        return contains(source_loop, forward) or contains(forward, source_loop)
    back = None if source_loop.grad_state is None else source_loop.grad_state.forward_context
    return back is not None and contains(loop, back)


def _refuse(name: str, context: ControlFlowContext | None, source: str) -> None:
    why = "they are in different while loops." if loop_of(context) is not None else f"'{source}' is in a while loop."
    raise ValueError(
        f"Cannot use '{source}' as input to '{name}' because {why} A value leaves a loop only as one of its loop variables: add it to "
        "loop_vars and use what tf.while_loop returns."
    )
