"""Recurrent nets whose graphs, values and gradients were recorded from TensorFlow 1.15.5 (recurrent_nodes.txt.gz, recurrent.npz).

    /path/to/tensorflow1/bin/python tests/golden/recurrent.py [NAME ...]       records all programs anew, or these

A program gets the module `tf` and gives its results: named tensors. Variables are set to fixed numbers. Where a result is a floating-point
number, the gradients of the sum of all those results, each times a fixed number, are recorded too, for every variable and every input.
Nodes are recorded before gradients are asked for.
"""

import gzip
import os
import sys
import zlib

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH, TIME, DEPTH = 2, 3, 4


def numbers(name, shape):
    """Fixed numbers for a name."""
    return np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF).uniform(-0.8, 0.8, shape).astype(np.float32)


def given(tf, name, *shape):
    """An input, which `run` feeds with fixed numbers."""
    return tf.placeholder(tf.float32, shape, name=name)


def steps(tf, depth=DEPTH):
    return [given(tf, "x%d" % t, BATCH, depth) for t in range(TIME)]


def flattened(state):
    return [part for inner in state for part in flattened(inner)] if isinstance(state, (list, tuple)) else [state]


def results(outputs, state):
    """The tensors of a net by name."""
    found = {"output_%d" % n: o for n, o in enumerate(flattened(outputs))}
    found.update(("state_%d" % n, s) for n, s in enumerate(flattened(state)))
    return found


def unrolled(make, depth=DEPTH):
    """A program that runs the cell `make(tf)` over three steps."""

    def program(tf):
        return results(*tf.nn.static_rnn(make(tf), steps(tf, depth), dtype=tf.float32))

    return program


def stacked(tf):
    cell = tf.nn.rnn_cell
    return cell.MultiRNNCell([cell.GRUCell(3), cell.BasicLSTMCell(2), cell.BasicRNNCell(5)])


def side_by_side(tf):
    cell = tf.nn.rnn_cell
    return cell.MultiRNNCell([cell.GRUCell(3), cell.BasicLSTMCell(2, state_is_tuple=False)], state_is_tuple=False)


def dropped(tf):
    return tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.LSTMCell(3), 0.6, 0.7, 0.8, seed=11)


def variational(tf):
    inner = tf.nn.rnn_cell.GRUCell(3)
    return tf.nn.rnn_cell.DropoutWrapper(inner, 0.6, 0.7, 0.8, variational_recurrent=True, input_size=DEPTH, dtype=tf.float32, seed=5)


