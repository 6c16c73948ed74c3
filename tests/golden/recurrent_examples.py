"""The first losses of the recurrent examples under TensorFlow 1.15.5 (recurrent_examples.json).

    /path/to/tensorflow1/bin/python tests/golden/recurrent_examples.py       records anew
"""

import contextlib
import io
import json
import os
import runpy
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples")
RUNS = {
    "char_rnn": ["char_rnn", "--steps", "50", "--letters", "1"],
    "char_rnn_gru": ["char_rnn", "--steps", "50", "--letters", "1", "--cell", "gru"],
    "rnn_sine": ["rnn_sine", "--steps", "50"],
    "seq2seq_sort": ["seq2seq_sort", "--steps", "50"],
    "word2vec": ["word2vec", "--steps", "50"],
}


def losses(text):
    """The losses that an example printed, in order."""
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith("step ")]


def main():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    sys.modules["graphflow"] = tf  # `import graphflow as tf` gives TensorFlow
    sys.path.insert(0, EXAMPLES)
    found = {}
    for name, arguments in RUNS.items():
        sys.argv = [os.path.join(EXAMPLES, arguments[0] + ".py"), "--log", "1"] + arguments[1:]
        printed = io.StringIO()
        with tf.Graph().as_default(), contextlib.redirect_stdout(printed):
            runpy.run_path(sys.argv[0], run_name="__main__")
        found[name] = losses(printed.getvalue())
    with open(os.path.join(HERE, "recurrent_examples.json"), "w") as out:
        json.dump(found, out, indent=0)
        out.write("\n")


if __name__ == "__main__":
    sys.exit(main())
