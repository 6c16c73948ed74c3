"""Queues: order, waiting, closing, shapes. The numbers of the shuffled order are TensorFlow 1.15's for these seeds."""

import threading

import numpy as np
import pytest

import graphflow as tf
from graphflow import errors


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def in_thread(function):
    """Runs it in a thread; the function that waits for what it gives."""
    found = []

    def call() -> None:
        try:
            found.append(function())
        except Exception as error:  # whatever it is, the caller looks at it
            found.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def wait():
        thread.join(20)
        assert not thread.is_alive()
        return found[0]

    return wait


def test_first_in_first_out(session) -> None:
    queue = tf.FIFOQueue(10, [tf.float32, tf.string], shapes=[(2,), ()])
    enqueue, dequeue = queue.enqueue_many([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], ["a", "b", "c"]]), queue.dequeue()
    assert dequeue[0].shape.as_list() == [2]
    session.run(enqueue)
    assert session.run(queue.size()) == 3
    numbers, text = session.run(dequeue)
    np.testing.assert_array_equal(numbers, [1.0, 2.0])
    assert text == b"a"
    numbers, texts = session.run(queue.dequeue_many(2))
    np.testing.assert_array_equal(numbers, [[3.0, 4.0], [5.0, 6.0]])
    assert texts.tolist() == [b"b", b"c"]
    assert session.run(queue.size()) == 0


def test_what_comes_out_is_computed_with_natively(session) -> None:
    queue = tf.FIFOQueue(4, tf.float32, shapes=[(3,)])
    session.run(queue.enqueue([[1.0, 2.0, 3.0]]))
    assert session.run(tf.reduce_sum(queue.dequeue() * 2.0)) == 12.0


def test_dequeue_waits_and_enqueue_waits_for_room(session) -> None:
    queue = tf.FIFOQueue(2, tf.int32, shapes=[()])
    enqueue, dequeue, size = queue.enqueue_many([[1, 2, 3, 4, 5]]), queue.dequeue_many(4), queue.size()
    putting = in_thread(lambda: session.run(enqueue))
    assert session.run(dequeue).tolist() == [1, 2, 3, 4]
    assert putting() is None
    assert session.run(size) == 1


def test_closing_ends_the_epoch(session) -> None:
    queue = tf.FIFOQueue(10, tf.int32, shapes=[()])
    enqueue, dequeue, close, rest = queue.enqueue([7]), queue.dequeue(), queue.close(), queue.dequeue_up_to(5)
    for _ in range(3):
        session.run(enqueue)
    session.run(close)
    assert session.run(queue.is_closed())
    with pytest.raises(errors.CancelledError, match="is closed"):
        session.run(enqueue)
    with pytest.raises(errors.OutOfRangeError, match=r"insufficient elements \(requested 5, current size 3\)"):
        session.run(queue.dequeue_many(5))
    assert session.run(dequeue) == 7
    assert session.run(rest).tolist() == [7, 7]
    with pytest.raises(errors.OutOfRangeError, match=r"\(requested 1, current size 0\)"):
        session.run(dequeue)


def test_closing_the_session_wakes_who_waits() -> None:
    with tf.Graph().as_default():
        dequeue = tf.FIFOQueue(1, tf.int32).dequeue()
        session = tf.Session()
        waiting = in_thread(lambda: session.run(dequeue))
        session.close()
        assert isinstance(waiting(), (errors.CancelledError, RuntimeError))


def test_limits_of_time() -> None:
    with tf.Graph().as_default():
        queue = tf.FIFOQueue(1, tf.int32, shapes=[()])
        dequeue, enqueue = queue.dequeue(), queue.enqueue(3)
        with tf.Session(config=tf.ConfigProto(operation_timeout_in_ms=20)) as session, pytest.raises(errors.DeadlineExceededError):
            session.run(dequeue)
        with tf.Session() as session:
            with pytest.raises(errors.DeadlineExceededError):
                session.run(dequeue, options=tf.RunOptions(timeout_in_ms=20))
            session.run(enqueue)
            assert session.run(dequeue) == 3


def test_random_order_is_tensorflows(session) -> None:
    queue = tf.RandomShuffleQueue(10, 0, tf.int32, shapes=[()], seed=1)
    session.run(queue.enqueue_many([list(range(8))]))
    assert session.run(queue.dequeue_many(8)).tolist() == [7, 3, 6, 2, 1, 4, 0, 5]