CELLS = {
    "basic_rnn": lambda tf: tf.nn.rnn_cell.BasicRNNCell(3),
    "basic_rnn_relu": lambda tf: tf.nn.rnn_cell.BasicRNNCell(3, activation=tf.nn.relu),
    "gru": lambda tf: tf.nn.rnn_cell.GRUCell(3),
    "basic_lstm": lambda tf: tf.nn.rnn_cell.BasicLSTMCell(3, forget_bias=0.5),
    "basic_lstm_joined": lambda tf: tf.nn.rnn_cell.BasicLSTMCell(3, state_is_tuple=False),
    "lstm": lambda tf: tf.nn.rnn_cell.LSTMCell(3),
    "lstm_full": lambda tf: tf.nn.rnn_cell.LSTMCell(3, use_peepholes=True, cell_clip=0.2, num_proj=2, proj_clip=0.1),
    "lstm_joined": lambda tf: tf.nn.rnn_cell.LSTMCell(3, num_proj=2, state_is_tuple=False),
    "multi": stacked,
    "multi_joined": side_by_side,
    "dropout": dropped,
    "variational": variational,
    "residual": lambda tf: tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.GRUCell(DEPTH)),
    "device": lambda tf: tf.nn.rnn_cell.DeviceWrapper(tf.nn.rnn_cell.GRUCell(2), "/cpu:0"),
    "layer_norm": lambda tf: tf.contrib.rnn.LayerNormBasicLSTMCell(3),
    "layer_norm_off": lambda tf: tf.contrib.rnn.LayerNormBasicLSTMCell(3, layer_norm=False, dropout_keep_prob=0.5, dropout_prob_seed=3),
    "nas": lambda tf: tf.contrib.rnn.NASCell(3, 2, use_bias=True),
    "ugrnn": lambda tf: tf.contrib.rnn.UGRNNCell(3),
    "intersection": lambda tf: tf.contrib.rnn.IntersectionRNNCell(3, 3),
    "input_projection": lambda tf: tf.contrib.rnn.InputProjectionWrapper(tf.nn.rnn_cell.GRUCell(3), 2),
    "output_projection": lambda tf: tf.contrib.rnn.OutputProjectionWrapper(tf.nn.rnn_cell.BasicLSTMCell(3), 2, tf.nn.relu),
    "attention": lambda tf: tf.contrib.rnn.AttentionCellWrapper(tf.nn.rnn_cell.BasicLSTMCell(3), 2),
    "attention_joined": lambda tf: tf.contrib.rnn.AttentionCellWrapper(tf.nn.rnn_cell.GRUCell(3), 2, 2, 3, state_is_tuple=False),
    "highway": lambda tf: tf.contrib.rnn.HighwayWrapper(tf.nn.rnn_cell.GRUCell(DEPTH), couple_carry_transform_gates=False),
}
# One op in TensorFlow, a composition here: values only.
BLOCKS = {
    "lstm_block": lambda tf: tf.contrib.rnn.LSTMBlockCell(3),
    "lstm_block_peephole": lambda tf: tf.contrib.rnn.LSTMBlockCell(3, forget_bias=0.5, cell_clip=0.3, use_peephole=True),
    "gru_block": lambda tf: tf.contrib.rnn.GRUBlockCellV2(3),
    "cudnn_compatible_lstm": lambda tf: tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell(3),
    "cudnn_compatible_gru": lambda tf: tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell(3),
}


def embedded(tf):
    cell = tf.contrib.rnn.EmbeddingWrapper(tf.nn.rnn_cell.GRUCell(3), 7, DEPTH)
    ids = [tf.constant(row) for row in ([1, 6], [0, 1], [3, 3])]
    return results(*tf.nn.static_rnn(cell, ids, dtype=tf.float32))


def bidirectional(tf):
    cell = tf.nn.rnn_cell
    outputs, forward, backward = tf.nn.static_bidirectional_rnn(cell.GRUCell(3), cell.LSTMCell(2), steps(tf), dtype=tf.float32)
    return results(outputs, (forward, backward))


def stacked_bidirectional(tf):
    cell = tf.nn.rnn_cell
    outputs, forward, backward = tf.contrib.rnn.stack_bidirectional_rnn(
        [cell.GRUCell(2), cell.GRUCell(3)], [cell.GRUCell(2), cell.GRUCell(1)], steps(tf), dtype=tf.float32
    )
    return results(outputs, (forward, backward))


def sequence_losses(tf):
    logits, weights = given(tf, "logits", BATCH, TIME, 5), given(tf, "weights", BATCH, TIME)
    targets = tf.constant([[1, 4, 0], [2, 2, 3]])
    loss = tf.contrib.seq2seq.sequence_loss
    return {
        "mean": loss(logits, targets, weights),
        "over_time": loss(logits, targets, weights, average_across_batch=False),
        "over_batch": loss(logits, targets, weights, average_across_timesteps=False),
        "each": loss(logits, targets, weights, False, False),
        "counted": loss(logits, targets, weights, False, False, True, True),
        "counted_over_batch": loss(logits, targets, weights, False, False, sum_over_batch=True),
    }


def _symbols(tf, *rows):
    return [tf.constant(row) for row in rows]


def translation(tf):
    """An encoder and a decoder with attention, feeding its own output back; the losses of lists of logits."""
    seq2seq = tf.contrib.legacy_seq2seq
    source, target = _symbols(tf, [1, 2], [3, 4]), _symbols(tf, [0, 0], [5, 1], [2, 2])
    weights = [given(tf, "w%d" % t, BATCH) for t in range(3)]
    outputs, state = seq2seq.embedding_attention_seq2seq(
        source, target, tf.nn.rnn_cell.GRUCell(3), 6, 6, 4, num_heads=2, feed_previous=True, initial_state_attention=True
    )
    found = results(outputs, state)
    found["loss"] = seq2seq.sequence_loss(outputs, target, weights)
    found["by_example"] = seq2seq.sequence_loss_by_example(outputs, target, weights, average_across_timesteps=False)
    return found


