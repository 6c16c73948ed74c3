"""tf.contrib: the parts of TensorFlow 1.15's contrib packages that are here. Each loads when it is first used."""

from __future__ import annotations

import importlib
from typing import Any

from graphflow.missing import is_module, missing

_PACKAGES = (
    "cudnn_rnn", "distributions", "framework", "layers", "learn", "legacy_seq2seq", "losses", "metrics", "rnn", "seq2seq", "slim",
    "tensorboard", "training", "util",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if is_module(f"contrib.{name}"):  # `from tensorflow.contrib import rnn` works; what is asked of it says that it is not here
        from graphflow.compat.hook import InternalModule

        return InternalModule(f"tensorflow.contrib.{name}", ())
    if name.startswith("__"):
        raise AttributeError(f"module 'graphflow.contrib' has no attribute '{name}'")
    raise missing("contrib", name, _PACKAGES)


def __dir__() -> list[str]:
    return list(_PACKAGES)
