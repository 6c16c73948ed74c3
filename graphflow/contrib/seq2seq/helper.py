"""What a BasicDecoder reads at each step: the given sequence, or its own last output in one form or another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from graphflow.contrib.seq2seq.sampling import categorical_sample
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.joining import tile
from graphflow.ops.logic import cast, equal
from graphflow.ops.reductions import argmax, reduce_all
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.shape import size as size_of
from graphflow.ops.source import zeros_like
from graphflow.ops.tensor_array import TensorArray
from graphflow.rnn.sequences import transpose_batch_time
from graphflow.shapes import TensorShape


def unstacked(inputs: Any) -> TensorArray:
    """A TensorArray of the parts of `inputs` along its first dimension."""
    return TensorArray(dtype=inputs.dtype, size=shape_of(inputs)[0], element_shape=inputs.shape[1:]).unstack(inputs)


def embedding_function(embedding: Any) -> Callable[[Any], Any]:
    """A function from numbers to vectors; `embedding` is one, or a table."""
    if callable(embedding):
        return embedding  # type: ignore[no-any-return]
    return lambda ids: embedding_lookup(embedding, ids)


class Helper(ABC):
    """How a BasicDecoder samples from its output and what it reads next."""

    @property
    @abstractmethod
    def batch_size(self):
        """The batch size: a scalar tensor."""

    @property
    @abstractmethod
    def sample_ids_shape(self):
        """The shape of a sample, without the batch."""

    @property
    @abstractmethod
    def sample_ids_dtype(self):
        """The type of a sample."""

    @abstractmethod
    def initialize(self, name=None):
        """(finished [batch] of bool, the first inputs)"""

    @abstractmethod
    def sample(self, time, outputs, state, name=None):
        """A sample for each row."""

    @abstractmethod
    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """(finished [batch] of bool, the next inputs, the next state)"""


class CustomHelper(Helper):
    """A helper made of functions: `initialize_fn()`, `sample_fn(time, outputs, state)`, `next_inputs_fn(time, outputs, state,
    sample_ids)`."""

    def __init__(self, initialize_fn, sample_fn, next_inputs_fn, sample_ids_shape=None, sample_ids_dtype=None):
        self._initialize_fn = initialize_fn
        self._sample_fn = sample_fn
        self._next_inputs_fn = next_inputs_fn
        self._batch_size: Any = None
        self._sample_ids_shape = TensorShape(sample_ids_shape or [])
        self._sample_ids_dtype = sample_ids_dtype or int32

    @property
    def batch_size(self):
        """The number of rows; known once `initialize` has been called."""
        if self._batch_size is None:
            raise ValueError("batch_size accessed before initialize was called")
        return self._batch_size

    @property
    def sample_ids_shape(self):
        """As given, or a scalar."""
        return self._sample_ids_shape

    @property
    def sample_ids_dtype(self):
        """As given, or int32."""
        return self._sample_ids_dtype

    def initialize(self, name=None):
        """initialize_fn()"""
        with name_scope(name, f"{type(self).__name__}Initialize"):
            finished, next_inputs = self._initialize_fn()
            if self._batch_size is None:
                self._batch_size = size_of(finished)
        return finished, next_inputs

    def sample(self, time, outputs, state, name=None):
        """sample_fn(time, outputs, state)"""
        with name_scope(name, f"{type(self).__name__}Sample", [time, outputs, state]):
            return self._sample_fn(time=time, outputs=outputs, state=state)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """next_inputs_fn(time, outputs, state, sample_ids)"""
        with name_scope(name, f"{type(self).__name__}NextInputs", [time, outputs, state]):
            return self._next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)


class _Numbers(Helper):
    """Samples are numbers: int32 scalars."""

    @property
    def sample_ids_shape(self):
        """A scalar."""
        return TensorShape([])

    @property
    def sample_ids_dtype(self):
        """int32"""
        return int32


class TrainingHelper(_Numbers):
    """Reads inputs [batch, time, depth], or [time, batch, depth] with `time_major`, each row up to its length; samples the largest."""

    def __init__(self, inputs, sequence_length, time_major=False, name=None):
        with name_scope(name, "TrainingHelper", [inputs, sequence_length]):
            inputs = convert_to_tensor(inputs, name="inputs")
            self._inputs = inputs
            if not time_major:
                inputs = transpose_batch_time(inputs)
            self._input_tas = unstacked(inputs)
            self._sequence_length = convert_to_tensor(sequence_length, name="sequence_length")
            if self._sequence_length.shape.ndims != 1:
                raise ValueError(f"Expected sequence_length to be a vector, but received shape: {self._sequence_length.shape}")
            self._zero_inputs = zeros_like(inputs[0, :])
            self._batch_size = size_of(sequence_length)

    @property
    def inputs(self):
        """The inputs as given."""
        return self._inputs

    @property
    def sequence_length(self):
        """The lengths as a tensor."""
        return self._sequence_length

    @property
    def batch_size(self):
        """The number of lengths."""
        return self._batch_size

    def initialize(self, name=None):
        """Rows of length 0 are finished."""
        with name_scope(name, "TrainingHelperInitialize"):
            finished = equal(0, self._sequence_length)
            return finished, cond(reduce_all(finished), lambda: self._zero_inputs, lambda: self._input_tas.read(0))

    def sample(self, time, outputs, name=None, **unused_kwargs):
        """The number of each row's largest output."""
        with name_scope(name, "TrainingHelperSample", [time, outputs]):
            return cast(argmax(outputs, axis=-1), int32)

    def next_inputs(self, time, outputs, state, name=None, **unused_kwargs):
        """The inputs of the next step."""
        with name_scope(name, "TrainingHelperNextInputs", [time, outputs, state]):
            next_time = time + 1
            finished = next_time >= self._sequence_length
            following = cond(reduce_all(finished), lambda: self._zero_inputs, lambda: self._input_tas.read(next_time))
            return finished, following, state


