"""The `tf.errors` tree, and the one place that words graphflow's own messages.

A message has five parts: the op's type and name, what is wrong, the actual values, where the user created it, what to
check.

    MatMul 'logits/MatMul': inner sizes differ: (32, 784) x (512, 10), 784 != 512.
    Created at train.py:41 in build_model. Check the layer's width or transpose an input.
"""

from __future__ import annotations

from typing import Any

from graphflow.missing import names_of

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16


class OpError(Exception):
    """Base of the errors that running a graph raises: `op` is the operation that failed, if known; `error_code` its number."""

    code: int = UNKNOWN

    def __init__(self, node_def: Any, op: Any, message: str, error_code: int | None = None) -> None:
        super().__init__(message)
        self._node_def = node_def
        self._op = op
        self._message = message
        self._error_code = self.code if error_code is None else error_code

    @property
    def message(self) -> str:
        """What went wrong."""
        return self._message

    @property
    def op(self) -> Any:
        """The graph operation that failed, if it is known."""
        return self._op

    @property
    def node_def(self) -> Any:
        """The NodeDef of the operation that failed, if it is known."""
        return self._node_def

    @property
    def error_code(self) -> int:
        """The number of the error class."""
        return self._error_code

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # The operation belongs to a graph of this process, so an error travels to another one without it.
        if type(self) is OpError:
            return OpError, (None, None, self._message, self._error_code)
        return type(self), (None, None, self._message)


_CLASSES: dict[int, type[OpError]] = {}


def _error(name: str, code: int, doc: str) -> type[OpError]:
    """One class of the tree; its constructor takes (node_def, op, message) as TensorFlow's do."""

    def init(self: OpError, node_def: Any, op: Any, message: str) -> None:
        OpError.__init__(self, node_def, op, message, code)

    cls = type(name, (OpError,), {"__doc__": doc, "__init__": init, "__module__": __name__, "code": code})
    _CLASSES[code] = cls
    return cls


CancelledError = _error("CancelledError", CANCELLED, "The step was cancelled, for instance by closing its session.")
UnknownError = _error("UnknownError", UNKNOWN, "No more is known.")
InvalidArgumentError = _error("InvalidArgumentError", INVALID_ARGUMENT, "Values that an operation cannot work on.")
DeadlineExceededError = _error("DeadlineExceededError", DEADLINE_EXCEEDED, "The time that was given ran out.")
NotFoundError = _error("NotFoundError", NOT_FOUND, "A file, a tensor or an op type does not exist.")
AlreadyExistsError = _error("AlreadyExistsError", ALREADY_EXISTS, "What was to be made exists.")
PermissionDeniedError = _error("PermissionDeniedError", PERMISSION_DENIED, "The caller may not do this.")
UnauthenticatedError = _error("UnauthenticatedError", UNAUTHENTICATED, "The caller is not known.")
ResourceExhaustedError = _error("ResourceExhaustedError", RESOURCE_EXHAUSTED, "There is not enough memory.")
FailedPreconditionError = _error("FailedPreconditionError", FAILED_PRECONDITION, "Something must be done before this.")
AbortedError = _error("AbortedError", ABORTED, "The operation was given up, typically for a conflict.")
OutOfRangeError = _error("OutOfRangeError", OUT_OF_RANGE, "Past the end: a queue or data set has no more elements.")
UnimplementedError = _error("UnimplementedError", UNIMPLEMENTED, "The operation is not implemented.")
InternalError = _error("InternalError", INTERNAL, "The system broke one of its own rules.")
UnavailableError = _error("UnavailableError", UNAVAILABLE, "The service cannot be reached now.")
DataLossError = _error("DataLossError", DATA_LOSS, "Data are corrupt or lost.")


def exception_type_from_error_code(error_code: int) -> type[OpError]:
    """The exception class of a number."""
    return _CLASSES[error_code]


def error_code_from_exception_type(cls: type[OpError]) -> int:
    """The number of an exception class."""
    if cls.code not in _CLASSES or _CLASSES[cls.code] is not cls:
        raise KeyError(cls)
    return cls.code


class OperatorNotAllowedInGraphError(TypeError):
    """Python asked a symbolic tensor for something that only a value has: its truth, its elements."""


def describe(op: Any, wrong: str, hint: str = "") -> str:
    """The five-part text about graph operation `op`: `wrong` says what is wrong, with the values; `hint` what to check."""
    text = f"{op.type} '{op.name}': {wrong.rstrip('.')}."
    line = getattr(op, "created_at", "")
    if line:
        text += f"\nCreated at {line}."
    if hint:
        text += (" " if line else "\n") + hint
    return text


def op_error(kind: type[OpError] | str, op: Any, wrong: str, hint: str = "") -> OpError:
    """An error of class `kind` (or its name) about graph operation `op` (None: about the run as a whole)."""
    cls: type[OpError] = globals()[kind] if isinstance(kind, str) else kind
    if op is None:
        return cls(None, None, wrong if not hint else f"{wrong}\n{hint}")
    return cls(getattr(op, "node_def", None), op, describe(op, wrong, hint))

globals()["__getattr__"] = names_of("errors")
