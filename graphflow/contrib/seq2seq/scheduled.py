"""Helpers for scheduled sampling (Bengio et al. 2015, arXiv:1506.03099): training that now and then reads its own output."""

from __future__ import annotations

from typing import Any

from graphflow.contrib.seq2seq.helper import TrainingHelper, embedding_function, unstacked
from graphflow.contrib.seq2seq.sampling import bernoulli_sample, categorical_sample
from graphflow.dtypes import bool as bool_dtype
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.gather import gather_nd
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast, logical_not, logical_or, where
from graphflow.ops.reductions import reduce_all, reduce_any
from graphflow.ops.scatter_nd import scatter_nd
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import fill
from graphflow.rnn.sequences import transpose_batch_time


def _probability(given: Any) -> Any:
    made = convert_to_tensor(given, name="sampling_probability")
    if made.shape.ndims not in (0, 1):
        raise ValueError(f"sampling_probability must be either a scalar or a vector. saw shape: {made.shape}")
    return made


def _rows_of(*parts: tuple[Any, Any], sizes: Any) -> Any:
    """A tensor of `sizes` with the given rows: pairs of (where [n, 1], rows [n, ...]), together all of them."""
    first, second = (scatter_nd(indices=where_, updates=rows, shape=sizes) for where_, rows in parts)
    return first + second


class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """TrainingHelper that with `sampling_probability` draws a symbol from the outputs, logits, and reads its embedding instead."""

    def __init__(self, inputs, sequence_length, embedding, sampling_probability, time_major=False, seed=None, scheduling_seed=None,
                 name=None):  # fmt: skip
        with name_scope(name, "ScheduledEmbeddingSamplingWrapper", [embedding, sampling_probability]):
            self._embedding_fn = embedding_function(embedding)
            self._sampling_probability = _probability(sampling_probability)
            self._seed = seed
            self._scheduling_seed = scheduling_seed
            super().__init__(inputs=inputs, sequence_length=sequence_length, time_major=time_major, name=name)

    def sample(self, time, outputs, state, name=None):
        """A number drawn for each row that samples now, -1 for the others."""
        with name_scope(name, "ScheduledEmbeddingTrainingHelperSample", [time, outputs, state]):
            chosen = bernoulli_sample(
                probs=self._sampling_probability, dtype=bool_dtype, sample_shape=self.batch_size, seed=self._scheduling_seed
            )
            return where(chosen, categorical_sample(logits=outputs, seed=self._seed), fill([self.batch_size], -1))

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """The embeddings of the samples, elsewhere the given inputs."""
        with name_scope(name, "ScheduledEmbeddingTrainingHelperNextInputs", [time, outputs, state, sample_ids]):
            finished, given, state = super().next_inputs(time=time, outputs=outputs, state=state, sample_ids=sample_ids, name=name)

            def mixed() -> Any:
                sampling, others = cast(where(sample_ids > -1), int32), cast(where(sample_ids <= -1), int32)
                ids = gather_nd(sample_ids, sampling)
                kept = gather_nd(given, others)
                return _rows_of((sampling, self._embedding_fn(ids)), (others, kept), sizes=shape_of(given))

            return finished, cond(reduce_all(finished), lambda: given, mixed), state


class ScheduledOutputTrainingHelper(TrainingHelper):
    """TrainingHelper that with `sampling_probability` reads its own output instead, through `next_inputs_fn` if given.

    `auxiliary_inputs`, laid out like `inputs`, are joined to what is read in any case.
    """

    def __init__(self, inputs, sequence_length, sampling_probability, time_major=False, seed=None, next_inputs_fn=None,
                 auxiliary_inputs=None, name=None):  # fmt: skip
        with name_scope(name, "ScheduledOutputTrainingHelper", [inputs, auxiliary_inputs, sampling_probability]):
            self._sampling_probability = _probability(sampling_probability)
            self._auxiliary_input_tas = None
            if auxiliary_inputs is not None:
                inputs = convert_to_tensor(inputs, name="inputs")
                auxiliary_inputs = convert_to_tensor(auxiliary_inputs, name="auxiliary_inputs")
                inputs = concat((inputs, auxiliary_inputs), -1)
                if not time_major:
                    auxiliary_inputs = transpose_batch_time(auxiliary_inputs)
                self._auxiliary_input_tas = unstacked(auxiliary_inputs)
            self._seed = seed
            self._next_inputs_fn = next_inputs_fn
            super().__init__(inputs=inputs, sequence_length=sequence_length, time_major=time_major, name=name)

    def sample(self, time, outputs, state, name=None):
        """1 for each row that samples now, else 0."""
        with name_scope(name, "ScheduledOutputTrainingHelperSample", [time, outputs, state]):
            return bernoulli_sample(probs=self._sampling_probability, sample_shape=self.batch_size, seed=self._seed)

    def next_inputs(self, time, outputs, state, sample_ids, name=None):
        """The outputs of the rows that sample, the given inputs of the others."""
        with name_scope(name, "ScheduledOutputTrainingHelperNextInputs", [time, outputs, state, sample_ids]):
            finished, given, state = super().next_inputs(time=time, outputs=outputs, state=state, sample_ids=sample_ids, name=name)
            chosen = cast(sample_ids, bool_dtype)

            def with_auxiliary(read: Any, indices: Any = None) -> Any:
                if self._auxiliary_input_tas is None:
                    return read
                auxiliary = self._auxiliary_input_tas.read(time + 1)
                return concat((read, auxiliary if indices is None else gather_nd(auxiliary, indices)), -1)

            def mixed() -> Any:
                if self._next_inputs_fn is None:
                    return where(chosen, with_auxiliary(outputs), given)
                sampling, others = cast(where(chosen), int32), cast(where(logical_not(chosen)), int32)
                sampled = gather_nd(outputs, sampling)
                kept = gather_nd(given, others)
                read = with_auxiliary(self._next_inputs_fn(sampled), sampling)
                return _rows_of((sampling, read), (others, kept), sizes=shape_of(given))

            all_finished = reduce_all(finished)
            nothing = logical_not(reduce_any(chosen))
            return finished, cond(logical_or(all_finished, nothing), lambda: given, mixed), state
