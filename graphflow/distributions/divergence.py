"""KL divergences, found by the types of the two distributions or of their nearest base classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.graph.build import make, name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.assertions import Assert
from graphflow.ops.reductions import reduce_any
from graphflow.ops.source import identity

_FORMULAS: dict[tuple[type, type], Callable[..., Any]] = {}


class RegisterKL:
    """Decorates f(a, b, name=None), the divergence of distributions of two types. ValueError if they have one."""

    def __init__(self, dist_cls_a: type, dist_cls_b: type) -> None:
        self._key = dist_cls_a, dist_cls_b

    def __call__(self, kl_fn: Callable[..., Any]) -> Callable[..., Any]:
        a, b = self._key
        if not callable(kl_fn):
            raise TypeError(f"kl_fn must be callable, received: {kl_fn}")
        if self._key in _FORMULAS:
            raise ValueError(f"KL({a.__name__} || {b.__name__}) has already been registered to: {_FORMULAS[self._key]}")
        _FORMULAS[self._key] = kl_fn
        return kl_fn


def kl_divergence(distribution_a, distribution_b, allow_nan_stats=True, name=None):
    """KL(a || b) = E_a[log a(X) - log b(X)], of the batch's shape.

    Raises NotImplementedError for types without a formula; a run fails with InvalidArgumentError for NaN unless `allow_nan_stats`.
    """
    a, b = type(distribution_a), type(distribution_b)
    found = [(i + j, _FORMULAS[x, y]) for i, x in enumerate(a.__mro__) for j, y in enumerate(b.__mro__) if (x, y) in _FORMULAS]
    if not found:
        raise NotImplementedError(
            "No KL(distribution_a || distribution_b) registered for distribution_a "
            f"type {a.__name__} and distribution_b type {b.__name__}"
        )
    formula = min(found, key=lambda entry: entry[0])[1]
    with name_scope("KullbackLeibler"):
        divergence = formula(distribution_a, distribution_b, name=name)
        if allow_nan_stats:
            return divergence
        divergence = identity(divergence, name="kl")
        fine = make("LogicalNot", reduce_any(make("IsNan", divergence)))
        told = (
            f"KL calculation between {distribution_a.name} and {distribution_b.name} returned NaN values "
            "(and was called with allow_nan_stats=False). Values:"
        )
        with control_dependencies([Assert(fine, [told, divergence])]):
            return identity(divergence, name="checked_kl")
