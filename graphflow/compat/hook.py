"""`import tensorflow` gives graphflow: a finder in front of Python's own.

Three kinds of module answer to a name below `tensorflow`:

    an attribute path     tensorflow.nn, tensorflow.compat.v1.train     the graphflow module itself
    a stand-in            tensorflow.examples.tutorials.mnist           a module of graphflow under another name (ALIASES)
    an internal module    tensorflow.python.framework.ops               a module that looks its names up in public namespaces (INTERNAL)

A private module that TensorFlow 1.15 has and graphflow lacks can be imported too: what is asked of it then fails with one line that
says so. Any other name raises ModuleNotFoundError.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from graphflow.compat import numpy_names
from graphflow.missing import MissingName, alias_namespace, is_module, lacking, missing, namespaces

ROOT = "tensorflow"
TARGET = "graphflow"

# Name below tensorflow -> the graphflow module that stands for it.
ALIASES = {
    "compat": "compat",
    "compat.v1": "",
    "_api.v1": "",
    "examples.tutorials.mnist.input_data": "data.mnist",
    "contrib.learn.python.learn.datasets": "contrib.learn.datasets",
    "contrib.learn.python.learn.datasets.base": "contrib.learn.datasets",
    "contrib.learn.python.learn.datasets.mnist": "data.mnist",
    "contrib.learn.datasets.base": "contrib.learn.datasets",
    "contrib.learn.datasets.mnist": "data.mnist",
    **{
        f"contrib.learn.python.learn.preprocessing{m}": f"contrib.learn.preprocessing{m}" for m in ("", ".categorical_vocabulary", ".text")
    },
    "contrib.tensorboard.plugins.projector.projector_config_pb2": "contrib.tensorboard.plugins.projector",
    "contrib.slim.python.slim": "contrib.slim",
    "contrib.slim.python.slim.model_analyzer": "contrib.slim.model_analyzer",
    "contrib.slim.python.slim.utils": "contrib.slim.utils",
    "contrib.framework.python.ops": "contrib.framework",
    "contrib.framework.python.ops.arg_scope": "contrib.framework",
    "contrib.framework.python.ops.variables": "contrib.framework",
    "contrib.layers.python.layers": "contrib.layers",
    "contrib.layers.python.layers.initializers": "contrib.layers",
    "contrib.layers.python.layers.layers": "contrib.layers",
    "contrib.layers.python.layers.optimizers": "contrib.layers",
    "contrib.layers.python.layers.regularizers": "contrib.layers",
    "contrib.layers.python.layers.utils": "contrib.slim.utils",
    "contrib.training.python.training.hparam": "contrib.training",
    "contrib.legacy_seq2seq.python.ops.seq2seq": "contrib.legacy_seq2seq",
    "contrib.rnn.python.ops.core_rnn_cell": "contrib.rnn.core_rnn_cell",
    **{f"contrib.rnn.python.ops.{m}": "contrib.rnn" for m in ("fused_rnn_cell", "gru_ops", "lstm_ops", "rnn", "rnn_cell")},
    **{
        f"contrib.seq2seq.python.ops.{m}": "contrib.seq2seq"
        for m in ("attention_wrapper", "basic_decoder", "beam_search_decoder", "beam_search_ops", "decoder", "helper", "loss")
    },
    "python.ops.rnn_cell": "rnn.rnn_cell",
    "python.ops.rnn_cell_impl": "rnn.rnn_cell",
    **{f"core.framework.{m}_pb2": "io.schema" for m in ("attr_value", "graph", "node_def", "tensor", "tensor_shape", "versions")},
    **{f"core.protobuf.{m}_pb2": "io.schema" for m in ("meta_graph", "saved_model", "saver", "tensor_bundle")},
    **{f"core.example.{m}_pb2": "io.example" for m in ("example", "feature")},
    "core.framework.summary_pb2": "io.event_schema",
    "core.util.event_pb2": "io.event_schema",
    "python.pywrap_tensorflow": "compat.pywrap_tensorflow",
    "python.client.device_lib": "compat.device_lib",
    "python.lib.io.file_io": "compat.file_io",
    "python.platform.googletest": "test",
    "python.platform.test": "test",
    "python.framework.graph_util": "graph_util",
    "python.framework.graph_util_impl": "graph_util",
    "python.framework.tensor_util": "compat.tensor_util",
    "python.layers.utils": "layers.conditional",
    "python.client.timeline": "runtime.timeline",
    "python.framework.dtypes": "dtypes",
    "python.framework.tensor_shape": "shapes",
    "python.framework.errors": "errors",
    "python.framework.errors_impl": "errors",
    "python.platform.app": "compat.app",
    "python.platform.flags": "compat.flags",
    "python.platform.gfile": "compat.gfile",
    "python.platform.tf_logging": "compat.logging",
    "python.util.compat": "compat",
}

# Internal module -> the public namespaces in which its names are looked up; the root namespace is always the last.
INTERNAL: dict[str, tuple[str, ...]] = {
    "_api": (),
    "examples": (),
    "examples.tutorials": (),
    "examples.tutorials.mnist": (),
    "python": (),
    **{f"python.{package}": () for package in ("client", "framework", "platform", "saved_model", "util")},
    "python.layers": ("layers",),
    "python.ops": (),
    "python.ops.losses": ("losses",),
    "python.training": ("train",),
    **{f"python.client.{m}": () for m in ("session",)},
    **{f"python.framework.{m}": () for m in ("constant_op", "ops", "random_seed", "test_util")},
    **{f"python.layers.{m}": ("layers",) for m in ("base", "convolutional", "core", "layers", "normalization", "pooling")},
    **{f"python.ops.{m}": ("nn",) for m in ("candidate_sampling_ops", "embedding_ops", "nn", "nn_impl", "nn_ops", "rnn")},
    **{
        f"python.ops.{m}": ()
        for m in (
            "array_ops", "check_ops", "clip_ops", "data_flow_ops", "functional_ops", "gradients", "gradients_impl", "io_ops",
            "partitioned_variables", "script_ops", "state_ops", "tensor_array_ops", "variable_scope", "variables",
        )
    },
    # Only these: tf.initializers.zeros and tf.image.transpose are not array_ops' functions of the same names.
    "python.ops.image_ops": ("image",),
    "python.ops.init_ops": ("ops.initializers", "initializers"),
    "python.ops.linalg_ops": ("linalg",),
    "python.ops.logging_ops": ("summary",),
    "python.ops.math_ops": ("math",),
    "python.ops.random_ops": ("ops.random", "random"),
    "python.ops.sparse_ops": ("sparse",),
    "python.ops.string_ops": ("strings",),
    "python.ops.control_flow_ops": ("ops.control_flow.ops", "ops.control_flow.contexts", "ops.source"),
    "python.ops.losses.losses": ("losses",),
    "python.ops.losses.losses_impl": ("losses",),
    **{
        f"python.training.{m}": ("train",)
        for m in (
            "adadelta", "adagrad", "adam", "checkpoint_management", "coordinator", "ftrl", "gradient_descent", "learning_rate_decay",
            "momentum", "moving_averages", "optimizer", "queue_runner", "rmsprop", "saver", "training", "training_util",
        )
    },
    "python.util.nest": ("nest",),
}  # fmt: skip


def _attribute(path: str) -> Any:
    """The object at a dotted path below graphflow; AttributeError where there is none."""
    found: Any = importlib.import_module(TARGET)
    for part in path.split(".") if path else ():
        found = getattr(found, part)
        if isinstance(found, InternalModule):  # the import system set it on its parent; it has no names of its own
            raise AttributeError(path)
    return found


class InternalModule(ModuleType):
    """Looks a name up among its submodules, then in the public namespaces, then in the root namespace."""

    def __init__(self, name: str, places: Sequence[str]) -> None:
        super().__init__(name, f"{name}, with the names of {TARGET}'s public API.")
        self.__path__: list[str] = []
        # What was never ported has no names; what is private in TensorFlow has the names of the public API.
        self._places = (*places, "") if name.startswith((f"{ROOT}.python", f"{ROOT}._api", f"{ROOT}.examples")) else ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        own = self.__name__[len(ROOT) + 1 :]
        below = f"{own}.{name}"
        if below in ALIASES or below in INTERNAL or is_module(below):
            found = resolve(below)
            if found is not None:
                return found
        for place in self._places:
            try:
                return getattr(importlib.import_module(f"{TARGET}.{place}".rstrip(".")), name)
            except AttributeError:
                continue
        error = missing(own, name, ())
        if not self.ported and not isinstance(error, MissingName):  # it has names that are listed nowhere
            error = MissingName(f"graphflow does not have TensorFlow's module {self.__name__} yet, nor its {name}")
        return lacking(error)

    @property
    def ported(self) -> bool:
        """Whether there is anything to be found in it."""
        return self.__name__[len(ROOT) + 1 :] in INTERNAL


def resolve(name: str) -> ModuleType | None:
    """The module for a name below `tensorflow` ("" for the root), or None."""
    public = name
    for prefix in ("compat.v1", "_api.v1"):
        if name == prefix or name.startswith(prefix + "."):
            public = name[len(prefix) + 1 :]
    if public in ALIASES:
        return importlib.import_module(f"{TARGET}.{ALIASES[public]}".rstrip("."))
    if public in INTERNAL:
        return InternalModule(f"{ROOT}.{name}", INTERNAL[public])
    try:
        found = _attribute(public)
    except AttributeError:
        found = None
    if isinstance(found, ModuleType):
        return found
    # A module that TensorFlow has: importing it works, and asking it for what is not here tells so.
    if is_module(public):
        return InternalModule(f"{ROOT}.{public}", ())
    return alias_namespace(public) if public in namespaces() else None


class _Finder(MetaPathFinder, Loader):
    """Finds and loads `tensorflow` and every name below it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != ROOT and not fullname.startswith(ROOT + "."):
            return None
        module = resolve(fullname[len(ROOT) + 1 :])
        if module is None:
            # Not None: Python would go on to look for a file in graphflow's own folder and import a second copy of it.
            raise ModuleNotFoundError(f"graphflow has nothing under the name '{fullname}'", name=fullname)
        return ModuleSpec(fullname, self, loader_state=module, is_package=True)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what stands in sys.modules afterwards, so graphflow's own modules keep their name and spec.
        assert module.__spec__ is not None
        sys.modules[module.__name__] = module.__spec__.loader_state


_finder = _Finder()


def install() -> None:
    """From now on `import tensorflow` gives graphflow, and numpy has the names such programs use. Calling it again changes nothing."""
    if _finder in sys.meta_path:
        return
    present = sys.modules.get(ROOT)
    if present is not None and present is not sys.modules[TARGET]:
        raise ImportError(
            f"another tensorflow is already imported (from {getattr(present, '__file__', '?')}): "
            "call graphflow.compat.install() before the first `import tensorflow`"
        )
    sys.meta_path.insert(0, _finder)
    numpy_names.give()


def uninstall() -> None:
    """Take the hook away again, with every name it has given."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        numpy_names.take_back()
    for name in [n for n in sys.modules if n == ROOT or n.startswith(ROOT + ".")]:
        del sys.modules[name]
