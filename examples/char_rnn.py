"""Learns a text letter by letter and writes some of its own.

    python examples/char_rnn.py                                    # the beginning of Shakespeare's Coriolanus
    python examples/char_rnn.py --data book.txt --cell gru --steps 5000

The text is cut into `--batch` streams that are read side by side, `--length` letters a step. Gradients go back that far; the state goes on
from step to step, so the net can still learn from what is longer ago.
"""

import os
import sys

import common
import numpy as np

import graphflow as tf

UNITS, LAYERS, RATE, LARGEST = 128, 2, 2e-3, 5.0
TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shakespeare.txt")
args = common.arguments(
    "A net that writes.", data=TEXT, steps=1000, batch=32,
    more={
        "--cell": {"default": "lstm", "choices": ["lstm", "gru"], "help": "what the net is made of"},
        "--length": {"type": int, "default": 50, "help": "letters a step"},
        "--letters": {"type": int, "default": 400, "help": "letters to write at the end"},
    },
)  # fmt: skip
tf.set_random_seed(args.seed)

if not os.path.isfile(args.data):
    sys.exit("no text in '%s': name a file with --data" % args.data)
with open(args.data, encoding="utf-8") as stream:
    text = stream.read()
alphabet = sorted(set(text))
number_of = {letter: number for number, letter in enumerate(alphabet)}
codes = np.array([number_of[letter] for letter in text], np.int32)

held_out = max(len(codes) // 10, args.length + 1)
learnt, unseen = codes[:-held_out], codes[-held_out:]
columns = (len(learnt) - 1) // args.batch
if columns < args.length:
    sys.exit("the text has %d letters: too few for %d streams of %d" % (len(text), args.batch, args.length))
streams = learnt[: columns * args.batch].reshape(args.batch, columns)
targets = learnt[1 : columns * args.batch + 1].reshape(args.batch, columns)


def layer():
    """One layer of the net."""
    return tf.nn.rnn_cell.LSTMCell(UNITS) if args.cell == "lstm" else tf.nn.rnn_cell.GRUCell(UNITS)


letters = tf.placeholder(tf.int32, [None, None], name="letters")
following = tf.placeholder(tf.int32, [None, None], name="following")
cell = tf.nn.rnn_cell.MultiRNNCell([layer() for _ in range(LAYERS)])
start = cell.zero_state(tf.shape(letters)[0], tf.float32)  # fed with the last state to go on from it

embedding = tf.get_variable("embedding", [len(alphabet), UNITS])
outputs, state = tf.nn.dynamic_rnn(cell, tf.nn.embedding_lookup(embedding, letters), initial_state=start)
logits = tf.layers.dense(outputs, len(alphabet))
probabilities = tf.nn.softmax(logits[:, -1])
loss = tf.contrib.seq2seq.sequence_loss(logits, following, tf.ones_like(following, dtype=tf.float32))

variables = tf.trainable_variables()
gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), LARGEST)
train_step = tf.train.AdamOptimizer(RATE).apply_gradients(zip(gradients, variables))


def write(sess, count, random):
    """`count` letters, each drawn from what the net thinks after those before it."""
    written, carried = [random.randint(len(alphabet))], None
    for _ in range(count):
        feed = {letters: [[written[-1]]]}
        if carried is not None:
            feed[start] = carried
        chances, carried = sess.run([probabilities, state], feed)
        chances = chances[0].astype(np.float64)
        written.append(random.choice(len(alphabet), p=chances / chances.sum()))
    return "".join(alphabet[number] for number in written[1:])


with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    carried = None

    def step(k):
        global carried
        place = k * args.length % (columns - args.length + 1)
        if place < args.length:
            carried = None  # the text begins again
        now = slice(place, place + args.length)
        feed = {letters: streams[:, now], following: targets[:, now]}
        if carried is not None:
            feed[start] = carried
        value, carried, _ = sess.run([loss, state, train_step], feed)
        return value

    common.train(step, args.steps, args.log)
    print("-" * 60)
    print(write(sess, args.letters, np.random.RandomState(args.seed)))
    print("-" * 60)
    nats = sess.run(loss, {letters: [unseen[:-1]], following: [unseen[1:]]})
    print("%.3f bits a letter of text it has not seen" % (nats / np.log(2)))
