"""One step of a beam search: from the probabilities of the next symbols to the best continuations of all beams."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from graphflow import nest
from graphflow.contrib.seq2seq.wrapper import AttentionWrapperState
from graphflow.dtypes import float32, int32, int64
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.convert import constant_value
from graphflow.nn.cross_entropy import log_softmax
from graphflow.ops.arithmetic import minimum
from graphflow.ops.choose import top_k
from graphflow.ops.control_flow.arrays import is_array
from graphflow.ops.division import div, mod
from graphflow.ops.gather import gather, one_hot
from graphflow.ops.joining import concat, tile
from graphflow.ops.logic import cast, equal, logical_not, logical_or, to_int64, where
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_mean, reduce_sum
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import fill, ones_like
from graphflow.ops.unary import log
from graphflow.shapes import TensorShape


class BeamSearchDecoderState(
    namedtuple("BeamSearchDecoderState", ("cell_state", "log_probs", "finished", "lengths", "accumulated_attention_probs"))
):
    """The state of a beam search, all [batch, beam, ...]."""


class BeamSearchDecoderOutput(namedtuple("BeamSearchDecoderOutput", ("scores", "predicted_ids", "parent_ids"))):
    """What one step found, all [batch, beam]: scores, symbols, and which beam each continues."""


class FinalBeamSearchDecoderOutput(namedtuple("FinalBeamDecoderOutput", ["predicted_ids", "beam_search_decoder_output"])):
    """What a beam search found: the symbols of the beams, best first, [time, batch, beam], and what each step did."""


def check_rank(tensor: Any) -> None:
    """ValueError unless the rank is known."""
    if tensor.shape.ndims is None:
        raise ValueError(f"Expected tensor ({tensor}) to have known rank, but ndims == None.")


def _mean_of(probs: list[Any]) -> Any:
    """The mean over several [batch, …]."""
    return reduce_mean(concat([expand_dims(p, -1) for p in probs], -1), -1)


def attention_probs(cell_state: Any, coverage_penalty_weight: Any) -> Any:
    """The alignments [batch, beam, time] in a cell's state, the mean of several; None where there is no penalty."""
    if coverage_penalty_weight == 0.0:
        return None
    if isinstance(cell_state, AttentionWrapperState):
        states = [cell_state]
    elif isinstance(cell_state, tuple):
        states = [state for state in cell_state if isinstance(state, AttentionWrapperState)]
    else:
        states = []
    if not states:
        raise ValueError("coverage_penalty_weight must be 0.0 if no cell is attentional.")
    probs = [_mean_of(list(s.alignments)) if isinstance(s.alignments, tuple) else s.alignments for s in states]
    return probs[0] if len(probs) == 1 else _mean_of(probs)


def _length_penalty(lengths: Any, factor: Any) -> Any:
    """((5 + length) / 6) ** factor (Wu et al. 2016, arXiv:1609.08144)"""
    factor = convert_to_tensor(factor, name="penalty_factor")
    factor.set_shape(())
    if constant_value(factor) == 0:
        return 1.0
    return div((5.0 + cast(lengths, float32)) ** factor, (5.0 + 1.0) ** factor)


def _scores(log_probs: Any, lengths: Any, length_penalty_weight: Any, coverage_penalty_weight: Any, finished: Any, attended: Any) -> Any:
    """Log probabilities divided by the length penalty, plus the coverage penalty of finished beams."""
    scores = log_probs / cast(_length_penalty(lengths, length_penalty_weight), dtype=log_probs.dtype)
    weight = convert_to_tensor(coverage_penalty_weight, name="coverage_penalty_weight")
    if weight.shape.ndims != 0:
        raise ValueError(f"coverage_penalty_weight should be a scalar, but saw shape: {weight.shape}")
    if constant_value(weight) == 0.0:
        return scores
    if attended is None:
        raise ValueError("accumulated_attention_probs can be None only if coverage penalty is disabled.")
    # A place that nothing has attended to at all lies past the sequence's length: it takes no part.
    attended = where(equal(attended, 0.0), ones_like(attended), attended)
    penalty = reduce_sum(log(minimum(attended, 1.0)), 2)
    penalty *= cast(finished, float32)
    return scores + expand_dims(penalty * weight, 2)


