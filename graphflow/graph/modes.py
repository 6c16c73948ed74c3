"""The switches between TensorFlow 1 and 2 that programs set. graphflow is always in the one mode: graphs, as 1.15 has them."""

from __future__ import annotations

from typing import Any

__all__ = [
    "control_flow_v2_enabled",
    "disable_control_flow_v2",
    "disable_eager_execution",
    "disable_tensor_equality",
    "disable_v2_behavior",
    "disable_v2_tensorshape",
    "enable_control_flow_v2",
    "enable_eager_execution",
    "enable_tensor_equality",
    "enable_v2_behavior",
    "enable_v2_tensorshape",
    "executing_eagerly",
]


def executing_eagerly() -> bool:
    """Whether operations run when they are made: never."""
    return False


def control_flow_v2_enabled() -> bool:
    """Whether control flow is made of functions."""
    return False


def _keep(doc: str) -> Any:
    def switch() -> None:
        return None

    switch.__doc__ = doc
    return switch


def _refuse(name: str) -> Any:
    def switch(*arguments: Any, **settings: Any) -> None:
        raise NotImplementedError(
            f"tf.{name}: graphflow runs TensorFlow 1 programs, which build a graph and run it in a session. Leave the call out."
        )

    switch.__doc__ = "Refused: there are only graphs."
    return switch


disable_eager_execution = _keep("Nothing to do: there are only graphs.")
disable_v2_behavior = _keep("Nothing to do: there is only TensorFlow 1's behaviour.")
disable_control_flow_v2 = _keep("Nothing to do: it is off.")
disable_tensor_equality = _keep("Nothing to do: tensors compare by identity.")
disable_v2_tensorshape = _keep("Nothing to do: shapes hold Dimensions.")
enable_control_flow_v2 = _keep("Accepted without effect.")
enable_eager_execution = _refuse("enable_eager_execution")
enable_v2_behavior = _refuse("enable_v2_behavior")
enable_tensor_equality = _refuse("enable_tensor_equality")
enable_v2_tensorshape = _refuse("enable_v2_tensorshape")
