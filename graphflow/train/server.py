"""Clusters: `tf.train.ClusterSpec`, `tf.train.Server` and `tf.train.replica_device_setter`.

graphflow computes in one process. A cluster of one task runs as it stands; one of several tasks can be described, and a graph placed on it,
but there is no server that talks to others, and asking for one says so. Sources: server_lib.py and device_setter.py of TensorFlow 1.15.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from graphflow.errors import UnimplementedError
from graphflow.graph.devices import DeviceSpec

PLACED_WITH_PARAMETERS = (
    "Variable", "VariableV2", "AutoReloadVariable", "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2", "VarHandleOp",
    "BoostedTreesEnsembleResourceHandleOp", "BoostedTreesQuantileStreamResourceHandleOp", "ResourceConditionalAccumulator",
)  # fmt: skip


class ClusterSpec:
    """Which tasks, at which addresses, make up the jobs of a cluster.

    cluster: a mapping from the names of jobs to lists of addresses, or to mappings from task numbers to addresses; or another ClusterSpec.
    """

    def __init__(self, cluster: Any) -> None:
        if isinstance(cluster, ClusterSpec):
            cluster = cluster._jobs
        if not isinstance(cluster, Mapping):
            raise TypeError(
                "`cluster` must be a dictionary mapping one or more job names to lists of network addresses, or a `ClusterDef` "
                f"protocol buffer, but it is {cluster!r}"
            )
        self._jobs = {_text(name, "Job name"): _tasks(name, tasks) for name, tasks in cluster.items()}

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClusterSpec) and self._jobs == other._jobs

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        jobs = ", ".join(f"{name!r}: {tasks!r}" for name, tasks in sorted(self.as_dict().items()))
        return f"ClusterSpec({{{jobs}}})"

    def as_dict(self) -> dict[str, Any]:
        """Addresses by job: a list where the tasks are numbered from 0 on, else a dictionary."""
        dense = {name: list(tasks) == list(range(len(tasks))) for name, tasks in self._jobs.items()}
        return {name: list(tasks.values()) if tasks and dense[name] else dict(tasks) for name, tasks in self._jobs.items()}

    @property
    def jobs(self) -> list[str]:
        """The names of the jobs."""
        return list(self._jobs)

    def num_tasks(self, job_name: str) -> int:
        """How many tasks a job has; ValueError for an unknown job."""
        return len(self._job(job_name))

    def task_indices(self, job_name: str) -> list[int]:
        """The numbers of a job's tasks; ValueError for an unknown job."""
        return list(self._job(job_name))

    def task_address(self, job_name: str, task_index: int) -> str:
        """The address of a task; ValueError for an unknown one."""
        tasks = self._job(job_name)
        if task_index not in tasks:
            raise ValueError(f"No task with index {task_index!r} in job {job_name!r}")
        return tasks[task_index]

    def job_tasks(self, job_name: str) -> list[str | None]:
        """The addresses of a job's tasks by number, None where a number is left out; ValueError for an unknown job."""
        tasks = self._job(job_name)
        return [tasks.get(number) for number in range(max(tasks, default=-1) + 1)]

    def _job(self, name: str) -> dict[int, str]:
        if name not in self._jobs:
            raise ValueError(f"No such job in cluster: {name!r}")
        return self._jobs[name]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{what} {value!r} must be bytes or unicode")
    return value.decode() if isinstance(value, bytes) else value


def _tasks(job: Any, tasks: Any) -> dict[int, str]:
    if not isinstance(tasks, (list, tuple, Mapping)):
        raise TypeError(f"The tasks for job {job!r} must be a list or a dictionary from integers to strings.")
    numbered = sorted(tasks.items()) if isinstance(tasks, Mapping) else enumerate(tasks)
    return {int(number): _text(address, "Task address") for number, address in numbered}