class GreedyEmbeddingHelper(_Numbers):
    """Reads the embedding of the largest output, until that is `end_token`; begins with `start_tokens` [batch].

    embedding: a table, or a function from numbers to vectors.
    """

    def __init__(self, embedding, start_tokens, end_token):
        self._embedding_fn = embedding_function(embedding)
        self._start_tokens = convert_to_tensor(start_tokens, dtype=int32, name="start_tokens")
        self._end_token = convert_to_tensor(end_token, dtype=int32, name="end_token")
        if self._start_tokens.shape.ndims != 1:
            raise ValueError("start_tokens must be a vector")
        self._batch_size = size_of(start_tokens)
        if self._end_token.shape.ndims != 0:
            raise ValueError("end_token must be a scalar")
        self._start_inputs = self._embedding_fn(self._start_tokens)

    @property
    def batch_size(self):
        """The number of start tokens."""
        return self._batch_size

    def initialize(self, name=None):
        """No row is finished."""
        return tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        """The number of each row's largest output."""
        _check_single(outputs)
        return argmax(outputs, axis=-1, output_type=int32)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """The embedding of the samples."""
        finished = equal(sample_ids, self._end_token)
        following = cond(reduce_all(finished), lambda: self._start_inputs, lambda: self._embedding_fn(sample_ids))
        return finished, following, state


def _check_single(outputs: Any) -> None:
    if not isinstance(outputs, Tensor):
        raise TypeError(f"Expected outputs to be a single Tensor, got: {type(outputs)}")


class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """GreedyEmbeddingHelper that draws the next symbol; outputs are logits, divided by `softmax_temperature`."""

    def __init__(self, embedding, start_tokens, end_token, softmax_temperature=None, seed=None):
        super().__init__(embedding, start_tokens, end_token)
        self._softmax_temperature = softmax_temperature
        self._seed = seed

    def sample(self, time, outputs, state, name=None):
        """A number drawn for each row."""
        _check_single(outputs)
        logits = outputs if self._softmax_temperature is None else outputs / self._softmax_temperature
        return categorical_sample(logits=logits, seed=self._seed)


class InferenceHelper(Helper):
    """Reads what it sampled: `sample_fn(outputs)`, through `next_inputs_fn` if given, until `end_fn(samples)` [batch] is true."""

    def __init__(self, sample_fn, sample_shape, sample_dtype, start_inputs, end_fn, next_inputs_fn=None):
        self._sample_fn = sample_fn
        self._end_fn = end_fn
        self._sample_shape = TensorShape(sample_shape)
        self._sample_dtype = sample_dtype
        self._next_inputs_fn = next_inputs_fn
        self._batch_size = shape_of(start_inputs)[0]
        self._start_inputs = convert_to_tensor(start_inputs, name="start_inputs")

    @property
    def batch_size(self):
        """The first size of the start inputs."""
        return self._batch_size

    @property
    def sample_ids_shape(self):
        """As given."""
        return self._sample_shape

    @property
    def sample_ids_dtype(self):
        """As given."""
        return self._sample_dtype

    def initialize(self, name=None):
        """No row is finished."""
        return tile([False], [self._batch_size]), self._start_inputs

    def sample(self, time, outputs, state, name=None):
        """sample_fn(outputs)"""
        return self._sample_fn(outputs)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """The samples, or what next_inputs_fn makes of them."""
        following = sample_ids if self._next_inputs_fn is None else self._next_inputs_fn(sample_ids)
        return self._end_fn(sample_ids), following, state
