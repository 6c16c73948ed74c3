"""tf.test.TestCase: assertions that published tests of models use beyond unittest's."""

import pytest

import graphflow as tf


def test_collections_are_compared_by_elements_and_length() -> None:
    case = tf.test.TestCase("setUp")
    case.assertItemsEqual([1, 2, 2], [2, 1, 2])
    case.assertLen("abc", 3)
    case.assertEmpty({})
    for wrong in (lambda: case.assertItemsEqual([1, 2], [1, 1]), lambda: case.assertLen([1], 2), lambda: case.assertEmpty([0])):
        with pytest.raises(AssertionError):
            wrong()
