"""Every public callable that graphflow has takes the parameters that TensorFlow 1.15's has: names, order, defaults.

A difference fails unless it is listed below with its reason, and a listed one that is none fails too.
"""

from __future__ import annotations

import gzip
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import graphflow as tf

DATA = json.loads(gzip.decompress((Path(__file__).parent / "golden" / "api.json.gz").read_bytes()))

# Name -> why its parameters differ from TensorFlow's.
_INTERNAL = "made by graphflow only, never by programs"
_NO_OBJECT_DEFAULT = "the same value, written as a tuple of another length"
ALLOWED: dict[str, str] = {
    "DType": _INTERNAL,
    "dtypes.DType": _INTERNAL,
    "Operation": _INTERNAL,
    "Tensor": _INTERNAL,
    "Variable.SaveSliceInfo": _INTERNAL,
    "OpError": "error_code is read off the class, so it may be left out",
    "errors.OpError": "error_code is read off the class, so it may be left out",
    "errors.UnknownError": "error_code is the class's own",
    "errors.error_code_from_exception_type": "TensorFlow's is a lookup function made in C",
    "SparseTensorValue.index": "Python's own tuple.index, of another version of Python",
    **{
        f"{place}{name}.index": "Python's own tuple.index, of another version of Python"
        for place in ("", "io.")
        for name in ("FixedLenFeature", "FixedLenSequenceFeature", "SparseFeature", "VarLenFeature")
    },
    "train.SessionRunArgs.index": "Python's own tuple.index, of another version of Python",
    "train.SessionRunValues.index": "Python's own tuple.index, of another version of Python",
    "train.Coordinator.stop_on_exception": "TensorFlow's is seen through a decorator whose own parameters they are",
    "train.Supervisor.managed_session": "TensorFlow's is seen through a decorator whose own parameters they are",
    "all_variables": "takes a scope too, as global_variables does",
    "convert_to_tensor_or_indexed_slices": "as_ref is for the converter's own use",
    "gradients": "the default is the text that TensorFlow's enumeration stands for",
    **{
        f"GradientTape.{method}": "the default is the text that TensorFlow's enumeration stands for"
        for method in ("batch_jacobian", "gradient", "jacobian")
    },
    "group": "name is spelt out; TensorFlow takes it from **kwargs",
    "print": "the keywords are spelt out; TensorFlow takes them from **kwargs",
    "layers.Conv2D": _NO_OBJECT_DEFAULT,
    "layers.Conv3D": _NO_OBJECT_DEFAULT,
    "layers.SeparableConv2D": _NO_OBJECT_DEFAULT,
    "layers.Conv2DTranspose": "dilation_rate may be given by keyword",
    "layers.Conv3DTranspose": "dilation_rate may be given by keyword",
    "nn.convolution": "filter may be left out where its alias filters is given",
    "nn.rnn_cell.LSTMStateTuple.index": "Python's own tuple.index, of another version of Python",
    **{
        f"nn.rnn_cell.{cell}.build": "TensorFlow's is seen through a decorator whose own parameters they are"
        for cell in ("BasicLSTMCell", "BasicRNNCell", "GRUCell", "LSTMCell")
    },
    "string_to_number": "input is the alias of another version",
    "strings.to_number": "input is the alias of another version",
    "variable_op_scope": "the settings are those of variable_scope, passed on",
}
# The beginning of names -> why all of them differ.
_FLAGS = "a smaller Flag than absl's: name, default, help and how to parse"
ALLOWED_PREFIXES: dict[str, str] = {
    "app.flags.DEFINE_flag": _FLAGS,
    "app.flags.Flag": _FLAGS,
    "flags.DEFINE_flag": _FLAGS,
    "flags.Flag": _FLAGS,
    "enable_": "they refuse, whatever the arguments: there is no eager mode",
    "io.gfile.GFile.seek": "position, its third parameter, is a deprecated name of the first",
    "gfile.": "position, the third parameter of seek, is a deprecated name of the first",
    "logging.": "**kwargs is for Python's logging module, whose exc_info and extra have no place here",
    "test.TestCase.": "Python's own unittest, of another version of Python, or a context manager whose parameters TensorFlow hides",
}
ALIKE = ("add_variable",)  # methods of every layer: TensorFlow's take *args, ours say which


