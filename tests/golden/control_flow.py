"""Programs with branches and loops whose nodes and values were recorded from TensorFlow 1.15.5.

    /path/to/tensorflow1/bin/python tests/golden/control_flow.py       records anew: control_flow_nodes.txt.gz, control_flow.npz

A program gets the module `tf` and gives what is fetched, what gradients of that are taken with respect to, and the feeds of its runs.
A line of the nodes is one operation of the forward graph: name, type, inputs, control inputs, shapes, frame, context.
"""

import gzip
import os
import sys
from collections import namedtuple

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
Program = namedtuple("Program", "outputs wrt feeds")
Pair = namedtuple("Pair", "first second")

X = np.array([[0.1, 0.5, -0.3], [0.7, -0.2, 0.4]], np.float32)
YES_NO = ({"p": True}, {"p": False})


def _inputs(tf):
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    p = tf.placeholder(tf.bool, [], name="p")
    v = tf.Variable(1.5, name="v")
    w = tf.Variable(np.arange(9, dtype=np.float32).reshape(3, 3) / 10, name="w")
    return x, p, v, w


def _program(outputs, wrt=(), feeds=({},)):
    return Program(list(outputs), list(wrt), [dict({"x": X}, **feed) for feed in feeds])


# -- conditionals --------------------------------------------------------------------------------------------------------------


def cond(tf):
    x, p, v, _ = _inputs(tf)
    c = tf.constant(2.0)
    y = tf.cond(p, lambda: x * c, lambda: x + v)
    z = tf.cond(p, lambda: x, lambda: tf.zeros_like(x))
    return _program([y, z], [x, v], YES_NO)


def cond_nested(tf):
    x, p, _, w = _inputs(tf)
    y = tf.cond(p, lambda: tf.cond(x[0, 0] > 0.0, lambda: tf.exp(x), lambda: x * 3.0), lambda: tf.matmul(x, w))
    return _program([y], [x, w], ({"p": True}, {"p": True, "x": -X}, {"p": False}))


def cond_structures(tf):
    x, p, v, _ = _inputs(tf)
    made = tf.cond(p, lambda: {"a": x, "b": [v, Pair(x * 2.0, v)]}, lambda: {"a": x + 1.0, "b": [v * v, Pair(x, v + 1.0)]})
    single = tf.cond(p, lambda: [v], lambda: (v * 3.0,))
    kept = tf.cond(p, lambda: [v], lambda: [v * 3.0], strict=True)
    return _program([made["a"], made["b"][0], made["b"][1].first, made["b"][1].second, single, kept[0]], [x, v], YES_NO)


def cond_effects(tf):
    _, p, v, w = _inputs(tf)
    y = tf.cond(p, lambda: tf.assign(v, 3.0), lambda: tf.assign_add(v, 1.0))
    with tf.control_dependencies([y]):
        done = tf.cond(p, lambda: tf.group(tf.assign_add(w, w)), tf.no_op)
    with tf.control_dependencies([done]):
        after = [v.read_value(), w.read_value()]
    return _program([y, done] + after, (), YES_NO)


def cond_dependencies(tf):
    x, p, v, _ = _inputs(tf)
    with tf.control_dependencies([tf.assign(v, 2.0)]):
        y = tf.cond(p, lambda: tf.constant(1.0), lambda: v.read_value() + x[0, 0])
    return _program([y], (), YES_NO)


def cond_slices(tf):
    _, p, v, w = _inputs(tf)
    y = tf.cond(p, lambda: tf.nn.embedding_lookup(w, [0, 1, 1]), lambda: tf.nn.embedding_lookup(w, [2]) * v)
    return _program([y], [w, v], YES_NO)


