"""tf.test: test cases with sessions and array assertions, and questions about the build."""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from graphflow.autodiff.gradients import gradients
from graphflow.errors import OpError
from graphflow.graph.graph import reset_default_graph
from graphflow.graph.seeds import set_random_seed
from graphflow.graph.sessions import get_default_session
from graphflow.missing import names_of
from graphflow.ops.source import placeholder
from graphflow.runtime.session import Session

__all__ = [
    "TestCase", "compute_gradient", "compute_gradient_error", "get_temp_dir", "gpu_device_name", "is_built_with_cuda",
    "is_built_with_gpu_support", "is_built_with_rocm", "is_gpu_available", "main", "mock", "test_src_dir_path",
]  # fmt: skip

_SEED = 87654321  # TensorFlow's: tests that draw random numbers expect the same ones


def is_built_with_cuda():
    """False: there is no GPU code."""
    return False


def is_built_with_rocm():
    """False: there is no GPU code."""
    return False


def is_built_with_gpu_support():
    """False: there is no GPU code."""
    return False


def is_gpu_available(cuda_only=False, min_cuda_compute_capability=None):
    """False: there is no GPU code."""
    return False


def gpu_device_name():
    """The name of a GPU, "" for none."""
    return ""


def get_temp_dir():
    """A folder for the files of tests."""
    folder = Path(os.environ.get("TEST_TMPDIR") or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def test_src_dir_path(relative_path):
    """A path below the folder of the running program."""
    return str(Path(sys.argv[0]).resolve().parent / relative_path)


test_src_dir_path.__test__ = False  # type: ignore[attr-defined]  # not a test by itself, whatever its name begins with


def main(argv=None):
    """Run the tests of the program's own module."""
    unittest.main(argv=argv)


class TestCase(unittest.TestCase):
    """A test with a graph and seeds of its own, a session, and assertions about arrays."""

    __test__ = True

    def setUp(self) -> None:
        random.seed(_SEED)
        np.random.seed(_SEED)
        reset_default_graph()
        set_random_seed(_SEED)
        self._kept: Any = None

    def tearDown(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def get_temp_dir(self) -> str:
        """A folder of this test's own."""
        if not hasattr(self, "_folder"):
            self._folder = tempfile.mkdtemp(dir=get_temp_dir())
        return self._folder

    @contextmanager
    def session(self, graph=None, config=None, use_gpu=False, force_gpu=False) -> Iterator[Session]:
        """A session that is the default inside."""
        with Session(graph=graph, config=config) as opened:
            yield opened

    @contextmanager
    def test_session(self, graph=None, config=None, use_gpu=False, force_gpu=False) -> Iterator[Session]:
        """The same as cached_session where no graph is given."""
        with self.cached_session(graph, config) if graph is None else self.session(graph, config) as opened:
            yield opened

    test_session.__test__ = False  # type: ignore[attr-defined]

    @contextmanager
    def cached_session(self, graph=None, config=None, use_gpu=False, force_gpu=False) -> Iterator[Session]:
        """The test's session: the same each time it is asked for."""
        if self._kept is None:
            self._kept = Session(graph=graph, config=config)
        with self._kept.graph.as_default(), self._kept.as_default():
            yield self._kept

    def evaluate(self, tensors):
        """The values of tensors in the default session."""
        session = get_default_session()
        if session is None:
            with self.cached_session() as session:
                return session.run(tensors)
        return session.run(tensors)

    def _array(self, value: Any) -> Any:
        return self.evaluate(value) if hasattr(value, "graph") or hasattr(value, "_as_graph_element") else np.asarray(value)

    def assertAllEqual(self, a, b, msg=None):
        """Arrays of equal shape and elements."""
        np.testing.assert_array_equal(self._array(a), self._array(b), err_msg=msg or "")

    def assertAllClose(self, a, b, rtol=1e-6, atol=1e-6, msg=None):
        """Arrays, or dicts and lists of arrays, that are nearly equal."""
        if isinstance(a, dict):
            self.assertEqual(a.keys(), b.keys(), msg)
            for key in a:
                self.assertAllClose(a[key], b[key], rtol, atol, msg)
            return
        first, second = self._array(a), self._array(b)
        self.assertEqual(np.shape(first), np.shape(second), msg)
        np.testing.assert_allclose(first, second, rtol=rtol, atol=atol, err_msg=msg or "")

    def assertAllCloseAccordingToType(self, a, b, rtol=1e-6, atol=1e-6, float_rtol=1e-6, float_atol=1e-6, half_rtol=1e-3, half_atol=1e-3,
                                      bfloat16_rtol=1e-2, bfloat16_atol=1e-2, msg=None):  # fmt: skip
        """assertAllClose with the tolerance of the narrower type."""
        kinds = {str(self._array(v).dtype) for v in (a, b)}
        if "float16" in kinds:
            rtol, atol = max(rtol, half_rtol), max(atol, half_atol)
        elif "float32" in kinds:
            rtol, atol = max(rtol, float_rtol), max(atol, float_atol)
        self.assertAllClose(a, b, rtol, atol, msg)

    def assertNear(self, f1, f2, err, msg=None):
        """Numbers that differ by at most `err`."""
        self.assertTrue(f1 == f2 or abs(f1 - f2) <= err, f"{f1!r} != {f2!r} +/- {err!r}{'' if msg is None else f' ({msg})'}")

    def assertArrayNear(self, farray1, farray2, err, msg=None):
        """Lists of numbers that differ by at most `err` each."""
        self.assertEqual(len(farray1), len(farray2), msg)
        for one, other in zip(farray1, farray2, strict=True):
            self.assertNear(float(one), float(other), err, msg)

    def assertNDArrayNear(self, ndarray1, ndarray2, err, msg=None):
        """Arrays at a distance of less than `err`."""
        self.assertLess(float(np.linalg.norm(np.asarray(ndarray1) - np.asarray(ndarray2))), err, msg)

    def assertShapeEqual(self, np_array, tf_tensor, msg=None):
        """An array with a tensor's static shape."""
        self.assertAllEqual(np_array.shape, tf_tensor.shape.as_list(), msg)

    def assertAllGreater(self, a, comparison_target):
        """All elements above a number."""
        self.assertGreater(np.min(self._array(a)), comparison_target)

    def assertAllLess(self, a, comparison_target):
        """All elements below a number."""
        self.assertLess(np.max(self._array(a)), comparison_target)

    def assertDeviceEqual(self, device1, device2, msg=None):
        """Devices that are called the same."""
        self.assertEqual(str(device1), str(device2), msg)

    def assertItemsEqual(self, expected_seq, actual_seq, msg=None):
        """The same elements as often, in any order: Python 2's name of assertCountEqual, which tests of TensorFlow programs use."""
        self.assertCountEqual(expected_seq, actual_seq, msg)

    def assertLen(self, container, expected_len, msg=None):
        """A number of elements."""
        self.assertEqual(len(container), expected_len, msg)

    def assertEmpty(self, container, msg=None):
        """No elements."""
        self.assertLen(container, 0, msg)

    def assertStartsWith(self, actual, expected_start, msg=None):
        """Text that begins as expected."""
        self.assertTrue(actual.startswith(expected_start), msg or f"{actual!r} does not start with {expected_start!r}")

    @contextmanager
    def assertRaisesWithPredicateMatch(self, exception_type, expected_err_re_or_predicate) -> Iterator[None]:
        """An exception of that type that a regular expression or a function accepts."""
        try:
            yield
        except exception_type as error:
            accepts = expected_err_re_or_predicate
            text = getattr(error, "message", None) or str(error)
            if not (accepts(error) if callable(accepts) else re.search(accepts, text)):
                raise AssertionError(f"Exception of type {type(error)}: {error}") from error
        else:
            self.fail(f"{exception_type.__name__} not raised")

    def assertRaisesOpError(self, expected_err_re_or_predicate):
        """An OpError that a regular expression or a function accepts."""
        return self.assertRaisesWithPredicateMatch(OpError, expected_err_re_or_predicate)


def _jacobians(x: Any, x_shape: Any, y: Any, y_shape: Any, start: Any, delta: float, feeds: dict[Any, Any]) -> tuple[Any, Any]:
    """d y / d x by the gradient ops, a row at a time, and by central differences."""
    session = get_default_session()
    point = np.asarray(np.random.random_sample(x_shape) if start is None else start, x.dtype.as_numpy_dtype)
    rows, columns = int(np.prod(x_shape, dtype=int)), int(np.prod(y_shape, dtype=int))
    seed = np.zeros(y_shape, y.dtype.as_numpy_dtype)
    upstream = placeholder(y.dtype, y_shape)
    slope = gradients(y, x, upstream)[0]
    stated, measured = np.zeros((rows, columns)), np.zeros((rows, columns))
    for column in range(columns):
        seed.flat[column] = 1
        stated[:, column] = np.ravel(session.run(slope, {**feeds, x: point, upstream: seed}))
        seed.flat[column] = 0
    for row in range(rows):
        up, down = point.copy(), point.copy()
        up.flat[row] += delta
        down.flat[row] -= delta
        high, low = (np.ravel(session.run(y, {**feeds, x: p})).astype(np.float64) for p in (up, down))
        measured[row] = (high - low) / (2.0 * delta)
    return stated, measured


def compute_gradient(x, x_shape, y, y_shape, x_init_value=None, delta=1e-3, init_targets=None, extra_feed_dict=None):
    """The Jacobian of y with respect to x in the default session, by gradient ops and by differences; a list of pairs for a list of x."""
    session = get_default_session()
    for target in init_targets or ():
        session.run(target)
    feeds = dict(extra_feed_dict or {})
    if isinstance(x, list):
        starts = x_init_value or [None] * len(x)
        feeds.update((t, v) for t, v in zip(x, starts, strict=True) if v is not None)
        return [_jacobians(t, s, y, y_shape, v, delta, feeds) for t, s, v in zip(x, x_shape, starts, strict=True)]
    return _jacobians(x, x_shape, y, y_shape, x_init_value, delta, feeds)


def compute_gradient_error(x, x_shape, y, y_shape, x_init_value=None, delta=1e-3, init_targets=None, extra_feed_dict=None):
    """The largest difference between the two Jacobians of compute_gradient."""
    found = compute_gradient(x, x_shape, y, y_shape, x_init_value, delta, init_targets, extra_feed_dict)
    pairs = found if isinstance(found, list) else [found]
    return max((float(np.abs(stated - measured).max(initial=0)) for stated, measured in pairs), default=0.0)

globals()["__getattr__"] = names_of("test")
