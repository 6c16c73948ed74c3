"""Graph: names, scopes, collections, control dependencies, looking things up. Texts and names as TensorFlow 1.15 gives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import graphflow as tf
from tests.effort import calls_of


@pytest.fixture
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


def names(graph: Any) -> list[str]:
    return [op.name for op in graph.get_operations()]


def test_unique_names_ignore_case(graph: Any) -> None:
    assert [graph.unique_name(n) for n in ("foo", "foo", "FOO", "foo_1", "foo")] == ["foo", "foo_1", "FOO_2", "foo_1_1", "foo_3"]
    assert graph.unique_name("bar", mark_as_used=False) == "bar" == graph.unique_name("bar")


def test_name_scopes(graph: Any) -> None:
    with tf.name_scope("a") as outer:
        tf.constant(1, name="c")
        with tf.name_scope("b"):
            tf.constant(1, name="c")
            with tf.name_scope(None):
                tf.constant(1, name="c")
    with tf.name_scope("a"):
        tf.constant(1, name="c")
    with tf.name_scope(outer):
        tf.constant(1, name="c")
    assert names(graph) == ["a/c", "a/b/c", "c", "a_1/c", "a/c_1"]
    assert outer == "a/" and graph.get_name_scope() == ""


@pytest.mark.parametrize("name", ["a b", "_a", "a:0", "/a"])
def test_bad_names(graph: Any, name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid scope name"):
        tf.placeholder(tf.float32, name=name)
    with pytest.raises(ValueError, match="is not a valid node name"):
        tf.constant(1, name=name)
    assert names(graph) == []


def test_name_scope_needs_a_name(graph: Any) -> None:
    with pytest.raises(ValueError, match="At least one of name .None. and default_name .None. must be provided"):
        tf.name_scope(None, None, [1]).__enter__()
    with pytest.raises(TypeError, match="You likely meant to pass this into the `values` kwarg"):
        tf.name_scope("a", [1])


def test_control_dependencies_prune_what_data_implies(graph: Any) -> None:
    a, b = tf.constant(1.0), tf.constant(2.0)
    with tf.control_dependencies([a, b]):
        first = tf.identity(a)
        second = tf.identity(first)  # waits through `first` already
        with tf.control_dependencies([b, first]):
            third = tf.constant(3.0)
        with tf.control_dependencies(None):
            free = tf.constant(4.0)
    assert [c.name for c in first.op.control_inputs] == ["Const_1"]
    assert second.op.control_inputs == [] and free.op.control_inputs == []
    assert third.op.control_inputs == [a.op, b.op, first.op]
    with pytest.raises(TypeError, match="Can not convert a int into a Tensor or Operation"):
        tf.control_dependencies([3])


def test_devices_merge(graph: Any) -> None:
    with tf.device("/job:worker/gpu:1"):
        outer = tf.constant(1)
        with tf.device("/cpu:0"):
            inner = tf.constant(1)
        with tf.device(lambda op: "/device:GPU:3"):
            chosen = tf.constant(1)
        with tf.device(None):
            free = tf.constant(1)
    found = [t.device for t in (outer, inner, chosen, free)]
    assert found == ["/job:worker/device:GPU:1", "/job:worker/device:CPU:0", "/job:worker/device:GPU:3", ""]
    with pytest.raises(ValueError, match="Unknown attribute"):
        graph.device("/nonsense:0").__enter__()


def test_colocation(graph: Any) -> None:
    a = tf.constant(1.0, name="a")
    with tf.device("/cpu:0"):
        b = tf.constant(1.0, name="b")
    with tf.colocate_with(b):
        with tf.colocate_with(a):
            both = tf.identity(a)
        alone = tf.identity(b)
    assert both.op.colocation_groups() == [b"loc:@a", b"loc:@b"]
    assert alone.op.get_attr("_class") == [b"loc:@b"] and alone.device == "/device:CPU:0"


def test_collections(graph: Any) -> None:
    tf.add_to_collection("things", 1)
    graph.add_to_collections(["things", "more", "more"], 2)
    tensor = tf.constant(1, name="in/side")
    tf.add_to_collection("things", tensor)
    assert tf.get_collection("things") == [1, 2, tensor] and tf.get_collection("more") == [2]
    assert tf.get_collection("things", scope="in/") == [tensor] and tf.get_collection("things", "side") == []
    copy = tf.get_collection("things")
    copy.append(3)
    tf.get_collection_ref("things").append(4)
    assert tf.get_collection("things")[-1] == 4
    graph.clear_collection("things")
    assert tf.get_collection("things") == [] and graph.get_all_collection_keys() == ["more"]


def test_finalized_graphs_refuse(graph: Any) -> None:
    graph.finalize()
    for attempt in (lambda: tf.constant(1), lambda: tf.no_op(), lambda: graph.add_to_collection("a", 1)):
        with pytest.raises(RuntimeError, match="Graph is finalized and cannot be modified"):
            attempt()


def test_default_graphs() -> None:
    outer = tf.get_default_graph()
    with tf.Graph().as_default() as g:
        assert tf.get_default_graph() is g
        with pytest.raises(AssertionError, match="Do not use tf.reset_default_graph.. to clear nested graphs"):
            tf.reset_default_graph()
    assert tf.get_default_graph() is outer
    tf.reset_default_graph()
    assert tf.get_default_graph() is not outer


LOOKUPS = [
    ("x:0", "tensor", None, ""),
    ("x", "operation", None, ""),
    ("x", "tensor", ValueError, "The name 'x' refers to an Operation, not a Tensor. Tensor names must be of the form"),
    ("q", "tensor", ValueError, "The name 'q' looks like an .invalid. Operation name, not a Tensor"),
    ("x:0", "operation", ValueError, "Name 'x:0' appears to refer to a Tensor, not a Operation"),
    ("q", "operation", KeyError, "The name 'q' refers to an Operation not in the graph"),
    ("x:7", "tensor", KeyError, "The operation, 'x', exists but only has 1 outputs"),
    ("q:0", "tensor", KeyError, "The operation, 'q', does not exist in the graph"),
    ("x:y", "tensor", ValueError, "The name 'x:y' looks a like a Tensor name, but is not a valid one"),
    (3, "tensor", TypeError, "Tensor names are strings .or similar., not int"),
    (3, "operation", TypeError, "Operation names are strings .or similar., not int"),
]


@pytest.mark.parametrize(("name", "what", "error", "text"), LOOKUPS)
def test_looking_up(graph: Any, name: Any, what: str, error: Any, text: str) -> None:
    x = tf.placeholder(tf.float32, name="x")
    look = graph.get_tensor_by_name if what == "tensor" else graph.get_operation_by_name
    if error is None:
        assert look(name) is (x if what == "tensor" else x.op)
    else:
        with pytest.raises(error, match=text):
            look(name)


def test_elements_of_other_graphs(graph: Any) -> None:
    mine = tf.constant(1.0, name="mine")
    with tf.Graph().as_default():
        other = tf.constant(1.0, name="other")
    with pytest.raises(ValueError, match="Tensor .*other.* is not an element of this graph"):
        graph.as_graph_element(other)
    with pytest.raises(ValueError, match="must be from the same graph as"):
        _ = mine + other


def test_operations_go_where_their_inputs_are(graph: Any) -> None:
    with tf.Graph().as_default() as elsewhere:
        x = tf.placeholder(tf.float32, name="x")
    total = x + 1.0
    assert total.graph is elsewhere and names(elsewhere) == ["x", "add/y", "add"] and names(graph) == []


def test_tensors_are_not_python_values(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with pytest.raises(TypeError, match="using a `tf.Tensor` as a Python `bool` is not allowed in Graph execution"):
        bool(x)
    with pytest.raises(TypeError, match="iterating over `tf.Tensor` is not allowed in Graph execution"):
        list(x)
    with pytest.raises(TypeError, match="len is not well defined for symbolic Tensors. .x:0. Please call `x.shape`"):
        len(x)
    assert x == x and {x: 1}[x] == 1


def test_set_shape(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    with pytest.raises(ValueError, match=r"Dimension 1 in both shapes must be equal, but are 3 and 4. Shapes are \[\?,3\] and \[\?,4\]"):
        x.set_shape([None, 4])
    with pytest.raises(ValueError, match="Shapes must be equal rank, but are 2 and 1"):
        x.set_shape([2])
    x.set_shape([5, None])
    assert x.shape.as_list() == [5, 3]


def test_text_of_tensors_and_operations(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with tf.device("/gpu:0"):
        y = tf.placeholder(tf.int32, name="y")
    assert str(x) == 'Tensor("x:0", shape=(?, 3), dtype=float32)'
    assert repr(x) == "<tf.Tensor 'x:0' shape=(?, 3) dtype=float32>"
    assert str(y) == 'Tensor("y:0", dtype=int32, device=/device:GPU:0)'
    assert repr(x.op) == "<tf.Operation 'x' type=Placeholder>"
    total = tf.reduce_sum(x, 1, name="total")
    assert str(total.op) == (
        'name: "total"\nop: "Sum"\ninput: "x"\ninput: "total/reduction_indices"\n'
        'attr {\n  key: "T"\n  value {\n    type: DT_FLOAT\n  }\n}\n'
        'attr {\n  key: "Tidx"\n  value {\n    type: DT_INT32\n  }\n}\n'
        'attr {\n  key: "keep_dims"\n  value {\n    b: false\n  }\n}\n'
    )
    assert total.op.get_attr("T") is tf.float32 and total.op.get_attr("keep_dims") is False
    with pytest.raises(ValueError, match="Operation 'total' has no attr named 'nope'"):
        total.op.get_attr("nope")


def test_consumers_and_traceback(graph: Any) -> None:
    x = tf.placeholder(tf.float32)
    y = tf.identity(x)
    assert x.consumers() == [y.op] and x.op.outputs == [x] and y.op.inputs[0] is x
    file, line, function, text = y.op.traceback[-1]
    assert file == __file__ and function == "test_consumers_and_traceback" and text == "y = tf.identity(x)"
    assert y.op.created_at == f"test_graph.py:{line} in {function}"


def test_a_graph_def_sorts_control_inputs(graph: Any) -> None:
    """As TensorFlow 1.15; the operation itself keeps the order in which they came."""
    with graph.as_default():
        waited_for = [tf.constant(1, name=name) for name in ("b", "a", "c_1", "C")]
        with tf.control_dependencies(waited_for):
            op = tf.no_op()
    assert op.node_def.input == ["^b", "^a", "^c_1", "^C"]
    assert graph.as_graph_def().node[-1].input == ["^C", "^a", "^b", "^c_1"]


def test_graph_def(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    version = graph.version
    with tf.control_dependencies([x]):
        tf.no_op(name="n")
    whole = graph.as_graph_def(add_shapes=True)
    assert [n.name for n in whole.node] == ["x", "n"] and list(whole.node[1].input) == ["^x"]
    assert whole.node[0].attr["_output_shapes"][0].as_list() == [2]
    assert [n.name for n in graph.as_graph_def(from_version=version).node] == ["n"]


def test_gradient_override_marks_operations(graph: Any) -> None:
    with graph.gradient_override_map({"Identity": "Other"}):
        y = tf.identity(tf.constant(1.0))
    assert y.op.get_attr("_gradient_op_type") == b"Other"
    with pytest.raises(TypeError, match="op_type_map must be a dictionary"):
        graph.gradient_override_map([]).__enter__()


def test_building_is_cheap_in_a_large_graph_too(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    tf.identity(x)
    few = calls_of(lambda: tf.identity(x))
    for _ in range(1000):
        tf.identity(x)
    assert calls_of(lambda: tf.identity(x)) <= few < 90


def test_known_contents_are_worked_out_however_deep_the_graph() -> None:
    with tf.Graph().as_default():
        n = tf.constant(0)
        for _ in range(2000):
            n = n + 1
        assert tf.zeros([n]).shape == (2000,)


def test_threads_build_one_graph_together(graph: Any) -> None:
    """Loops, branches and scopes of names that one thread is in are not those of another one's operations."""
    sums: dict[int, Any] = {}
    together = threading.Barrier(3)

    def build(number: int) -> None:
        with graph.as_default(), tf.name_scope(f"of{number}"):
            total = tf.constant(float(number))
            for _ in range(6):
                together.wait(20)
                body = lambda i, a: (i + 1, tf.cond(a > 3.0, lambda: a + 1.0, lambda: a * 2.0))  # noqa: E731
                total = tf.while_loop(lambda i, _: i < 2, body, [0, total])[1]
            sums[number] = total

    threads = [threading.Thread(target=build, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = graph.get_operations()
    assert len({op.name for op in made}) == len({op._id for op in made}) == len(made)
    assert {op.name.split("/")[0] for op in made} == {"of0", "of1", "of2"}
    with tf.Session(graph=graph) as session:
        assert session.run(sums) == {0: 0.0, 1: 14.0, 2: 15.0}
