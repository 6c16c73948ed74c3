"""tf.contrib.seq2seq: decoders in loops, attention, beam search."""

from graphflow.contrib.seq2seq.attention import AttentionMechanism, BahdanauAttention, LuongAttention, hardmax
from graphflow.contrib.seq2seq.beam_decoder import BeamSearchDecoder, tile_batch
from graphflow.contrib.seq2seq.beam_search import BeamSearchDecoderOutput, BeamSearchDecoderState, FinalBeamSearchDecoderOutput
from graphflow.contrib.seq2seq.decoder import BasicDecoder, BasicDecoderOutput, Decoder, dynamic_decode
from graphflow.contrib.seq2seq.helper import (
    CustomHelper,
    GreedyEmbeddingHelper,
    Helper,
    InferenceHelper,
    SampleEmbeddingHelper,
    TrainingHelper,
)
from graphflow.contrib.seq2seq.loss import sequence_loss
from graphflow.contrib.seq2seq.monotonic import (
    BahdanauMonotonicAttention,
    LuongMonotonicAttention,
    monotonic_attention,
    safe_cumprod,
)
from graphflow.contrib.seq2seq.scheduled import ScheduledEmbeddingTrainingHelper, ScheduledOutputTrainingHelper
from graphflow.contrib.seq2seq.wrapper import AttentionWrapper, AttentionWrapperState
from graphflow.missing import names_of
from graphflow.ops.beams import gather_tree

__all__ = [
    "AttentionMechanism", "AttentionWrapper", "AttentionWrapperState", "BahdanauAttention", "BahdanauMonotonicAttention", "BasicDecoder",
    "BasicDecoderOutput", "BeamSearchDecoder", "BeamSearchDecoderOutput", "BeamSearchDecoderState", "CustomHelper", "Decoder",
    "FinalBeamSearchDecoderOutput", "GreedyEmbeddingHelper", "Helper", "InferenceHelper", "LuongAttention", "LuongMonotonicAttention",
    "SampleEmbeddingHelper", "ScheduledEmbeddingTrainingHelper", "ScheduledOutputTrainingHelper", "TrainingHelper", "dynamic_decode",
    "gather_tree", "hardmax", "monotonic_attention", "safe_cumprod", "sequence_loss", "tile_batch",
]  # fmt: skip

globals()["__getattr__"] = names_of("contrib.seq2seq")
