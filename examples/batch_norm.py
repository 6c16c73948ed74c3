"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167) in a deep net of sigmoids, which without it hardly begins to learn.

    python examples/batch_norm.py --data MNIST_data
    python examples/batch_norm.py --data MNIST_data --plain        # the same net without it
"""

import common

import graphflow as tf

LAYERS, UNITS = 5, 100
plain = {"action": "store_true", "help": "without normalisation"}
args = common.arguments("A deep net of sigmoids.", data="digits", steps=1000, batch=100, more={"--plain": plain})
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
training = tf.placeholder(tf.bool, [], name="training")
layer = x
for _ in range(LAYERS):
    layer = tf.layers.dense(layer, UNITS, use_bias=args.plain)  # normalisation has a shift of its own
    if not args.plain:
        # While training by the batch's own mean and variance; afterwards by running means of these.
        layer = tf.layers.batch_normalization(layer, momentum=0.9, training=training)
    layer = tf.nn.sigmoid(layer)
logits = tf.layers.dense(layer, 10)
loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
# Nothing that the optimizer computes needs the running means, so it must be told to wait for their updates.
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets, training: True})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, labels: targets, training: False})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
