"""Ops that write their own kernel (sorting, pooling, random numbers, scatters). What is changed in place is one buffer, in and out."""

from __future__ import annotations

from dataclasses import replace

from graphflow.compiler.groups import Group
from graphflow.compiler.program import Value
from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.nodes import Kernel


def lower_custom(group: Group, name: str) -> tuple[Kernel, list[Value | None]]:
    """The op's kernel and what its buffers hold."""
    node = group.root
    assert node is not None
    k = KernelBuilder(name)
    values: list[Value | None] = []
    inputs, outputs = [], []
    changed = dict(zip(node.op.inplace, node.outputs, strict=True)) if node.op.inplace else {}
    for number, value in enumerate(node.inputs):
        declare = k.inout if number in changed else k.input
        inputs.append(declare(f"b{len(values)}", _type(value), value.shape))
        values.append(changed.get(number, value))
    for number, value in enumerate(node.outputs):
        if changed:
            outputs.append(inputs[node.op.inplace[number]])
            continue
        outputs.append(k.output(f"b{len(values)}", _type(value), value.shape))
        values.append(value)
    node.op.lower(k, inputs, outputs)
    origin = node.origins[-1].name if node.origins else node.op.type
    kernel = k.build()
    kernel = replace(kernel, checks=tuple(replace(c, origin=c.origin or origin) for c in kernel.checks))
    return kernel, [*values, *[None] * (len(kernel.buffers) - len(values))]


def _type(value: Value) -> str:
    type_ = value.dtype.kernel_type
    if type_ is None:
        raise TypeError(f"tensors of type {value.dtype.name} are not computed by kernels")
    return type_
