"""LeNet-5 on MNIST padded to 32x32: 6 and 16 filters of 5x5 without padding, then 120, 84, 10 units. Gradient descent.

    python examples/lenet5.py --data MNIST_data           # eight epochs: 3,440 steps of 128
"""

import common

import graphflow as tf

args = common.arguments("LeNet-5 on MNIST.", data="digits", steps=3440, batch=128)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, reshape=False, seed=args.seed)


def parameters(name, shape):
    """The weights and biases of one layer."""
    weights = tf.get_variable(name + "_w", shape, initializer=tf.truncated_normal_initializer(stddev=0.1))
    return weights, tf.get_variable(name + "_b", shape[-1:], initializer=tf.zeros_initializer())


def convolution(images, name, shape):
    """Filters where they fit whole, relu, and the largest of each 2x2."""
    weights, biases = parameters(name, shape)
    convolved = tf.nn.bias_add(tf.nn.conv2d(images, weights, strides=[1, 1, 1, 1], padding="VALID"), biases)
    return tf.nn.max_pool(tf.nn.relu(convolved), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")


def dense(values, name, shape):
    """A fully connected layer without activation."""
    weights, biases = parameters(name, shape)
    return tf.matmul(values, weights) + biases


x = tf.placeholder(tf.float32, [None, 28, 28, 1], name="x")
labels = tf.placeholder(tf.int32, [None], name="labels")
padded = tf.pad(x, [[0, 0], [2, 2], [2, 2], [0, 0]]) * 1.275 - 0.1  # as in the paper: white -0.1, black 1.175
features = convolution(convolution(padded, "c1", [5, 5, 1, 6]), "c3", [5, 5, 6, 16])
hidden = tf.nn.relu(dense(tf.reshape(features, [-1, 400]), "f5", [400, 120]))
hidden = tf.nn.relu(dense(hidden, "f6", [120, 84]))
logits = dense(hidden, "out", [84, 10])

losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
loss = tf.reduce_mean(losses)
passed = tf.train.get_or_create_global_step()
rate = tf.train.exponential_decay(0.2, passed, decay_steps=430, decay_rate=0.75, staircase=True)  # smaller after every epoch
train_step = tf.train.GradientDescentOptimizer(rate).minimize(loss, global_step=passed)
correct = tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels)
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, labels: targets})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
