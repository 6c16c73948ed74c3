"""What `Session.run` is asked for: nested fetches in, flat tensors and operations out, and results put back into the same form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphflow.graph.composite import IndexedSlices, IndexedSlicesValue, SparseTensor, SparseTensorValue
from graphflow.graph.graph import Graph
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

Rebuild = Callable[[Sequence[Any]], Any]

_expansions: list[tuple[Any, Callable[[Any], Any], Callable[[Any, Any], Any] | None]] = []


def register_session_run_conversion_functions(
    tensor_type: Any,
    fetch_function: Callable[[Any], Any],
    feed_function: Callable[[Any, Any], Any] | None = None,
    feed_function_for_partial_run: Callable[[Any], Any] | None = None,
) -> None:
    """Makes objects of `tensor_type` fetchable: `fetch_function` gives the fetches for one and the function that joins their
    values; `feed_function(object, value)` gives (tensor, value) pairs."""
    if any(issubclass(known, tensor_type) for known, _, _ in _expansions):
        raise ValueError(f"{tensor_type} has already been registered so ignore it.")
    _expansions.insert(0, (tensor_type, fetch_function, feed_function))


class Fetches:
    """Flat `tensors` and `targets`, and `rebuild`, which takes the tensors' values and gives the results."""

    __slots__ = ("rebuild", "targets", "tensors")

    def __init__(self, graph: Graph, fetches: Any) -> None:
        self.tensors: list[Tensor] = []
        self.targets: list[Operation] = []
        places: dict[Any, int] = {}
        self.rebuild: Rebuild = self._enter(graph, fetches, places)

    def _enter(self, graph: Graph, fetch: Any, places: dict[Any, int]) -> Rebuild:
        if fetch is None:
            raise TypeError(f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}")
        kind = type(fetch)
        if isinstance(fetch, (list, tuple)):
            parts = [self._enter(graph, f, places) for f in fetch]
            if issubclass(kind, list):
                return lambda values: [p(values) for p in parts]
            if kind is tuple:
                return lambda values: tuple([p(values) for p in parts])
            return lambda values: kind(*[p(values) for p in parts])  # a named tuple
        if isinstance(fetch, Mapping):
            entries = [(k, self._enter(graph, f, places)) for k, f in fetch.items()]

            def rebuild(values: Sequence[Any]) -> Any:
                result = kind()
                for key, part in entries:
                    result[key] = part(values)  # type: ignore[index]
                return result

            return rebuild
        if getattr(kind, "__attrs_attrs__", None) is not None:
            parts = [self._enter(graph, getattr(fetch, a.name), places) for a in kind.__attrs_attrs__]
            return lambda values: kind(*[p(values) for p in parts])
        for known, expand, _ in _expansions:
            if isinstance(fetch, known):
                elements, join = expand(fetch)
                parts = [self._element(graph, f, places) for f in elements]
                return lambda values: join([p(values) for p in parts])
        return self._element(graph, fetch, places)

    def _element(self, graph: Graph, fetch: Any, places: dict[Any, int]) -> Rebuild:
        try:
            element = graph.as_graph_element(fetch)
        except TypeError as error:
            raise TypeError(
                f"Fetch argument {fetch!r} has invalid type {type(fetch)!r}, must be a string or Tensor. ({error})"
            ) from None
        except (ValueError, KeyError) as error:
            raise ValueError(f"Fetch argument {fetch!r} cannot be interpreted as a Tensor. ({error})") from None
        op = element if isinstance(element, Operation) else element.op
        if not graph.is_fetchable(op):
            raise ValueError(
                f"Operation {op.name!r} has been marked as not fetchable. Typically this happens when it is defined in another "
                "function or code block. Use return values,explicit Python locals or TensorFlow collections to access it."
            )
        if isinstance(element, Operation):
            self.targets.append(element)
            return _none
        place = places.get(element)
        if place is None:
            place = places[element] = len(self.tensors)
            self.tensors.append(element)
        return lambda values: values[place]


def _none(values: Sequence[Any]) -> None:
    return None


def fetch_key(fetches: Any) -> Any:
    """A hashable stand-in for nested fetches: equal keys ask for the same. TypeError where there is none."""
    kind = type(fetches)
    if kind is Operation or kind is Tensor:  # soon said: a step has left none of the code of further questions in the caches
        return fetches
    if isinstance(fetches, (list, tuple)):
        return (kind, *[fetch_key(f) for f in fetches])
    if isinstance(fetches, Mapping):
        return (kind, tuple(fetches), *[fetch_key(f) for f in fetches.values()])
    if getattr(kind, "__attrs_attrs__", None) is not None:
        return (kind, *[fetch_key(getattr(fetches, a.name)) for a in kind.__attrs_attrs__])
    hash(fetches)
    return fetches


def expand_feed(feed: Any, value: Any) -> Sequence[tuple[Any, Any]]:
    """The (tensor, value) pairs of one entry of a feed_dict."""
    for known, _, expand in _expansions:
        if isinstance(feed, known):
            if expand is None:
                raise TypeError(f"Feed argument {feed!r} has invalid type {type(feed)!r}")
            return list(expand(feed, value))
    return [(feed, value)]


def flat_feeds(feed_dict: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """A feed_dict as (tensor or name, value) pairs, with structured keys taken apart."""
    return [pair for feed, value in feed_dict.items() for pair in _flat_feed(feed, value)]


def _flat_feed(feed: Any, value: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(feed, (list, tuple)):
        return expand_feed(feed, value)  # type: ignore[no-any-return]
    if not isinstance(value, (list, tuple)) or len(value) != len(feed):
        raise ValueError(f"Could not flatten dictionary. Key {feed!r} and value {value!r} have different structures.")
    return [pair for f, v in zip(feed, value, strict=True) for pair in _flat_feed(f, v)]


def _slices_parts(fetch: IndexedSlices) -> list[Tensor]:
    return [fetch.values, fetch.indices] + ([] if fetch.dense_shape is None else [fetch.dense_shape])


register_session_run_conversion_functions(
    SparseTensor,
    lambda f: ([f.indices, f.values, f.dense_shape], lambda values: SparseTensorValue(*values)),
    lambda f, value: list(zip([f.indices, f.values, f.dense_shape], value, strict=True)),
)
register_session_run_conversion_functions(
    IndexedSlices,
    lambda f: (_slices_parts(f), lambda values: IndexedSlicesValue(*values, *([None] * (3 - len(values))))),
    lambda f, value: list(zip(_slices_parts(f), value, strict=False)),
)
