"""Clusters: their description, the server of one task, and where replica_device_setter puts operations (as TensorFlow 1.15 puts them)."""

from __future__ import annotations

from typing import Any

import pytest

import graphflow as tf

CLUSTER = {"worker": ["a:1", "b:2"], "ps": {0: "c:3", 2: "d:4"}, "x": ["l:0"]}


def test_cluster_spec() -> None:
    spec = tf.train.ClusterSpec(CLUSTER)
    assert spec.jobs == ["worker", "ps", "x"] and spec.as_dict() == CLUSTER and spec == tf.train.ClusterSpec(spec)
    assert spec.num_tasks("ps") == 2 and spec.task_indices("ps") == [0, 2] and spec.job_tasks("ps") == ["c:3", None, "d:4"]
    assert spec.task_address("ps", 2) == "d:4" and spec and not tf.train.ClusterSpec({})
    assert str(spec) == "ClusterSpec({'ps': {0: 'c:3', 2: 'd:4'}, 'worker': ['a:1', 'b:2'], 'x': ['l:0']})"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [([1], "must be a dictionary"), ({"a": 3}, "The tasks for job 'a' must be a list"), ({"a": [3]}, "Task address 3 must be bytes")],
)
def test_wrong_clusters(cluster: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tf.train.ClusterSpec(cluster)


def test_unknown_jobs_and_tasks() -> None:
    spec = tf.train.ClusterSpec(CLUSTER)
    with pytest.raises(ValueError, match="No such job in cluster: 'q'"):
        spec.num_tasks("q")
    with pytest.raises(ValueError, match="No task with index 1 in job 'ps'"):
        spec.task_address("ps", 1)


def test_a_server_of_one_task_runs_sessions_here() -> None:
    server = tf.train.Server.create_local_server()
    assert server.target.startswith("grpc://localhost")
    with tf.Session(server.target) as session:
        assert session.run(tf.constant(3)) == 3


def test_a_server_among_others_is_refused() -> None:
    with pytest.raises(tf.errors.UnimplementedError, match="4 other task.* one process"):
        tf.train.Server(tf.train.ClusterSpec(CLUSTER), "worker", 1)
    with pytest.raises(ValueError, match="explicit `job_name`"):
        tf.train.Server(CLUSTER)
    with pytest.raises(ValueError, match="explicit `task_index`"):
        tf.train.Server(CLUSTER, "worker")


@pytest.mark.parametrize(
    ("arguments", "devices"),
    [
        ({"cluster": CLUSTER}, ["/job:ps/task:0", "/job:ps/task:1", "/job:worker", "/job:ps/task:0/device:CPU:0", "/job:other"]),
        ({"ps_tasks": 1, "ps_device": "/job:ps/cpu:0", "worker_device": "/gpu:0"},
         ["/job:ps/task:0/device:CPU:0"] * 2 + ["/device:GPU:0", "/job:ps/task:0/device:CPU:0", "/job:other/device:CPU:0"]),
        ({"ps_tasks": 2, "merge_devices": False}, ["/job:ps/task:0", "/job:ps/task:1", "/job:worker", "/device:CPU:0", "/job:other"]),
        ({"ps_tasks": 2, "ps_ops": ["AddV2"]},
         ["/job:worker", "/job:worker", "/job:ps/task:0", "/job:worker/device:CPU:0", "/job:other"]),
        ({}, ["", "", "", "/device:CPU:0", "/job:other"]),
    ],
)  # fmt: skip
def test_replica_device_setter(arguments: dict[str, Any], devices: list[str]) -> None:
    with tf.Graph().as_default(), tf.device(tf.train.replica_device_setter(**arguments)):
        v, w = tf.Variable(1.0), tf.get_variable("w", [2], initializer=tf.zeros_initializer())
        z = v + v
        with tf.device("/cpu:0"):
            u = tf.Variable(2.0)
        with tf.device("/job:other"):
            t = tf.Variable(2.0)
        assert [x.op.device for x in (v, w, z, u, t)] == devices


def test_basic_train_loop() -> None:
    seen = []
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        advance = tf.assign_add(step, 1)
        supervisor = tf.train.Supervisor(logdir=None)

        def train(session: Any, last: int, *, note: Any) -> None:
            note(session.run(advance))
            if len(seen) == 1:
                raise tf.errors.AbortedError(None, None, "a worker was lost")
            if seen[-1] == last:
                supervisor.request_stop()

        tf.train.basic_train_loop(supervisor, train, args=[3], kwargs={"note": seen.append})
    assert seen == [1, 1, 2, 3]
