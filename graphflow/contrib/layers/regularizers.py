"""Regularizers: functions from weights to a penalty."""

from __future__ import annotations

import numbers
from typing import Any

from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.ops.arithmetic import add_n
from graphflow.ops.reductions import l2_loss, reduce_sum
from graphflow.ops.source import constant


def _checked(scale: Any, what: str = "scale") -> bool:
    """Whether the scale does anything."""
    if isinstance(scale, numbers.Integral):
        raise ValueError(f"{what} cannot be an integer: {scale}")
    if isinstance(scale, numbers.Real) and scale < 0.0:
        raise ValueError(f"Setting a scale less than 0 on a regularizer: {scale:g}")
    return not (isinstance(scale, numbers.Real) and scale == 0.0)


def l1_regularizer(scale, scope=None):
    """scale * sum of |w|"""
    if not _checked(scale):
        return lambda _: None

    def l1(weights, name=None):
        with name_scope(scope, "l1_regularizer", [weights]) as name:
            factor = convert(scale, weights.dtype.base_dtype, "scale")
            return make("Mul", factor, reduce_sum(make("Abs", weights)), name=name)

    return l1


def l2_regularizer(scale, scope=None):
    """scale * sum of w^2 / 2"""
    if not _checked(scale):
        return lambda _: None

    def l2(weights):
        with name_scope(scope, "l2_regularizer", [weights]) as name:
            factor = convert(scale, weights.dtype.base_dtype, "scale")
            return make("Mul", factor, l2_loss(weights), name=name)

    return l2


def l1_l2_regularizer(scale_l1=1.0, scale_l2=1.0, scope=None):
    """The sum of l1_regularizer and l2_regularizer."""
    scope = scope or "l1_l2_regularizer"
    first, second = _checked(scale_l1, "scale_l1"), _checked(scale_l2, "scale_l2")
    if not first:
        return l2_regularizer(scale_l2, scope)
    if not second:
        return l1_regularizer(scale_l1, scope)
    return sum_regularizer([l1_regularizer(scale_l1), l2_regularizer(scale_l2)], scope=scope)


def sum_regularizer(regularizer_list, scope=None):
    """The sum of several regularizers; None for none."""
    regularizers = [r for r in regularizer_list if r is not None]
    if not regularizers:
        return None

    def total(weights):
        with name_scope(scope, "sum_regularizer", [weights]) as name:
            penalties = [p for p in (r(weights) for r in regularizers) if p is not None]
            return add_n(penalties, name=name) if penalties else None

    return total


def apply_regularization(regularizer, weights_list=None):
    """The sum of the penalties of `weights_list` (default: the collection WEIGHTS), added to REGULARIZATION_LOSSES."""
    weights = weights_list or get_collection(GraphKeys.WEIGHTS)
    if not weights:
        raise ValueError("No weights to regularize.")
    with name_scope("get_regularization_penalty", values=weights) as scope:
        penalties = [constant(0.0) if p is None else p for p in (regularizer(w) for w in weights)]
        for penalty in penalties:
            if penalty.shape.ndims != 0:
                raise ValueError(f"regularizer must return a scalar Tensor instead of a Tensor with rank {penalty.shape.ndims}.")
        total = add_n(penalties, name=scope)
        add_to_collection(GraphKeys.REGULARIZATION_LOSSES, total)
        return total
