"""Device strings. graphflow runs on the CPU and takes devices as notes, but merges and prints them as TensorFlow does."""

from __future__ import annotations

from typing import Any


class DeviceSpec:
    """The parts of a string such as `/job:worker/task:1/device:GPU:0`; None where unsaid."""

    __slots__ = ("device_index", "device_type", "job", "replica", "task")

    def __init__(
        self,
        job: str | None = None,
        replica: int | None = None,
        task: int | None = None,
        device_type: str | None = None,
        device_index: int | None = None,
    ) -> None:
        self.job = job
        self.replica = replica
        self.task = task
        self.device_type = device_type.upper() if device_type in ("cpu", "gpu") else device_type
        self.device_index = device_index

    @classmethod
    def from_string(cls, spec: str) -> DeviceSpec:
        """The parts of `spec`."""
        result = cls()
        for part in filter(None, str(spec).split("/")):
            fields = part.split(":")
            key = fields[0]
            if len(fields) == 2 and key == "job":
                result.job = fields[1]
            elif len(fields) == 2 and key in ("replica", "task"):
                setattr(result, key, int(fields[1]))
            elif key == "device" and len(fields) in (2, 3):
                result._set_device(fields[1], fields[2] if len(fields) == 3 else "*")
            elif key.lower() in ("cpu", "gpu") and len(fields) <= 2:
                result._set_device(key.upper(), fields[1] if len(fields) == 2 else "*")
            else:
                raise ValueError(f"Unknown attribute: '{key}' in '{spec}'")
        return result

    def _set_device(self, kind: str, index: str) -> None:
        self.device_type = kind if kind != "*" else None
        self.device_index = None if index == "*" else int(index)

    def merged_over(self, outer: DeviceSpec) -> DeviceSpec:
        """This one, with what it leaves unsaid taken from `outer`."""

        def pick(a: Any, b: Any) -> Any:
            return b if a is None else a

        return DeviceSpec(
            pick(self.job, outer.job),
            pick(self.replica, outer.replica),
            pick(self.task, outer.task),
            pick(self.device_type, outer.device_type),
            pick(self.device_index, outer.device_index),
        )

    def to_string(self) -> str:
        """The canonical string."""
        out = "" if self.job is None else f"/job:{self.job}"
        out += "" if self.replica is None else f"/replica:{self.replica}"
        out += "" if self.task is None else f"/task:{self.task}"
        if self.device_type is not None:
            index = "*" if self.device_index is None else self.device_index
            out += f"/device:{self.device_type}:{index}"
        return out

    __str__ = to_string


def resolve(stack: list[Any], operation: Any) -> str:
    """The device of a new operation from the entered devices (strings, specs or functions of the operation), outermost first."""
    spec = DeviceSpec()
    for entry in reversed(stack):
        if entry is None:
            break
        if callable(entry):  # it sees what the inner ones said and decides alone
            operation._device = spec.to_string()
            spec = DeviceSpec.from_string(str(entry(operation) or ""))
        else:
            spec = spec.merged_over(entry if isinstance(entry, DeviceSpec) else DeviceSpec.from_string(str(entry)))
    return spec.to_string()