def decoders(tf):
    """The lists of legacy_seq2seq: an encoder's last state, and decoders that get it."""
    seq2seq, cell = tf.contrib.legacy_seq2seq, tf.nn.rnn_cell
    inputs, outputs = steps(tf), [given(tf, "y%d" % t, BATCH, DEPTH) for t in range(2)]
    found = results(*seq2seq.basic_rnn_seq2seq(inputs, outputs, cell.GRUCell(3), dtype=tf.float32))
    again, _ = seq2seq.rnn_decoder(outputs, given(tf, "h", BATCH, DEPTH), cell.GRUCell(DEPTH), lambda before, _: tf.tanh(before), "again")
    attentive, _ = seq2seq.attention_decoder(
        outputs, given(tf, "h2", BATCH, 3), given(tf, "states", BATCH, 4, 2), cell.GRUCell(3), output_size=2, dtype=tf.float32,
        scope="attentive"
    )
    shared, _ = seq2seq.tied_rnn_seq2seq(inputs, inputs[:2], cell.BasicRNNCell(3), dtype=tf.float32, scope="shared")
    found.update(("more_%d" % n, t) for n, t in enumerate(again + attentive + shared))
    return found


def embedded_decoders(tf):
    seq2seq, cell = tf.contrib.legacy_seq2seq, tf.nn.rnn_cell
    source, target = _symbols(tf, [1, 2], [3, 4]), _symbols(tf, [0, 0], [5, 1], [2, 2])
    found = results(*seq2seq.embedding_rnn_seq2seq(source, target, cell.GRUCell(3), 6, 6, 4, feed_previous=tf.constant(True)))
    cells = {"a": cell.GRUCell(3), "b": cell.BasicRNNCell(3)}
    inputs = {"a": target, "b": target[:2]}
    many, _ = seq2seq.one2many_rnn_seq2seq(source, inputs, cell.GRUCell(3), cells, 6, {"a": 6, "b": 7}, 4, scope="many")
    found.update(("many_%s_%d" % (key, n), t) for key in "ab" for n, t in enumerate(many[key]))
    return found


def bucketed(tf):
    seq2seq = tf.contrib.legacy_seq2seq
    source, target = _symbols(tf, [1, 2], [3, 4], [5, 0]), _symbols(tf, [0, 0], [5, 1], [2, 2])
    weights = [given(tf, "w%d" % t, BATCH) for t in range(3)]
    net = lambda x, y: seq2seq.embedding_rnn_seq2seq(x, y, tf.nn.rnn_cell.GRUCell(3), 6, 6, 4)  # noqa: E731
    outputs, losses = seq2seq.model_with_buckets(source, target, target, weights, [(2, 2), (3, 3)], net, per_example_loss=True)
    return results(outputs, losses)


def tied(tf):
    seq2seq = tf.contrib.legacy_seq2seq
    source, target = _symbols(tf, [1, 2], [3, 4]), _symbols(tf, [0, 0], [5, 1], [2, 2])
    return results(*seq2seq.embedding_tied_rnn_seq2seq(source, target, tf.nn.rnn_cell.BasicLSTMCell(3), 6, 4))


STATIC = {name: unrolled(make) for name, make in CELLS.items()}
STATIC.update(
    {
        "embedding": embedded, "bidirectional": bidirectional, "stack_bidirectional": stacked_bidirectional,
        "sequence_loss": sequence_losses, "translation": translation, "tied": tied, "decoders": decoders,
        "embedded_decoders": embedded_decoders, "bucketed": bucketed,
    }
)  # fmt: skip


# -- nets with loops and branches ------------------------------------------------------------------------------------------------


def _lengths(tf):
    return tf.constant([2, 3], name="lengths")


