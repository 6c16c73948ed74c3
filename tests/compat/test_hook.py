"""The import hook, each case in a process of its own: it is about what `import` does first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60,
                          cwd=ROOT, env={**os.environ, **environment})  # fmt: skip


def passes(code: str) -> None:
    result = python("from graphflow.compat import install; install()\n" + code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import tensorflow as tf, graphflow; assert tf is graphflow and tf.__name__ == 'graphflow'",
        "import tensorflow.compat.v1 as tf, graphflow; assert tf is graphflow",
        "import tensorflow as tf; assert tf.compat.v1 is tf; assert tf.compat.as_bytes('x') == b'x'",
        "from tensorflow.examples.tutorials.mnist import input_data; assert input_data.read_data_sets('digits').test.num_examples == 400",
        "import tensorflow.examples.tutorials.mnist.input_data as d; import graphflow.data.mnist as m; assert d is m",
        "import tensorflow.examples.tutorials.mnist.input_data\nimport tensorflow as tf; tf.examples.tutorials.mnist.input_data",
        "from tensorflow.contrib.learn.python.learn.datasets.mnist import read_data_sets",
        "from tensorflow.python.framework import ops; ops.reset_default_graph(); ops.get_default_graph()",
        "from tensorflow.python.framework import dtypes; import graphflow; assert dtypes is graphflow.dtypes",
        "from tensorflow.python.framework.errors_impl import NotFoundError",
        "from tensorflow.core.framework import graph_pb2, tensor_pb2; graph_pb2.GraphDef",
        # tf.initializers, tf.random and tf.image have other functions of these names
        "import tensorflow as tf\nfrom tensorflow.python.ops import array_ops as a\n"
        "assert (a.zeros, a.ones, a.transpose) == (tf.zeros, tf.ones, tf.transpose)",
        "import tensorflow as tf\nfrom tensorflow.python.ops import random_ops as r, init_ops as i\n"
        "assert (r.random_uniform, r.random_normal, i.Zeros) == (tf.random_uniform, tf.random_normal, tf.zeros_initializer)",
        "from tensorflow.python.ops import control_flow_ops as c; c.switch, c.merge, c.with_dependencies, c.cond, c.CondContext",
        "from tensorflow.contrib.tensorboard.plugins import projector; projector.ProjectorConfig",
        "from tensorflow.contrib.slim.python.slim import model_analyzer; model_analyzer.analyze_vars",
        "import tensorflow.errors as e; import graphflow.errors as f; assert e is f",
        "from tensorflow.python.platform import gfile; gfile.FastGFile",
        "from tensorflow.python.platform import flags, app; app.flags.FLAGS is flags.FLAGS",
        "from tensorflow.python.training import optimizer; optimizer.Optimizer",
        "import importlib.util; assert importlib.util.find_spec('tensorflow') is not None",
        "from graphflow.compat import install; install(); import sys; assert len({id(f) for f in sys.meta_path}) == len(sys.meta_path)",
        # Asking for a submodule must not leave a second copy of one of graphflow's own files in sys.modules.
        "import tensorflow.compat.v1.errors, graphflow.errors, sys; assert sys.modules['tensorflow.compat.v1.errors'] is graphflow.errors",
    ],
)
def test_names_of_tensorflow_give_graphflow(code: str) -> None:
    passes(code)


@pytest.mark.parametrize("name", ["tensorflow.no_such_thing", "tensorflow.python.ops.no_such_ops", "tensorflow.train.optimizer_v9"])
def test_unknown_modules_are_not_found(name: str) -> None:
    result = python(f"from graphflow.compat import install; install()\nimport {name}")
    assert result.stderr.splitlines()[-1] == f"ModuleNotFoundError: graphflow has nothing under the name '{name}'"


def test_an_unknown_name_of_a_module_is_told() -> None:
    result = python("from graphflow.compat import install; install()\nfrom tensorflow.python.ops import math_ops; math_ops.no_such_op")
    assert result.stderr.splitlines()[-1] == "AttributeError: module 'tensorflow.python.ops.math_ops' has no attribute 'no_such_op'"


def test_a_tensorflow_that_is_already_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("")
    result = python("import tensorflow; from graphflow.compat import install; install()", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert "ImportError: another tensorflow is already imported (from " in result.stderr
    assert "call graphflow.compat.install() before the first `import tensorflow`" in result.stderr


def test_uninstall_takes_every_name_away() -> None:
    code = (
        "from graphflow import compat; compat.install(); import tensorflow.compat.v1, sys; compat.uninstall()\n"
        "assert not [n for n in sys.modules if n.startswith('tensorflow')]; import graphflow; graphflow.compat.as_text(b'a')"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_numpy_has_the_names_and_the_text_of_that_time() -> None:
    passes(
        "import numpy as np\n"
        "assert np.zeros(2, np.int).dtype == np.int64 and np.float is float and np.product([2, 3]) == 6 and np.asscalar(np.ones(1)) == 1\n"
        "assert np.asfarray([1], int).dtype == np.float64 and np.asfarray([1], np.float32).dtype == np.float32\n"
        "assert repr([np.float32(0.5), np.int64(3)]) == '[0.5, 3]'"
    )


def test_numpy_is_given_back_as_it_came() -> None:
    code = (
        "import numpy as np; names, text = set(dir(np)), repr(np.float32(0.5))\n"
        "from graphflow import compat; compat.install(); compat.install(); compat.uninstall()\n"
        "assert set(dir(np)) == names and repr(np.float32(0.5)) == text"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_run_a_program(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("WORD = 'next door'\n")
    (tmp_path / "program.py").write_text(
        "import sys\nimport neighbour\nimport tensorflow as tf\nprint(__name__, tf.__name__, neighbour.WORD, sys.argv[1:])\nsys.exit(3)\n"
    )
    result = subprocess.run([sys.executable, "-m", "graphflow", "run", str(tmp_path / "program.py"), "--a", "b"],
                            capture_output=True, text=True, timeout=60, cwd=ROOT)  # fmt: skip
    assert result.stdout == "__main__ graphflow next door ['--a', 'b']\n", result.stderr
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "graphflow run: which program?"),
        (["run", "/no/such.py"], "graphflow run: no program '/no/such.py'"),
        (["fly"], "graphflow: unknown command 'fly'"),
    ],
)
def test_wrong_command_lines_say_how(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from graphflow.tools.cli import USAGE, main

    assert main(arguments) == 2
    assert capsys.readouterr().err == f"{message}\n{USAGE}\n"
