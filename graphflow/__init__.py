"""graphflow runs TensorFlow-1-style programs with its own compiler: `import graphflow as tf`.

How the public namespace comes about:

- A module with public functions lists them in its `__all__` under TensorFlow's names and stands in `_TOP_LEVEL` below. All
  those modules load together when `tf.<name>` is first asked for, or an op type is asked for that is not yet registered.
- A namespace such as `tf.nn`, `tf.math` or `tf.losses` is a package or module of that name (`graphflow/nn/__init__.py`,
  `graphflow/losses.py`) that imports its functions by name; it stands in `_NAMESPACES` and loads when it is first used.
- A name of `tf` that lives in such a namespace stands in `_ALIASES` ("gradients": "autodiff:gradients").
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "1.15.5"  # the TensorFlow version whose programs run; programs read it
graphflow_version = "0.1.0"
VERSION = __version__
GIT_VERSION = "v1.15.4-39-g3db52be"
COMPILER_VERSION = "7.3.1 20180303"
CXX11_ABI_FLAG = MONOLITHIC_BUILD = 0
GRAPH_DEF_VERSION = 134
GRAPH_DEF_VERSION_MIN_CONSUMER = GRAPH_DEF_VERSION_MIN_PRODUCER = 0

_TOP_LEVEL = (
    "dtypes", "shapes",
    "graph.graph", "graph.tensor", "graph.operation", "graph.scopes", "graph.collections", "graph.convert", "graph.nodedef",
    "graph.importer", "graph.seeds", "graph.sessions", "graph.composite", "graph.modes",
    "ops.source", "ops.state", "ops.variables", "ops.variable_checks", "ops.apply", "ops.scatter", "ops.variable_scope", "ops.template",
    "ops.partitioners", "ops.initializers",
    "ops.arithmetic", "ops.logic", "ops.unary", "ops.division", "ops.trigonometry", "ops.rounding", "ops.activation", "ops.reduce",
    "ops.broadcast", "ops.overloads", "ops.reductions", "ops.clip", "ops.softmax", "ops.random", "ops.random_choice",
    "ops.joining", "ops.shape", "ops.reshape", "ops.padding", "ops.slicing",
    "ops.matmul", "ops.conv", "ops.pool", "ops.normalize", "ops.ranges", "ops.segments",
    "ops.confusion", "ops.resize", "ops.gather", "ops.choose", "ops.diagonal", "ops.blocks", "ops.tensordot", "ops.saving",
    "ops.summaries", "ops.watching", "ops.assertions", "ops.python_calls", "ops.strings",
    "runtime.messages", "runtime.session",
)  # fmt: skip

_NAMESPACES: dict[str, str] = {
    **{
        name: name
        for name in (
            "autodiff", "compat", "contrib", "data", "dtypes", "errors", "estimator", "image", "initializers", "keras", "layers",
            "linalg", "losses", "math", "metrics", "nest", "nn", "random", "raw_ops", "shapes", "strings", "summary", "sysconfig", "test",
            "train", "version",
        )
    },
    **{name: f"compat.{name}" for name in ("app", "flags", "gfile", "logging")},
    "python_io": "io.records",
}  # fmt: skip

_ALIASES: dict[str, str] = {
    "AggregationMethod": "autodiff.gradients:AggregationMethod",
    "AttrValue": "io.schema:AttrValue",
    "MetaGraphDef": "io.schema:MetaGraphDef",
    "IndexedSlices": "graph.composite:IndexedSlices",
    "NoGradient": "autodiff.registry:NotDifferentiable",
    "OpError": "errors:OpError",
    "DeviceSpec": "graph.devices:DeviceSpec",
    "NotDifferentiable": "autodiff.registry:NotDifferentiable",
    "RegisterGradient": "autodiff.registry:RegisterGradient",
    **{name: f"io.event_schema:{name}" for name in ("Event", "HistogramProto", "LogMessage", "SessionLog", "Summary", "SummaryMetadata")},
    "UnconnectedGradients": "autodiff.gradients:UnconnectedGradients",
    **{name: f"compat.tensor_util:{name}" for name in ("is_tensor", "make_ndarray", "make_tensor_proto")},
    "get_static_value": "compat.tensor_util:constant_value",
    "get_logger": "compat.logging:get_logger",
    "no_gradient": "autodiff.registry:NotDifferentiable",
    "convert_to_tensor_or_indexed_slices": "graph.indexed_slices:convert_to_tensor_or_indexed_slices",
    "gradients": "autodiff.gradients:gradients",
    "hessians": "autodiff.gradients:hessians",
}


_loaded = False


def _load_top_level() -> None:
    """Imports the modules of `_TOP_LEVEL` and takes over their public names."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    names = globals()
    for path in _TOP_LEVEL:
        module = importlib.import_module(f"{__name__}.{path}")
        for name in getattr(module, "__all__", ()):
            names[name] = getattr(module, name)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'graphflow' has no attribute '{name}'")
    if name in _NAMESPACES:
        try:
            value: Any = importlib.import_module(f"{__name__}.{_NAMESPACES[name]}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{_NAMESPACES[name]}":
                raise
            raise _missing(name) from None
    elif name in _ALIASES:
        module, _, attribute = _ALIASES[name].partition(":")
        value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    else:
        _load_top_level()
        if name not in globals():
            raise _missing(name)
        value = globals()[name]
    globals()[name] = value
    return value


def _missing(name: str) -> AttributeError:
    from graphflow.compat.missing import missing

    return missing("", name, __dir__())


def __dir__() -> list[str]:
    _load_top_level()
    return sorted({n for n in globals() if not n.startswith("_")} | set(_NAMESPACES) | set(_ALIASES))
