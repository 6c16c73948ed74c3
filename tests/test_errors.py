"""The tf.errors tree and the wording of messages."""

from __future__ import annotations

import pickle

import pytest

from graphflow import errors


class Node:
    type, name, created_at = "MatMul", "logits/MatMul", "train.py:41 in build_model"
    node_def = None


def test_codes() -> None:
    error = errors.InvalidArgumentError(None, None, "wrong")
    assert (error.error_code, error.message, str(error), error.op) == (3, "wrong", "wrong", None)
    assert errors.exception_type_from_error_code(9) is errors.FailedPreconditionError
    assert errors.error_code_from_exception_type(errors.OutOfRangeError) == errors.OUT_OF_RANGE
    assert isinstance(error, errors.OpError)


def test_five_parts() -> None:
    error = errors.op_error("InvalidArgumentError", Node, "inner sizes differ: (32, 784) x (512, 10)", "Check the width.")
    assert str(error) == (
        "MatMul 'logits/MatMul': inner sizes differ: (32, 784) x (512, 10).\n"
        "Created at train.py:41 in build_model. Check the width."
    )
    assert error.op is Node


@pytest.mark.parametrize("cls", [errors.OutOfRangeError, errors.NotFoundError])
def test_errors_travel_between_processes(cls: type[errors.OpError]) -> None:
    error = pickle.loads(pickle.dumps(cls(None, Node, "gone")))
    assert type(error) is cls and error.message == "gone"
