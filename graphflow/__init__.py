"""graphflow runs TensorFlow-1-style programs with its own compiler: `import graphflow as tf`.

How the public namespace comes about:

- A module with public functions lists them in its `__all__` under TensorFlow's names and stands in `_TOP_LEVEL` below. All
  those modules load together when `tf.<name>` is first asked for, or an op type is asked for that is not yet registered.
- A namespace such as `tf.nn`, `tf.math` or `tf.losses` is a package or module of that name (`graphflow/nn/__init__.py`,
  `graphflow/losses.py`) that imports its functions by name; it stands in `_NAMESPACES` and loads when it is first used.
- A namespace without a module of its own (`tf.debugging`, `tf.keras`) gives the names of `tf` if TensorFlow has them there too; what it
  lacks is said where it is used.
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
    "graph.importer", "graph.seeds", "graph.sessions", "graph.composite", "graph.type_specs", "graph.modes",
    "ops.source", "ops.passing", "ops.state", "ops.variable_kinds", "ops.variables", "ops.variable_checks", "ops.apply", "ops.apply_sparse", "ops.scatter",  # noqa: E501
    "ops.resource_ops", "ops.resources", "ops.session_handles", "ops.queue_ops", "ops.queues", "ops.samplers",
    "ops.tensor_scatter", "ops.sparse", "ops.sparse_index", "ops.sparse_functions", "ops.sparse_dense",
    "ops.set_ops", "ops.ctc", "ops.ctc_decoders", "ops.variable_scope", "ops.template",
    "ops.partitioners", "ops.initializers",
    "ops.arithmetic", "ops.logic", "ops.unary", "ops.complex_numbers", "ops.division", "ops.trigonometry", "ops.rounding",
    "ops.activation", "ops.reduce",
    "ops.broadcast", "ops.overloads", "ops.reductions", "ops.clip", "ops.softmax", "ops.random", "ops.random_choice",
    "ops.joining", "ops.shape", "ops.reshape", "ops.padding", "ops.slicing",
    "ops.matmul", "ops.recurrent", "ops.conv", "ops.pool", "ops.pool_operands", "ops.patches", "ops.morphology", "ops.colors", "ops.normalize", "ops.ranges", "ops.scans", "ops.segments", "ops.scatter_nd", "ops.sparse_segments",  # noqa: E501
    "ops.confusion", "ops.resize", "ops.gather", "ops.partition", "ops.choose", "ops.distinct", "ops.vectors", "ops.sorting",
    "ops.beams", "ops.diagonal",
    "ops.linalg.systems", "ops.linalg.decompositions", "ops.linalg.functions", "ops.linalg.exponential",
    "ops.special", "ops.bessel", "ops.formats", "ops.fourier", "ops.bits", "ops.ordering", "ops.random_rates",
    "ops.stateless_random", "ops.blocks", "ops.tensordot", "ops.saving", "ops.summaries", "ops.watching", "ops.assertions",
    "ops.python_calls", "ops.strings", "ops.files",
    "ops.text", "ops.parsing", "ops.example_ops", "ops.examples", "ops.reader_ops", "ops.readers", "ops.accumulator_ops",
    "ops.accumulators", "ops.sparse_maps", "ops.control_flow.cond", "ops.control_flow.while_loop", "ops.control_flow.case",
    "ops.tensor_array_ops", "ops.tensor_array", "ops.functional", "runtime.messages", "runtime.session",
)  # fmt: skip

_NAMESPACES: dict[str, str] = {
    **{
        name: name
        for name in (
            "autodiff", "bitwise", "compat", "contrib", "data", "distributions", "dtypes", "errors", "estimator", "graph_util", "image", "initializers", "keras",  # noqa: E501
            "layers", "linalg", "losses", "math", "metrics", "nest", "nn", "random", "raw_ops", "sets", "shapes", "signal", "sparse", "strings", "summary", "sysconfig",  # noqa: E501
            "test", "train", "version",
        )
    },
    **{name: f"compat.{name}" for name in ("app", "flags", "gfile", "logging")},
    "python_io": "io.records",
    "spectral": "signal",
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
    **{name: f"autodiff.custom_gradient:{name}" for name in ("custom_gradient", "grad_pass_through", "recompute_grad")},
    "GradientTape": "autodiff.tape:GradientTape",
    "gradients": "autodiff.gradients:gradients",
    **{f"tensor_scatter_nd_{kind}": f"ops.tensor_scatter:tensor_scatter_{kind}" for kind in ("add", "sub", "update")},
    "hessians": "autodiff.gradients:hessians",
}

_SAME_NAMES = frozenset({"queue", "debugging", "manip", "quantization"})  # namespaces whose names TensorFlow has in `tf` too

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
            value = _alias_namespace(name)
    elif name in _ALIASES:
        module, _, attribute = _ALIASES[name].partition(":")
        value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    else:
        _load_top_level()
        value = globals()[name] if name in globals() else _alias_namespace(name)
    from graphflow.missing import Lacking

    if not isinstance(value, Lacking):  # which only an import statement gets
        globals()[name] = value
    return value


def _alias_namespace(name: str) -> Any:
    """A namespace of TensorFlow without a module here, or the error for a name that is not here."""
    from graphflow.missing import alias_namespace, is_module, lacking, missing, namespaces

    if name not in namespaces() or is_module(name):  # `tensorflow.core` is a package of private modules, see compat/hook.py
        return lacking(missing("", name, __dir__()))
    return alias_namespace(name, name in _SAME_NAMES)


def __dir__() -> list[str]:
    _load_top_level()
    return sorted({n for n in globals() if not n.startswith("_")} | set(_NAMESPACES) | set(_ALIASES))
