"""tf.train.Saver: saving, restoring, what is kept, what is refused; exchange with a real TensorFlow where one is given."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.io.schema import SaverDef
from tests.golden import record_checkpoints

GOLDEN = Path(record_checkpoints.__file__).parent / "checkpoints"
ORACLE = os.environ.get("GRAPHFLOW_ORACLE", "")


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def session(initialized: bool = True) -> tf.Session:
    sess = tf.Session()
    if initialized:
        sess.run(tf.global_variables_initializer())
    return sess


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def recorded_nodes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (GOLDEN / "savers.txt").read_text().splitlines():
        if line.startswith("# "):
            found[line[2:]] = []
        else:
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.parametrize("name", ["plain", "several", "sharded"])
def test_same_nodes_as_tensorflow(name: str) -> None:
    assert record_checkpoints.nodes(tf, record_checkpoints.savers(tf)[name]) == recorded_nodes()[name]


def test_saves_and_restores_instead_of_initialising(tmp_path: Path) -> None:
    w = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
    n = tf.Variable(3, name="n", dtype=tf.int64)
    flag = tf.Variable(True, name="flag")
    saver = tf.train.Saver()
    sess = session()
    sess.run([w.assign_add([[1, 1], [1, 1]]), n.assign(9), flag.assign(False)])
    path = saver.save(sess, str(tmp_path / "not/there/yet/model.ckpt"))
    assert path == str(tmp_path / "not/there/yet/model.ckpt")
    fresh = session(initialized=False)
    saver.restore(fresh, path)
    w_, n_, flag_ = fresh.run([w, n, flag])
    assert w_.tolist() == [[2, 3], [4, 5]] and n_ == 9 and not flag_
    sess.run(w.assign_add([[1, 1], [1, 1]]))
    saver.restore(sess, path)
    assert sess.run(w)[0, 0] == 2


def test_numbered_checkpoints_and_the_state_file(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    step = tf.train.get_or_create_global_step()
    saver = tf.train.Saver(max_to_keep=2)
    sess = session()
    folder = str(tmp_path)
    for n in (10, step, np.int64(30)):
        saver.save(sess, folder + "/m", global_step=n)
    assert saver.last_checkpoints == [folder + "/m-0", folder + "/m-30"]
    assert [f for f in files(tmp_path) if f.endswith(".index")] == ["m-0.index", "m-30.index"]
    state = tf.train.get_checkpoint_state(folder)
    assert state.model_checkpoint_path == folder + "/m-30" == tf.train.latest_checkpoint(folder)
    assert list(state.all_model_checkpoint_paths) == [folder + "/m-0", folder + "/m-30"]
    assert (tmp_path / "checkpoint").read_text() == (
        f'model_checkpoint_path: "{folder}/m-30"\nall_model_checkpoint_paths: "{folder}/m-0"\n'
        f'all_model_checkpoint_paths: "{folder}/m-30"\n'
    )
    assert tf.train.latest_checkpoint(folder + "/none") is None
    (tmp_path / "checkpoint").write_text("rubbish {")
    assert tf.train.get_checkpoint_state(folder) is None


def test_relative_paths_and_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tf.Variable(1.0, name="w")
    saver = tf.train.Saver(pad_step_number=True, save_relative_paths=True)
    assert saver.save(session(), "./a/m", global_step=7) == "./a/m-00000007"
    assert 'model_checkpoint_path: "m-00000007"' in (tmp_path / "a/checkpoint").read_text()
    assert tf.train.latest_checkpoint("a") == "a/m-00000007"
    assert tf.train.Saver().save(session(), "plain") == "plain"
    assert tf.train.latest_checkpoint(".") == "./plain"


def test_keeps_one_in_n_hours(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    saver = tf.train.Saver(max_to_keep=1, keep_checkpoint_every_n_hours=1e-9)
    sess = session()
    for n in range(3):
        saver.save(sess, str(tmp_path / "m"), global_step=n, write_meta_graph=False)
    assert [f for f in files(tmp_path) if f.endswith(".index")] == ["m-0.index", "m-1.index", "m-2.index"]
    assert saver.last_checkpoints == [str(tmp_path / "m-2")]


def test_max_to_keep_zero_keeps_all(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    saver = tf.train.Saver(max_to_keep=0)
    sess = session()
    for n in range(7):
        saver.save(sess, str(tmp_path / "m"), global_step=n, write_meta_graph=False)
    assert sum(f.endswith(".index") for f in files(tmp_path)) == 7 and saver.last_checkpoints == []


def test_recovers_its_list(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    saver = tf.train.Saver(max_to_keep=1)
    first = saver.save(session(), str(tmp_path / "m"), global_step=1)
    other = tf.train.Saver(max_to_keep=1)
    other.recover_last_checkpoints([first, str(tmp_path / "none")])
    assert other.last_checkpoints == [first]
    other.save(session(), str(tmp_path / "m"), global_step=2)
    assert not tf.train.checkpoint_exists(first) and tf.train.checkpoint_exists(str(tmp_path / "m-2"))


def test_other_names_and_partial_restore(tmp_path: Path) -> None:
    a, b = tf.Variable([1.0, 2.0], name="a"), tf.Variable([3.0, 4.0], name="b")
    sess = session()
    path = tf.train.Saver({"x/a": a, "x/b": b}).save(sess, str(tmp_path / "m"))
    assert tf.train.list_variables(path) == [("x/a", [2]), ("x/b", [2])]
    assert tf.train.load_variable(path, "x/b:0").tolist() == [3, 4]
    sess.run([a.assign([0, 0]), b.assign([0, 0])])
    tf.train.Saver({"x/b": a}).restore(sess, path)
    assert sess.run([a, b])[0].tolist() == [3, 4] and sess.run(b).tolist() == [0, 0]


def test_averages_take_the_variables_place(tmp_path: Path) -> None:
    w = tf.Variable([1.0, 2.0], name="w")
    average = tf.train.ExponentialMovingAverage(0.5)
    update = average.apply([w])
    sess = session()
    sess.run(w.assign([3.0, 4.0]))
    sess.run(update)
    path = tf.train.Saver().save(sess, str(tmp_path / "m"))
    tf.train.Saver(average.variables_to_restore()).restore(sess, path)
    assert sess.run(w).tolist() == [2.0, 3.0]


def test_reshape_and_sharded(tmp_path: Path) -> None:
    w = tf.Variable(np.arange(6, dtype=np.float32), name="w")
    with tf.device("/cpu:1"):
        n = tf.Variable([7, 8], name="n")
    sess = session()
    saver = tf.train.Saver(sharded=True)
    for _ in range(2):
        path = saver.save(sess, str(tmp_path / "m"))
    assert sum(".data-" in f for f in files(tmp_path)) == 2 and not any("_temp" in f for f in files(tmp_path))
    sess.run([w.assign(np.zeros(6)), n.assign([0, 0])])
    saver.restore(sess, path)
    assert sess.run(w).tolist() == [0, 1, 2, 3, 4, 5] and sess.run(n).tolist() == [7, 8]
    other = tf.Variable(np.zeros((2, 3), np.float32), name="other")
    tf.train.Saver({"w": other}, reshape=True).restore(sess, path)
    assert sess.run(other).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_old_format(tmp_path: Path) -> None:
    w = tf.Variable([1.0, 2.0], name="w")
    sess = session()
    path = tf.train.Saver(write_version=SaverDef.V1).save(sess, str(tmp_path / "m"))
    assert files(tmp_path) == ["checkpoint", "m", "m.meta"]
    sess.run(w.assign([0, 0]))
    tf.train.Saver().restore(sess, path)
    assert sess.run(w).tolist() == [1, 2]


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    a, b = tf.Variable([1.0, 2.0], name="a"), tf.Variable([3.0, 4.0], name="b")
    c = tf.Variable([3, 4], name="c")
    sess = session()
    path = tf.train.Saver([a, b]).save(sess, str(tmp_path / "m"))
    sess.run(a.assign([9, 9]))
    with pytest.raises(tf.errors.NotFoundError, match="Key c not found in checkpoint"):
        tf.train.Saver([a, c]).restore(sess, path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected dtype int32 does not equal original dtype float"):
        tf.train.Saver({"a": a, "b": c}).restore(sess, path)
    wide = tf.Variable([1.0, 2.0, 3.0], name="wide")
    sess.run(wide.initializer)
    differs = r"Assign requires shapes of both tensors to match. lhs shape= \[3\] rhs shape= \[2\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=differs):
        tf.train.Saver({"a": a, "b": wide}).restore(sess, path)
    assert sess.run(a).tolist() == [9, 9]
    with pytest.raises(ValueError, match="The passed save_path is not a valid checkpoint: "):
        tf.train.Saver([a]).restore(sess, str(tmp_path / "none"))
    with pytest.raises(ValueError, match="Can't load save_path when it is None"):
        tf.train.Saver([a]).restore(sess, None)


def test_damage_changes_nothing(tmp_path: Path) -> None:
    a, b = tf.Variable(np.ones(100, np.float32), name="a"), tf.Variable(np.ones(100, np.float32), name="b")
    saver = tf.train.Saver()
    sess = session()
    path = saver.save(sess, str(tmp_path / "m"))
    data = bytearray((tmp_path / "m.data-00000-of-00001").read_bytes())
    data[-1] ^= 4
    (tmp_path / "m.data-00000-of-00001").write_bytes(data)
    sess.run([a.assign(np.zeros(100)), b.assign(np.zeros(100))])
    with pytest.raises(tf.errors.DataLossError, match="Checksum does not match"):
        saver.restore(sess, path)
    (tmp_path / "m.data-00000-of-00001").write_bytes(data[:500])
    with pytest.raises(tf.errors.DataLossError, match="truncated"):
        saver.restore(sess, path)
    assert not sess.run(a).any() and not sess.run(b).any()


def test_uninitialised_variables_are_not_saved(tmp_path: Path) -> None:
    tf.Variable(1.0, name="w")
    saver = tf.train.Saver()
    with pytest.raises(tf.errors.FailedPreconditionError, match="uninitialized value w"):
        saver.save(session(initialized=False), str(tmp_path / "m"))
    assert files(tmp_path) == []


def test_what_the_constructor_and_save_refuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No variables to save"):
        tf.train.Saver()
    assert tf.train.Saver(allow_empty=True).save(session(False), str(tmp_path / "m"), write_meta_graph=False) is None
    w = tf.Variable(1.0, name="w")
    with pytest.raises(ValueError, match="build cannot be deferred"):
        tf.train.Saver([w], defer_build=True)
    with pytest.raises(TypeError, match="should be passed in a dict or a list"):
        tf.train.Saver(3)
    with pytest.raises(TypeError, match="not a Variable"):
        tf.train.Saver([w.value()])
    with pytest.raises(ValueError, match="restored with two names"):
        tf.train.Saver({"a": w._ref(), "b": w._ref()})
    late = tf.train.Saver(defer_build=True)
    with pytest.raises(RuntimeError, match="should be called before save"):
        late.save(session(), str(tmp_path / "m"))
    late.build()
    with pytest.raises(TypeError, match="must be a Session"):
        late.save("sess", str(tmp_path / "m"))
    with pytest.raises(ValueError, match="collides with 'save_path'"):
        late.save(session(), str(tmp_path / "checkpoint"))
    with pytest.raises(ValueError, match="must not contain path components"):
        late.save(session(), str(tmp_path / "m"), latest_filename="a/b")


def net() -> None:
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    hidden = tf.layers.dense(x, 8, activation=tf.nn.relu, name="hidden")
    loss = tf.reduce_mean(tf.square(tf.layers.dense(hidden, 2, name="out")), name="loss")
    train = tf.train.AdamOptimizer(0.1).minimize(loss, global_step=tf.train.get_or_create_global_step())
    tf.add_to_collection("train", train)
    tf.add_to_collection("rates", 0.5)


STEP = {"x:0": np.ones((3, 4), np.float32)}


def test_goes_on_from_a_meta_graph(tmp_path: Path) -> None:
    net()
    sess = session()
    sess.run(tf.get_collection("train"), STEP)
    path = tf.train.Saver().save(sess, str(tmp_path / "m"), global_step=1)
    wanted = []
    for _ in range(3):
        sess.run(tf.get_collection("train"), STEP)
        wanted.append(sess.run("loss:0", STEP))
    tf.reset_default_graph()
    saver = tf.train.import_meta_graph(path + ".meta", clear_devices=True)
    fresh = session(initialized=False)
    saver.restore(fresh, path)
    assert [v.op.name for v in tf.trainable_variables()] == ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    assert tf.get_collection("rates") == [0.5] and fresh.run(tf.train.get_global_step()) == 1
    found = []
    for _ in range(3):
        fresh.run(tf.get_collection("train"), STEP)
        found.append(fresh.run("loss:0", STEP))
    assert found == wanted
    saver.save(fresh, str(tmp_path / "again"))
    assert tf.get_default_graph().get_operation_by_name("save/restore_all")


def test_meta_graph_in_a_scope_and_as_text(tmp_path: Path) -> None:
    net()
    sess = session()
    saver = tf.train.Saver()
    path = saver.save(sess, str(tmp_path / "m"))
    wanted = sess.run("loss:0", STEP)
    saver.export_meta_graph(str(tmp_path / "m.txt"), as_text=True, clear_devices=True, strip_default_attrs=True)
    tf.reset_default_graph()
    other = tf.train.import_meta_graph(str(tmp_path / "m.txt"), import_scope="copy")
    fresh = session(initialized=False)
    other.restore(fresh, path)
    assert fresh.run("copy/loss:0", {"copy/x:0": STEP["x:0"]}) == wanted
    assert tf.global_variables()[0].op.name == "copy/hidden/kernel"
    with pytest.raises(OSError, match="does not exist"):
        tf.train.import_meta_graph(str(tmp_path / "none.meta"))


def test_graph_def_there_and_back() -> None:
    net()
    data = tf.get_default_graph().as_graph_def().SerializeToString()
    before = tf.get_default_graph().as_graph_def()
    with tf.Graph().as_default() as graph:
        parsed = tf.GraphDef()
        parsed.ParseFromString(data)
        (loss,) = tf.import_graph_def(parsed, name="", return_elements=["loss:0"])
        assert loss is graph.get_tensor_by_name("loss:0")
        assert {n.name: (n.op, sorted(n.input)) for n in graph.as_graph_def().node} == {
            n.name: (n.op, sorted(n.input)) for n in before.node
        }
        assert graph.as_graph_def().ByteSize() == len(data)


def test_import_graph_def_maps_and_refuses() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    tf.add(x, 1.0, name="y")
    graph_def = tf.get_default_graph().as_graph_def()
    with tf.Graph().as_default():
        mine = tf.constant([1.0, 2.0])
        (y,) = tf.import_graph_def(graph_def, {"x": mine}, ["y:0"], name="part")
        assert y.name == "part/y:0" and tf.Session().run(y).tolist() == [2, 3]
        with pytest.raises(ValueError, match="not found in graph_def"):
            tf.import_graph_def(graph_def, {"none": mine})
        with pytest.raises(ValueError, match="Requested return_element 'z' not found"):
            tf.import_graph_def(graph_def, return_elements=["z"])
    graph_def.node[1].input[:] = ["y"]
    graph_def.node[-1].input[0] = "y"
    with tf.Graph().as_default(), pytest.raises(ValueError, match="cycle"):
        tf.import_graph_def(graph_def)
    graph_def.node[-1].input[0] = "x"
    graph_def.node[-1].op = "Nothing"
    with tf.Graph().as_default(), pytest.raises((tf.errors.NotFoundError, ValueError)):
        tf.import_graph_def(graph_def)


# -- real TensorFlow ---------------------------------------------------------------------------------------------------------------

THEIRS = """
import sys
import numpy as np
import tensorflow as tf
ours, theirs = sys.argv[1:]
saver = tf.train.import_meta_graph(ours + ".meta")
with tf.Session() as sess:
    saver.restore(sess, ours)
    x = {"x:0": np.ones((3, 4), np.float32)}
    before = sess.run("loss:0", x)
    sess.run(tf.get_collection("train"), x)
    print("RESULT", before, sess.run("loss:0", x), len(tf.trainable_variables()), sess.run("global_step:0"))
    saver.save(sess, theirs)