def case(tf):
    x, _, v, _ = _inputs(tf)
    a, b = tf.placeholder(tf.float32, [], name="a"), tf.placeholder(tf.float32, [], name="b")
    branches = [(a < b, lambda: x * v), (a > 3.0, lambda: x + v)]
    first = tf.case(branches, default=lambda: -x)
    exclusive = tf.case(branches, default=lambda: -x, exclusive=True)
    return _program([first, exclusive], [x, v], ({"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 2.0}, {"a": 2.0, "b": 1.0}))


# -- loops ---------------------------------------------------------------------------------------------------------------------


def loop(tf):
    x, _, v, w = _inputs(tf)
    _, y = tf.while_loop(lambda i, a: i < 4, lambda i, a: (i + 1, tf.tanh(tf.matmul(a, w)) * v), [0, x])
    _, total = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a + tf.reduce_sum(x) * v), [0, tf.constant(0.0)])
    return _program([y, total], [x, v, w])


def loop_unbounded(tf):
    x, _, v, _ = _inputs(tf)
    y = tf.while_loop(lambda a: tf.reduce_sum(a) < 50.0, lambda a: a * v + 1.0, [x])
    z = tf.while_loop(lambda a: tf.reduce_sum(a) < 50.0, lambda a: a * v + 1.0, [x], maximum_iterations=3)
    return _program([y, z], [x, v])


def loop_counters(tf):
    x, _, v, _ = _inputs(tf)
    n = tf.shape(x)[0]
    down = tf.while_loop(lambda i, a: i > 0, lambda i, a: (i - 1, a * v), [n, v])[1]
    by_two = tf.while_loop(lambda i, a: tf.less_equal(i, 7), lambda i, a: (i + 2, a * v), [1, v])[1]
    never = tf.while_loop(lambda i, a: i < 0, lambda i, a: (i + 1, a * a * v), [0, x])[1]
    return _program([down, by_two, never], [x, v])


def loop_structure(tf):
    x, _, v, _ = _inputs(tf)
    start = (tf.constant(0), Pair(v, [x, v * 0.0]))

    def body(i, s):
        return i + 1, Pair(s.first * v, [s.second[0] + 1.0, s.second[1] + s.first])

    _, (a, (b, c)) = tf.while_loop(lambda i, s: i < 3, body, start)
    return _program([a, b, c], [x, v])


def loop_with_cond(tf):
    x, _, v, _ = _inputs(tf)

    def body(i, a):
        return i + 1, tf.cond(tf.equal(i % 2, 0), lambda: a * v + tf.sin(a), lambda: tf.square(a) * 0.1)

    def deep(i, a):
        return i + 1, tf.cond(i < 3, lambda: tf.cond(i < 1, lambda: a * a, lambda: tf.sin(a) * v), lambda: a + 1.0)

    y = tf.while_loop(lambda i, a: i < 5, body, [0, x])[1]
    z = tf.while_loop(lambda i, a: i < 5, deep, [0, x])[1]
    return _program([y, z], [x, v])


def loop_in_cond(tf):
    x, p, v, _ = _inputs(tf)
    y = tf.cond(p, lambda: tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * a * v), [0, x])[1], lambda: x * 2.0)
    return _program([y], [x, v], YES_NO)


def loop_nested(tf):
    x, _, v, _ = _inputs(tf)

    def fixed(i, a):
        _, b = tf.while_loop(lambda j, b: j < 3, lambda j, b: (j + 1, tf.sin(b) * v + b * b * 0.1), [0, a])
        return i + 1, b * a

    y = tf.while_loop(lambda i, a: i < 2, fixed, [0, x])[1]
    return _program([y], [x, v])


def loop_ragged(tf):
    x, _, v, _ = _inputs(tf)

    def body(i, a):
        _, b = tf.while_loop(lambda j, b: j < i, lambda j, b: (j + 1, tf.sin(b) * v + b * b * 0.1), [0, a])
        return i + 1, b * a

    y = tf.while_loop(lambda i, a: i < 4, body, [0, x])[1]
    return _program([y], [x, v])


