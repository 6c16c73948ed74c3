"""tf.DType as TensorFlow 1.15 has it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from graphflow import dtypes
from graphflow.dtypes import as_dtype
from graphflow.kernel.expr import TYPES


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("float", dtypes.float32),
        ("half", dtypes.float16),
        ("double", dtypes.float64),
        ("float32_ref", dtypes.float32._as_ref),
        (1, dtypes.float32),
        (101, dtypes.float32._as_ref),
        (float, dtypes.float32),
        (bool, dtypes.bool),
        (object, dtypes.string),
        (np.float32, dtypes.float32),
        (np.int_, dtypes.int64),
        (np.dtype("S3"), dtypes.string),
        (np.str_, dtypes.string),
        (np.dtype(">f4"), dtypes.float32),
        (np.dtype("O"), dtypes.string),
    ],
)
def test_as_dtype(value: object, expected: dtypes.DType) -> None:
    assert as_dtype(value) is expected


@pytest.mark.parametrize("value", [int, str, "int", None, "<f4", np.float128, list, [], complex])
def test_as_dtype_refuses(value: object) -> None:
    with pytest.raises(TypeError, match="Cannot convert value .* to a TensorFlow DType"):
        as_dtype(value)


def test_text() -> None:
    assert (str(dtypes.float32), repr(dtypes.float32)) == ("<dtype: 'float32'>", "tf.float32")
    assert dtypes.float32._as_ref.name == "float32_ref"


def test_equality_takes_whatever_converts() -> None:
    assert dtypes.float32 == "float32" == dtypes.float32
    assert dtypes.float32 == np.float32
    assert dtypes.float32 != dtypes.float32._as_ref
    assert dtypes.float32 is not None and dtypes.float32 != "no such type"
    assert {dtypes.float32: 1}[dtypes.float32] == 1


def test_references_are_compatible_one_way() -> None:
    ref = dtypes.float32._as_ref
    assert ref.base_dtype is dtypes.float32
    assert dtypes.float32.is_compatible_with(ref)
    assert not ref.is_compatible_with(dtypes.float32)


@pytest.mark.parametrize("dtype", dtypes.BASE, ids=lambda d: d.name)
def test_every_type(dtype: dtypes.DType) -> None:
    kinds = (dtype.is_floating, dtype.is_integer, dtype.is_bool, dtype.is_complex, dtype.is_quantized)
    assert sum(kinds) <= 1
    assert as_dtype(dtype.name) is as_dtype(dtype.as_datatype_enum) is dtype
    assert copy.deepcopy(dtype) is dtype
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    if dtype.kernel_type is not None:
        assert TYPES[dtype.kernel_type] == np.dtype(dtype.as_numpy_dtype)


def test_limits() -> None:
    assert dtypes.uint8.min == 0
    assert dtypes.uint8.is_unsigned
    assert dtypes.int8.limits == (0, 127)
    assert dtypes.float32.limits == (0, 1)
    assert dtypes.float32.max == np.finfo(np.float32).max
    with pytest.raises(TypeError, match="Cannot find maximum value of <dtype: 'bool'>"):
        _ = dtypes.bool.max
    assert (dtypes.string.size, dtypes.float64.size, dtypes.resource.size) == (8, 8, 1)