def _only_end(probs: Any, end_token: Any, finished: Any) -> Any:
    """Log probabilities with which a finished beam can only go on with `end_token`."""
    symbols = shape_of(probs)[2]
    row = one_hot(end_token, symbols, dtype=probs.dtype, on_value=convert_to_tensor(0.0, dtype=probs.dtype), off_value=probs.dtype.min)
    rows = tile(reshape(row, [1, 1, -1]), concat([shape_of(finished), [1]], 0))
    return where(tile(expand_dims(finished, 2), [1, 1, symbols]), rows, probs)


def _gathered(indices: Any, source: Any, batch_size: Any, range_size: Any, gather_shape: list[Any], name: str | None = None) -> Any:
    """source[b, indices[b, k]], where `source` as `gather_shape` has `range_size` rows for each b."""
    with name_scope(name, "tensor_gather_helper"):
        first = expand_dims(range_of(batch_size) * range_size, 1)
        flat = reshape(indices + first, [-1])
        output = gather(reshape(source, gather_shape), flat)
        rank = 1 + len(gather_shape)
        sizes = shape_of(source)[:rank]
        static = TensorShape([constant_value(batch_size)]).concatenate(source.shape[1:rank])
        output = reshape(output, sizes, name="output")
        output.set_shape(static)
        return output


def _reordered(indices: Any, source: Any, batch_size: Any, range_size: Any, gather_shape: list[Any]) -> Any:
    """`_gathered` for a part of the cell's state; TensorArrays and what has no beams stay as they are."""
    if is_array(source):
        return source
    check_rank(source)
    if source.shape.ndims < len(gather_shape):
        return source
    return _gathered(indices, source, batch_size, range_size, gather_shape)


def beam_search_step(time: Any, logits: Any, next_cell_state: Any, beam_state: Any, batch_size: Any, beam_width: int, end_token: Any,
                     length_penalty_weight: Any, coverage_penalty_weight: Any) -> tuple[Any, Any]:  # fmt: skip
    """The output and the next state, for the logits [batch, beam, symbols] of all beams."""
    static_batch = constant_value(batch_size)
    lengths, finished = beam_state.lengths, beam_state.finished
    running = logical_not(finished)
    log_probs = _only_end(log_softmax(logits), end_token, finished)
    total = expand_dims(beam_state.log_probs, 2) + log_probs
    symbols = logits.shape[-1].value or shape_of(logits)[-1]
    longer = one_hot(
        indices=fill([batch_size, beam_width], end_token), depth=symbols, on_value=to_int64(0), off_value=to_int64(1), dtype=int64
    )
    longer *= expand_dims(cast(running, int64), 2)
    new_lengths = longer + expand_dims(lengths, 2)
    accumulated = None
    attended = attention_probs(next_cell_state, coverage_penalty_weight)
    if attended is not None:
        attended *= expand_dims(cast(running, float32), 2)
        accumulated = beam_state.accumulated_attention_probs + attended
    scores = _scores(total, new_lengths, length_penalty_weight, coverage_penalty_weight, finished, accumulated)
    convert_to_tensor(time, name="time")
    flat_scores = reshape(scores, [batch_size, -1])
    best, words = top_k(flat_scores, k=convert_to_tensor(beam_width, dtype=int32, name="beam_width"))
    best.set_shape([static_batch, beam_width])
    words.set_shape([static_batch, beam_width])
    probs = _gathered(words, total, batch_size, beam_width * symbols, [-1], name="next_beam_probs")
    word_ids = cast(mod(words, symbols, name="next_beam_word_ids"), int32)
    beam_ids = cast(words / symbols, int32, name="next_beam_parent_ids")
    finished = _gathered(beam_ids, finished, batch_size, beam_width, [-1])
    next_finished = logical_or(finished, equal(word_ids, end_token), name="next_beam_finished")
    longer = cast(logical_not(finished), int64)
    next_lengths = _gathered(beam_ids, lengths, batch_size, beam_width, [-1])
    next_lengths += longer
    next_accumulated: Any = ()
    if accumulated is not None:
        next_accumulated = _gathered(
            beam_ids, accumulated, batch_size, beam_width, [batch_size * beam_width, -1], name="next_accumulated_attention_probs"
        )
    cell_state = nest.map_structure(
        lambda part: _reordered(beam_ids, part, batch_size, beam_width, [batch_size * beam_width, -1]), next_cell_state
    )
    state = BeamSearchDecoderState(
        cell_state=cell_state, log_probs=probs, lengths=next_lengths, finished=next_finished,
        accumulated_attention_probs=next_accumulated,
    )  # fmt: skip
    return BeamSearchDecoderOutput(scores=best, predicted_ids=word_ids, parent_ids=beam_ids), state
