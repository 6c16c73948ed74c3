"""Making operations: `apply(op, *inputs)` and `make("Sum", x, axes)`, with TensorFlow's conversion and type rules.

    y = make("Sum", x, axes, keep_dims=False)      an op by its registered type; fields by keyword
    y = apply(Sum(keep_dims=False), x, axes)       the same from an Op instance

The result is a Tensor for an op with one result, a list for a list result, a tuple for several, the Operation for none.
A list argument ("N*T") is given as one list or, when it is the only one, spread out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.dtypes import INDEX, DType, as_dtype, resource
from graphflow.errors import NotFoundError, describe
from graphflow.graph import convert as conversion
from graphflow.graph.convert import convert, convert_n, convert_to_tensor, register_tensor_conversion_function
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.op import REGISTRY, Op
from graphflow.graph.operation import Operation
from graphflow.graph.places import Place, user_frames
from graphflow.graph.scopes import name_scope
from graphflow.graph.tensor import Tensor

__all__ = ["apply", "convert", "convert_n", "convert_to_tensor", "graph_of", "make", "name_scope"]


class Slot(NamedTuple):
    """One argument or result declaration, taken apart. `length`: the attribute that gives a list's length, or ""."""

    name: str
    attribute: str  # the type attribute or field that gives the type, or "" where it is fixed
    fixed: DType | None
    length: str
    is_ref: bool
    is_list: bool  # "N*T", or "list(T)" of any types


def _slot(declaration: str) -> Slot:
    name, _, rest = (part.strip() for part in declaration.partition(":"))
    count, star, kind = rest.rpartition("*")
    is_ref = kind.startswith("Ref(")
    any_types = kind.startswith("list(")
    if is_ref or any_types:
        kind = kind[kind.index("(") + 1 : -1]
    try:
        fixed: DType | None = as_dtype(kind)
    except TypeError:
        fixed = None
    return Slot(name, "" if fixed else kind, fixed, count, is_ref, bool(star) or any_types)


class Signature(NamedTuple):
    """An op class's declarations, taken apart once."""

    arguments: tuple[Slot, ...]
    results: tuple[Slot, ...]
    has_lists: bool  # among the arguments
    refs: tuple[bool, ...]  # for the results; empty where none is a reference
    takes_refs: bool
    defaults: dict[str, DType]  # type attributes with a default: what an untyped number becomes


_signatures: dict[type[Op], Signature] = {}


def signature(cls: type[Op]) -> Signature:
    """The signature of an op class."""
    found = _signatures.get(cls)
    if found is None:
        conversion.load_ops()  # a namespace may have brought in this op alone: its results need the operators, its gradient other ops
        results = tuple(map(_slot, cls.results))
        refs = tuple(r.is_ref for r in results)
        defaults = {a: INDEX[0] for a, allowed in cls.types.items() if set(allowed) == set(INDEX) and a != "T"}
        arguments = tuple(map(_slot, cls.arguments))
        takes_refs = any(a.is_ref for a in arguments)
        has_lists = any(a.is_list for a in arguments)
        found = Signature(arguments, results, has_lists, refs if any(refs) else (), takes_refs, defaults)
        _signatures[cls] = found
    return found


def graph_of(values: Sequence[Any], graph: Graph | None = None) -> Graph:
    """The graph of the given tensors and the like; the default graph where there are none. ValueError where they differ."""
    given, first = graph, None
    for value in values:
        if isinstance(value, (Tensor, Operation)):
            element = value
        else:
            as_element = getattr(value, "_as_graph_element", None)
            if as_element is None:
                continue
            element = as_element()
        if graph is None:
            first, graph = element, element.graph
        elif element.graph is not graph:
            if given is not None:
                raise ValueError(f"{element} is not from the passed-in graph.")
            raise ValueError(f"{element} must be from the same graph as {first}.")
    return get_default_graph() if graph is None else graph


def make(op_type: str, *inputs: Any, name: str | None = None, **fields: Any) -> Any:
    """Applies the op registered as `op_type`."""
    cls = REGISTRY.get(op_type)
    if cls is None:
        conversion.load_ops()
        cls = REGISTRY.get(op_type)
        if cls is None:
            raise NotFoundError(None, None, f"Op type not registered '{op_type}' in graphflow.")
    return apply(cls(**fields), *inputs, name=name)


