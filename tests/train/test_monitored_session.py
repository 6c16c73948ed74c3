"""Monitored sessions, hooks, supervisor, coordinator: what is saved, when a loop ends, which error arrives."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def counting() -> tuple[tf.Tensor, tf.Tensor]:
    step = tf.train.get_or_create_global_step()
    w = tf.Variable(0.0, name="w")
    return tf.group(tf.assign_add(step, 1), tf.assign_add(w, 2.0)), w


def test_a_training_session_stops_saves_and_goes_on(tmp_path: Path) -> None:
    for last in (5, 8):
        tf.reset_default_graph()
        train, w = counting()
        with tf.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path), hooks=[tf.train.StopAtStepHook(last_step=last)], save_checkpoint_steps=100
        ) as session:
            while not session.should_stop():
                value = session.run([train, w])[1]
        assert value >= 2.0 * (last - 1)
        assert tf.train.latest_checkpoint(str(tmp_path)).endswith(f"model.ckpt-{last}")
    assert tf.train.load_variable(str(tmp_path), "w") == 16.0


class Recorder(tf.train.SessionRunHook):
    def __init__(self, fetch):
        self.fetch = fetch
        self.calls: list[object] = []

    def begin(self):
        self.calls.append("begin")

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self.fetch)

    def after_run(self, run_context, run_values):
        self.calls.append(run_values.results)

    def end(self, session):
        self.calls.append("end")


def test_hooks_are_called_in_order_and_the_graph_is_open_again() -> None:
    x = tf.placeholder_with_default(3.0, [])
    hook, y = Recorder(x * 2), x + 1
    with tf.train.MonitoredSession(hooks=[hook]) as session:
        assert session.run(y) == 4.0
        with pytest.raises(RuntimeError, match="finalized"):
            tf.constant(1)
    tf.constant(1)
    assert hook.calls == ["begin", 6.0, "end"]


def test_out_of_range_ends_quietly_and_other_errors_arrive() -> None:
    x = tf.constant(1.0)
    with tf.train.MonitoredSession() as session:
        session.run(x)
        raise tf.errors.OutOfRangeError(None, None, "no more data")
    hook = Recorder(x)
    with pytest.raises(KeyError, match="mine"), tf.train.MonitoredSession(hooks=[hook]):
        raise KeyError("mine")
    assert hook.calls == ["begin"]  # not "end"


def test_a_lost_session_is_made_again() -> None:
    v = tf.Variable(0.0)
    add = tf.assign_add(v, 1.0)

    class Lose(tf.train.SessionRunHook):
        left = 1

        def after_run(self, run_context, run_values):
            if Lose.left:
                Lose.left -= 1
                raise tf.errors.AbortedError(None, None, "lost")

    with tf.train.MonitoredSession(hooks=[Lose()]) as session:
        assert session.run(add) == 1.0  # the new session begins anew


def test_two_hooks_must_not_feed_the_same_tensor() -> None:
    x = tf.placeholder(tf.float32, [])
    feeding = [tf.train.FeedFnHook(lambda: {x: 1.0}), tf.train.FeedFnHook(lambda: {x: 2.0})]
    with tf.train.MonitoredSession(hooks=feeding) as session, pytest.raises(RuntimeError, match="fed by two hooks"):
        session.run(x)


def test_nan_and_bad_timers_are_refused() -> None:
    x = tf.constant(float("nan"))
    with (
        pytest.raises(tf.train.NanLossDuringTrainingError, match="NaN loss"),
        tf.train.MonitoredSession(hooks=[tf.train.NanTensorHook(x)]) as session,
    ):
        session.run(x)
    with pytest.raises(ValueError, match="Can not provide both"):
        tf.train.SecondOrStepTimer(every_secs=1.0, every_steps=2)


def test_a_coordinator_raises_the_first_error_of_its_threads() -> None:
    coord = tf.train.Coordinator()

    def fail() -> None:
        with coord.stop_on_exception():
            raise RuntimeError("first")

    threads = [threading.Thread(target=fail), threading.Thread(target=coord.wait_for_stop)]
    for thread in threads:
        thread.start()
    with pytest.raises(RuntimeError, match="first"):
        coord.join(threads)
    coord.clear_stop()
    coord.request_stop(tf.errors.OutOfRangeError(None, None, "end"))
    coord.join([])


def test_a_supervisor_restores_and_saves(tmp_path: Path) -> None:
    train, w = counting()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(train)
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=1)
    supervisor = tf.train.Supervisor(logdir=str(tmp_path), save_model_secs=0, save_summaries_secs=0)
    with supervisor.managed_session() as session:
        assert session.run(w) == 2.0
        supervisor.request_stop()
    assert supervisor.should_stop()
