"""Settings as TensorFlow passes them: ConfigProto, RunOptions and their parts, as light objects that behave like messages.

graphflow reads almost none of them; programs set them, and setting an unknown field is refused as protobuf refuses it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from graphflow.io.event_schema import RunMetadata

__all__ = [
    "ConfigProto",
    "GPUOptions",
    "GraphOptions",
    "OptimizerOptions",
    "RunMetadata",
    "RunOptions",
]


class Message:
    """A record with default values. A field whose default is a Message class holds a message that is made when first read."""

    FIELDS: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            if name not in self.FIELDS:
                raise ValueError(f'Protocol message {type(self).__name__} has no "{name}" field.')
            if isinstance(value, Mapping) and isinstance(self.FIELDS[name], type):
                value = self.FIELDS[name](**value)
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if name not in type(self).FIELDS:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        default = type(self).FIELDS[name]
        value = default() if isinstance(default, type) else copy.copy(default)
        if isinstance(value, (Message, list, dict)):
            self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.FIELDS:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        self.__dict__[name] = value

    def HasField(self, name: str) -> bool:
        """Whether a field has been set."""
        return name in self.__dict__

    def ClearField(self, name: str) -> None:
        """Sets a field back to its default."""
        self.__dict__.pop(name, None)

    def CopyFrom(self, other: Message) -> None:
        """Becomes equal to `other`."""
        self.__dict__.clear()
        self.__dict__.update(copy.deepcopy(other.__dict__))

    def MergeFrom(self, other: Message) -> None:
        """Takes over what `other` has set."""
        self.__dict__.update(copy.deepcopy(other.__dict__))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in self.FIELDS)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        lines = []
        for name in self.FIELDS:
            value = self.__dict__.get(name)
            if isinstance(value, Message):
                lines += [f"{name} {{", *("  " + line for line in str(value).splitlines()), "}"]
            elif isinstance(value, dict):
                for key, item in value.items():
                    lines += [f"{name} {{", f"  key: {_text(key)}", f"  value: {_text(item)}", "}"]
            elif isinstance(value, list):
                lines += [f"{name}: {_text(item)}" for item in value]
            elif value is not None:
                lines.append(f"{name}: {_text(value)}")
        return "\n".join(lines) + ("\n" if lines else "")

    __repr__ = __str__


def _text(value: Any) -> str:
    """A plain value in protobuf's text form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


class GPUOptions(Message):
    """Accepted and ignored."""

    FIELDS = {
        "per_process_gpu_memory_fraction": 0.0,
        "allow_growth": False,
        "allocator_type": "",
        "deferred_deletion_bytes": 0,
        "visible_device_list": "",
        "polling_active_delay_usecs": 0,
        "polling_inactive_delay_msecs": 0,
        "force_gpu_compatible": False,
        "experimental": Message,
    }


class OptimizerOptions(Message):
    """Accepted and ignored: the passes are graphflow's own."""

    L1, L0 = 0, -1
    DEFAULT, OFF, ON_1, ON_2 = 0, -1, 1, 2
    FIELDS = {
        "do_common_subexpression_elimination": False,
        "do_constant_folding": False,
        "max_folded_constant_in_bytes": 0,
        "do_function_inlining": False,
        "opt_level": 0,
        "global_jit_level": 0,
    }


_REWRITERS = """
    layout_optimizer constant_folding shape_optimization remapping arithmetic_optimization dependency_optimization
    loop_optimization function_optimization debug_stripper scoped_allocator_optimization pin_to_host_optimization
    implementation_selector auto_mixed_precision memory_optimization meta_optimizer_iterations min_graph_nodes
"""


class RewriterConfig(Message):
    """Accepted and ignored."""

    DEFAULT, ON, OFF, AGGRESSIVE = 0, 1, 2, 3
    FIELDS = {
        **dict.fromkeys(_REWRITERS.split(), 0),
        **dict.fromkeys(("disable_model_pruning", "disable_meta_optimizer"), False),
        "optimizers": [],
        "custom_optimizers": [],
    }


class GraphOptions(Message):
    """Accepted and ignored."""

    FIELDS = {
        "enable_recv_scheduling": False,
        "optimizer_options": OptimizerOptions,
        "build_cost_model": 0,
        "build_cost_model_after": 0,
        "infer_shapes": False,
        "place_pruned_graph": False,
        "enable_bfloat16_sendrecv": False,
        "timeline_step": 0,
        "rewrite_options": RewriterConfig,
    }


class ConfigProto(Message):
    """How a session shall run. graphflow takes its own settings from GRAPHFLOW_* variables; these are accepted."""

    FIELDS = {
        "device_count": {},
        "intra_op_parallelism_threads": 0,
        "inter_op_parallelism_threads": 0,
        "use_per_session_threads": False,
        "session_inter_op_thread_pool": [],
        "placement_period": 0,
        "device_filters": [],
        "gpu_options": GPUOptions,
        "allow_soft_placement": False,
        "log_device_placement": False,
        "graph_options": GraphOptions,
        "operation_timeout_in_ms": 0,
        "rpc_options": Message,
        "cluster_def": Message,
        "isolate_session_state": False,
        "share_cluster_devices_in_session": False,
        "experimental": Message,
    }


class DebugOptions(Message):
    """Which tensors a debugger watches. Accepted and ignored."""

    FIELDS = {"debug_tensor_watch_opts": [], "global_step": 0, "reset_disk_byte_usage": False}


class RunOptions(Message):
    """How one run shall go: `trace_level` decides whether its times are noted in a RunMetadata."""

    NO_TRACE, SOFTWARE_TRACE, HARDWARE_TRACE, FULL_TRACE = 0, 1, 2, 3
    FIELDS = {
        "trace_level": 0,
        "timeout_in_ms": 0,
        "inter_op_thread_pool": 0,
        "output_partition_graphs": False,
        "debug_options": DebugOptions,
        "report_tensor_allocations_upon_oom": False,
        "experimental": Message,
    }
