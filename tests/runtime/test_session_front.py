"""Session.run as programs see it: forms of fetches and feeds, errors by their full text, and that the session works afterwards."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.effort import calls_of

HERE = Path(__file__).name
Pair = collections.namedtuple("Pair", "first second")


class Model:
    """y = x * w + 1 with x (?, 3); `lines` says where things were made."""

    def __init__(self) -> None:
        self.x = tf.placeholder(tf.float32, [None, 3], name="x")
        self.w = tf.Variable(tf.ones([3]), name="w")
        self.y = tf.add(self.x * self.w, 1.0, name="y")
        self.init = tf.global_variables_initializer()
        self.session = tf.Session()


@pytest.fixture
def model() -> Iterator[Model]:
    with tf.Graph().as_default():
        m = Model()
        m.session.run(m.init)
        yield m
        m.session.close()


def line_of(tensor: Any) -> str:
    return str(tensor.op.created_at)


ROW = [[1, 2, 3]]


def test_forms_of_fetches(model: Model) -> None:
    run, feed = model.session.run, {model.x: ROW}
    expected = np.array([[2, 3, 4]], np.float32)
    assert np.array_equal(run(model.y, feed), expected)
    y, (w, named) = run([model.y, (model.w, {"y": "y:0", "init": model.init})], feed)
    assert np.array_equal(y, expected) and np.array_equal(named["y"], expected) and np.array_equal(w, np.ones(3))
    assert named["init"] is None
    pair = run(Pair(model.y, model.init), feed)
    assert type(pair) is Pair and np.array_equal(pair.first, expected) and pair.second is None
    ordered = run(collections.OrderedDict([("b", model.w), ("a", model.y)]), feed)
    assert type(ordered) is collections.OrderedDict and list(ordered) == ["b", "a"]
    assert run("init") is None and run([]) == [] and run({}) == {}
    assert type(run(tf.constant(1.0))) is np.float32
    assert run(tf.constant("text")) == b"text"


def test_fetched_values_belong_to_the_caller(model: Model) -> None:
    first = model.session.run(model.w)
    first[:] = 99
    assert np.array_equal(model.session.run(model.w), np.ones(3))
    second = model.session.run(model.w)
    model.session.run(model.w.assign([5.0, 5.0, 5.0]))
    assert np.array_equal(second, np.ones(3))


def test_forms_of_feeds(model: Model) -> None:
    run = model.session.run
    for value in (ROW, ((1, 2, 3),), np.array(ROW), np.array(ROW, np.float64), np.array(ROW, ">f4"), np.asfortranarray(ROW)):
        assert np.array_equal(run(model.y, {model.x: value}), [[2, 3, 4]])
    assert np.array_equal(run(model.y, {"x:0": ROW}), [[2, 3, 4]])
    assert np.array_equal(run(model.y, {model.x: np.arange(24, dtype=np.float32).reshape(4, 6)[:, ::2]})[:, 0], [1, 7, 13, 19])
    assert np.array_equal(run(model.y, {model.x: ROW, model.w.value(): [5, 5, 5]}), [[6, 11, 16]])
    assert np.array_equal(run(model.y, {model.x: ROW, model.w: [5, 5, 5]}), [[6, 11, 16]])
    doubled = model.y * 2.0
    assert np.array_equal(run(doubled, {model.y: ROW}), [[2, 4, 6]])
    fed, other = run((model.x, model.y), {model.x: ROW})
    assert np.array_equal(fed, ROW) and np.array_equal(other, [[2, 3, 4]])
    scalar = tf.placeholder(tf.float32)
    assert run(scalar * 2.0, {scalar: True}) == 2.0
    assert np.array_equal(run(scalar * 2.0, {scalar: [1, 2]}), [2.0, 4.0])


def test_batch_sizes_share_one_program(model: Model) -> None:
    engine = model.session._engine
    model.session.run(model.y, {model.x: ROW * 5})
    compiled = engine.compiled_programs
    for rows in (7, 2, 100):
        assert model.session.run(model.y, {model.x: ROW * rows}).shape == (rows, 3)
    assert engine.compiled_programs == compiled


def test_parts_of_sparse_feeds_are_compiled_once(model: Model) -> None:
    """A SparseTensor among the feeds stands for three tensors, which are looked up like any others."""
    sparse = tf.sparse_placeholder(tf.float32)
    product = tf.sparse_tensor_dense_matmul(sparse, tf.reshape(model.w, [3, 1]))
    engine = model.session._engine
    for turn, count in enumerate((12, 13, 24, 12)):
        value = np.array([[n % 5, n % 3] for n in range(count)]), np.ones(count, np.float32), (5, 3)
        assert model.session.run(product, {sparse: value}).shape == (5, 1)
        if turn == 0:
            compiled, routes = engine.compiled_programs, len(model.session._routes)
    assert (engine.compiled_programs, len(model.session._routes)) == (compiled, routes)


def check(model: Model, kind: type[Exception], text: str, call: Any) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
    assert type(caught.value) is kind
    assert np.array_equal(model.session.run(model.y, {model.x: ROW}), model.session.run(model.w) * ROW + 1)


def test_missing_feed(model: Model) -> None:
    check(
        model,
        tf.errors.InvalidArgumentError,
        "Placeholder 'x': You must feed a value for placeholder tensor 'x' with dtype float and shape [?,3].\n"
        f"Created at {line_of(model.x)}. Add it to feed_dict.",
        lambda: model.session.run(model.y),
    )
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        model.session.run(model.y)
    assert caught.value.op is model.x.op and caught.value.error_code == 3
    assert line_of(model.x) == f"{HERE}:24 in __init__"


def test_wrong_shape(model: Model) -> None:
    check(
        model,
        ValueError,
        "Placeholder 'x': Cannot feed value of shape (2,) for Tensor 'x:0', which has shape '(?, 3)'.\n"
        f"Created at {line_of(model.x)}. Feed an array of that shape, or give the placeholder another one.",
        lambda: model.session.run(model.y, {model.x: [1, 2]}),
    )


def test_malformed_feed(model: Model) -> None:
    check(
        model,
        ValueError,
        "Placeholder 'x': could not convert string to float: 'abc', feeding a str.\n"
        f"Created at {line_of(model.x)}. It wants float32 of shape (?, 3).",
        lambda: model.session.run(model.y, {model.x: "abc"}),
    )
    whole = tf.placeholder(tf.int32, [2], name="whole")
    check(
        model,
        TypeError,
        f"Placeholder 'whole': Type of feed value {2**40} with type <class 'int'> is not compatible with Tensor type "
        "<class 'numpy.int32'>. Try explicitly setting the type of the feed tensor to a larger type (e.g. int64).\n"
        f"Created at {line_of(whole)}.",
        lambda: model.session.run(whole, {whole: 2**40}),
    )
    with pytest.raises(TypeError, match="The value of a feed cannot be a tf.Tensor object"):
        model.session.run(model.y, {model.x: model.y})


def test_uninitialised_variable(model: Model) -> None:
    late = tf.Variable([1.0, 2.0], name="late")
    check(
        model,
        tf.errors.FailedPreconditionError,
        "VariableV2 'late': Attempting to use uninitialized value late.\n"
        f"Created at {line_of(late)}. Run its initializer first: sess.run(tf.global_variables_initializer()).",
        lambda: model.session.run(late * 2.0),
    )
    model.session.run(late.initializer)
    assert np.array_equal(model.session.run(late * 2.0), [2, 4])


@pytest.mark.parametrize(
    ("fetch", "kind", "text"),
    [
        ("nope:0", ValueError, "Fetch argument 'nope:0' cannot be interpreted as a Tensor. (\"The name 'nope:0' refers to a "
         "Tensor which does not exist. The operation, 'nope', does not exist in the graph.\")"),
        ("nope", ValueError, "Fetch argument 'nope' cannot be interpreted as a Tensor. (\"The name 'nope' refers to an "
         'Operation not in the graph.")'),
        ("y:1", ValueError, "Fetch argument 'y:1' cannot be interpreted as a Tensor. (\"The name 'y:1' refers to a Tensor "
         "which does not exist. The operation, 'y', exists but only has 1 outputs.\")"),
        (None, TypeError, "Fetch argument None has invalid type <class 'NoneType'>"),
        (3, TypeError, "Fetch argument 3 has invalid type <class 'int'>, must be a string or Tensor. (Can not convert a int "
         "into a Tensor or Operation.)"),
    ],
)  # fmt: skip
def test_unknown_fetch(model: Model, fetch: Any, kind: type[Exception], text: str) -> None:
    check(model, kind, text, lambda: model.session.run(fetch))


def test_fetch_from_another_graph(model: Model) -> None:
    with tf.Graph().as_default():
        stranger = tf.constant(1.0, name="stranger")
    check(
        model,
        ValueError,
        f"Fetch argument {stranger!r} cannot be interpreted as a Tensor. (Tensor {stranger} is not an element of this graph.)",
        lambda: model.session.run(stranger),
    )


def test_unknown_and_forbidden_feeds(model: Model) -> None:
    check(
        model,
        TypeError,
        "Cannot interpret feed_dict key as Tensor: The name 'nope:0' refers to a Tensor which does not exist. The operation, "
        "'nope', does not exist in the graph.",
        lambda: model.session.run(model.y, {"nope:0": 1}),
    )
    fixed = tf.constant(3.0, name="fixed")
    model.session.graph.prevent_feeding(fixed)
    check(
        model,
        ValueError,
        "Const 'fixed': Tensor Tensor(\"fixed:0\", shape=(), dtype=float32) may not be fed.\n"
        f"Created at {line_of(fixed)}. Feed what it is computed from.",
        lambda: model.session.run(model.y, {fixed: 1.0}),
    )


def test_shapes_that_fail_at_run_time() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        a, b = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
        total = a + b
        assert np.array_equal(session.run(total, {a: [1, 2], b: 1}), [2, 3])
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            session.run(total, {a: [1, 2], b: [1, 2, 3]})
        assert caught.value.op is total.op
        assert str(caught.value).startswith("AddV2 'add': ") and f"Created at {line_of(total)}." in str(caught.value)
        assert np.array_equal(session.run(total, {a: [1, 2], b: [3, 4]}), [4, 6])


def test_life_of_a_session(model: Model) -> None:
    with pytest.raises(RuntimeError, match="The Session graph is empty.  Add operations to the graph before calling run"):
        tf.Session(graph=tf.Graph()).run("x")
    with pytest.raises(TypeError, match="graph must be a tf.Graph, but got <class 'int'>"):
        tf.Session(graph=3)
    with pytest.raises(TypeError, match='Did you do "Session.config." instead of "Session.config=config.'):
        tf.Session(tf.ConfigProto())
    session = tf.Session(config=tf.ConfigProto(gpu_options=tf.GPUOptions(allow_growth=True)))
    with pytest.raises(tf.errors.FailedPreconditionError):  # every session has its own variables
        session.run(model.w)
    session.close()
    session.close()
    with pytest.raises(RuntimeError, match="Attempted to use a closed Session"):
        session.run(model.w)


def test_default_sessions(model: Model) -> None:
    with pytest.raises(ValueError, match="Cannot evaluate tensor using `eval.*No default session is registered"):
        model.w.eval()
    with model.session.as_default():
        assert np.array_equal(model.y.eval({model.x: ROW}), [[2, 3, 4]])
        model.init.run()
    with tf.Session() as inner:
        inner.run(model.init)
        assert np.array_equal(model.w.eval(), np.ones(3))
    with pytest.raises(RuntimeError, match="closed"):
        inner.run(model.w)
    interactive = tf.InteractiveSession()
    interactive.run(model.init)
    assert np.array_equal(model.w.eval(), np.ones(3))
    interactive.close()
    assert tf.get_default_session() is None


def test_callables(model: Model) -> None:
    call = model.session.make_callable(model.y, [model.x])
    assert np.array_equal(call(ROW), [[2, 3, 4]])
    assert model.session.make_callable(model.init)() is None
    assert np.array_equal(model.session.make_callable([model.w])()[0], np.ones(3))
    with pytest.raises(TypeError, match="`feed_list` must be a list or tuple"):
        model.session.make_callable(model.y, model.x)
    traced = tf.RunMetadata()
    call(ROW, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=traced)
    assert traced.step_stats.dev_stats


def test_what_is_no_single_program_says_so() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [3])
        called = tf.py_func(lambda a: a[a > 0], [x], tf.float32)  # of a size that nothing tells beforehand
        with pytest.raises(ValueError, match=r"several Programs, not one: .* PyFunc:0\. `session.report\(path\)`"):
            session.compiled(tf.reduce_sum(called * 2), {x: np.ones(3)})


def test_partial_runs(model: Model) -> None:
    a, b = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
    first = a + 1.0
    second = first * b
    handle = model.session.partial_run_setup([first, second], [a, b])
    assert model.session.partial_run(handle, first, {a: 2}) == 3
    assert model.session.partial_run(handle, second, {b: 10}) == 30


def test_the_graph_grows_between_runs(model: Model) -> None:
    for step in range(5):
        more = model.y + float(step)
        assert np.array_equal(model.session.run(more, {model.x: ROW}), np.array([[2, 3, 4]]) + step)


def test_messages_behave() -> None:
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0})
    config.gpu_options.per_process_gpu_memory_fraction = 0.5
    assert "gpu_options {\n  per_process_gpu_memory_fraction: 0.5\n}" in str(config)
    other = tf.ConfigProto()
    other.CopyFrom(config)
    assert other == config and other.HasField("gpu_options") and not tf.ConfigProto().log_device_placement
    with pytest.raises(ValueError, match='Protocol message ConfigProto has no "foo" field'):
        tf.ConfigProto(foo=1)
    with pytest.raises(AttributeError):
        config.foo = 1


def test_known_runs_are_cheap() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        value = tf.Variable(1.0)
        session.run(value.initializer)
        session.run(value)
        assert calls_of(lambda: session.run(value)) < 60
        x, y = tf.placeholder(tf.float32, [None, 4]), tf.placeholder(tf.int64, [None])
        train = tf.assign_add(value, tf.reduce_sum(x) + tf.cast(tf.reduce_sum(y), tf.float32)).op
        feeds = {x: np.ones((8, 4), np.float32), y: np.ones(8, np.int64)}
        session.run(train, feeds)
        assert calls_of(lambda: session.run(train, feeds)) < 36  # each is code that a long step has driven from the caches


def test_threads_share_a_session(model: Model) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(rows: int) -> bool:
        for _ in range(30):
            found = model.session.run(model.y, {model.x: np.full((rows, 3), rows)})
            if not np.array_equal(found, np.full((rows, 3), rows + 1)):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, [1, 5, 9, 17] * 2))


def test_compiled_runs_can_be_looked_at(model: Model) -> None:
    found = model.session.compiled(model.y, {model.x: ROW * 4})
    assert "kernel calls" in repr(found) and f"{HERE}:26 in __init__" in found.report.graph
    assert "y: float32[?, 3] = Add(mul, y/y)" in found.report.graph
    assert len(found.program.steps) == 1 and "AddV2" in found.report.program or "Add" in found.report.program


def test_python_between_native_parts(model: Model) -> None:
    late = tf.Variable([1.0], name="late")
    with tf.control_dependencies([model.w.assign_add([1.0, 1.0, 1.0])]):
        left = tf.report_uninitialized_variables()
    names, w = model.session.run([left, model.w])
    assert names.tolist() == [b"late"] and np.array_equal(w, [2, 2, 2])
    assert np.array_equal(model.session.run(model.w), [2, 2, 2])
    model.session.run(late.initializer)
