"""The first losses of examples under TensorFlow 1.15.5 (example_losses.json).

    /path/to/tensorflow1/bin/python tests/golden/example_losses.py FOLDER_WITH_MNIST       records anew
"""

import contextlib
import io
import json
import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples")
MNIST = "the folder with MNIST"
ON_MNIST = ("--steps", "20", "--data", MNIST)
RUNS = {
    "char_rnn": ["char_rnn", "--steps", "50", "--letters", "1"],
    "char_rnn_gru": ["char_rnn", "--steps", "50", "--letters", "1", "--cell", "gru"],
    "rnn_sine": ["rnn_sine", "--steps", "50"],
    "seq2seq_sort": ["seq2seq_sort", "--steps", "50"],
    "word2vec": ["word2vec", "--steps", "50"],
    "linear_regression": ["linear_regression", "--steps", "50"],
    "logistic_regression": ["logistic_regression", *ON_MNIST],
    "autoencoder": ["autoencoder", *ON_MNIST],
    "denoising": ["autoencoder", "--noise", "0.3", *ON_MNIST],
    "vae": ["vae", *ON_MNIST],
    "gan": ["gan", *ON_MNIST],
    "conditional_gan": ["conditional_gan", *ON_MNIST],
    "wgan_gp": ["wgan_gp", *ON_MNIST],
    "batch_norm": ["batch_norm", *ON_MNIST],
    "dropout": ["dropout", *ON_MNIST],
    "save_restore": ["save_restore", *ON_MNIST],
    "transfer_learning": ["transfer_learning", "--steps", "8", "--data", MNIST],
    "fcn": ["fcn", "--steps", "5", "--data", MNIST],
    "inception": ["inception", "--steps", "10", "--data", MNIST],
}


def losses(text):
    """The losses that an example printed, in order."""
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith("step ")]


def with_data(arguments, folder):
    """The arguments of a run, MNIST being in `folder`."""
    return [folder if a == MNIST else a for a in arguments]


def main():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    sys.modules["graphflow"] = tf  # `import graphflow as tf` gives TensorFlow
    sys.path.insert(0, EXAMPLES)
    found, folder = {}, sys.argv[1]
    for name, arguments in RUNS.items():
        sys.argv = [os.path.join(EXAMPLES, arguments[0] + ".py"), "--log", "1"] + with_data(arguments[1:], folder)
        printed = io.StringIO()
        with tf.Graph().as_default(), contextlib.redirect_stdout(printed):
            runpy.run_path(sys.argv[0], run_name="__main__")
        found[name] = losses(printed.getvalue())
    with open(os.path.join(HERE, "example_losses.json"), "w") as out:
        json.dump(found, out, indent=0)
        out.write("\n")


if __name__ == "__main__":
    sys.exit(main())
