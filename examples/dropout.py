"""Dropout (Srivastava et al. 2014): what a large net learns by heart from few pictures, and what it learns if half its units are missing.

    python examples/dropout.py --data MNIST_data

Two nets begin with the same kind of weights and see the same 1,000 pictures again and again; one of them with dropout.
"""

import common

import graphflow as tf

PICTURES, UNITS = 1000, 512
rate = {"type": float, "default": 0.5, "help": "share of the units that are left out"}
args = common.arguments("Dropout.", data="digits", steps=1500, batch=100, more={"--rate": rate})
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)
few = type(mnist.train)(mnist.train.images[:PICTURES] * 255, mnist.train.labels[:PICTURES], reshape=False, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
training = tf.placeholder_with_default(False, [], name="training")


def net(name, rate):
    """Loss and accuracy of a perceptron. What is kept while training is made larger, so that sums have the same size in both modes."""
    with tf.variable_scope(name):
        layer = x
        for _ in range(2):
            layer = tf.layers.dropout(tf.layers.dense(layer, UNITS, tf.nn.relu), rate, training=training)
        logits = tf.layers.dense(layer, 10)
        right = tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32)
        return tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits), tf.reduce_mean(right)


nets = [net("whole", 0.0), net("dropout", args.rate)]
losses = [loss for loss, _ in nets]
train_step = tf.train.AdamOptimizer(1e-3).minimize(losses[0] + losses[1])  # no variable is in both, so they do not touch each other

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = few.next_batch(args.batch)
        return sess.run([losses[1], train_step], {x: images, labels: targets, training: True})[0]

    common.train(step, args.steps, args.log)
    for (_, accuracy), name in zip(nets, ("whole  ", "dropout")):

        def evaluate(images, targets, accuracy=accuracy):
            return sess.run(accuracy, {x: images, labels: targets})

        found = [common.mean_over(evaluate, data.images, data.labels) for data in (few, mnist.test)]
        print("%s: accuracy %.4f on the pictures it learnt from, test accuracy %.4f" % (name, *found))
