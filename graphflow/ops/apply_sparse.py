"""The optimizers' updates of some rows. Only the rows that `indices` names are read and written, in the order of the indices."""

from __future__ import annotations

from typing import Any, ClassVar

from graphflow.dtypes import FLOATING, INDEX
from graphflow.graph.dims import merge_dims, merge_size
from graphflow.graph.op import TensorSpec
from graphflow.ops.apply import (
    ApplyAdadelta,
    ApplyAdagrad,
    ApplyAdagradDA,
    ApplyCenteredRMSProp,
    ApplyFtrl,
    ApplyFtrlV2,
    ApplyMomentum,
    ApplyProximalAdagrad,
    ApplyProximalGradientDescent,
    ApplyRMSProp,
    Update,
)
from graphflow.ops.rows import RowUpdate


class SparseUpdate(Update, abstract=True):
    """The update `dense` of the rows that `indices` names."""

    types = {"T": FLOATING, "Tindices": INDEX}
    dense: ClassVar[type[Update]]
    pass_through: ClassVar[tuple[str, ...]] = ()

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims = inputs[0].dims
        given = dict(zip((argument.split(":")[0] for argument in self.arguments), inputs, strict=True))
        for number in self.updates:
            dims = merge_dims(dims, inputs[number].dims)
        for name in self.dense.scalars:
            if given[name].rank not in (None, 0):
                raise ValueError(f"Shape must be rank 0 but is rank {given[name].rank} (input '{name}' of {self.type})")
        grad, indices = given["grad"].dims, given["indices"].dims
        if indices is not None and len(indices) != 1:
            raise ValueError(f"Shape must be rank 1 but is rank {len(indices)} (input 'indices' of {self.type})")
        if grad is not None and dims is not None and indices is not None:
            merge_dims(grad[1:], dims[1:])
            merge_size(grad[0], indices[0])
        return TensorSpec(inputs[0].dtype, dims)

    def decompose(self, b: Any, *values: Any) -> Any:
        given = dict(zip((argument.split(":")[0] for argument in self.arguments), values, strict=True))
        rule = self.dense(**{name: getattr(self, name) for name in self.pass_through})
        given["delta"] = given["grad"]  # the name in two of the updates of all rows
        ordered = [given[argument.split(":")[0]] for argument in rule.arguments]
        return b.apply(RowUpdate(rule), *rule.prepared(b, *ordered), given["indices"])


class SparseApplyMomentum(SparseUpdate):
    """ApplyMomentum for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "indices: Tindices", "momentum: T")
    updates = (0, 1)
    dense = ApplyMomentum
    use_nesterov: bool = False
    pass_through = ("use_nesterov",)


class SparseApplyAdagrad(SparseUpdate):
    """ApplyAdagrad for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "grad: T", "indices: Tindices")
    updates = (0, 1)
    dense = ApplyAdagrad
    update_slots: bool = True
    pass_through = ("update_slots",)


class SparseApplyProximalGradientDescent(SparseUpdate):
    """ApplyProximalGradientDescent for some rows."""

    arguments = ("var: Ref(T)", "alpha: T", "l1: T", "l2: T", "grad: T", "indices: Tindices")
    dense = ApplyProximalGradientDescent


class SparseApplyAdagradDA(SparseUpdate):
    """ApplyAdagradDA for some rows."""

    arguments = (
        "var: Ref(T)", "gradient_accumulator: Ref(T)", "gradient_squared_accumulator: Ref(T)", "grad: T", "indices: Tindices", "lr: T",
        "l1: T", "l2: T", "global_step: int64",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyAdagradDA


class SparseApplyProximalAdagrad(SparseUpdate):
    """ApplyProximalAdagrad for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "lr: T", "l1: T", "l2: T", "grad: T", "indices: Tindices")
    updates = (0, 1)
    dense = ApplyProximalAdagrad


class SparseApplyAdadelta(SparseUpdate):
    """ApplyAdadelta for some rows."""

    arguments = ("var: Ref(T)", "accum: Ref(T)", "accum_update: Ref(T)", "lr: T", "rho: T", "epsilon: T", "grad: T", "indices: Tindices")
    updates = (0, 1, 2)
    dense = ApplyAdadelta


class SparseApplyRMSProp(SparseUpdate):
    """ApplyRMSProp for some rows."""

    arguments = (
        "var: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T", "indices: Tindices",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyRMSProp


class SparseApplyCenteredRMSProp(SparseUpdate):
    """ApplyCenteredRMSProp for some rows."""

    arguments = (
        "var: Ref(T)", "mg: Ref(T)", "ms: Ref(T)", "mom: Ref(T)", "lr: T", "rho: T", "momentum: T", "epsilon: T", "grad: T",
        "indices: Tindices",
    )  # fmt: skip
    updates = (0, 1, 2, 3)
    dense = ApplyCenteredRMSProp


class SparseApplyFtrl(SparseUpdate):
    """ApplyFtrl for some rows."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "indices: Tindices", "lr: T", "l1: T", "l2: T", "lr_power: T",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyFtrl


class SparseApplyFtrlV2(SparseUpdate):
    """ApplyFtrlV2 for some rows."""

    arguments = (
        "var: Ref(T)", "accum: Ref(T)", "linear: Ref(T)", "grad: T", "indices: Tindices", "lr: T", "l1: T", "l2: T", "l2_shrinkage: T",
        "lr_power: T",
    )  # fmt: skip
    updates = (0, 1, 2)
    dense = ApplyFtrlV2


# The update of all rows -> the update of some.
SPARSE: dict[type[Update], type[SparseUpdate]] = {cls.dense: cls for cls in SparseUpdate.__subclasses__()}
