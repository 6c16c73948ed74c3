"""The ops behind `tf.summary`: each gives a serialized Summary. They run in Python, between native segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.dtypes import REAL, float16, float32, float64, string, uint8
from graphflow.errors import InvalidArgumentError
from graphflow.graph.literal import Literal
from graphflow.graph.op import TensorSpec
from graphflow.ops.families import HostOp

if TYPE_CHECKING:
    from graphflow.io.event_schema import Summary

_RED = Literal(np.array([255, 0, 0, 255], np.uint8), uint8)


def text(value: Any) -> str:
    """The one string in a string array."""
    item = np.asarray(value, object).item()
    return item.decode() if isinstance(item, bytes) else str(item)


def sizes(array: Any) -> str:
    """A shape as TensorFlow's kernels print it."""
    return "[" + ",".join(map(str, np.shape(array))) + "]"


class _SummaryOp(HostOp, abstract=True):
    """The result is one string."""

    sized = True
    results = ("summary: string",)

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(string, ())

    def run(self, *inputs: Any) -> Any:
        # the messages are loaded with the first summary that is computed, not with the package
        from graphflow.io.event_schema import Summary

        summary = Summary()
        self.fill(summary, *inputs)
        return np.array(summary.SerializeToString(), object)

    def fill(self, summary: Summary, *inputs: Any) -> None:
        """Adds the values to the summary."""
        raise NotImplementedError


class ScalarSummary(_SummaryOp):
    """Numbers with their tags."""

    arguments = ("tags: string", "values: T")
    types = {"T": REAL}

    def fill(self, summary: Summary, tags: Any, values: Any) -> None:
        if np.shape(tags) != np.shape(values):
            tag = f" (tag '{text(tags)}')" if np.size(tags) == 1 else ""
            raise InvalidArgumentError(None, None, f"tags and values not the same shape: {sizes(tags)} != {sizes(values)}{tag}")
        for tag, value in zip(np.ravel(tags), np.ravel(values), strict=True):
            summary.value.add(tag=tag, simple_value=float(np.float32(value)))


class HistogramSummary(_SummaryOp):
    """How values are distributed. Refuses what is not finite."""

    arguments = ("tag: string", "values: T")
    types = {"T": REAL}

    def fill(self, summary: Summary, tag: Any, values: Any) -> None:
        from graphflow.io.media import Histogram

        if np.ndim(tag):
            raise InvalidArgumentError(None, None, "tags must be scalar")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            first = values[~np.isfinite(values)].flat[0]
            raise InvalidArgumentError(None, None, f"{'Nan' if np.isnan(first) else 'Infinity'} in summary histogram for: {text(tag)}")
        found = Histogram(values)
        summary.value.add(tag=text(tag), histo=_histogram(found))


def _histogram(found: Any) -> Any:
    from graphflow.io.event_schema import HistogramProto

    return HistogramProto(**vars(found))


class ImageSummary(_SummaryOp):
    """Images of a batch [batch, height, width, channels], as PNG."""

    arguments = ("tag: string", "tensor: T")
    types = {"T": (uint8, float32, float16, float64)}
    max_images: int = 3
    bad_color: Literal = _RED

    def infer(self, tag: TensorSpec, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(string, ())

    def fill(self, summary: Summary, tag: Any, tensor: Any) -> None:
        from graphflow.io.media import encode_png, to_pixels

        if np.ndim(tag):
            raise InvalidArgumentError(None, None, "Tags must be a scalar")
        if tensor.ndim != 4 or tensor.shape[3] not in (1, 3, 4):
            raise InvalidArgumentError(None, None, f"Tensor must be 4-D with last dim 1, 3, or 4, not {sizes(tensor)}")
        bad, channels = self.bad_color.array, tensor.shape[3]
        if bad.size < channels:
            raise InvalidArgumentError(None, None, f"expected the bad_color to have at least {channels} components, got {bad.size}")
        for number, image in enumerate(tensor[: self.max_images]):
            pixels = image if image.dtype == np.uint8 else to_pixels(image, bad)
            value = summary.value.add(tag=_numbered(tag, "image", number, self.max_images))
            value.image.height, value.image.width, value.image.colorspace = image.shape
            value.image.encoded_image_string = encode_png(pixels)


class AudioSummaryV2(_SummaryOp):
    """Sounds of a batch [batch, frames] or [batch, frames, channels], as WAV."""

    arguments = ("tag: string", "tensor: float32", "sample_rate: float32")
    max_outputs: int = 3

    def fill(self, summary: Summary, tag: Any, tensor: Any, sample_rate: Any) -> None:
        from graphflow.io.media import encode_wav

        if np.ndim(tag):
            raise InvalidArgumentError(None, None, "Tag must be a scalar")
        if tensor.ndim not in (2, 3):
            raise InvalidArgumentError(None, None, f"Tensor must be 3-D or 2-D, got: {sizes(tensor)}")
        rate = float(np.asarray(sample_rate).item())
        if rate <= 0:
            raise InvalidArgumentError(None, None, "sample_rate must be positive.")
        for number, sound in enumerate(tensor[: self.max_outputs]):
            samples = sound[:, None] if sound.ndim == 1 else sound
            value = summary.value.add(tag=_numbered(tag, "audio", number, self.max_outputs))
            audio = value.audio
            audio.sample_rate, audio.content_type = rate, "audio/wav"
            audio.length_frames, audio.num_channels = samples.shape
            audio.encoded_audio_string = encode_wav(samples, round(rate))


def _numbered(tag: Any, kind: str, number: int, most: int) -> str:
    return f"{text(tag)}/{kind}/{number}" if most > 1 else f"{text(tag)}/{kind}"


class TensorSummaryV2(_SummaryOp):
    """A tensor as it is, with a note for the plugin that shows it."""

    arguments = ("tag: string", "tensor: T", "serialized_summary_metadata: string")

    def fill(self, summary: Summary, tag: Any, tensor: Any, serialized_summary_metadata: Any) -> None:
        from graphflow.dtypes import as_dtype
        from graphflow.io.tensors import to_proto

        dtype = string if tensor.dtype == object else as_dtype(tensor.dtype)
        value = summary.value.add(tag=text(tag), tensor=to_proto(tensor, dtype))
        if tensor.size == 1 and dtype is not string:  # always the bytes, never the list of a single number
            shape = value.tensor.tensor_shape
            value.tensor.Clear()
            value.tensor.dtype, value.tensor.tensor_shape, value.tensor.tensor_content = int(dtype), shape, tensor.tobytes()
        value.metadata.MergeFromString(np.asarray(serialized_summary_metadata, object).item())


class MergeSummary(_SummaryOp):
    """The values of several summaries in one."""

    arguments = ("inputs: N*string",)

    def fill(self, summary: Summary, *inputs: Any) -> None:
        from graphflow.io.wire import DecodeError

        seen = set()
        for array in inputs:
            for item in np.ravel(np.asarray(array, object)):
                try:
                    values = type(summary).FromString(item).value
                except DecodeError:
                    raise InvalidArgumentError(None, None, "Could not parse one of the summary inputs") from None
                for value in values:
                    if value.tag and value.tag in seen:
                        raise InvalidArgumentError(None, None, f"Duplicate tag {value.tag} found in summary inputs")
                    seen.add(value.tag)
                    summary.value.append(value)
