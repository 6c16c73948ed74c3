"""Saving and restoring: training stops in the middle, and another session goes on as if nothing had happened.

    python examples/save_restore.py --data MNIST_data --folder checkpoints
"""

import os
import tempfile

import common
import numpy as np

import graphflow as tf

folder = {"default": "", "help": "where checkpoints go; a temporary folder if it is not given"}
args = common.arguments("Saving and restoring.", data="digits", steps=400, batch=100, more={"--folder": folder})
tf.set_random_seed(args.seed)
where = args.folder or tempfile.mkdtemp()
if not os.path.isdir(where):
    os.makedirs(where)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
logits = tf.layers.dense(tf.layers.dense(x, 64, tf.nn.relu, name="hidden"), 10, name="logits")
loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
global_step = tf.train.get_or_create_global_step()
train_step = tf.train.AdamOptimizer(1e-3).minimize(loss, global_step)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
# All variables are saved: the weights, Adam's means and powers, the count of steps. Of ever more checkpoints the last two are kept; one of
# another Saver is none of this one's.
saver = tf.train.Saver(max_to_keep=2)
saver_at_half = tf.train.Saver()


def train(sess, mnist, steps):
    """Some steps; every quarter of the whole a checkpoint with the number of the step in its name."""

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        value, _, count = sess.run([loss, train_step, global_step], {x: images, labels: targets})
        if count % max(args.steps // 4, 1) == 0:
            saver.save(sess, os.path.join(where, "model"), global_step)
        return value

    common.train(step, steps, args.log)


def test(sess, mnist):
    """The accuracy on the test pictures."""
    evaluate = lambda images, targets: sess.run(accuracy, {x: images, labels: targets})  # noqa: E731
    return common.mean_over(evaluate, mnist.test.images, mnist.test.labels)


mnist = common.mnist(args.data, seed=args.seed)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    train(sess, mnist, args.steps // 2)
    saved = saver_at_half.save(sess, os.path.join(where, "half"))
    train(sess, mnist, args.steps - args.steps // 2)
    through = sess.run([loss, global_step], {x: mnist.test.images[:100], labels: mnist.test.labels[:100]})
    print("test accuracy %.4f" % test(sess, mnist))

print("in the checkpoint: " + ", ".join("%s %s" % (name, shape) for name, shape in tf.train.list_variables(saved)[:4]) + ", ...")
mnist = common.mnist(args.data, seed=args.seed)
for _ in range(args.steps // 2):  # the pictures that the first session has seen
    mnist.train.next_batch(args.batch)
with tf.Session() as sess:
    saver_at_half.restore(sess, saved)  # no initializer is run: the checkpoint has a value for every variable
    train(sess, mnist, args.steps - args.steps // 2)
    again = sess.run([loss, global_step], {x: mnist.test.images[:100], labels: mnist.test.labels[:100]})
print("last checkpoint %s" % os.path.basename(tf.train.latest_checkpoint(where)))
difference = np.abs(through[0] - again[0])
print("after %d steps without a break %.6f, with one %.6f, difference %.1e" % (again[1], through[0], again[0], difference))
