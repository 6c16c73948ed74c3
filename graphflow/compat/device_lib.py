"""The devices of this machine: one, the processor."""

from __future__ import annotations

from typing import Any, NamedTuple


class DeviceAttributes(NamedTuple):
    """What is told of a device."""

    name: str = "/device:CPU:0"
    device_type: str = "CPU"
    memory_limit: int = 268435456
    incarnation: int = 1
    physical_device_desc: str = ""

    def __str__(self) -> str:
        return (
            f'name: "{self.name}"\ndevice_type: "{self.device_type}"\nmemory_limit: {self.memory_limit}\nlocality {{\n}}\n'
            f"incarnation: {self.incarnation}\n"
        )

    __repr__ = __str__


def list_local_devices(session_config: Any = None) -> list[DeviceAttributes]:
    """The devices of this machine."""
    return [DeviceAttributes()]