def _found(name: str) -> Any:
    """The object with a dotted name, None where there is none."""
    found: Any = tf
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return None
    return found


def _default(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _simple(text: str) -> bool:
    """Whether a default is told by its text alone: numbers, strings, None; objects print differently."""
    return text[:1] in "'\"-0123456789([{" or text in ("None", "True", "False")


def parameters(function: Any) -> list[list[str]] | None:
    """The parameters as the golden file writes them: [name] or [name, default]; None where Python cannot tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    out = []
    for p in signature.parameters.values():
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        out.append([star + p.name] if p.default is p.empty else [p.name, _default(p.default)])
    return out


def difference(ours: list[list[str]], theirs: list[list[str]]) -> str:
    """What differs, "" for nothing. Defaults that are objects only have to be there."""
    if [p[0] for p in ours] != [p[0] for p in theirs]:
        return f"parameters {[p[0] for p in ours]}, TensorFlow's {[p[0] for p in theirs]}"
    for our, their in zip(ours, theirs, strict=True):
        if len(our) != len(their):
            return f"'{our[0]}' has {'a' if len(our) > 1 else 'no'} default"
        their = [their[0], *("[" + d[1:-1].removesuffix(",") + "]" if d[:1] == "(" else d for d in their[1:])]
        if len(our) > 1 and (_simple(our[1]) or _simple(their[1])) and our[1] != their[1]:
            return f"'{our[0]}' defaults to {our[1]}, TensorFlow's to {their[1]}"
    return ""


def differences() -> dict[str, str]:
    """All differences by name: functions and constructors, then the methods of classes."""
    out = {}
    for name, theirs in DATA["api"].items():
        found = _found(name)
        if theirs is None or found is None or not callable(found):
            continue
        ours = parameters(found)
        if ours is not None and theirs != [["*args"], ["**kwargs"]]:
            text = difference(ours, theirs)
            if text:
                out[name] = text
    for name, members in DATA["members"].items():
        found = _found(name)
        if not inspect.isclass(found):
            continue
        for member, theirs in members.items():
            method = inspect.getattr_static(found, member, None)
            if method is None or not callable(getattr(found, member)) or member.startswith("_"):
                continue
            ours = parameters(getattr(found, member))
            if ours is not None:
                ours = ours[1:] if ours and ours[0] == ["self"] else ours
                text = difference(ours, theirs)
                if text:
                    out[f"{name}.{member}"] = text
    return out


def is_allowed(name: str) -> bool:
    return name in ALLOWED or name.endswith(ALIKE) or any(name.startswith(p) for p in ALLOWED_PREFIXES)


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    return differences()


def test_parameters_are_tensorflows(found) -> None:
    wrong = [f"tf.{name}: {text}" for name, text in sorted(found.items()) if not is_allowed(name)]
    assert not wrong, "\n".join([f"{len(wrong)} differences:", *wrong])


def test_the_listed_differences_are_there(found) -> None:
    idle = [n for n in ALLOWED if n not in found]
    idle += [p for p in ALLOWED_PREFIXES if not any(n.startswith(p) for n in found)]
    assert not idle, f"no longer different: {idle}"


def test_a_difference_is_seen() -> None:
    assert "default" in difference([["x"], ["name", "'a'"]], [["x"], ["name", "None"]])
    assert "parameters" in difference([["x"]], [["x"], ["name", "None"]])
    assert not difference([["x"], ["dtype", "tf.float32"]], [["x"], ["dtype", "<dtype: 'float32'>"]])
