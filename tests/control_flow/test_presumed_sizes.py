"""Sizes that depend on data beside fed ones: what is presumed of them, what happens where that is wrong, and sizes that nothing limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.measuring import FIRST_ROOM
from graphflow.kernel.index import maximum, minimum, symbol


def _counted_up(limit: Any) -> Any:
    """[limit]: 0, 1, ... from an array that grows."""
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[])
    body = lambda i, a: (i + 1, a.write(i, tf.cast(i, tf.float32)))  # noqa: E731
    return tf.while_loop(lambda i, _: i < tf.reduce_max(limit), body, [0, array])[1].stack()


@pytest.fixture
def places() -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        yield session, tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [None])


def _agree(session: Any, fetch: Any, x: Any, n: Any, lengths: Any, wanted: Any) -> None:
    for most, size in lengths:
        given = np.linspace(1, 2, size, dtype=np.float32)
        np.testing.assert_allclose(session.run(fetch, {x: given, n: [1, most]}), wanted(given, most), rtol=1e-6)


def test_as_many_as_are_fed(places: Any) -> None:
    session, x, n = places
    product = _counted_up(n) * x
    _agree(session, product, x, n, [(4, 4), (7, 7), (3 * FIRST_ROOM, 3 * FIRST_ROOM)], lambda v, most: np.arange(most) * v)
    assert session._engine.compiled_programs == 1
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        session.run(product, {x: np.ones(5), n: [1, 3]})
    _agree(session, product, x, n, [(6, 6)], lambda v, most: np.arange(most) * v)


def test_the_presumption_may_be_wrong(places: Any) -> None:
    """An element beside a size that was the number of steps so far: the run begins again, with variables as they were."""
    session, x, n = places
    v = tf.Variable(1.0)
    with tf.control_dependencies([v.assign_add(1.0)]):
        total = _counted_up(n) + x
    session.run(v.initializer)
    for count, (most, size) in enumerate([(4, 4), (5, 5), (5, 1), (1, 5), (6, 6)]):
        given = np.linspace(1, 2, size, dtype=np.float32)
        np.testing.assert_allclose(session.run(total, {x: given, n: [1, most]}), np.arange(most) + given)
        assert session.run(v) == count + 2


def test_the_first_of_what_is_fed(places: Any) -> None:
    session, x, n = places
    counted = _counted_up(n)
    product = counted * x[: tf.size(counted)]
    _agree(session, product, x, n, [(4, 4), (3, 7), (2, 50)], lambda v, most: np.arange(most) * v[:most])
    assert session._engine.compiled_programs == 1


def test_padded_to_what_is_fed(places: Any) -> None:
    session, x, n = places
    counted = _counted_up(n)
    total = tf.pad(counted, [[0, tf.size(x) - tf.size(counted)]]) + x
    _agree(session, total, x, n, [(4, 4), (3, 7), (2, 50)], lambda v, most: np.pad(np.arange(most), (0, len(v) - most)) + v)
    assert session._engine.compiled_programs == 1


def test_a_mask_as_long_as_the_longest_sequence(places: Any) -> None:
    session, x, n = places
    mask = tf.sequence_mask(n, dtype=tf.float32)
    fetches = [mask, mask * x, tf.gradients(mask * x, x)[0]]
    for lengths in ([2, 3], [5, 1], [1, 2 * FIRST_ROOM]):
        given = np.linspace(1, 2, max(lengths), dtype=np.float32)
        wanted = np.arange(max(lengths)) < np.array(lengths)[:, None]
        found = session.run(fetches, {x: given, n: lengths})
        for a, b in zip(found, [wanted, wanted * given, wanted.sum(0)], strict=True):
            np.testing.assert_array_equal(a, b.astype(np.float32))
    assert session._engine.compiled_programs == 1


def test_a_range_backwards_is_refused(places: Any) -> None:
    session, _, n = places
    with pytest.raises(tf.errors.InvalidArgumentError, match="range"):
        session.run(tf.range(1, n[0], name="range"), {n: [-3, 2]})


def test_an_array_of_a_size_that_is_computed(places: Any) -> None:
    session, x, n = places
    most = tf.reduce_max(n)
    array = tf.TensorArray(tf.float32, most, element_shape=[])
    body = lambda i, a: (i + 1, a.write(i, x[i] * x[i]))  # noqa: E731
    squares = tf.while_loop(lambda i, _: i < most, body, [0, array])[1].stack()
    slope = tf.gradients(squares, x)[0]
    for count in (2, 5, 2 * FIRST_ROOM):
        given = np.linspace(1, 2, count + 1, dtype=np.float32)
        found = session.run([squares, slope], {x: given, n: [count]})
        np.testing.assert_allclose(found[0], given[:-1] ** 2)
        np.testing.assert_allclose(found[1], [*2 * given[:-1], 0])
    assert session._engine.compiled_programs == 1


def test_an_extremum_of_an_extremum() -> None:
    a, b = symbol("a"), symbol("b")
    assert minimum(a, minimum(a, b)) == minimum(b, minimum(a, b)) == minimum(a, b)
    assert maximum(maximum(a, b), b) == maximum(a, b) != minimum(a, b)