def apply(definition: Op, *inputs: Any, name: str | None = None) -> Any:
    """Makes an operation in the graph of its inputs, or the default one, and gives its results."""
    cls = type(definition)
    sign = signature(cls)
    groups = _grouped(sign, cls, inputs)
    if sign.takes_refs and any(slot.is_ref and _is_handle(value) for slot, value in zip(sign.arguments, groups, strict=True)):
        definition = resource_form(definition)
        cls = type(definition)
        sign = signature(cls)
        handle: Any = next(value for slot, value in zip(sign.arguments, groups, strict=True) if slot.fixed is resource)
        contents = (handle if isinstance(handle, Tensor) else handle._ref()).spec.contents.dtype
        bound: dict[str, Any] = {} if contents is resource else {name: contents for name in ("T", "dtype") if name in _typed_by(sign)}
    else:
        bound = {}
    flat: Sequence[Any] = groups
    if sign.has_lists:
        flat = [v for slot, value in zip(sign.arguments, groups, strict=True) for v in (value if slot.is_list else (value,))]
    graph = graph_of(flat)
    graph._check_not_finalized()
    if name is None:
        name = cls.type
    elif not graph._is_scope_name(name):
        raise ValueError(f"'{name}' is not a valid scope name")
    name = name[:-1] if name.endswith("/") else graph.unique_name(name)
    scopes = graph._scopes
    outer, scopes._name_stack = scopes._name_stack, name  # constants made of inputs, and what a context puts before it, are name/x
    try:
        tensors = _typed(definition, sign, groups, bound, graph, name)
        operation = graph._create(definition, tensors, name, bound, sign.refs)
    finally:
        scopes._name_stack = outer
    if sign.takes_refs:  # what changes a variable is placed with it
        _colocate(operation, [t.op for t, slot in zip(tensors, sign.arguments, strict=False) if slot.is_ref])
    results = sign.results
    if len(results) == 1:
        return operation.outputs if results[0].is_list else operation.outputs[0]
    return tuple(operation.outputs) if results else operation


RESOURCE_FORMS: dict[type[Op], type[Op]] = {}  # what changes a reference variable -> the same for a resource variable


def _is_handle(value: Any) -> bool:
    """Whether it is a resource variable or its handle."""
    return (value.dtype if isinstance(value, Tensor) else getattr(value, "_handle_dtype", None)) is resource


def resource_form(definition: Op) -> Op:
    """The op that does to a resource variable what `definition` does to a reference variable."""
    if not RESOURCE_FORMS:
        conversion.load_ops()
    cls = RESOURCE_FORMS.get(type(definition))
    if cls is None:
        raise TypeError(f"'{definition.type}' Op has no form for resource variables")
    return cls(**{name: getattr(definition, name) for name in cls._fields})


def _typed_by(sign: Signature) -> set[str]:
    return {slot.attribute for slot in sign.arguments}


def _colocate(operation: Operation, others: Sequence[Operation]) -> None:
    groups = {g for op in others for g in op.colocation_groups()}
    operation._extra["_class"] = tuple(sorted(groups.union(operation._extra.get("_class", ()))))
    operation._device = next((op.device for op in others if op.device), operation._device)


def _grouped(sign: Signature, cls: type[Op], inputs: tuple[Any, ...]) -> Sequence[Any]:
    """The inputs one for each argument, with a spread-out list gathered."""
    groups = _gathered(sign, cls, inputs)
    if not sign.has_lists:
        return groups
    for slot, value in zip(sign.arguments, groups, strict=True):
        if slot.length and len(value) < cls.least:
            few = f"with length {len(value)} shorter than minimum length {cls.least}."
            raise ValueError(f"List argument '{slot.name}' to '{cls.type}' Op {few}")
    return groups


def _gathered(sign: Signature, cls: type[Op], inputs: tuple[Any, ...]) -> Sequence[Any]:
    arguments = sign.arguments
    if len(inputs) == len(arguments):
        if not sign.has_lists or all(isinstance(v, (list, tuple)) for s, v in zip(arguments, inputs) if s.is_list):
            return inputs
    lists = [k for k, s in enumerate(arguments) if s.is_list]
    spread = len(inputs) - len(arguments) + 1
    if len(lists) != 1 or spread < 0:
        for slot, value in zip(arguments, inputs, strict=False):
            if slot.is_list and not isinstance(value, (list, tuple)):
                raise TypeError(f"Expected list for '{slot.name}' argument to '{cls.type}' Op, not {value}.")
        raise TypeError(f"'{cls.type}' Op takes {len(arguments)} inputs ({', '.join(cls.arguments)}), got {len(inputs)}")
    at = lists[0]
    return (*inputs[:at], list(inputs[at : at + spread]), *inputs[at + spread :])


