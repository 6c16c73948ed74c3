"""Two inception blocks on MNIST: the net chooses for itself how much it looks at through small windows and how much through large ones.

    python examples/inception.py --data MNIST_data
"""

import blocks
import common

import graphflow as tf

args = common.arguments("Inception blocks on MNIST.", data="digits", steps=550, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
layer = tf.layers.conv2d(tf.reshape(x, [-1, 28, 28, 1]), 16, 5, padding="same", activation=tf.nn.relu)
layer = tf.layers.max_pooling2d(layer, 2, 2)
layer = blocks.inception(layer, 8, (8, 16), (4, 8), 8)
layer = tf.layers.max_pooling2d(layer, 2, 2)
layer = blocks.inception(layer, 16, (16, 32), (4, 8), 8)
logits = tf.layers.dense(tf.reduce_mean(layer, [1, 2]), 10)  # the mean over all places: no large matrix at the end
loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
train_step = tf.train.AdamOptimizer(3e-3).minimize(loss)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, labels: targets})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