def test_shuffling_keeps_some_back(session) -> None:
    queue = tf.RandomShuffleQueue(10, 2, tf.int32, shapes=[()])
    dequeue = queue.dequeue()
    session.run(queue.enqueue_many([[1, 2, 3]]))
    session.run(dequeue)
    waiting = in_thread(lambda: session.run(dequeue))
    session.run(queue.close())
    assert waiting() in (1, 2, 3)


def test_padding(session) -> None:
    queue = tf.PaddingFIFOQueue(10, tf.int32, shapes=[(None,)])
    session.run(queue.enqueue([[1, 2, 3]]))
    session.run(queue.enqueue([[4]]))
    both = queue.dequeue_many(2)
    assert both.shape.as_list() == [2, None]
    assert session.run(both).tolist() == [[1, 2, 3], [4, 0, 0]]


def test_priorities(session) -> None:
    queue = tf.PriorityQueue(10, tf.string, shapes=[()])
    session.run(queue.enqueue_many([np.array([5, 1, 3]), ["five", "one", "three"]]))
    order, texts = session.run(queue.dequeue_many(3))
    assert order.tolist() == [1, 3, 5]
    assert texts.tolist() == [b"one", b"three", b"five"]


def test_wrong_shapes(session) -> None:
    queue = tf.FIFOQueue(10, [tf.float32], shapes=[(2,)])
    with pytest.raises(ValueError, match="incompatible"):
        queue.enqueue([[1.0, 2.0, 3.0]])
    free = tf.placeholder(tf.float32)
    with pytest.raises(errors.InvalidArgumentError, match=r"component 0. Expected \[2\], got \[3\]"):
        session.run(queue.enqueue([free]), {free: [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="a tuple of 1 components expected, but got 2"):
        queue.enqueue([1.0, 2.0])


def test_names_make_tuples_dicts(session) -> None:
    queue = tf.FIFOQueue(5, (tf.int32, tf.float32), names=("i", "f"), shapes=[(), ()])
    session.run(queue.enqueue({"i": 3, "f": 2.5}))
    assert session.run(queue.dequeue()) == {"i": 3, "f": 2.5}
    with pytest.raises(ValueError, match="enqueue a dictionary"):
        queue.enqueue([3, 2.5])


def test_one_of_several(session) -> None:
    queues = [tf.FIFOQueue(5, tf.int32) for _ in range(3)]
    index = tf.placeholder(tf.int32, [])
    chosen = tf.QueueBase.from_list(index, queues)
    session.run(chosen.enqueue([9]), {index: 2})
    assert session.run([q.size() for q in queues]) == [0, 0, 1]
    with pytest.raises(errors.InvalidArgumentError, match="index 3 is not in"):
        session.run(chosen.size(), {index: 3})


def test_sessions_do_not_share(session) -> None:
    queue = tf.FIFOQueue(5, tf.int32, shared_name="mine")
    same = tf.FIFOQueue(5, tf.int32, shared_name="mine")
    session.run(queue.enqueue([1]))
    assert session.run(same.size()) == 1
    with tf.Session() as other:
        assert other.run(same.size()) == 0
    with pytest.raises(errors.InvalidArgumentError, match="has capacity 5 but requested capacity were 6"):
        session.run(tf.FIFOQueue(6, tf.int32, shared_name="mine").size())


def test_runners_and_a_coordinator(session) -> None:
    queue = tf.FIFOQueue(8, tf.int64, shapes=[()])
    counter = tf.Variable(np.int64(0), trainable=False)
    runner = tf.train.QueueRunner(queue, [queue.enqueue([counter.count_up_to(20)])] * 2)
    tf.train.add_queue_runner(runner)
    item = queue.dequeue()
    session.run(tf.global_variables_initializer())
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coordinator)
    seen = []
    with pytest.raises(errors.OutOfRangeError):
        while not coordinator.should_stop():
            seen.append(session.run(item))
        seen += [session.run(item) for _ in range(20)]
    coordinator.request_stop()
    coordinator.join(threads)
    assert sorted(seen) == list(range(20))


def test_scopes_of_threads() -> None:
    graph = tf.Graph()
    graph.switch_to_thread_local()
    with graph.as_default(), graph.device("/cpu:0"), tf.name_scope("mine"):

        def build() -> str:
            with graph.as_default(), tf.name_scope("theirs"):
                return tf.constant(1, name="c").name

        assert in_thread(build)() == "theirs/c:0"
        assert tf.constant(1, name="c").name == "mine/c:0"