def with_lengths(tf):
    cell = tf.nn.rnn_cell.LSTMCell(3)
    return results(*tf.nn.static_rnn(cell, steps(tf), dtype=tf.float32, sequence_length=_lengths(tf)))


def loop(tf):
    return results(*tf.nn.dynamic_rnn(stacked(tf), given(tf, "x", BATCH, TIME, DEPTH), dtype=tf.float32))


def loop_with_lengths(tf):
    x = given(tf, "x", TIME, BATCH, DEPTH)
    start = tf.nn.rnn_cell.LSTMStateTuple(given(tf, "c", BATCH, 3), given(tf, "h", BATCH, 3))
    cell = tf.nn.rnn_cell.LSTMCell(3)
    return results(*tf.nn.dynamic_rnn(cell, x, _lengths(tf), initial_state=start, time_major=True))


def loop_both_ways(tf):
    cell = tf.nn.rnn_cell
    x = given(tf, "x", BATCH, TIME, DEPTH)
    return results(*tf.nn.bidirectional_dynamic_rnn(cell.GRUCell(3), cell.GRUCell(2), x, _lengths(tf), dtype=tf.float32))


def stacked_loops_both_ways(tf):
    cell, x = tf.nn.rnn_cell, given(tf, "x", BATCH, TIME, DEPTH)
    forward, backward = [cell.GRUCell(2), cell.GRUCell(3)], [cell.GRUCell(2), cell.GRUCell(1)]
    outputs, *states = tf.contrib.rnn.stack_bidirectional_dynamic_rnn(forward, backward, x, dtype=tf.float32, sequence_length=_lengths(tf))
    return results(outputs, states)


def fused(tf):
    rnn, x = tf.contrib.rnn, given(tf, "x", TIME, BATCH, DEPTH)
    looped = rnn.FusedRNNCellAdaptor(tf.nn.rnn_cell.GRUCell(3), use_dynamic_rnn=True)
    unrolled_ = rnn.FusedRNNCellAdaptor(tf.nn.rnn_cell.BasicLSTMCell(2))
    first, state = looped(x, dtype=tf.float32, sequence_length=_lengths(tf), scope="looped")
    second, others = rnn.TimeReversedFusedRNN(unrolled_)(first, dtype=tf.float32, scope="turned")
    return results([first, second], [state, others])


def raw(tf):
    cell, x, lengths = tf.nn.rnn_cell.GRUCell(3), given(tf, "x", TIME, BATCH, DEPTH), _lengths(tf)
    read = tf.TensorArray(tf.float32, TIME).unstack(x)

    def loop_fn(time, output, state, _):
        finished = time >= lengths
        over = tf.reduce_all(finished)
        following = tf.cond(over, lambda: tf.zeros([BATCH, DEPTH]), lambda: read.read(time))
        return finished, following, cell.zero_state(BATCH, tf.float32) if output is None else state, output, None

    written, state, _ = tf.nn.raw_rnn(cell, loop_fn)
    return results(written.stack(), state)


def _decoded(tf, cell, helper, batch=BATCH, **settings):
    seq2seq = tf.contrib.seq2seq
    logits = tf.layers.Dense(6, name="logits")
    decoder = seq2seq.BasicDecoder(cell, helper, cell.zero_state(batch, tf.float32), logits)
    outputs, state, lengths = seq2seq.dynamic_decode(decoder, **settings)
    found = results(outputs, [])
    found["lengths"] = lengths
    found["state"] = state.cell_state if hasattr(state, "cell_state") else state
    return found


def trained(tf):
    helper = tf.contrib.seq2seq.TrainingHelper(given(tf, "x", BATCH, TIME, DEPTH), _lengths(tf))
    return _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, impute_finished=True)


def greedy(tf):
    table = tf.get_variable("table", [6, DEPTH])
    helper = tf.contrib.seq2seq.GreedyEmbeddingHelper(table, tf.fill([BATCH], 1), 2)
    return _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, maximum_iterations=4)