"""


@pytest.mark.skipif(not ORACLE, reason="GRAPHFLOW_ORACLE names no Python with TensorFlow")
def test_exchange_with_real_tensorflow(tmp_path: Path) -> None:
    net()
    sess = session()
    sess.run(tf.get_collection("train"), STEP)
    ours = tf.train.Saver().save(sess, str(tmp_path / "ours"))
    wanted = [sess.run("loss:0", STEP)]
    sess.run(tf.get_collection("train"), STEP)
    wanted.append(sess.run("loss:0", STEP))
    theirs = str(tmp_path / "theirs")
    shown = subprocess.run([ORACLE, "-c", THEIRS, ours, theirs], capture_output=True, text=True, check=False)
    found = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", shown.stdout)
    assert found, shown.stderr[-2000:]
    np.testing.assert_allclose([float(found[1]), float(found[2])], wanted, rtol=1e-5)
    assert found.groups()[2:] == ("4", "2")
    tf.reset_default_graph()
    saver = tf.train.import_meta_graph(theirs + ".meta")
    fresh = session(initialized=False)
    saver.restore(fresh, theirs)
    np.testing.assert_allclose(fresh.run("loss:0", STEP), wanted[1], rtol=1e-5)
    assert fresh.run("global_step:0") == 2


KILLED = """
import os, signal, sys
import graphflow as tf
folder, step, value = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
left = step
w = tf.Variable([value] * 500, name="w")
saver = tf.train.Saver(max_to_keep=1)
sess = tf.Session()
sess.run(tf.global_variables_initializer())
saver.recover_last_checkpoints(tf.train.get_checkpoint_state(folder).all_model_checkpoint_paths)