def loop_effects(tf):
    _, _, v, w = _inputs(tf)

    def body(i):
        with tf.control_dependencies([tf.assign_add(v, 1.0), tf.assign(w, w.read_value() * 0.5)]):
            return i + 1

    i = tf.while_loop(lambda i: i < 5, body, [tf.constant(0)])
    with tf.control_dependencies([i]):
        return _program([i, v.read_value(), w.read_value()])


def loop_growing(tf):
    x, _, v, _ = _inputs(tf)
    shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
    _, y = tf.while_loop(lambda i, a: i < 2, lambda i, a: (i + 1, tf.concat([a, a * v], 0)), [0, x], shape_invariants=shapes)
    return _program([y], [x, v])


def loop_embedding(tf):
    _, _, v, w = _inputs(tf)
    ids = tf.constant([[0, 1], [2, 1], [2, 2]])

    def body(i, s):
        e = tf.nn.embedding_lookup(w, ids[i])
        return i + 1, s + tf.reduce_sum(e * e) * v

    return _program([tf.while_loop(lambda i, s: i < 3, body, [0, 0.0])[1]], [w, v])


def loop_unused(tf):
    x, _, v, _ = _inputs(tf)
    y = tf.while_loop(lambda i, a, b: i < 3, lambda i, a, b: (i + 1, a * v, b + a * a), [0, v, v * 0.0])[2]
    z = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, tf.stop_gradient(a) * a), [0, x])[1]
    return _program([y, z], [x, v])


# -- arrays of tensors ---------------------------------------------------------------------------------------------------------


def arrays(tf):
    _, _, v, w = _inputs(tf)
    scattered = tf.TensorArray(tf.float32, 3, clear_after_read=False).scatter([2, 0, 1], w)
    written = tf.TensorArray(tf.float32, 2).write(0, v).write(1, v * v)
    same = tf.TensorArray(tf.float32, 3, clear_after_read=False).split(w, [1, 1, 1])
    outputs = [scattered.gather([0, 2]) * scattered.read(1), scattered.stack()[:2], written.stack(), same.read(1), same.concat()]
    return _program(outputs, [v, w])


def arrays_ragged(tf):
    _, _, v, w = _inputs(tf)
    pieces = tf.TensorArray(tf.float32, 2, infer_shape=False, clear_after_read=False).split(w, [1, 2])
    return _program([pieces.read(0) * v, pieces.read(1), pieces.concat(), pieces.size()], [v, w])


def arrays_in_loop(tf):
    x, _, v, _ = _inputs(tf)
    n = tf.shape(x)[0]
    rows = tf.TensorArray(tf.float32, size=n).unstack(x)
    out = tf.TensorArray(tf.float32, size=n)

    def body(i, s, o):
        row = rows.read(i)
        return i + 1, s + row * v, o.write(i, row * s)

    _, s, o = tf.while_loop(lambda i, s, o: i < n, body, (0, tf.ones([3]), out))
    return _program([s, o.stack()], [x, v])


def arrays_in_cond(tf):
    _, p, v, w = _inputs(tf)
    array = tf.TensorArray(tf.float32, size=2, element_shape=[3])
    written = tf.cond(p, lambda: array.write(0, w[0]).write(1, w[2]), lambda: array.write(1, w[1] * v))
    return _program([written.stack()], [w, v], YES_NO)


# -- functions of rows ---------------------------------------------------------------------------------------------------------


def maps(tf):
    x, _, v, _ = _inputs(tf)
    outputs = [tf.map_fn(lambda a: a * a * v, x), tf.map_fn(lambda a: a * 2, np.array([1, 2, 3]))]
    outputs += tf.map_fn(lambda a: (a[0] + a[1], tf.cast(a[0], tf.int32)), (x, x + 1.0), dtype=(tf.float32, tf.int32))
    outputs.append(tf.map_fn(lambda a: tf.map_fn(lambda b: b * b * v, a), x))
    return _program(outputs, [x, v])


