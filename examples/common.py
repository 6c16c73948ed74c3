"""What the examples share: the command line, the data, and the training loop's progress.

The examples run unchanged under TensorFlow 1.15 where `import graphflow` is made to give it, so nothing here asks for more than both
have, or for a Python later than 3.7.
"""

import argparse
import sys
import time

import numpy as np


def arguments(description, data, steps, batch, seed=1, more=None):
    """The command line of an example; data, steps, batch and seed are its defaults, `more` its own options with their settings."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default=data, help="folder of the data set")
    parser.add_argument("--steps", type=int, default=steps, help="training steps")
    parser.add_argument("--batch", type=int, default=batch, help="examples a step")
    parser.add_argument("--seed", type=int, default=seed, help="of initial values, dropout and shuffling")
    parser.add_argument("--log", type=int, default=100, help="print the loss every so many steps")
    for name, settings in sorted((more or {}).items()):
        parser.add_argument(name, **settings)
    return parser.parse_args()


def mnist(folder, **settings):
    """MNIST from `folder`, as input_data gives it; "digits" are the small ones that graphflow carries."""
    try:
        from graphflow.data import mnist as input_data
    except ImportError:  # TensorFlow stands in for graphflow
        from tensorflow.examples.tutorials.mnist import input_data
    return input_data.read_data_sets(folder, **settings)


def train(step, steps, every):
    """Call `step(k)`, which gives the loss, `steps` times and say how it goes."""
    start = time.time()
    for k in range(steps):
        loss = step(k)
        if k % every == 0 or k == steps - 1:
            print("step %5d  loss %.6f" % (k, loss), flush=True)
    seconds = time.time() - start
    print("%d steps in %.1f s" % (steps, seconds), file=sys.stderr)


def mean_over(evaluate, images, labels, size=1000):
    """The mean of `evaluate(images, labels)` over all images, in parts of `size`."""
    total = sum(evaluate(images[k : k + size], labels[k : k + size]) * len(images[k : k + size]) for k in range(0, len(images), size))
    return float(np.float64(total) / len(images))


def drawn(images, width=28):
    """Pictures of brightness 0 to 1, one a row, side by side as text; every second line of them, since letters are higher than wide."""
    shades = " .:-=+*#%@"
    pictures = np.clip(np.asarray(images).reshape(len(images), -1, width), 0, 1)
    rows = pictures[:, ::2].transpose(1, 0, 2).reshape(-1, len(pictures) * width)
    return "\n".join("".join(shades[int(b * 9.99)] for b in row).rstrip() for row in rows)