def _typed(
    definition: Op, sign: Signature, groups: Sequence[Any], bound: dict[str, Any], graph: Graph, name: str
) -> list[Tensor]:
    """The inputs as tensors; fills in the type attributes and list lengths that they bind."""
    tensors: list[Tensor] = []
    named: dict[str, str] = {}  # attribute -> the argument that bound it
    pushed = graph is not get_default_graph()
    if pushed:
        manager = graph.as_default()
        manager.__enter__()
    try:
        for slot, value in zip(sign.arguments, groups, strict=True):
            if slot.is_list:
                tensors += _list_input(definition, sign, slot, value, bound, named)
                continue
            attribute = slot.attribute
            wanted = slot.fixed or bound.get(attribute) or definition.field_dtype(attribute)
            if not (type(value) is Tensor and (wanted is None or wanted.is_compatible_with(value._dtype))):
                value = _single_input(definition, sign, slot, value, wanted, named)
            if slot.is_ref and not value._dtype._is_ref_dtype:
                text = f"'{definition.type}' Op requires that input '{slot.name}' be a mutable tensor (e.g.: a tf.Variable)"
                raise TypeError(text)
            if attribute and attribute not in bound:
                base = value._dtype.base_dtype
                allowed = definition.types.get(attribute)
                if allowed is not None and base not in allowed:
                    raise TypeError(_not_allowed(slot.name, base, allowed))
                bound[attribute] = base
                named[attribute] = slot.name
            tensors.append(value)
    except TypeError as error:
        place = Place(definition.type, name, user_frames())
        raise TypeError(describe(place, str(error), "Convert with tf.cast or give the values another type.")) from None
    finally:
        if pushed:
            manager.__exit__(None, None, None)
    for attribute in definition._fields:
        bound.pop(attribute, None)
    return tensors


def _not_allowed(name: str, dtype: DType, allowed: Sequence[DType]) -> str:
    names = ", ".join(d.name for d in allowed)
    return f"Value passed to parameter '{name}' has DataType {dtype.name} not in list of allowed values: {names}"


def _single_input(
    definition: Op, sign: Signature, slot: Slot, value: Any, wanted: DType | None, named: dict[str, str]
) -> Tensor:
    try:
        preferred = sign.defaults.get(slot.attribute) if wanted is None else None
        return convert(value, wanted, slot.name, preferred, slot.is_ref)
    except TypeError as error:
        if wanted is None:
            raise
        raise TypeError(
            f"Expected {wanted.name} passed to parameter '{slot.name}' of op '{definition.type}', got {value!r} of type "
            f"'{type(value).__name__}' instead. Error: {error}"
        ) from None
    except ValueError:
        try:
            observed = convert(value, as_ref=slot.is_ref).dtype.name
        except ValueError as error:
            raise ValueError(f"Tried to convert '{slot.name}' to a tensor and failed. Error: {error}") from None
        prefix = f"Input '{slot.name}' of '{definition.type}' Op has type {observed} that does not match"
        if slot.fixed or wanted is None or slot.attribute not in named:
            raise TypeError(f"{prefix} expected type of {'any' if wanted is None else wanted.name}.") from None
        raise TypeError(f"{prefix} type {wanted.name} of argument '{named[slot.attribute]}'.") from None


