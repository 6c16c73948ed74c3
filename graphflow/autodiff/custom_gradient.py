"""`tf.custom_gradient`: a function that says itself what its gradient is."""

from __future__ import annotations

import functools
import inspect
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from graphflow import nest
from graphflow.autodiff.gradients import gradients
from graphflow.autodiff.registry import RegisterGradient
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import control_dependencies, get_collection
from graphflow.graph.tensor import Tensor
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.variable_scope import get_variable_scope

_numbers = itertools.count()


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator for `f(*tensors)` that gives its result and a function from the result's gradients to those of the tensors.

    Where `f` reads variables, which must be resource variables, that function takes them as the keyword `variables` and gives a pair: the
    gradients of the tensors, and a list with those of the variables.
    """

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise ValueError("The custom_gradient decorator currently supports keywords arguments only when eager execution is enabled.")
        given = [convert_to_tensor(x) for x in args]
        before = _variables_of_scope()
        result, grad_fn = f(*given)
        made = [v for v in _variables_of_scope() if not any(v is b for b in before)]
        if not all(isinstance(v, ResourceVariable) for v in made):
            raise TypeError(
                "All variables used by a function wrapped with @custom_gradient must be `ResourceVariable`s. Ensure that no "
                "`variable_scope` is created with `use_resource=False`."
            )
        flat = [convert_to_tensor(t) for t in nest.flatten(result)]
        variables = _variables_between(given, flat)
        _check_takes_variables(grad_fn, variables)
        name = f"CustomGradient-{next(_numbers)}"
        RegisterGradient(name)(functools.partial(_gradient, grad_fn, len(flat), variables))
        with get_default_graph().gradient_override_map({"IdentityN": name}):
            outputs = make("IdentityN", [*flat, *given, *variables])
        return nest.pack_sequence_as(result, outputs[: len(flat)])

    return decorated


def _gradient(grad_fn: Callable[..., Any], count: int, variables: Sequence[Any], op: Any, *dy: Any) -> list[Any]:
    """The gradients of what stands in the IdentityN: results, arguments, variables."""
    if not variables:
        return [None] * count + nest.flatten(grad_fn(*dy[:count]))
    inputs, of_variables = grad_fn(*dy[:count], variables=list(variables))
    if len(of_variables) != len(variables):
        raise ValueError("Must return gradient for each variable from @custom_gradient grad_fn.")
    return [None] * count + nest.flatten(inputs) + list(of_variables)


def _variables_of_scope() -> list[Any]:
    scope = get_variable_scope()
    return scope.global_variables() + scope.local_variables()


def _variables_between(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Any]:
    """The trainable variables that the outputs depend on otherwise than through the inputs."""
    seen = {t.op for t in inputs}
    waiting = [t.op for t in outputs if t.op not in seen]
    read = set()
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        if op.definition.variable:
            read.add(op)
        waiting += [t.op for t in op.inputs]
    return [v for v in get_collection(GraphKeys.GLOBAL_VARIABLES) if v.trainable and v.op in read]


def _check_takes_variables(grad_fn: Callable[..., Any], variables: Sequence[Any]) -> None:
    parameters = inspect.signature(grad_fn).parameters
    takes = "variables" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if variables and not takes:
        raise TypeError(
            "If using @custom_gradient with a function that uses variables, then grad_fn must accept a keyword argument 'variables'."
        )
    if takes and not variables:
        if not get_variable_scope().use_resource:
            raise TypeError(
                "If using @custom_gradient with a function that uses variables, the enclosing variable scope must have "
                "use_resource=True."
            )
        text = "@custom_gradient grad_fn has 'variables' in signature, but no ResourceVariables were used on the forward pass."
        warnings.warn(text, stacklevel=4)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose intermediate values are computed again for its gradient instead of being kept."""

    @custom_gradient
    def inner(*args: Any) -> Any:
        def grad(*dresult: Any, variables: Sequence[Any] = ()) -> Any:
            with control_dependencies(dresult):
                again = f(*args)
            found = gradients(again, [*args, *variables], grad_ys=list(dresult))
            return found[: len(args)], found[len(args) :]

        return f(*args), grad

    return functools.wraps(f)(inner)


def grad_pass_through(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose gradient is that of the identity; a decorator."""

    @custom_gradient
    def passed(*args: Any) -> Any:
        def grad(*dy: Any, **kwargs: Any) -> Any:
            variables = kwargs.get("variables")
            return dy if variables is None else (dy, [None] * len(variables))

        return f(*args), grad

    return functools.wraps(f)(passed)
