"""tf.case: the first of several branches whose condition holds; and conditionals that are decided at once where they can be."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from graphflow import dtypes
from graphflow.graph.build import make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.control_flow.cond import Branch, cond
from graphflow.ops.joining import stack
from graphflow.ops.logic import cast
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.source import constant
from graphflow.ops.watching import Assert

__all__ = ["case", "switch_case"]

Pairs = list[tuple[Any, Branch]]


def case(pred_fn_pairs: Any, default: Branch | None = None, exclusive: bool = False, strict: bool = False, name: str = "case") -> Any:
    """fn() of the first pair (pred, fn) whose `pred`, a bool scalar, is true in the run.

    pred_fn_pairs: a list of pairs, or a dict. default: the branch where none is true; without, that fails the run. exclusive: all
    conditions are computed, and the run fails where more than one is true. strict: see tf.cond. TypeError: something else than pairs of a
    bool tensor and a callable.
    """
    return _case(cond, pred_fn_pairs, default, exclusive, name, False, strict=strict)


def smart_case(pred_fn_pairs: Any, default: Branch | None = None, exclusive: bool = False, name: str = "smart_case") -> Any:
    """`case` that calls a branch at once where the conditions before it are known."""
    return _case(smart_cond, pred_fn_pairs, default, exclusive, name, True)


def switch_case(branch_index: Tensor, branch_fns: Any, default: Branch | None = None, name: str = "switch_case") -> Any:
    """branch_fns[branch_index]() for an int scalar `branch_index`; `default`, or the last branch, for numbers without one.

    branch_fns: a list of callables, or pairs (or a dict) of the numbers from 0 on and callables.
    """
    if not isinstance(branch_index, Tensor):
        raise TypeError(f"branch_index must a Tensor, got {type(branch_index)}")
    if not branch_index.dtype.is_integer:
        raise TypeError(f"branch_index must an integer Tensor, got {branch_index.dtype}")
    branches = _numbered(branch_fns)
    if default is not None:
        branches.append(default)
    with name_scope(name, "case", [branch_index]):
        pairs = [(make("Equal", branch_index, number), branch) for number, branch in enumerate(branches[:-1])]
        return _first_true(cond, pairs, branches[-1], strict=True)


def _numbered(branch_fns: Any) -> list[Branch]:
    if not branch_fns:
        raise ValueError("Must provide at least one item in branch_fns")
    if not isinstance(branch_fns, (list, tuple, dict)):
        raise TypeError("branch_fns must be a list, tuple, or dict")
    items = list(branch_fns.items()) if isinstance(branch_fns, dict) else list(branch_fns)
    if all(callable(item) for item in items):
        items = list(enumerate(items))
    for item in items:
        if not isinstance(item, tuple) or len(item) != 2:
            raise TypeError("Each entry in branch_fns must be a 2-tuple")
        key, branch = item
        if not isinstance(key, int):
            raise TypeError(f"key must be a Python `int`, got {type(key)}")
        if not callable(branch):
            raise TypeError(f"fn for key {key} must be callable.")
    keys = sorted(key for key, _ in items)
    if keys != list(range(len(keys))):
        raise ValueError(
            f"branch indices (keys) must form contiguous range of [0 to {len(keys)}) but found {{{','.join(map(str, keys))}}}"
        )
    return [branch for _, branch in sorted(items, key=lambda item: item[0])]


def _case(cond_fn: Callable[..., Any], pred_fn_pairs: Any, default: Branch | None, exclusive: bool, name: str, python_bools: bool,
          **settings: Any) -> Any:  # fmt: skip
    pairs = _checked(pred_fn_pairs, python_bools)
    with name_scope(name, "case", [pred for pred, _ in pairs]):
        if default is None:
            default, pairs = _without_default(pairs)
        if not exclusive:
            return _first_true(cond_fn, pairs, default, **settings)
        with control_dependencies([_at_most(1, [pred for pred, _ in pairs], "Input error: exclusive=True")]):
            return _first_true(cond_fn, pairs, default, **settings)


def _first_true(cond_fn: Callable[..., Any], pairs: Sequence[tuple[Any, Branch]], default: Branch, **settings: Any) -> Any:
    """Conditionals, each in the false branch of the one before."""
    branch = default
    for pred, taken in reversed(pairs):
        branch = partial(cond_fn, pred, true_fn=taken, false_fn=branch, **settings)
    return branch()


def _checked(pred_fn_pairs: Any, python_bools: bool) -> Pairs:
    if not isinstance(pred_fn_pairs, (list, tuple, dict)):
        raise TypeError("fns must be a list, tuple, or dict")
    if isinstance(pred_fn_pairs, OrderedDict):
        pairs: Any = pred_fn_pairs.items()
    elif isinstance(pred_fn_pairs, Mapping):
        pairs = sorted(pred_fn_pairs.items(), key=lambda item: item[0].name)
    else:
        pairs = pred_fn_pairs
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError("Each entry in pred_fn_pairs must be a 2-tuple")
        pred, branch = pair
        if isinstance(pred, Tensor):
            if pred.dtype.base_dtype != dtypes.bool:
                raise TypeError(f"pred must be Tensor of type bool: {pred.name}")
        elif not python_bools:
            raise TypeError(f"pred must be a Tensor, got: {pred}")
        elif not isinstance(pred, bool):
            raise TypeError(f"pred must be a Tensor or bool, got: {pred}")
        if not callable(branch):
            raise TypeError(f"fn for pred {getattr(pred, 'name', pred)} must be callable.")
    return list(pairs)


def _at_most(count: int, preds: Sequence[Any], message: str) -> Any:
    """An operation that fails where more than `count` conditions are true."""
    stacked = stack(preds, name="preds_c")
    found = reduce_sum(cast(stacked, dtypes.int32), name="num_true_conds")
    condition = make("LessEqual", found, constant(count, name="n_true_conds"))
    names = ", ".join(getattr(pred, "name", "?") for pred in preds)
    text = f"{message}: more than {count} conditions ({names}) evaluated as True:"
    return Assert(condition, [text, stacked], summarize=len(preds))


def _without_default(pairs: Pairs) -> tuple[Branch, Pairs]:
    """The last branch as the default, after a check that its condition is true; and the other pairs."""
    others, (pred, branch) = pairs[:-1], pairs[-1]
    preds = [p for p, _ in pairs]

    def last() -> Any:
        number = len(others)
        text = f"Implementation error: selected default action #{number} was called, but some of other predicates are True: "
        nothing = ("Input error: None of conditions evaluated as True:", stack(preds, name="preds_c"))
        with control_dependencies([_at_most(0, preds[:-1], text), Assert(pred, data=nothing)]):
            return branch()

    return last, others


# -- decided at once where possible --------------------------------------------------------------------------------------------


def smart_constant_value(pred: Any) -> bool | None:
    """A condition as a Python bool; None where only a run tells. TypeError for what is no condition."""
    if isinstance(pred, Tensor):
        found = constant_value(pred)
        return None if found is None else bool(found)
    if hasattr(pred, "_as_graph_element"):  # a variable
        return None
    if isinstance(pred, bool) or pred in (0, 1):
        return bool(pred)
    raise TypeError(f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {type(pred)}")


def smart_cond(pred: Any, true_fn: Branch | None = None, false_fn: Branch | None = None, name: str | None = None) -> Any:
    """tf.cond, or the branch itself where the condition is known: a Python bool, 0 or 1, or a constant."""
    if not callable(true_fn):
        raise TypeError("`true_fn` must be callable.")
    if not callable(false_fn):
        raise TypeError("`false_fn` must be callable.")
    known = smart_constant_value(pred)
    if known is None:
        return cond(pred, true_fn=true_fn, false_fn=false_fn, name=name)
    return true_fn() if known else false_fn()
