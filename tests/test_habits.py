"""What published TensorFlow 1.x programs rely on without saying so: one test for each habit of `published_programs.md`, section 4a."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.compat import hook
from tests.data.test_mnist import write_files

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


@pytest.fixture
def session(graph):
    with tf.Session() as session:
        yield session


def script(text: str, *arguments: str, folder: Path | None = None) -> str:
    """What a program prints that runs on its own, with `import tensorflow` giving graphflow."""
    whole = "import graphflow.compat.hook as hook\nhook.install()\n" + textwrap.dedent(text)
    done = subprocess.run([sys.executable, "-c", whole, *arguments], capture_output=True, text=True, cwd=folder, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# -- text, names, shapes ---------------------------------------------------------------------------------------------------------


def test_text_of_objects(session) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    total = tf.add(x, 1.0)
    assert str(total) == 'Tensor("Add:0", shape=(?, 3), dtype=float32)'
    variable = tf.Variable(np.zeros((2, 3)), name="w")
    assert str(variable) == "<tf.Variable 'w:0' shape=(2, 3) dtype=float64_ref>"
    assert str(x.shape) == str(x.get_shape()) == "(?, 3)"
    assert str(tf.placeholder(tf.float32).shape) == "<unknown>"
    assert 'name: "Add"' in str(total.op) and 'op: "Add' in str(total.op)
    assert session.run(tf.global_variables_initializer()) is None
    assert tf.__version__.startswith("1.15")


def test_default_names() -> None:
    tf.constant(1.0), tf.constant(2.0)
    a = tf.constant(3.0)
    assert (a.name, tf.Variable(1.0).name, tf.Variable(1.0).name) == ("Const_2:0", "Variable:0", "Variable_1:0")
    assert [(a + a).name, (a + a).name, tf.zeros([2, 3])[0].name] == ["add:0", "add_1:0", "strided_slice:0"]
    assert tf.random_normal([2]).name == "random_normal:0"
    with tf.variable_scope("generator"):
        v = tf.get_variable("w", [2])
    with tf.variable_scope("D"):
        tf.get_variable("w", [2])
    assert v.op.name == "generator/w"
    assert [u.name for u in tf.trainable_variables() if u.name.startswith("D")] == ["D/w:0"]
    assert [u.name for u in tf.trainable_variables("generator")] == ["generator/w:0"]
    assert [u.name for u in tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope="generator")] == ["generator/w:0"]


def test_layers_name_their_variables() -> None:
    x = tf.placeholder(tf.float32, [None, 8, 8, 3])
    tf.layers.batch_normalization(tf.layers.conv2d(x, 4, 3), training=True)
    with tf.variable_scope("layer_conv1"):
        tf.layers.conv2d(x, 4, 3, name="conv")
    tf.layers.dense(tf.layers.flatten(x), 5)
    names = [v.name for v in tf.global_variables()]
    for name in ("conv2d/kernel:0", "conv2d/bias:0", "batch_normalization/gamma:0", "batch_normalization/moving_mean:0",
                 "dense/kernel:0", "dense/bias:0"):  # fmt: skip
        assert name in names
    with tf.variable_scope("layer_conv1/conv", reuse=True):
        assert tf.get_variable("kernel").name == "layer_conv1/conv/kernel:0"


def test_tensors_by_name(session) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    double = tf.multiply(x, 2.0, name="double")
    assert tf.get_default_graph().get_tensor_by_name("x:0") is x
    assert session.run("double:0", {"x:0": [1.0, 2.0]}).tolist() == [2.0, 4.0]
    assert session.run([double], feed_dict={"x:0": [1, 2]})[0].tolist() == [2.0, 4.0]


def test_static_shapes_are_read_while_building() -> None:
    x = tf.placeholder(tf.float32, [None, 28, 28, 1])
    h = tf.nn.max_pool(tf.nn.conv2d(x, tf.zeros([5, 5, 1, 4]), [1, 1, 1, 1], "SAME"), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    assert h.get_shape().as_list() == [None, 14, 14, 4]
    size = h.get_shape()[1] * h.get_shape()[2] * h.get_shape()[3]
    assert int(size) == size.value == 784
    flat = tf.reshape(h, [-1, size])
    assert flat.shape.as_list() == [None, 784]
    weights = tf.Variable(tf.random_normal([flat.get_shape()[1], 10]))
    assert tf.concat([tf.matmul(flat, weights)] * 2, 1).get_shape().as_list() == [None, 20]
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicRNNCell(6), tf.reshape(x, [-1, 28, 28]), dtype=tf.float32)
    assert outputs.shape.as_list() == [None, 28, 6]


# -- feeding and fetching --------------------------------------------------------------------------------------------------------


def test_placeholders(session) -> None:
    free, scalar, two = tf.placeholder(tf.float32), tf.placeholder("float", []), tf.placeholder(np.float32, [None, None])
    assert (scalar.dtype, two.dtype, free.shape.ndims) == (tf.float32, tf.float32, None)
    for value in (1.0, [1.0, 2.0], [[1.0], [2.0]]):
        np.testing.assert_array_equal(session.run(free + 1.0, {free: value}), np.asarray(value) + 1)
    assert session.run(scalar * tf.reduce_sum(two), {scalar: 2, two: np.ones((2, 3))}) == 12.0


def test_feeds(session) -> None:
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    noise = tf.random_normal([2], name="noise")
    keep = tf.placeholder_with_default(1.0, [])
    y = (x + noise) * keep
    feed = {x: np.ones((1, 2), np.float64), noise: [0.0, 1.0]}
    assert session.run(y, feed).tolist() == [[1.0, 2.0]]
    feed[x] = np.array([[3, 4]])  # integers into a float placeholder
    assert session.run(y, {**feed, keep: 0.5}).tolist() == [[1.5, 2.5]]
    state = tf.nn.rnn_cell.LSTMStateTuple(tf.zeros([1, 2]), tf.zeros([1, 2]))
    given = tf.nn.rnn_cell.LSTMStateTuple(np.ones((1, 2)), np.full((1, 2), 2.0))
    assert session.run(state.c + state.h, {state: given}).tolist() == [[3.0, 3.0]]
    with pytest.raises(ValueError, match=r"Cannot feed value of shape \(3, 3\) for Tensor '?x:0'?, which has shape '?\(\?, 2\)'?"):
        session.run(y, {x: np.ones((3, 3))})
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder tensor 'x'"):
        session.run(y)


def test_fetches(session) -> None:
    v = tf.Variable([1.0, 2.0], name="v")
    w = tf.Variable(3.0)
    session.run(tf.global_variables_initializer())
    loss = tf.reduce_sum(v * v) * w
    pairs = tf.train.GradientDescentOptimizer(0.1).compute_gradients(loss)
    assert session.run(tf.argmax(v)) == 1  # made inside the call
    assert session.run([v, [loss, (w,)]])[1] == [15.0, (3.0,)]
    assert session.run({"a": w, "b": [v]})["b"][0].tolist() == [1.0, 2.0]
    assert session.run("v:0").tolist() == [1.0, 2.0]
    assert [tuple(np.asarray(e).tolist() for e in pair) for pair in session.run(pairs)] == [([6.0, 12.0], [1.0, 2.0]), (5.0, 3.0)]
    assert session.run([w, tf.no_op(), v.initializer]) == [3.0, None, None]
    state = tf.nn.rnn_cell.LSTMStateTuple(tf.zeros([1]), tf.ones([1]))
    assert isinstance(session.run(state), tf.nn.rnn_cell.LSTMStateTuple)
    rows = session.run(tf.gradients(tf.gather(v, [1]), v)[0])
    assert (rows.values.tolist(), rows.indices.tolist()) == ([1.0], [1])
    assert len(session.run(tf.global_variables())) == 2


def test_the_graph_grows_while_the_session_runs(session) -> None:
    x = tf.placeholder(tf.float32, [None, 4])
    score = tf.layers.dense(x, 3)
    session.run(tf.global_variables_initializer())
    data = np.ones((2, 4), np.float32)
    session.run(score, {x: data})
    compiled = session._engine.compiled_programs
    for _ in range(3):
        tf.argmax(score, 1)  # lazy loading: more operations, none of which this run needs
        session.run(score, {x: data})
    assert session._engine.compiled_programs == compiled


def test_default_sessions_and_graphs() -> None:
    with tf.Session():
        c = tf.constant(2.0)
        assert c.eval() == 2.0
        v = tf.Variable(1.0)
        v.initializer.run()
        assert v.eval() == 1.0
    interactive = tf.InteractiveSession()
    assert tf.constant(4).eval() == 4
    interactive.close()
    other = tf.Graph()
    with other.as_default():
        d = tf.constant(7)
    session = tf.Session(graph=other)
    assert session.run(d) == 7
    session.close()
    with pytest.raises(RuntimeError, match="closed Session"):
        session.run(d)
    with tf.Session() as one, tf.Session() as two:
        one.run(v.assign(5.0))
        two.run(v.initializer)
        assert (one.run(v), two.run(v)) == (5.0, 1.0)


def test_graphs_are_reset_between_cells() -> None:
    printed = script("""
        import tensorflow as tf
        from tensorflow.python.framework import ops
        for reset in (tf.reset_default_graph, ops.reset_default_graph):
            reset()
            print(tf.Variable(1.0).name, len(tf.global_variables()))
    """)
    assert printed.split() == ["Variable:0", "1", "Variable:0", "1"]


# -- variables, types, scopes ----------------------------------------------------------------------------------------------------


def test_variables(session) -> None:
    first = tf.Variable(tf.random_normal([2], seed=1))
    assert tf.Variable(np.zeros(3)).dtype.base_dtype == tf.float64
    assert (tf.Variable(1).dtype.base_dtype, tf.Variable(1.0).dtype.base_dtype) == (tf.int32, tf.float32)
    copy = tf.Variable(first.initialized_value() * 2.0)
    counter = tf.Variable(0, trainable=False)
    assert counter not in tf.trainable_variables()
    more = tf.assign_add(counter, 1)
    with tf.control_dependencies([more]):
        after = tf.identity(counter)
    with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value Variable"):
        session.run(first)
    session.run(tf.initialize_all_variables())
    np.testing.assert_allclose(session.run(copy), 2 * session.run(first))
    assert session.run(more) == 1
    assert session.run(after) == 2
    assert session.run(tf.assign(counter, 9)) == 9


def test_rules_of_types(session) -> None:
    assert (tf.constant(1.5) * 2).dtype == tf.float32
    assert (tf.constant([1, 2]) + 3).dtype == tf.int32
    with pytest.raises(TypeError, match="int32.*float32|float32.*int32"):
        tf.constant(1) + tf.constant(1.0)
    assert tf.argmax([1.0, 2.0]).dtype == tf.int64
    assert session.run(tf.reduce_mean([1, 2, 2])) == 1
    assert session.run(tf.div(7, 2)) == 3
    assert session.run(tf.cast([True, False], tf.float64)).dtype == np.float64
    loss = tf.nn.softmax_cross_entropy_with_logits(labels=tf.constant([[0, 1]]), logits=[[0.0, 0.0]])
    np.testing.assert_allclose(session.run(loss), [np.log(2)], rtol=1e-6)


def test_scopes() -> None:
    with tf.variable_scope("a", initializer=tf.constant_initializer(2.0)) as scope:
        w = tf.get_variable("w", [2], regularizer=tf.contrib.layers.l2_regularizer(0.1))
        with pytest.raises(ValueError, match="Variable a/w already exists, disallowed"):
            tf.get_variable("w", [2])
        scope.reuse_variables()
        assert tf.get_variable("w") is w
    with tf.variable_scope("a", reuse=True):
        assert tf.get_variable("w") is w
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("w") is w
        assert tf.constant(1).name == "a_2/Const:0"
    with tf.name_scope("outer"):
        assert tf.get_variable("plain", [1]).name == "plain:0"
    with tf.variable_scope(None, default_name="d"):
        assert tf.get_variable("v", []).name == "d/v:0"
    assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 1


# -- training --------------------------------------------------------------------------------------------------------------------


def test_optimizers(session) -> None:
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.Variable(1.0, name="w")
    unused = tf.Variable(1.0, name="unused")
    loss = tf.reduce_sum(tf.square(v)) + w
    step, rate = tf.Variable(0, trainable=False), tf.placeholder(tf.float32)
    train = tf.train.GradientDescentOptimizer(rate).minimize(loss, global_step=step, var_list=[v])
    adam = tf.train.AdamOptimizer(tf.train.exponential_decay(0.1, step, 10, 0.9))
    pairs = adam.compute_gradients(loss)
    assert [g is None for g, _ in pairs] == [False, False, True] and pairs[2][1] is unused
    clipped = adam.apply_gradients([(tf.clip_by_value(g, -1.0, 1.0), u) for g, u in pairs if g is not None])
    assert {"v/Adam:0", "v/Adam_1:0", "beta1_power:0"} <= {u.name for u in tf.global_variables()}
    session.run(tf.global_variables_initializer())
    session.run(train, {rate: 0.5})
    assert session.run([v, w, step])[0].tolist() == [0.0, 0.0] and session.run(step) == 1
    session.run(clipped)
    assert session.run(w) < 1.0
    inner = tf.gradients(tf.reduce_sum(v * v * v), v)[0]
    penalty = tf.gradients(tf.reduce_sum(tf.square(inner)), v, grad_ys=2.0)[0]  # a gradient of gradients
    session.run(v.assign([1.0, 2.0]))
    np.testing.assert_allclose(session.run(penalty), 2 * 36 * np.array([1.0, 8.0]))
    table = tf.Variable(tf.ones([5, 2]))
    lookup = tf.train.AdagradOptimizer(1.0).minimize(tf.reduce_sum(tf.nn.embedding_lookup(table, [1, 3])))
    session.run(tf.global_variables_initializer())
    session.run(lookup)
    assert (session.run(table)[:, 0] != 1).tolist() == [False, True, False, True, False]


def test_saver(session, tmp_path) -> None:
    v = tf.Variable([1.0, 2.0], name="v")
    average = tf.train.ExponentialMovingAverage(0.5)
    averaged = average.apply([v])
    saver = tf.train.Saver(max_to_keep=2)
    session.run(tf.global_variables_initializer())
    folder = tmp_path / "made" / "by_save"
    for step in (10, 20, 30):
        path = saver.save(session, str(folder / "model.ckpt"), global_step=step)
    assert path.endswith("model.ckpt-30")
    state = tf.train.get_checkpoint_state(str(folder))
    assert state.model_checkpoint_path == tf.train.latest_checkpoint(str(folder)) == path
    assert int(state.model_checkpoint_path.split("/")[-1].split("-")[-1]) == 30
    assert sorted(p.name for p in folder.glob("*.index")) == ["model.ckpt-20.index", "model.ckpt-30.index"]
    session.run([averaged, v.assign([9.0, 9.0])])
    with tf.Session() as fresh:  # instead of the initializer
        saver.restore(fresh, path)
        assert fresh.run(v).tolist() == [1.0, 2.0]
    by_name = tf.train.Saver(average.variables_to_restore())
    by_name.restore(session, path)
    assert session.run(v).tolist() == [1.0, 2.0]
    printed = script(f"""
        import tensorflow as tf
        v = tf.get_variable("v", [2])
        with tf.Session() as sess:
            tf.train.Saver().restore(sess, {path!r})
            print(sess.run(v).tolist())
    """)
    assert printed.strip() == "[1.0, 2.0]"


def test_summaries(session, tmp_path) -> None:
    assert tf.summary.merge_all() is None
    x = tf.constant([1.0, 2.0])
    tf.summary.scalar("loss", tf.reduce_sum(x))
    tf.summary.histogram(x.op.name, x)
    merged = tf.summary.merge_all()
    value = session.run(merged)
    assert isinstance(value, bytes)
    assert {v.tag for v in tf.Summary.FromString(value).value} == {"loss", "Const_2"}  # TensorFlow's own tag
    for graph in (session.graph, tf.get_default_graph()):
        writer = tf.summary.FileWriter(str(tmp_path), graph)
        metadata = tf.RunMetadata()
        session.run(x, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
        writer.add_run_metadata(metadata, "step1")
        writer.add_summary(value, 1)
        writer.close()
    assert len(list(tmp_path.glob("events.*"))) >= 1


# -- imports, data, flags --------------------------------------------------------------------------------------------------------


def test_imports() -> None:
    assert script("""
        from tensorflow.examples.tutorials.mnist import input_data
        import tensorflow.examples.tutorials.mnist.input_data as again
        from tensorflow.python.framework import ops
        from tensorflow.python.client import device_lib
        from tensorflow.contrib import rnn
        from tensorflow.contrib.tensorboard.plugins import projector
        from tensorflow.python.ops import variable_scope, math_ops, array_ops, nn_ops, rnn_cell
        from tensorflow.python.platform import gfile
        import tensorflow.compat.v1 as tf
        from tensorflow.python.layers.core import Dense
        tf.disable_v2_behavior()
        print(device_lib.list_local_devices()[0].device_type, rnn.BasicLSTMCell.__name__, Dense.__name__)
    """).split() == ["CPU", "BasicLSTMCell", "Dense"]


def test_mnist_helper(tmp_path) -> None:
    from graphflow.data import mnist

    data = mnist.read_data_sets(str(tmp_path / "D:" / "no" / "such"), one_hot=True, fake_data=True)
    images, labels = data.train.next_batch(10, fake_data=True)
    assert (len(images), len(images[0]), len(labels)) == (10, 784, 10)
    write_files(tmp_path / "data" / "mnist")
    assert script("""
        import os
        os.environ["GRAPHFLOW_DATA"] = "data"  # where files are looked for that the named folder lacks
        from tensorflow.examples.tutorials.mnist import input_data
        mnist = input_data.read_data_sets("MNIST_data/", one_hot=True, reshape=False, validation_size=10)
        x, y = mnist.train.next_batch(7)
        print(x.shape, y.shape, mnist.validation.num_examples, mnist.test.images.shape[1:], mnist.train.labels.shape[1])
    """, folder=tmp_path).splitlines()[-1] == "(7, 28, 28, 1) (7, 10) 10 (28, 28, 1) 10"  # fmt: skip


def test_flags() -> None:
    printed = script(
        """
        import sys
        import tensorflow as tf
        flags = tf.app.flags
        flags.DEFINE_string("log_dir", "/tmp", "where")
        flags.DEFINE_integer("steps", 10, "how many")
        flags.DEFINE_float("rate", 0.1, "how fast")
        flags.DEFINE_boolean("train", True, "whether")
        tf.flags.DEFINE_bool("test", False, "whether")
        FLAGS = flags.FLAGS
        def main(_):
            print(FLAGS.log_dir, FLAGS.steps, FLAGS.rate, FLAGS.train, FLAGS.test)
        tf.app.run(main=main, argv=[sys.argv[0]] + sys.argv[1:])
        """,
        "--steps=20", "--notrain", "--rate", "0.5", "--test",
    )  # fmt: skip
    assert printed.split() == ["/tmp", "20", "0.5", "False", "True"]


def test_devices_and_settings_are_hints() -> None:
    with tf.device("/gpu:0"), tf.device("/cpu:0"):
        v = tf.Variable(1.0)
    config = tf.ConfigProto(allow_soft_placement=True, log_device_placement=False)
    config.gpu_options.allow_growth = True
    config.gpu_options.per_process_gpu_memory_fraction = 0.4
    with tf.Session(config=config) as session, tf.device("/gpu:1"):
        session.run(v.initializer)
        assert session.run(v + 1.0) == 2.0


# -- misuse, threads, old spellings ----------------------------------------------------------------------------------------------


def test_misuse_is_refused(session) -> None:
    x = tf.placeholder(tf.float32, [None], name="x")
    with pytest.raises(TypeError, match="not allowed|bool"):
        bool(x)
    with pytest.raises(TypeError):
        iter(x)
    with pytest.raises(TypeError, match="None"):
        session.run(None)
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        session.run(x, {x: [[1.0]]})


def test_eval_without_a_session_is_refused() -> None:
    with pytest.raises(ValueError, match="No default session is registered|Cannot evaluate tensor using `eval\\(\\)`"):
        tf.constant(1).eval()


def test_threads(session) -> None:
    queue = tf.FIFOQueue(20, tf.float32, shapes=[()])
    numbers = tf.Variable(0, trainable=False)
    runner = tf.train.QueueRunner(queue, [queue.enqueue(tf.cast(numbers.count_up_to(30), tf.float32))] * 3)
    tf.train.add_queue_runner(runner)
    batch = queue.dequeue_many(5)
    session.run(tf.global_variables_initializer())
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(sess=session, coord=coordinator)
    seen = []
    try:
        while not coordinator.should_stop():
            seen += session.run(batch).tolist()
    except tf.errors.OutOfRangeError:
        pass
    finally:
        coordinator.request_stop()
    coordinator.join(threads)
    assert sorted(seen) == list(range(30))


def test_sessions_run_in_several_threads(session) -> None:
    x = tf.placeholder(tf.float32, [None])
    y = tf.reduce_sum(x * 2.0)
    wrong = []

    def work(n: int) -> None:
        for _ in range(50):
            if session.run(y, {x: np.full(n, 1.0)}) != 2.0 * n:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_dropout_keeps_and_layers_drop(session) -> None:
    ones = tf.ones([10000])
    kept = session.run(tf.nn.dropout(ones, 0.9))
    assert 0.85 < np.mean(kept > 0) < 0.95
    np.testing.assert_allclose(kept[kept > 0], 1 / 0.9, rtol=1e-6)
    dropped = session.run(tf.layers.dropout(ones, rate=0.9, training=True))
    assert 0.05 < np.mean(dropped > 0) < 0.15
    assert session.run(tf.reduce_all(tf.equal(tf.layers.dropout(ones, rate=0.9), ones)))


def test_old_spellings(session) -> None:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert session.run(tf.reduce_sum(x, reduction_indices=[1], keep_dims=True)).tolist() == [[3.0], [7.0]]
    assert session.run(tf.squeeze(tf.ones([1, 2]), squeeze_dims=[0])).tolist() == [1.0, 1.0]
    assert session.run([tf.argmax(x, dimension=1), tf.arg_max(x, 1)])[1].tolist() == [1, 1]
    assert session.run(tf.to_float(tf.constant([3]))).dtype == np.float32
    labels = tf.Variable([[0.5, 0.5]])
    old = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=tf.constant([[1.0, 2.0]]))
    assert tf.gradients(old, labels) == [None]
    assert tf.initialize_all_variables().type == "NoOp"


def test_the_hook_takes_the_name() -> None:
    assert callable(hook.install)
    assert re.match(r"1\.15", script("import tensorflow as tf; print(tf.__version__)"))


def test_sparse_tensors_are_multiplied_and_divided(session, graph):
    """Graph convolutions scale what dropout leaves of sparse features: names and types are those of TensorFlow 1.15.5."""
    sparse = tf.SparseTensor([[0, 1], [1, 2]], [1.0, 2.0], [2, 3])
    scaled, divided = sparse * 3.0, sparse / tf.constant([[1.0, 2.0, 4.0]])
    assert [(op.name, op.type) for op in graph.get_operations()][-4:] == [
        ("mul/y", "Const"), ("mul", "SparseDenseCwiseMul"), ("Const", "Const"), ("truediv", "SparseDenseCwiseDiv")
    ]  # fmt: skip
    assert session.run(scaled).values.tolist() == [3, 6] and session.run(divided).values.tolist() == [0.5, 0.5]
    whole = tf.SparseTensor([[0, 1]], [7], [1, 2]) / 2
    assert whole.values.dtype == tf.float64 and session.run(whole).values.tolist() == [3.5]
    for wrong in (lambda: sparse * sparse, lambda: 3.0 * sparse):
        with pytest.raises(TypeError):
            wrong()
    features, rate = tf.sparse_placeholder(tf.float32), tf.placeholder(tf.float32, [None])
    total = tf.sparse_reduce_sum(features * rate)
    fed = {features: ([[0, 1], [1, 0]], [2.0, 5.0], [2, 2]), rate: [1.0, 10.0]}
    assert session.run([total, *tf.gradients(total, [features.values, rate])], fed)[0] == 25
    assert [g.tolist() for g in session.run(tf.gradients(total, [features.values, rate]), fed)] == [[10, 1], [5, 2]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="broadcasts dense to sparse only"):
        session.run(total, {**fed, rate: [1.0, 2.0, 3.0]})
