"""`tf.py_func`: a Python function as an operation."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphflow import dtypes, errors
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.build import apply, convert_n
from graphflow.graph.graph import get_default_graph
from graphflow.graph.op import Effect, TensorSpec
from graphflow.ops.families import HostOp

__all__ = ["numpy_function", "py_func"]

_TOKENS = itertools.count()
_NAMES = {"float32": "float", "float64": "double", "float16": "half"}
_CLASSES: tuple[tuple[type[Exception], Any], ...] = (
    (TypeError, errors.InvalidArgumentError),
    (ValueError, errors.InvalidArgumentError),
    (StopIteration, errors.OutOfRangeError),
    (MemoryError, errors.ResourceExhaustedError),
    (NotImplementedError, errors.UnimplementedError),
)


class PyFunc(HostOp):
    """Calls a function with the inputs as arrays. The operation holds the function; one read from a GraphDef has none."""

    effect = Effect.HOST
    concurrent = True
    arguments = ("input: list(Tin)",)
    results = ("output: list(Tout)",)
    token: str
    Tout: tuple[DType, ...]

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t, None) for t in self.Tout)

    def run(self, *inputs: Any) -> Any:
        function = self.__dict__.get("function")
        if function is None:
            raise errors.InvalidArgumentError(None, None, f"callback {self.token} is not found")
        try:
            found = function(*[a.copy()[()] for a in inputs])
            results = self._arrays(found)
        except errors.OpError:
            raise
        except Exception as error:
            kind = next((c for e, c in _CLASSES if isinstance(error, e)), errors.UnknownError)
            text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
            raise kind(None, None, text) from error
        if len(results) != len(self.Tout):
            text = f"{self.token} returns {len(results)} values, but expects to see {len(self.Tout)} values."
            raise errors.InvalidArgumentError(None, None, text)
        for number, (result, wanted) in enumerate(zip(results, self.Tout, strict=True)):
            given = dtypes.string if result.dtype == object else as_dtype(result.dtype)
            if given != wanted:
                names = [_NAMES.get(d.name, d.name) for d in (given, wanted)]
                text = f"{number}-th value returned by {self.token} is {names[0]}, but expects {names[1]}"
                raise errors.InvalidArgumentError(None, None, text)
        return results

    def _arrays(self, found: Any) -> list[Any]:
        if found is None:
            return []
        return [_array(v) for v in found] if isinstance(found, (tuple, list)) else [_array(found)]


class PyFuncStateless(PyFunc):
    """The same for a function that gives the same results for the same inputs."""

    effect = Effect.PURE


def _array(value: Any) -> Any:
    """What a function gave as an array; texts are objects of type bytes. Raises InternalError for what no tensor holds."""
    array = np.asarray(value, order="C")
    if array.dtype.kind in "USO":
        return np.asarray(_encoded(np.asarray(value, object)), object)  # as an array of texts it loses zeros at their ends
    if array.dtype.kind not in "biufc":
        raise errors.InternalError(None, None, f"Unsupported numpy data type: {array.dtype}")
    return array


@partial(np.frompyfunc, nin=1, nout=1)
def _encoded(text: Any) -> bytes:
    if not isinstance(text, (bytes, str)):
        raise errors.InternalError(None, None, f"Unsupported object type {type(text).__name__}")
    return text.encode() if isinstance(text, str) else text


def py_func(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, stateful: bool = True, name: str | None = None) -> Any:
    """The results of a Python function of numpy arrays. `Tout` is the type of its result, or a list of types for several results."""
    if not callable(func):
        raise ValueError(f"Expected func to be callable, got func of type {type(func)}")
    many = isinstance(Tout, (list, tuple))
    kinds = tuple(as_dtype(t) for t in (Tout if many else [Tout]))
    inputs = convert_n(list(inp))
    definition = (PyFunc if stateful else PyFuncStateless)(token=f"pyfunc_{next(_TOKENS)}", Tout=kinds)
    definition.__dict__["function"] = func  # not a field: neither compared nor written to a GraphDef
    outputs = apply(definition, inputs, name=name)
    if stateful and not kinds:
        return get_default_graph().get_operations()[-1]
    return outputs if many else outputs[0]


def numpy_function(func: Callable[..., Any], inp: Sequence[Any], Tout: Any, name: str | None = None) -> Any:
    """The same, under TensorFlow's newer name."""
    return py_func(func, inp, Tout, stateful=True, name=name)
