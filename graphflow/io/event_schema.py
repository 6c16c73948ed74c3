"""The messages of event files and of traced runs, by their names in TensorFlow's .proto files."""

from __future__ import annotations

from graphflow.io import schema  # noqa: F401  the messages below name its messages
from graphflow.io.wire import ENUMS, Message, OneOf

__all__ = ["Event", "HistogramProto", "LogMessage", "RunMetadata", "SessionLog", "Summary", "SummaryDescription", "SummaryMetadata",
           "TaggedRunMetadata"]  # fmt: skip

ENUMS["SessionStatus"] = {"STATUS_UNSPECIFIED": 0, "START": 1, "STOP": 2, "CHECKPOINT": 3}
ENUMS["LogLevel"] = {"UNKNOWN": 0, "DEBUGGING": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}


# -- summaries --------------------------------------------------------------------------------------------------------------------


class HistogramProto(Message):
    """How many values lie below each limit (and not below the one before)."""

    fields = (
        "1 min double", "2 max double", "3 num double", "4 sum double", "5 sum_squares double", "6 bucket_limit* double",
        "7 bucket* double",
    )  # fmt: skip


class SummaryDescription(Message):
    fields = ("1 type_hint string",)


class PluginData(Message):
    fields = ("1 plugin_name string", "2 content bytes")


class SummaryMetadata(Message):
    """Which TensorBoard plugin shows a value, and under what name."""

    fields = ("1 plugin_data PluginData", "2 display_name string", "3 summary_description string")
    PluginData = PluginData


class SummaryImage(Message):
    fields = ("1 height int32", "2 width int32", "3 colorspace int32", "4 encoded_image_string bytes")


class SummaryAudio(Message):
    fields = (
        "1 sample_rate float", "2 num_channels int64", "3 length_frames int64", "4 encoded_audio_string bytes", "5 content_type string",
    )  # fmt: skip


class SummaryValue(OneOf):
    """One value of a summary, by its tag."""

    fields = (
        "1 tag string", "2 simple_value? float", "3 obsolete_old_style_histogram? bytes", "4 image SummaryImage", "5 histo HistogramProto",
        "6 audio SummaryAudio", "7 node_name string", "8 tensor TensorProto", "9 metadata SummaryMetadata",
    )  # fmt: skip
    choices = ("simple_value", "obsolete_old_style_histogram", "image", "histo", "audio", "tensor")


class Summary(Message):
    """Values to be shown for one step: `Summary(value=[Summary.Value(tag="loss", simple_value=0.5)])`."""

    fields = ("1 value* SummaryValue",)
    Value = SummaryValue
    Image = SummaryImage
    Audio = SummaryAudio


# -- events -----------------------------------------------------------------------------------------------------------------------


class LogMessage(Message):
    fields = ("1 level LogLevel", "2 message string")
    UNKNOWN, DEBUGGING, INFO, WARN, ERROR, FATAL = ENUMS["LogLevel"].values()


class SessionLog(Message):
    """Start, stop or checkpoint of a session."""

    fields = ("1 status SessionStatus", "2 checkpoint_path string", "3 msg string")
    STATUS_UNSPECIFIED, START, STOP, CHECKPOINT = ENUMS["SessionStatus"].values()


class TaggedRunMetadata(Message):
    fields = ("1 tag string", "2 run_metadata bytes")


class Event(OneOf):
    """A record of an event file."""

    fields = (
        "1 wall_time double", "2 step int64", "3 file_version? string", "4 graph_def? bytes", "5 summary Summary",
        "6 log_message LogMessage", "7 session_log SessionLog", "8 tagged_run_metadata TaggedRunMetadata", "9 meta_graph_def? bytes",
    )  # fmt: skip
    choices = ("file_version", "graph_def", "summary", "log_message", "session_log", "tagged_run_metadata", "meta_graph_def")


# -- traced runs ------------------------------------------------------------------------------------------------------------------


class AllocationDescription(Message):
    fields = (
        "1 requested_bytes int64", "2 allocated_bytes int64", "3 allocator_name string", "4 allocation_id int64",
        "5 has_single_reference bool", "6 ptr uint64",
    )  # fmt: skip


class TensorDescription(Message):
    fields = ("1 dtype DataType", "2 shape TensorShapeProto", "4 allocation_description AllocationDescription")


class NodeOutput(Message):
    fields = ("1 slot int32", "3 tensor_description TensorDescription")


class AllocationRecord(Message):
    fields = ("1 alloc_micros int64", "2 alloc_bytes int64")


class AllocatorMemoryUsed(Message):
    fields = (
        "1 allocator_name string", "2 total_bytes int64", "3 peak_bytes int64", "4 live_bytes int64", "5 allocator_bytes_in_use int64",
        "6 allocation_records* AllocationRecord",
    )  # fmt: skip


class MemoryStats(Message):
    fields = (
        "1 temp_memory_size int64", "2 device_temp_memory_size int64", "3 persistent_memory_size int64",
        "4 device_persistent_memory_size int64", "5 persistent_tensor_alloc_ids* int64", "6 device_persistent_tensor_alloc_ids* int64",
    )  # fmt: skip


class NodeExecStats(Message):
    """When one operation (here: one kernel) ran."""

    fields = (
        "1 node_name string", "2 all_start_micros int64", "3 op_start_rel_micros int64", "4 op_end_rel_micros int64",
        "5 all_end_rel_micros int64", "6 memory* AllocatorMemoryUsed", "7 output* NodeOutput", "8 timeline_label string",
        "9 scheduled_micros int64", "10 thread_id uint32", "11 referenced_tensor* AllocationDescription", "12 memory_stats MemoryStats",
        "13 all_start_nanos int64", "14 op_start_rel_nanos int64", "15 op_end_rel_nanos int64", "16 all_end_rel_nanos int64",
        "17 scheduled_nanos int64",
    )  # fmt: skip


class DeviceStepStats(Message):
    fields = ("1 device string", "2 node_stats* NodeExecStats")


class StepStats(Message):
    """The times of a traced run."""

    fields = ("1 dev_stats* DeviceStepStats",)


class CostGraphDef(Message):
    """graphflow estimates costs for kernels, not for nodes: empty."""

    fields = ()


class RunMetadata(Message):
    """What is known of a run afterwards."""

    fields = ("1 step_stats StepStats", "2 cost_graph CostGraphDef", "3 partition_graphs* GraphDef")