def inferred(tf):
    """Helpers made of functions: the output is the next input, and the input of a step is what the program says."""
    seq2seq, start = tf.contrib.seq2seq, given(tf, "x", BATCH, 6)
    helper = seq2seq.InferenceHelper(lambda o: tf.tanh(o), [6], tf.float32, start, lambda sample: sample[:, 0] > 0.2)
    found = _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, maximum_iterations=3)
    custom = seq2seq.CustomHelper(
        lambda: (tf.fill([BATCH], False), start),
        lambda time, outputs, state: tf.argmax(outputs, -1, output_type=tf.int32),
        lambda time, outputs, state, sample_ids: (tf.equal(sample_ids, 1), outputs * 0.5, state),
    )
    with tf.variable_scope("custom"):
        found.update(("custom_" + k, v) for k, v in _decoded(tf, tf.nn.rnn_cell.GRUCell(3), custom, maximum_iterations=3).items())
    return found


def sampled(tf):
    """Each next input is drawn from the last output."""
    table = tf.get_variable("table", [6, DEPTH])
    helper = tf.contrib.seq2seq.SampleEmbeddingHelper(table, tf.fill([BATCH], 1), 2, softmax_temperature=0.7, seed=3)
    return _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, maximum_iterations=6)


def scheduled_embedding(tf):
    """Some of the inputs are drawn from the outputs instead of the program's own."""
    table, x = tf.get_variable("table", [6, DEPTH]), given(tf, "x", 5, 4, DEPTH)
    helper = tf.contrib.seq2seq.ScheduledEmbeddingTrainingHelper(x, tf.constant([4, 2, 3, 4, 1]), table, 0.5, seed=3, scheduling_seed=4)
    return _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, batch=5, parallel_iterations=1)  # else TensorFlow draws in any order


def scheduled_output(tf):
    """Some of the inputs are the last outputs, through a layer."""
    layer = tf.layers.Dense(DEPTH, name="again")
    x, lengths = given(tf, "x", 5, 4, DEPTH), tf.constant([4, 2, 3, 4, 1])
    helper = tf.contrib.seq2seq.ScheduledOutputTrainingHelper(x, lengths, 0.5, seed=3, next_inputs_fn=layer)
    return _decoded(tf, tf.nn.rnn_cell.GRUCell(3), helper, batch=5, parallel_iterations=1)  # else TensorFlow draws in any order


def translated(tf):
    """Sequences of their own lengths in and out, and the loss of what is within the labels' lengths."""
    x, y = given(tf, "x", BATCH, None, DEPTH), given(tf, "y", BATCH, None, DEPTH)
    _, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(3), x, tf.constant([5, 2]), dtype=tf.float32)
    helper = tf.contrib.seq2seq.TrainingHelper(y, tf.constant([4, 2]))
    decoder = tf.contrib.seq2seq.BasicDecoder(tf.nn.rnn_cell.GRUCell(3), helper, state, tf.layers.Dense(6, name="logits"))
    logits = tf.contrib.seq2seq.dynamic_decode(decoder, impute_finished=True)[0].rnn_output
    labels = tf.cast(tf.argmax(tf.concat([y, y * 0.5], 2), 2), tf.int32)[:, : tf.shape(logits)[1]] % 6
    mask = tf.sequence_mask(tf.constant([4, 2]), dtype=tf.float32)
    return {"logits": logits, "loss": tf.contrib.seq2seq.sequence_loss(logits, labels, mask)}


def _attentive(tf, make, **settings):
    memory = given(tf, "memory", BATCH, 5, 3)
    settings = dict({"attention_layer_size": 2}, **settings)
    cell = tf.contrib.seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(3), make(memory), **settings)
    helper = tf.contrib.seq2seq.TrainingHelper(given(tf, "x", BATCH, TIME, DEPTH), _lengths(tf))
    return _decoded(tf, cell, helper)


def luong(tf):
    return _attentive(tf, lambda m: tf.contrib.seq2seq.LuongAttention(3, m, tf.constant([4, 5]), scale=True, dtype=tf.float32))


def bahdanau(tf):
    return _attentive(tf, lambda m: tf.contrib.seq2seq.BahdanauAttention(4, m, tf.constant([4, 5]), normalize=True, dtype=tf.float32))