def counted(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

for name in ("fsync", "replace", "unlink", "link"):
    setattr(os, name, counted(getattr(os, name)))
saver.save(sess, folder + "/m", global_step=int(value))
"""


@pytest.mark.slow
def test_killed_at_every_step_of_a_save(tmp_path: Path) -> None:
    """There is always a latest checkpoint, whole and with its graph, be it the earlier or the new one; max_to_keep is 1."""
    tf.Variable([0.0] * 500, name="w")
    saver = tf.train.Saver(max_to_keep=1)
    saver.save(session(), str(tmp_path / "m"), global_step=0)
    ends = []
    for step in range(30):
        before = tf.train.latest_checkpoint(str(tmp_path))
        arguments = [str(tmp_path), str(step), str(step + 1)]
        ends.append(subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False).returncode)
        latest = tf.train.latest_checkpoint(str(tmp_path))
        assert latest in (before, str(tmp_path / f"m-{step + 1}"))
        number = float(latest.rpartition("-")[2])
        assert tf.train.load_variable(latest, "w").tolist() == [number] * 500
        assert tf.train.meta_graph.read_meta_graph(latest + ".meta").graph_def.node
        if ends[-1] == 0:
            break
    assert ends[-1] == 0 and ends.count(-9) == len(ends) - 1 >= 8, ends
    assert latest == str(tmp_path / f"m-{len(ends)}")


def test_begins_with_values_of_a_checkpoint(tmp_path: Path) -> None:
    with tf.variable_scope("old"):
        tf.get_variable("w", initializer=[1.0, 2.0])
        tf.get_variable("b", initializer=[3.0])
    path = tf.train.Saver().save(session(), str(tmp_path / "m"))
    tf.reset_default_graph()
    with tf.variable_scope("new"):
        w, b = tf.get_variable("w", [2]), tf.get_variable("b", [1])
    other = tf.get_variable("other", [2])
    tf.train.init_from_checkpoint(str(tmp_path), {"old/": "new/", "old/w": other})
    sess = session()
    assert [v.tolist() for v in sess.run([w, b, other])] == [[1, 2], [3], [1, 2]]
    with pytest.raises(ValueError, match="doesn't match with shape"):
        tf.train.init_from_checkpoint(path, {"old/w": b})
    with pytest.raises(ValueError, match="is not found in"):
        tf.train.init_from_checkpoint(path, {"none": b})
    sess.run([w.assign([0, 0]), other.assign([0, 0])])
    tf.contrib.framework.assign_from_checkpoint_fn(path, {"old/w": w, "none": other}, ignore_missing_vars=True)(sess)
    assert sess.run([w, other])[0].tolist() == [1, 2]
    operation, feeds = tf.contrib.framework.assign_from_checkpoint(path, {"old/w": other})
    sess.run(operation, feeds)
    assert sess.run(other).tolist() == [1, 2]


def test_restores_every_type_from_tensorflow() -> None:
    """The golden meta graph and checkpoint, with half, bfloat16, complex and string variables in it."""
    saver = tf.train.import_meta_graph(str(GOLDEN / "v2.meta"))
    sess = session(initialized=False)
    saver.restore(sess, str(GOLDEN / "v2"))
    values = record_checkpoints.values()
    for variable in tf.global_variables():
        name = variable.op.name
        if name in ("float32", "float64", "float16", "int64", "uint8", "bool", "scalar", "empty", "string", "complex64"):
            assert np.array_equal(sess.run(variable), values[name]), name
    assert sess.run(tf.get_collection("results")[0], {"x:0": np.eye(3)}).shape == (3, 2)
    assert tf.get_collection("numbers") == [7]


def test_a_sharded_checkpoint_of_the_old_format(tmp_path: Path) -> None:
    prefix, values = str(tmp_path / "m"), (np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, -2, 300], np.int32))
    with tf.Graph().as_default(), tf.Session() as session:
        places = ("/job:localhost/cpu:0", "/cpu:0")
        variables = []
        for name, place, value in zip("ab", places, values, strict=True):
            with tf.device(place):
                variables.append(tf.get_variable(name, initializer=value))
        saver = tf.train.Saver(sharded=True, write_version=tf.train.SaverDef.V1)
        session.run(tf.global_variables_initializer())
        written = saver.save(session, prefix, write_meta_graph=False)
        assert written == f"{prefix}-?????-of-00002" and tf.train.latest_checkpoint(str(tmp_path)) == written
        session.run([v.assign(v * 0) for v in variables])
        saver.restore(session, written)
        for found, value in zip(session.run(variables), values, strict=True):
            np.testing.assert_array_equal(found, value)
    assert tf.train.list_variables(written) == [("a", [2, 3]), ("b", [3])]
    tf.train.remove_checkpoint(written, tf.train.SaverDef.V1)
    assert not tf.train.checkpoint_exists(written) and not list(tmp_path.glob("m-*"))


def test_what_no_message_can_hold_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    from graphflow import dtypes
    from graphflow.io.old_format import write_old

    huge = np.broadcast_to(np.array(False), (1 << 31,))  # no memory stands behind it
    with pytest.raises(tf.errors.InvalidArgumentError, match="Tensor slice is too large to serialize"):
        write_old(str(tmp_path / "m"), [("v", dtypes.bool, huge, None)])