class Server:
    """The one task of a cluster, in this process; its `target` is for sessions.

    Raises UnimplementedError for a cluster of several tasks, ValueError where job_name or task_index are needed and not given or unknown.
    """

    def __init__(self, server_or_cluster_def: Any, job_name: str | None = None, task_index: int | None = None,
                 protocol: str | None = None, config: Any = None, start: bool = True) -> None:  # fmt: skip
        try:
            cluster = ClusterSpec(server_or_cluster_def)
        except TypeError:
            wanted = "`tf.train.ServerDef` or `tf.train.ClusterSpec`"
            raise TypeError(f"Could not convert `server_or_cluster_def` to a {wanted}: {server_or_cluster_def!r}") from None
        if job_name is None:
            if len(cluster.jobs) != 1:
                raise ValueError("Must specify an explicit `job_name`.")
            job_name = cluster.jobs[0]
        if task_index is None:
            if cluster.num_tasks(job_name) != 1:
                raise ValueError("Must specify an explicit `task_index`.")
            task_index = cluster.task_indices(job_name)[0]
        self._address = cluster.task_address(job_name, task_index)
        others = sum(map(cluster.num_tasks, cluster.jobs)) - 1
        if others:
            raise UnimplementedError(
                None, None,
                f"The server of /job:{job_name}/task:{task_index} would have to talk to {others} other task(s) of {cluster}. graphflow "
                "computes in one process: give a cluster of one task, or run the program without a cluster.",
            )  # fmt: skip
        self._stopped = threading.Event()

    def start(self) -> None:
        """Does nothing: sessions compute in this process."""

    def join(self) -> None:
        """Waits for ever, as a server in a process of its own does."""
        self._stopped.wait()

    @property
    def target(self) -> str:
        """What a session takes as its target."""
        return f"grpc://{self._address}"

    @staticmethod
    def create_local_server(config: Any = None, start: bool = True) -> Server:
        """The server of a cluster of this one process."""
        return Server({"local": ["localhost:0"]}, protocol="grpc", config=config, start=start)


def replica_device_setter(ps_tasks: int = 0, ps_device: str = "/job:ps", worker_device: str = "/job:worker", merge_devices: bool = True,
                          cluster: Any = None, ps_ops: Any = None,
                          ps_strategy: Callable[[Any], int] | None = None) -> Callable[[Any], str] | None:  # fmt: skip
    """A function for `tf.device`: variables go to the tasks of the job `ps` in turn, all else to the worker.

    cluster: gives the number of ps_tasks. ps_ops: the types of operations that go to ps_device. ps_strategy: the task for an operation.
    None where there is no such job. Devices are notes here, see graph/devices.py.
    """
    if cluster is not None:
        ps_tasks = len(ClusterSpec(cluster).as_dict().get(DeviceSpec.from_string(ps_device).job or "", ()))
    if not ps_tasks:
        return None
    types = PLACED_WITH_PARAMETERS if ps_ops is None else tuple(ps_ops)
    if ps_strategy is not None and not callable(ps_strategy):
        raise TypeError(f"ps_strategy must be callable, but it is {ps_strategy!r}")
    choose = ps_strategy or _Rotation(ps_tasks)

    def device(op: Any) -> str:
        said = getattr(op, "device", "") or ""
        if not merge_devices and said:
            return said
        current = DeviceSpec.from_string(said)
        if not ps_device or (op.type if hasattr(op, "type") else op.op) not in types:
            return current.merged_over(DeviceSpec.from_string(worker_device or "")).to_string()
        spec = DeviceSpec.from_string(ps_device)
        if spec.job and current.job in (None, spec.job):
            spec.task = choose(op)
        return current.merged_over(spec).to_string()

    return device


class _Rotation:
    """0, 1, ..., tasks - 1, 0, ..."""

    def __init__(self, tasks: int) -> None:
        self._tasks, self._next = tasks, 0

    def __call__(self, op: Any) -> int:
        task = self._next
        self._next = (task + 1) % self._tasks
        return task
