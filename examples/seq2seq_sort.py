"""Learns to sort: an encoder reads digits, a decoder with attention writes them in order.

    python examples/seq2seq_sort.py
"""

import common
import numpy as np

import graphflow as tf

seq2seq = tf.contrib.seq2seq
LONGEST, UNITS = 8, 64
END, BEGIN = 10, 11  # beside the ten digits
SYMBOLS = 12
args = common.arguments("Sorting digits.", data="made up", steps=1500, batch=64)
tf.set_random_seed(args.seed)
random = np.random.RandomState(args.seed)


def problems(count):
    """Digits [count, LONGEST] of various lengths, and the same in order with END after them."""
    lengths = random.randint(2, LONGEST + 1, count)
    given = np.full((count, LONGEST), END, np.int32)
    ordered = np.full((count, LONGEST + 1), END, np.int32)
    for row, length in enumerate(lengths):
        given[row, :length] = random.randint(0, 10, length)
        ordered[row, :length] = np.sort(given[row, :length])
    return given, lengths.astype(np.int32), ordered


digits = tf.placeholder(tf.int32, [None, LONGEST], name="digits")
lengths = tf.placeholder(tf.int32, [None], name="lengths")
answers = tf.placeholder(tf.int32, [None, LONGEST + 1], name="answers")
batch = tf.shape(digits)[0]
embedding = tf.get_variable("embedding", [SYMBOLS, UNITS])

memory, encoded = tf.nn.dynamic_rnn(
    tf.nn.rnn_cell.GRUCell(UNITS), tf.nn.embedding_lookup(embedding, digits), sequence_length=lengths, dtype=tf.float32, scope="encoder"
)
attention = seq2seq.LuongAttention(UNITS, memory, memory_sequence_length=lengths)
cell = seq2seq.AttentionWrapper(tf.nn.rnn_cell.GRUCell(UNITS), attention, attention_layer_size=UNITS)
start = cell.zero_state(batch, tf.float32).clone(cell_state=encoded)
logits_of = tf.layers.Dense(SYMBOLS, name="logits")


# To learn it reads the right answer, one symbol behind; to sort it reads what it has written itself. Both share their variables.
read = tf.concat([tf.fill([batch, 1], BEGIN), answers[:, :-1]], 1)
known = tf.nn.embedding_lookup(embedding, read)
taught, _ = tf.nn.dynamic_rnn(cell, known, initial_state=start, dtype=tf.float32, scope="decoder")
weights = tf.sequence_mask(lengths + 1, LONGEST + 1, dtype=tf.float32)
loss = seq2seq.sequence_loss(logits_of(taught), answers, weights)
train_step = tf.train.AdamOptimizer(3e-3).minimize(loss)
with tf.variable_scope("decoder", reuse=True) as scope:
    greedy = seq2seq.GreedyEmbeddingHelper(embedding, tf.fill([batch], BEGIN), END)
    decoder = seq2seq.BasicDecoder(cell, greedy, start, logits_of)
    outputs, _, _ = seq2seq.dynamic_decode(decoder, maximum_iterations=LONGEST + 1, scope=scope)
written = outputs.sample_id

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        given, counts, ordered = problems(args.batch)
        return sess.run([loss, train_step], {digits: given, lengths: counts, answers: ordered})[0]

    common.train(step, args.steps, args.log)
    given, counts, ordered = problems(1000)
    found = sess.run(written, {digits: given, lengths: counts})
    right = 0
    for row in range(len(given)):
        answer = found[row, : counts[row]]
        right += len(answer) == counts[row] and (answer == ordered[row, : counts[row]]).all()
    for row in range(3):
        print("%s  ->  %s" % (" ".join(map(str, given[row, : counts[row]])), " ".join(map(str, found[row, : counts[row]]))))
    print("%.4f of the sequences in order" % (right / len(given)))