def monotonic(tf):
    return _attentive(tf, lambda m: tf.contrib.seq2seq.BahdanauMonotonicAttention(4, m, mode="recursive", dtype=tf.float32))


def luong_monotonic(tf):
    settings = {"scale": True, "score_bias_init": 0.5, "mode": "parallel", "dtype": tf.float32}
    return _attentive(tf, lambda m: tf.contrib.seq2seq.LuongMonotonicAttention(3, m, **settings))


def two_attentions(tf):
    seq2seq = tf.contrib.seq2seq

    def make(memory):
        return [seq2seq.LuongAttention(3, memory, dtype=tf.float32), seq2seq.BahdanauAttention(4, memory[:, 1:], dtype=tf.float32)]

    return _attentive(tf, make, attention_layer_size=[2, 3], output_attention=False, alignment_history=True)


def attention_parts(tf):
    seq2seq, p, before = tf.contrib.seq2seq, given(tf, "p", BATCH, 5), given(tf, "before", BATCH, 5)
    ids = tf.constant([[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 2], [2, 2]]])
    parents = tf.constant([[[0, 0], [0, 0]], [[1, 0], [0, 1]], [[1, 0], [1, 1]]])
    found = {
        mode: seq2seq.monotonic_attention(tf.sigmoid(p), tf.nn.softmax(before), mode) for mode in ("recursive", "parallel", "hard")
    }
    found.update(hard=seq2seq.hardmax(p), product=seq2seq.safe_cumprod(tf.sigmoid(p), 1), tiled=seq2seq.tile_batch(p, 3))
    found["tree"] = seq2seq.gather_tree(ids, parents, tf.constant([3, 2]), 2)
    return found


def beams_of_lstm(tf):
    seq2seq = tf.contrib.seq2seq
    table = tf.get_variable("table", [6, DEPTH])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(3), tf.nn.rnn_cell.LSTMCell(2)])
    state = seq2seq.tile_batch(cell.zero_state(BATCH, tf.float32), 4)
    decoder = seq2seq.BeamSearchDecoder(cell, table, tf.fill([BATCH], 1), 2, state, 4, tf.layers.Dense(6, name="logits"))
    outputs, state, lengths = seq2seq.dynamic_decode(decoder, maximum_iterations=5, output_time_major=True)
    return {"ids": outputs.predicted_ids, "parents": outputs.beam_search_decoder_output.parent_ids, "lengths": lengths,
            "log_probs": state.log_probs}  # fmt: skip


def beams(tf):
    seq2seq = tf.contrib.seq2seq
    table = tf.get_variable("table", [6, DEPTH])
    memory = seq2seq.tile_batch(given(tf, "memory", BATCH, None, 3), 3)  # the history is put in order where its length is unknown
    mechanism = seq2seq.BahdanauAttention(4, memory)
    cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(3), mechanism, attention_layer_size=2, alignment_history=True)
    decoder = seq2seq.BeamSearchDecoder(
        cell, table, tf.fill([BATCH], 1), 2, cell.zero_state(BATCH * 3, tf.float32), 3, tf.layers.Dense(6, name="logits"),
        length_penalty_weight=0.7, coverage_penalty_weight=0.2,
    )  # fmt: skip
    outputs, state, lengths = seq2seq.dynamic_decode(decoder, maximum_iterations=4)
    return {
        "ids": outputs.predicted_ids, "scores": outputs.beam_search_decoder_output.scores, "lengths": lengths,
        "log_probs": state.log_probs, "alignments": state.cell_state.alignment_history,
    }  # fmt: skip


LOOPS = {
    "with_lengths": with_lengths, "loop": loop, "loop_with_lengths": loop_with_lengths, "loop_both_ways": loop_both_ways, "raw": raw,
    "trained": trained, "greedy": greedy, "luong": luong, "bahdanau": bahdanau, "monotonic": monotonic, "beams": beams,
    "stacked_loops_both_ways": stacked_loops_both_ways, "fused": fused, "inferred": inferred, "translated": translated,
    "luong_monotonic": luong_monotonic, "two_attentions": two_attentions, "attention_parts": attention_parts,
    "beams_of_lstm": beams_of_lstm, "sampled": sampled, "scheduled_embedding": scheduled_embedding, "scheduled_output": scheduled_output,
}  # fmt: skip
DRAWN = ("sampled", "scheduled_embedding", "scheduled_output")  # their loops hold random numbers
WITHOUT_GRADIENTS = ("greedy", "beams", "beams_of_lstm", "inferred", "sampled")
PROGRAMS = dict(STATIC, **LOOPS)
PROGRAMS.update((name, unrolled(make)) for name, make in BLOCKS.items())


