"""An autoencoder: pictures through a bottleneck of a few numbers and back, the two halves sharing their weights.

    python examples/autoencoder.py --data MNIST_data
    python examples/autoencoder.py --data MNIST_data --noise 0.3      # denoising: the pictures that go in are damaged
"""

import common
import numpy as np

import graphflow as tf

HIDDEN, CODE = 256, 32
noise = {"type": float, "default": 0.0, "help": "share of the pixels that are put out on the way in"}
args = common.arguments("An autoencoder.", data="digits", steps=1500, batch=100, more={"--noise": noise})
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
# A net that sees damaged pictures cannot copy what it sees: it has to learn what digits look like.
seen = x * tf.cast(tf.random_uniform(tf.shape(x)) >= args.noise, tf.float32) if args.noise else x

matrices = []
layer = seen
for size, before in ((HIDDEN, 784), (CODE, HIDDEN)):
    matrices.append(tf.get_variable("matrix_%d" % size, [before, size], initializer=tf.glorot_uniform_initializer()))
    layer = tf.matmul(layer, matrices[-1]) + tf.get_variable("encode_%d" % size, [size], initializer=tf.zeros_initializer())
    layer = tf.nn.elu(layer) if size != CODE else layer
code = layer
for matrix, size in zip(reversed(matrices), (HIDDEN, 784)):  # the way back takes the same matrices, transposed
    layer = tf.matmul(layer, matrix, transpose_b=True) + tf.get_variable("decode_%d" % size, [size], initializer=tf.zeros_initializer())
    layer = tf.nn.elu(layer) if size != 784 else layer
decoded = tf.sigmoid(layer)
loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=layer))
error = tf.reduce_mean(tf.square(decoded - x))
train_step = tf.train.AdamOptimizer(1e-3).minimize(loss)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        return sess.run([loss, train_step], {x: mnist.train.next_batch(args.batch)[0]})[0]

    common.train(step, args.steps, args.log)
    images = mnist.test.images
    given, returned = sess.run([seen, decoded], {x: images[:3]})
    print(common.drawn(np.concatenate([given, returned])))

    def evaluate(some, _):
        return sess.run(error, {x: some})

    plain = np.mean((mnist.train.images.mean(0) - images) ** 2)  # what telling the mean picture every time would cost
    told = common.mean_over(evaluate, images, images)
    print("test squared error %.5f from %d numbers a picture; of the mean picture %.5f" % (told, CODE, plain))
