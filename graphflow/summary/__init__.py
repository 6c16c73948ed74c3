"""`tf.summary`: summary ops, and the writer of the files that TensorBoard reads."""

from graphflow.io.event_schema import Event, SessionLog, Summary, SummaryDescription, TaggedRunMetadata
from graphflow.missing import names_of
from graphflow.summary.ops import (
    all_v2_summary_ops,
    audio,
    get_summary_description,
    histogram,
    image,
    initialize,
    merge,
    merge_all,
    scalar,
    tensor_summary,
    text,
)
from graphflow.summary.writer import FileWriter, FileWriterCache

__all__ = [
    "Event", "FileWriter", "FileWriterCache", "SessionLog", "Summary", "SummaryDescription", "TaggedRunMetadata", "all_v2_summary_ops",
    "audio", "get_summary_description", "histogram", "image", "initialize", "merge", "merge_all", "scalar", "tensor_summary", "text",
]  # fmt: skip

globals()["__getattr__"] = names_of("summary")