def _list_input(
    definition: Op, sign: Signature, slot: Slot, values: Any, bound: dict[str, Any], named: dict[str, str]
) -> list[Tensor]:
    kind, attribute = definition.type, slot.attribute
    wanted = slot.fixed or bound.get(attribute) if slot.length else slot.fixed
    inferred = wanted
    if inferred is None and slot.length:
        inferred = next((t._dtype.base_dtype for t in values if isinstance(t, Tensor)), None)
    try:
        preferred = sign.defaults.get(attribute) if inferred is None else None
        tensors = convert_n(values, inferred, slot.name, preferred, slot.is_ref)
        if slot.length and len({t._dtype.base_dtype for t in tensors}) > 1:
            raise TypeError
    except (TypeError, ValueError):
        prefix = f"Tensors in list passed to '{slot.name}' of '{kind}' Op have types [{_observed(values, slot)}]"
        if slot.fixed:
            raise TypeError(f"{prefix} that do not match expected type {slot.fixed.name}.") from None
        if wanted is not None:
            raise TypeError(f"{prefix} that do not match type {wanted.name} inferred from earlier arguments.") from None
        if slot.length:
            raise TypeError(f"{prefix} that don't all match.") from None
        raise TypeError(f"{prefix} that are invalid. Tensors: {values}") from None
    if not slot.length:
        bound[attribute] = tuple(t._dtype.base_dtype for t in tensors)
        return tensors
    if slot.length in bound and bound[slot.length] != len(tensors):
        raise ValueError(
            f"List argument '{slot.name}' to '{kind}' Op with length {len(tensors)} must match length {bound[slot.length]} of "
            f"argument '{named[slot.length]}'."
        )
    bound[slot.length] = len(tensors)
    named.setdefault(slot.length, slot.name)
    if attribute and attribute not in bound:
        if not tensors:
            raise TypeError(
                "Don't know how to infer type variable from empty input list passed to input "
                f"'{slot.name}' of '{kind}' Op."
            )
        base = tensors[0]._dtype.base_dtype
        allowed = definition.types.get(attribute)
        if allowed is not None and base not in allowed:
            raise TypeError(_not_allowed(slot.name, base, allowed))
        bound[attribute] = base
        named[attribute] = slot.name
    return tensors


def _observed(values: Sequence[Any], slot: Slot) -> str:
    names = []
    for value in values:
        try:
            names.append(convert(value, as_ref=slot.is_ref).dtype.base_dtype.name)
        except (TypeError, ValueError):
            names.append("<NOT CONVERTIBLE TO TENSOR>")
    return ", ".join(names)


# -- lists that contain tensors ------------------------------------------------------------------------------------------------


def _first_dtype(values: Any) -> DType | None:
    """The type of the first tensor inside nested lists."""
    for value in values:
        if isinstance(value, (list, tuple)):
            found = _first_dtype(value)
        else:
            element = value._as_graph_element() if hasattr(value, "_as_graph_element") else value
            found = element.dtype.base_dtype if isinstance(element, Tensor) else None
        if found is not None:
            return found
    return None


def _pack(values: Any, dtype: DType, name: str) -> Any:
    """The list as a stack of tensors, or as it is where no tensor is in it."""
    with name_scope(name) as scope:
        parts: list[Any] = []
        for number, value in enumerate(values):
            if isinstance(value, Tensor):
                if value.dtype.base_dtype != dtype:
                    raise TypeError(
                        f"Cannot convert a list containing a tensor of dtype {value.dtype.base_dtype} to {dtype} "
                        f"(Tensor is: {value!r})"
                    )
                parts.append(value)
            elif isinstance(value, (list, tuple)):
                parts.append(_pack(value, dtype, str(number)))
            else:
                parts.append(convert(value, dtype) if hasattr(value, "_as_graph_element") else value)
        if not any(isinstance(part, Tensor) for part in parts):
            return parts
        graph = get_default_graph()
        for number, part in enumerate(parts):
            if not isinstance(part, Tensor):
                parts[number] = conversion.constant_in(graph, part, dtype, name=str(number))
        return make("Pack", parts, axis=0, name=scope)


def _autopack(value: Any, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
    """A list with tensors in it becomes a stack of them."""
    found = _first_dtype(value)
    if found is None:
        return NotImplemented
    wanted = None if dtype is None else as_dtype(dtype)
    if wanted is not None and wanted != found:
        value = _cast(value, wanted)
    return _pack(value, wanted or found, name or "packed")


def _cast(value: Any, dtype: DType) -> Any:
    """Nested lists with the tensors in them cast."""
    if isinstance(value, (list, tuple)):
        return [_cast(v, dtype) for v in value]
    element = value._as_graph_element() if hasattr(value, "_as_graph_element") else value
    if isinstance(element, Tensor) and element.dtype.base_dtype != dtype:
        return make("Cast", element, DstT=dtype)
    return value


register_tensor_conversion_function((list, tuple), _autopack, 99)