# -- recording and comparing -----------------------------------------------------------------------------------------------------


def nodes(graph):
    """One line for each operation."""
    return [" | ".join([op.name, op.type, " ".join(t.name for t in op.inputs)]) for op in graph.get_operations()]


def built(tf, name):
    """The graph of a program, its nodes, and what to fetch by name."""
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(1)
        found = PROGRAMS[name](tf)
        lines = nodes(graph)
        real = [(key, t) for key, t in sorted(found.items()) if t.dtype == tf.float32]
        if name not in WITHOUT_GRADIENTS:
            total = tf.add_n([tf.reduce_sum(t * float(numbers(key, []))) for key, t in real])
            sources = {v.op.name: v for v in tf.trainable_variables()}
            sources.update((op.name, op.outputs[0]) for op in graph.get_operations() if op.type == "Placeholder")
            for key, source in sources.items():
                gradient = tf.gradients(total, source)[0]
                if gradient is not None:
                    found["gradient of " + key] = tf.convert_to_tensor(gradient)
    return graph, lines, found


def fixed_variables(tf):
    return {v: numbers(v.op.name, v.shape.as_list()) for v in tf.global_variables()}


def fixed_inputs(graph):
    """The feeds of the placeholders, with fixed numbers."""
    places = [op.outputs[0] for op in graph.get_operations() if op.type == "Placeholder"]
    return {place: numbers(place.op.name, [size or 5 for size in place.shape.as_list()]) for place in places}


def run(tf, graph, found):
    """The values of a program's results."""
    with graph.as_default(), tf.Session() as session:
        set_variables = [tf.assign(v, value) for v, value in fixed_variables(tf).items()]
        session.run(set_variables)
        return session.run(found, fixed_inputs(graph))


def write(out, values):
    """All values as one array: an archive with a member for each would be mostly headers. float32 holds the integers exactly."""
    names = sorted(values)
    shapes = [" ".join(map(str, np.shape(values[name]))) for name in names]
    data = np.concatenate([np.ravel(values[name]).astype(np.float32) for name in names])
    np.savez_compressed(out, names=np.array(names), shapes=np.array(shapes), data=data)


def read(path):
    """What `write` wrote, by name."""
    with np.load(path) as archive:
        names, shapes, data = archive["names"], archive["shapes"], archive["data"]
    found, start = {}, 0
    for name, text in zip(names.tolist(), shapes.tolist()):
        shape = [int(size) for size in text.split()]
        count = int(np.prod(shape))
        found[name] = data[start : start + count].reshape(shape)
        start += count
    return found


def main():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    nodes_path, values_path = os.path.join(HERE, "recurrent_nodes.txt.gz"), os.path.join(HERE, "recurrent.npz")
    chosen, lines, values = sys.argv[1:], [], {}
    if chosen:
        with open(nodes_path, "rb") as kept:
            parts = gzip.decompress(kept.read()).decode().split("# ")
        lines = [line for part in parts if part.split("\n")[0] not in chosen + [""] for line in ("# " + part).rstrip("\n").split("\n")]
        values = {key: value for key, value in read(values_path).items() if key.split("/")[0] not in chosen}
    for name in chosen or PROGRAMS:
        graph, made, found = built(tf, name)
        if name not in BLOCKS:
            lines += ["# " + name] + made
        for key, value in run(tf, graph, found).items():
            values[name + "/" + key] = value
    with open(nodes_path, "wb") as out:
        out.write(gzip.compress("\n".join(lines).encode()))
    with open(values_path, "wb") as out:
        write(out, values)


if __name__ == "__main__":
    sys.exit(main())
