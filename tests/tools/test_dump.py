"""`graphflow dump`: every stage as text, drawing and data, the same in every run; and why two operations are not fused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import graphflow as tf
from graphflow.tools import cli

PROGRAM = """
import numpy as np
import tensorflow as tf
x = tf.placeholder(tf.float32, [None, 12], name="x")
dense = tf.layers.dense(x, 9, activation=tf.nn.relu, name="dense")
other = tf.nn.softmax(tf.layers.dense(dense, 5, name="head"), name="softmax")
doubled = tf.add(other, other * 1.0, name="doubled")
top, places = tf.nn.top_k(doubled, 2, name="top")
far = tf.exp(x, name="far")
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print("hello")
    session.run([top, far], {x: np.ones((3, 12), np.float32)})
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


def run(*arguments: str) -> int:
    """The command, as in a process of its own."""
    with tf.Graph().as_default():
        return cli.main(["dump", *arguments])


def dump(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 0
    return capsys.readouterr().out


def test_stages_as_text_drawing_and_data(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    captured = dump(capsys, program, "--after", "capture")
    assert "hello" not in captured, "what the program prints is not part of it"
    assert "= Mul" in captured and "= Mul" not in dump(capsys, program, "--after", "simplify")
    assert dump(capsys, program) == dump(capsys, program, "--after", "schedule")
    assert "contraction of" in dump(capsys, program)
    assert "dense/Relu: float32[?, 9] = Relu(dense/BiasAdd)" in dump(capsys, program, "--after", "graph")
    assert "arena" in dump(capsys, program, "--after", "plan")
    assert dump(capsys, program, "--format", "dot").startswith("digraph program {")
    data = json.loads(dump(capsys, program, "--after", "fuse", "--format", "json"))
    forms = {n["op"] for n in data["nodes"]}
    assert "contraction" in forms and any(part["op"] == "Relu" for n in data["nodes"] for part in n["nodes"])


def test_kernels_at_three_levels(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert dump(capsys, program, "--kernel", "k0").split("\n")[0].startswith("# ")
    assert "define void @k.phase0" in dump(capsys, program, "--kernel", "k0", "--code", "llvm")
    assert "ret" in dump(capsys, program, "--kernel", "k0", "--code", "asm")
    assert json.loads(dump(capsys, program, "--kernel", "k0", "--format", "json"))["lines"][-1]


def test_it_is_the_same_in_every_run(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("--after graph", "--after fuse", "--after plan", "--kernel k1", "--format json", "--format dot"):
        stage = words.split()
        assert dump(capsys, program, *stage) == dump(capsys, program, *stage), stage


def test_what_cannot_be_shown_is_said(program: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, words in [
        (["--after", "nonsense"], "there are graph, capture, fold_constants"), (["--kernel", "k99"], "no kernel 'k99'"),
        (["--kernel", "k0", "--format", "dot"], "no drawing"), (["--explain", "far", "nobody"], "no operation 'nobody'"),
    ]:  # fmt: skip
        assert run(program, *arguments) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(str(tmp_path / "none.py"))
    out = tmp_path / "out.txt"
    assert dump(capsys, program, "-o", str(out)) == "" and "feed x" in out.read_text()


@pytest.mark.parametrize(
    "first, second, words",
    [
        ("dense/MatMul", "dense/Relu", "fused: dense/MatMul and dense/Relu are computed by k"),
        ("dense/Relu", "head/MatMul", "a sum of products reads its operands from memory"),
        ("softmax", "top", "(top) writes a kernel of its own"),
        ("far", "softmax", "neither reads what the other computes"),
        ("mul", "softmax", "no kernel computes mul: the pass simplify took it away (x op 1 -> x)"),
    ],
)
def test_it_explains_what_is_not_fused(program: str, capsys: pytest.CaptureFixture[str], first: str, second: str, words: str) -> None:
    assert words in dump(capsys, program, "--explain", first, second)


def test_arguments_after_two_dashes_are_the_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "argued.py"
    path.write_text("import sys\nimport tensorflow as tf\nwith tf.Session() as s:\n    x = tf.placeholder(tf.float32, [2], name='x')\n"
                    "    s.run(tf.exp(x, name=sys.argv[2]), {x: [1, 2]})\n")  # fmt: skip
    assert "  # chosen" in dump(capsys, str(path), "--after", "capture", "--", "--after", "chosen")
