"""Dimension and TensorShape as TensorFlow 1.15 has them, and the size arithmetic of shape rules."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.graph.dims import broadcast_dims, merge_dims, product_of, window_output, window_padding
from graphflow.kernel.index import evaluate, symbol
from graphflow.shapes import Dimension, TensorShape, unknown_shape


def test_text() -> None:
    assert str(TensorShape([None, 3])) == "(?, 3)"
    assert str(TensorShape([5])) == "(5,)"
    assert str(TensorShape(None)) == "<unknown>"
    assert str(TensorShape([])) == "()"
    assert repr(TensorShape([None, 3])) == "TensorShape([Dimension(None), Dimension(3)])"


def test_dimension_arithmetic() -> None:
    n, three = Dimension(None), Dimension(3)
    assert (three * 4).value == 12 and (4 * three).value == 12
    assert (three + 1).value == 4 and (7 - three).value == 4 and (7 // three).value == 2 and (three % 2).value == 1
    assert (n * 4).value is None
    assert (n == 3) is None and (three == 3) is True and (n < 3) is None
    assert int(three) == 3 and list(range(5))[three] == 3
    with pytest.raises(TypeError, match="unsupported operand type.* for /: 'Dimension' and 'int', please use // instead"):
        _ = three / 2


@pytest.mark.parametrize(("value", "text"), [(-1, "Dimension -1 must be >= 0"), (1.5, "Ambiguous dimension: 1.5")])
def test_dimension_refuses(value: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Dimension(value)


def test_slicing_and_joining() -> None:
    shape = TensorShape([2, None, 4])
    assert shape[1:].as_list() == [None, 4]
    assert shape[0].value == 2
    assert (shape + [7]).as_list() == [2, None, 4, 7]
    assert unknown_shape()[1:3].ndims == 2 and unknown_shape()[1:].ndims is None
    assert shape.num_elements() is None and TensorShape([2, 3]).num_elements() == 6


def test_merging() -> None:
    assert TensorShape([None, 3]).merge_with([2, None]).as_list() == [2, 3]
    assert TensorShape(None).merge_with([2]).as_list() == [2]
    with pytest.raises(ValueError, match=r"Shapes \(2,\) and \(3,\) are not compatible"):
        TensorShape([2]).merge_with([3])
    assert TensorShape([2, 3]).most_specific_compatible_shape([2, 4]).as_list() == [2, None]
    with pytest.raises(ValueError, match=r"Shape \(2,\) must have rank 3"):
        TensorShape([2]).with_rank(3)


def test_equality_of_unknown_sizes() -> None:
    shape = TensorShape([None, 3])
    assert shape == shape
    assert (shape == TensorShape([None, 3])) is False
    assert (shape != TensorShape([None, 3])) is None
    assert TensorShape([2]) == [2] and TensorShape([2]) != [3]
    with pytest.raises(ValueError, match="inequality of unknown"):
        _ = TensorShape(None) != TensorShape([2])


def test_unknown_rank_has_no_length() -> None:
    with pytest.raises(ValueError, match="Cannot take the length of shape with unknown rank"):
        len(TensorShape(None))
    with pytest.raises(ValueError, match="as_list.. is not defined on an unknown TensorShape"):
        TensorShape(None).as_list()
    assert not TensorShape(None) and TensorShape([])


def test_broadcasting_knows_run_time_sizes() -> None:
    n, m = symbol("n"), symbol("m")
    assert broadcast_dims((3, 1), (4,)) == (3, 4)
    assert broadcast_dims((n, 1), (3,)) == (n, 3)
    assert broadcast_dims((None, 3), (5, 1, 3)) == (5, None, 3)
    assert broadcast_dims((n,), (n,)) == (n,)
    (size,) = broadcast_dims((n,), (m,))  # type: ignore[misc]
    assert evaluate(size, {"n": 1, "m": 7}) == 7  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Dimensions must be equal, but are 3 and 4"):
        broadcast_dims((3,), (4,))


def test_merge_prefers_numbers() -> None:
    n = symbol("n")
    assert merge_dims((n, None), (5, 2)) == (5, 2)
    assert merge_dims(None, (3,)) == (3,)
    assert product_of((n, 0)) == 0 and product_of((None, 2)) is None


@pytest.mark.parametrize("size", [1, 5, 7, 28])
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows(size: int, window: int, stride: int, padding: str, dilation: int) -> None:
    n = symbol("n", 1)
    out = window_output(size, window, stride, padding, dilation)
    before, after = window_padding(size, window, stride, padding, dilation)
    padded = np.arange(before + size + after)
    reach = (window - 1) * dilation + 1
    starts = [s for s in range(0, len(padded), stride) if s + reach <= len(padded)]
    assert out == len(starts)
    if padding == "SAME":
        assert evaluate(window_output(n, window, stride, padding, dilation), {"n": size}) == out  # type: ignore[arg-type]
        low, high = window_padding(n, window, stride, padding, dilation)
        assert (evaluate(low, {"n": size}), evaluate(high, {"n": size})) == (before, after)
    assert window_output(None, window, stride, padding) is None
