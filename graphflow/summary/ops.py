"""The functions of `tf.summary` that add summary ops to the graph."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from graphflow import dtypes
from graphflow.compat import logging
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.tensor import Tensor
from graphflow.io.event_schema import SummaryDescription, SummaryMetadata

_ILLEGAL = re.compile(r"[^-/\w\.]")


def clean_tag(name: str | None) -> str | None:
    """A tag that is also a name of an operation: other characters become underscores."""
    if name is None:
        return None
    clean = _ILLEGAL.sub("_", name).lstrip("/")
    if clean != name:
        logging.info(f"Summary name {name} is illegal; using {clean} instead.")
    return clean


@contextlib.contextmanager
def summary_scope(
    name: str | None, family: str | None = None, default_name: str | None = None, values: Sequence[Any] | None = None
) -> Iterator[tuple[str, str]]:
    """The tag and the name scope of a summary. The tag is the scope's name, behind the family where there is one."""
    name, family = clean_tag(name), clean_tag(family)
    base = name if family is None else f"{family}/{name}"
    with name_scope(base, default_name, values) as scope:
        inner = scope.rstrip("/")
        yield inner if family is None else f"{family}/{inner}", scope


def _collected(result: Tensor, collections: Sequence[str] | None, default: Sequence[str]) -> Tensor:
    graph = get_default_graph()
    for key in default if collections is None else collections:
        graph.add_to_collection(key, result)
    return result


_SUMMARIES = (GraphKeys.SUMMARIES,)


def scalar(name: str, tensor: Any, collections: Sequence[str] | None = None, family: str | None = None) -> Tensor:
    """A number, for a curve over the steps."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        return _collected(make("ScalarSummary", tag, tensor, name=scope), collections, _SUMMARIES)


def histogram(name: str, values: Any, collections: Sequence[str] | None = None, family: str | None = None) -> Tensor:
    """How values are distributed. The run fails where one of them is not finite."""
    with summary_scope(name, family, "HistogramSummary", [values]) as (tag, scope):
        return _collected(make("HistogramSummary", tag, values, name=scope), collections, _SUMMARIES)


def image(name: str, tensor: Any, max_outputs: int = 3, collections: Sequence[str] | None = None, family: str | None = None) -> Tensor:
    """Images of a batch [batch, height, width, channels] with 1, 3 or 4 channels; floats are scaled to what can be seen."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        return _collected(make("ImageSummary", tag, tensor, max_images=max_outputs, name=scope), collections, _SUMMARIES)


def audio(
    name: str,
    tensor: Any,
    sample_rate: Any,
    max_outputs: int = 3,
    collections: Sequence[str] | None = None,
    family: str | None = None,
) -> Tensor:
    """Sounds of a batch [batch, frames] or [batch, frames, channels], values between -1 and 1."""
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        rate = convert_to_tensor(sample_rate, dtype=dtypes.float32, name="sample_rate")
        result = make("AudioSummaryV2", tag, tensor, rate, max_outputs=max_outputs, name=scope)
        return _collected(result, collections, _SUMMARIES)


def text(name: str, tensor: Tensor, collections: Sequence[str] | None = None) -> Tensor:
    """Strings, which TensorBoard shows as Markdown."""
    if tensor.dtype != dtypes.string:
        raise ValueError(f"Expected tensor {tensor.name} to have dtype string, got {tensor.dtype}")
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    return tensor_summary(name, tensor, collections=collections, summary_metadata=metadata)


def tensor_summary(
    name: str,
    tensor: Any,
    summary_description: str | None = None,
    collections: Sequence[str] | None = None,
    summary_metadata: SummaryMetadata | None = None,
    family: str | None = None,
    display_name: str | None = None,
) -> Tensor:
    """Any tensor as it is. `summary_metadata` says which plugin shows it."""
    metadata = SummaryMetadata() if summary_metadata is None else summary_metadata
    if summary_description is not None:
        metadata.summary_description = summary_description
    if display_name is not None:
        metadata.display_name = display_name
    with summary_scope(name, family, values=[tensor]) as (tag, scope):
        result = make("TensorSummaryV2", tag, tensor, metadata.SerializeToString(), name=scope)
        return _collected(result, collections, _SUMMARIES)


def merge(inputs: Sequence[Any], collections: Sequence[str] | None = None, name: str | None = None) -> Tensor:
    """One summary with the values of several."""
    name = clean_tag(name)
    with name_scope(name, "Merge", inputs):
        return _collected(make("MergeSummary", list(inputs), name=name), collections, ())


def merge_all(key: str = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> Tensor | None:
    """One summary with the values of all summaries of the graph (those whose name begins with `scope`); None where there are none."""
    found = get_default_graph().get_collection(key, scope)
    return merge(found, name=name) if found else None


def get_summary_description(node_def: Any) -> SummaryDescription:
    """The description in a TensorSummary node, which is JSON."""
    if node_def.op != "TensorSummary":
        raise ValueError(f"Can't get_summary_description on {node_def.op}")
    import json

    attr = node_def.attr["description"]
    raw = getattr(attr, "s", attr)
    found = json.loads(raw.decode() if isinstance(raw, bytes) else raw)
    return SummaryDescription(type_hint=found.get("typeHint", found.get("type_hint", "")))


def all_v2_summary_ops() -> list[Any]:
    """The ops of TensorFlow 2's summaries in the graph: none."""
    return []


def initialize(graph: Any = None, session: Any = None) -> None:
    """Initialises the writers of TensorFlow 2's summaries. They need eager execution or a writer in the graph."""
    raise RuntimeError("tf.contrib.summary.initialize: no summary writers of tf.contrib.summary exist in graphflow")