def scans(tf):
    x, _, v, _ = _inputs(tf)
    whole = tf.scan(lambda a, b: a * b + v, x)
    back = tf.scan(lambda a, b: tf.tanh(a * v + b), x, initializer=tf.ones([3]), reverse=True)
    pair = tf.scan(lambda a, _: (a[1], a[0] + a[1]), np.array([1, 2, 3, 4]), (np.array(0), np.array(1)))
    return _program([whole, back] + list(pair), [x, v])


def scan_in_map(tf):
    x, _, _, _ = _inputs(tf)
    return _program([tf.map_fn(lambda a: tf.scan(lambda c, b: tf.sin(b * c), a), x)], [x])


def folds(tf):
    x, _, v, _ = _inputs(tf)
    left = tf.foldl(lambda a, b: a * b, x)
    right = tf.foldr(lambda a, b: a * b + v, x, initializer=tf.zeros([3]))
    return _program([left, right], [x, v])


PROGRAMS = {
    f.__name__: f
    for f in (
        cond, cond_nested, cond_structures, cond_effects, cond_dependencies, cond_slices, case, loop, loop_unbounded, loop_counters,
        loop_structure, loop_with_cond, loop_in_cond, loop_nested, loop_ragged, loop_effects, loop_growing, loop_embedding, loop_unused,
        arrays, arrays_ragged, arrays_in_loop, arrays_in_cond, maps, scans, scan_in_map, folds,
    )
}  # fmt: skip


# -- recording -----------------------------------------------------------------------------------------------------------------


def facts(tf, graph):
    """A line for each operation of a graph."""
    lines = []
    for op in graph.get_operations():
        context = op._get_control_flow_context()
        frame = op.get_attr("frame_name").decode() if "Enter" in op.type else "-"
        inputs, control = [t.name for t in op.inputs], sorted(c.name for c in op.control_inputs)
        shapes = [str(t.shape) for t in op.outputs]
        lines.append("%s %s %s %s %s %s %s" % (op.name, op.type, inputs, control, shapes, frame, context and context.name))
    return lines


def with_gradients(tf, program):
    """The outputs, and for every differentiable one its gradients; names by position."""
    named = {}
    for number, output in enumerate(program.outputs):
        named["%d" % number] = output
        if isinstance(output, tf.Operation) or not output.dtype.is_floating or output.dtype._is_ref_dtype:
            continue
        for k, gradient in enumerate(tf.gradients(output, program.wrt) if program.wrt else ()):
            if gradient is not None:
                named["%d/%d" % (number, k)] = tf.convert_to_tensor(gradient)
    return named


def computed(tf, name, make_session, nodes=None):
    """What the runs of a program give: arrays by "program/run/output"."""
    out = {}
    with tf.Graph().as_default() as graph:
        program = PROGRAMS[name](tf)
        if nodes is not None:
            nodes += facts(tf, graph)
        fetches = with_gradients(tf, program)
        init = tf.global_variables_initializer()
        session = make_session(graph)
        for number, feed in enumerate(program.feeds):
            fed = {graph.get_tensor_by_name(key + ":0"): value for key, value in feed.items()}
            session.run(init)
            for key, value in session.run(fetches, fed).items():
                if value is not None:
                    out["%s/%d/%s" % (name, number, key)] = np.asarray(value)
    return out


if __name__ == "__main__":
    import tensorflow

    values, lines = {}, []
    for name in PROGRAMS:
        lines.append("# " + name)
        values.update(computed(tensorflow, name, lambda graph: tensorflow.Session(graph=graph), lines))
    np.savez_compressed(os.path.join(HERE, "control_flow.npz"), **values)
    with gzip.GzipFile(os.path.join(HERE, "control_flow_nodes.txt.gz"), "wb", 9, mtime=0) as file:
        file.write("\n".join(lines).encode() + b"\n")
    print(len(values), "arrays,", len(lines), "lines, TensorFlow", tensorflow.__version__, file=sys.stderr)
