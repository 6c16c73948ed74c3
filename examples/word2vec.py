"""Words as vectors: a skip-gram model with noise-contrastive estimation (Mikolov et al. 2013, arXiv:1301.3781).

    python examples/word2vec.py --data text.txt
"""

import collections
import os
import re
import sys

import common
import numpy as np

import graphflow as tf

SIZE, NOISE, AROUND, WORDS = 64, 16, 2, 1000
TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shakespeare.txt")
args = common.arguments("Vectors of words.", data=TEXT, steps=3000, batch=128)
tf.set_random_seed(args.seed)

if not os.path.isfile(args.data):
    sys.exit("no text in '%s': name a file with --data" % args.data)
with open(args.data, encoding="utf-8") as stream:
    words = re.findall(r"[a-z]+", stream.read().lower())
vocabulary = ["(rare)"] + [word for word, _ in collections.Counter(words).most_common(WORDS - 1)]
number_of = {word: number for number, word in enumerate(vocabulary)}
codes = np.array([number_of.get(word, 0) for word in words])
# Every word with each of its neighbours. The noise is drawn by rank, so the vocabulary has to be in the order of frequency.
shifts = [shift for shift in range(-AROUND, AROUND + 1) if shift]
middle = codes[AROUND:-AROUND]
pairs = np.stack([np.tile(middle, len(shifts)), np.concatenate([np.roll(codes, -shift)[AROUND:-AROUND] for shift in shifts])], 1)
random = np.random.RandomState(args.seed)

inputs = tf.placeholder(tf.int32, [None], name="inputs")
labels = tf.placeholder(tf.int32, [None, 1], name="labels")
embeddings = tf.Variable(tf.random_uniform([len(vocabulary), SIZE], -1.0, 1.0), name="embeddings")
weights = tf.Variable(tf.truncated_normal([len(vocabulary), SIZE], stddev=SIZE**-0.5), name="weights")
biases = tf.Variable(tf.zeros([len(vocabulary)]), name="biases")
embedded = tf.nn.embedding_lookup(embeddings, inputs)
loss = tf.reduce_mean(tf.nn.nce_loss(weights, biases, labels, embedded, NOISE, len(vocabulary)))
train_step = tf.train.AdagradOptimizer(1.0).minimize(loss)
unit = tf.nn.l2_normalize(embeddings, 1)
similarity = tf.matmul(tf.nn.embedding_lookup(unit, inputs), unit, transpose_b=True)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    recent = []

    def step(_):
        chosen = pairs[random.randint(0, len(pairs), args.batch)]
        recent.append(sess.run([loss, train_step], {inputs: chosen[:, 0], labels: chosen[:, 1:]})[0])
        return recent[-1]

    common.train(step, args.steps, args.log)
    shown = [number_of[word] for word in ("king", "war", "thou", "he", "is") if word in number_of] or [1, 2, 3]
    for word, row in zip(shown, sess.run(similarity, {inputs: shown})):
        near = [vocabulary[other] for other in np.argsort(-row) if other not in (word, 0)][:6]
        print("%-6s  %s" % (vocabulary[word], " ".join(near)))
    print("mean loss of the last 200 steps %.4f" % np.mean(recent[-200:]))
