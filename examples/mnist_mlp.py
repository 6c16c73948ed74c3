"""Two hidden layers on MNIST, by tf.layers, with Nesterov momentum and a decaying learning rate.

    python examples/mnist_mlp.py --data MNIST_data --steps 3000
"""

import common

import graphflow as tf

args = common.arguments("A perceptron with two hidden layers on MNIST.", data="digits", steps=2000, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
hidden = tf.layers.dense(x, 256, activation=tf.nn.relu)
hidden = tf.layers.dense(hidden, 128, activation=tf.nn.relu)
logits = tf.layers.dense(hidden, 10)

loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
global_step = tf.train.get_or_create_global_step()
rate = tf.train.exponential_decay(0.05, global_step, 500, 0.8)
train_step = tf.train.MomentumOptimizer(rate, 0.9, use_nesterov=True).minimize(loss, global_step=global_step)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets})[0]

    common.train(step, args.steps, args.log)
    print("learning rate %.5f after %d steps" % tuple(sess.run([rate, global_step])))
    print("test accuracy %.4f" % sess.run(accuracy, {x: mnist.test.images, labels: mnist.test.labels}))
