"""Changing some rows, or some elements, of a variable, in place and in the order of the indices."""

from __future__ import annotations

from typing import Any, ClassVar

from graphflow.dtypes import COMPLEX, INDEX, NUMERIC, string
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Effect, Kind, Op, TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import product
from graphflow.ops.families import StateUpdate
from graphflow.ops.parts import Interleaved, Paired
from graphflow.ops.rows import RowUpdate
from graphflow.ops.scatter_nd import check_parts, flat_positions
from graphflow.ops.segments import ScatterRows
from graphflow.ops.sizes import shown

__all__ = [
    "scatter_add",
    "scatter_div",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_nd_add",
    "scatter_nd_sub",
    "scatter_nd_update",
    "scatter_sub",
    "scatter_update",
]


class _Scatter(StateUpdate, abstract=True):
    """ref with `updates` at `indices`; the same shape as before."""

    arguments = ("ref: Ref(T)", "indices: Tindices", "updates: T")
    results = ("output_ref: Ref(T)",)
    types = {"T": NUMERIC, "Tindices": INDEX}
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)


class StringRows(Op):
    """Strings with some rows replaced, in the order of the indices: what a kernel cannot do."""

    core = True
    kind = Kind.HOST
    sized = True
    arguments = ("x: T", "rows: T", "numbers: I")
    results = ("y: T",)
    types = {"T": (string,), "I": INDEX}

    def infer(self, x: TensorSpec, rows: TensorSpec, numbers: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def run(self, x: Any, rows: Any, numbers: Any) -> Any:
        for place, number in enumerate(numbers):
            if not 0 <= number < len(x):
                raise InvalidArgumentError(None, None, f"indices[{place}] = {number} is not in [0, {len(x)})")
            x[number] = rows[place]
        return x


class _ScatterRows(_Scatter, abstract=True):
    """`step` puts each of the updates to its row, one after the other; one number may serve as all of them."""

    use_locking: bool = False
    operands: ClassVar[tuple[str, ...]] = ("table", "row")
    by_parts: ClassVar[bool] = True  # whether complex numbers may be taken as two real ones

    def infer(self, ref: TensorSpec, indices: TensorSpec, updates: TensorSpec) -> TensorSpec:
        if ref.dims is not None and indices.dims is not None and updates.dims != ():
            merge_dims((*indices.dims, *ref.dims[1:]), updates.dims)
        return TensorSpec(ref.dtype, ref.dims)

    def step(self, b: Any, old: Any, new: Any) -> Any:
        """The new element of a row, see rows.RowUpdate."""
        raise NotImplementedError

    def decompose(self, b: Any, ref: Any, indices: Any, updates: Any) -> Any:
        rows = (indices.size, *ref.shape[1:])
        updates = b.view(updates, rows) if updates.shape else b.broadcast(updates, rows)
        return self._changed(b, ref, updates, b.view(indices, (indices.size,)))

    def _changed(self, b: Any, old: Any, rows: Any, numbers: Any, refusal: str = "") -> Any:
        return changed_rows(b, type(self)(), old, rows, numbers, refusal)


def changed_rows(b: Any, rule: Any, old: Any, rows: Any, numbers: Any, refusal: str = "") -> Any:
    """`old` with `rows` put by a rule to the rows that `numbers` names."""
    if old.dtype == string:
        return b.apply(StringRows(), old, rows, numbers)
    if old.dtype.is_complex:
        if not rule.by_parts:
            raise ValueError(f"{rule.type} of complex numbers is not supported")
        pairs = changed_rows(b, rule, b.apply(Interleaved(), old), b.apply(Interleaved(), rows), numbers, refusal)
        return b.apply(Paired(), pairs)
    return b.apply(RowUpdate(rule, refusal), old, rows, numbers)[0]


class ScatterAdd(_ScatterRows):
    """ref[indices[i]] += updates[i]"""

    types = {"T": (*NUMERIC, *COMPLEX), "Tindices": INDEX}

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.add(old, new)


class ScatterSub(_ScatterRows):
    """ref[indices[i]] -= updates[i]"""

    types = {"T": (*NUMERIC, *COMPLEX), "Tindices": INDEX}

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.sub(old, new)


class ScatterMul(_ScatterRows):
    """ref[indices[i]] *= updates[i]"""

    by_parts = False

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.mul(old, new)


class ScatterDiv(_ScatterRows):
    """ref[indices[i]] /= updates[i]"""

    by_parts = False

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.div(old, new)

    def _changed(self, b: Any, old: Any, rows: Any, numbers: Any, refusal: str = "") -> Any:
        if old.dtype.is_floating:
            return super()._changed(b, old, rows, numbers, refusal)
        # A division by zero fails the step, which is the dense division's to say; dividing by a product is dividing by its factors.
        return b.make("Div", old, b.apply(ScatterRows(old.shape[0], "mul", drop=False), rows, numbers))


class ScatterMin(_ScatterRows):
    """ref[indices[i]] = min(ref[indices[i]], updates[i])"""

    by_parts = False

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.minimum(old, new)


class ScatterMax(_ScatterRows):
    """ref[indices[i]] = max(ref[indices[i]], updates[i])"""

    by_parts = False

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.maximum(old, new)


class ScatterUpdate(_ScatterRows):
    """ref[indices[i]] = updates[i]"""

    types = {"Tindices": INDEX}
    use_locking: bool = True

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return new


class ScatterNdAdd(_ScatterRows):
    """ref[indices[i]] += updates[i], where indices[i] holds a position of the leading axes."""

    types = {"T": (*NUMERIC, *COMPLEX), "Tindices": INDEX}

    def infer(self, ref: TensorSpec, indices: TensorSpec, updates: TensorSpec) -> TensorSpec:
        check_parts(indices, updates, ref.dims, "input")
        return TensorSpec(ref.dtype, ref.dims)

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.add(old, new)

    def decompose(self, b: Any, ref: Any, indices: Any, updates: Any) -> Any:
        return changed_parts(b, type(self)(), ref, indices, updates)


def changed_parts(b: Any, rule: Any, old: Any, indices: Any, updates: Any) -> Any:
    """`old` with `updates` put by a rule to the parts of it whose leading positions `indices` holds."""
    depth, count = indices.shape[-1], product(indices.shape[:-1])
    width = product(old.shape[depth:])
    whole = shown(old.shape[:depth])
    if depth == 1:
        numbers, refusal = b.view(indices, (count,)), f"indices[{{position}}] = [{{value}}] does not index into shape {whole}"
    else:
        numbers, refusal = flat_positions(b, indices, old.shape), f"indices[{{position}}] does not index into shape {whole}"
    rows = b.view(old, (product(old.shape[:depth]), width))
    return b.view(changed_rows(b, rule, rows, b.view(updates, (count, width)), numbers, refusal), old.shape)


class ScatterNdSub(ScatterNdAdd):
    """ref[indices[i]] -= updates[i]"""

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return b.sub(old, new)


class ScatterNdUpdate(ScatterNdAdd):
    """ref[indices[i]] = updates[i]"""

    types = {"Tindices": INDEX}
    use_locking: bool = True

    def step(self, b: Any, old: Any, new: Any) -> Any:
        return new


# -- public functions ----------------------------------------------------------------------------------------------------------


def _changed(ref: Any, kind: str, indices: Any, updates: Any, use_locking: bool, name: str | None) -> Any:
    """The variable after an update."""
    result = make(kind, ref, indices, updates, use_locking=use_locking, name=name)
    return ref._changed(result) if isinstance(result, Operation) else result  # a handle has nothing to give


def scatter_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Replaces rows of a variable."""
    return _changed(ref, "ScatterUpdate", indices, updates, use_locking, name)


def scatter_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to rows of a variable."""
    return _changed(ref, "ScatterAdd", indices, updates, use_locking, name)


def scatter_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from rows of a variable."""
    return _changed(ref, "ScatterSub", indices, updates, use_locking, name)


def scatter_mul(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Multiplies rows of a variable."""
    return _changed(ref, "ScatterMul", indices, updates, use_locking, name)


def scatter_div(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Divides rows of a variable."""
    return _changed(ref, "ScatterDiv", indices, updates, use_locking, name)


def scatter_min(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The lesser of rows of a variable and `updates`."""
    return _changed(ref, "ScatterMin", indices, updates, use_locking, name)


def scatter_max(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The greater of rows of a variable and `updates`."""
    return _changed(ref, "ScatterMax", indices, updates, use_locking, name)


def scatter_nd_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to parts of a variable."""
    return _changed(ref, "ScatterNdAdd", indices, updates, use_locking, name)


def scatter_nd_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from parts of a variable."""
    return _changed(ref, "ScatterNdSub", indices, updates, use_locking, name)


def scatter_nd_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Replaces parts of a variable."""
    return _changed(ref, "ScatterNdUpdate", indices, updates, use_locking, name)
