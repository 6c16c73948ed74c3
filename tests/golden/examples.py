"""Writes examples.json: what real TensorFlow 1.15 makes of the examples. Run it once for each, with records made by an observer that
notes the nodes and the printed lines of a program (name, op type, inputs of every node; 50 steps, every loss printed):

    python tests/golden/examples.py tests/golden/examples.json mnist_softmax=RECORD.json mnist_cnn=RECORD.json ...

An example may be named several times, with records of TensorFlow on one thread and on more: its sums round differently then, and a maximum
or a rectifier that this decides sends training another way. cifar10_cnn on one thread, two and six parts from itself at step 17 and is
2.0e-3 away before step 50; lenet5 on one thread and two parts at step 24 and is 2e-2 away.
"""

import json
import re
import sys


def forward(nodes):
    """The nodes that the program itself asked for: all but the interior of the gradients."""
    return [node for node in nodes if not node[0].startswith("gradients") and "/gradients/" not in node[0]]


def losses(lines):
    """The losses that an example printed, in order."""
    return [float(m[1]) for m in (re.match(r"step +\d+  loss (\S+)$", line) for line in lines) if m]


if __name__ == "__main__":
    found = {}
    for argument in sys.argv[2:]:
        name, path = argument.split("=")
        with open(path) as stream:
            record = json.load(stream)
        kept = [[n, kind, [i for i in inputs if "gradients/" not in i]] for n, kind, inputs in forward(record["graphs"][0])]
        found.setdefault(name, {"nodes": kept, "losses": []})["losses"].append(losses(record["printed"]))
    with open(sys.argv[1], "w") as out:
        out.write(json.dumps(found).replace("], [\"", "],\n[\"") + "\n")
