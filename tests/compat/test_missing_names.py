"""A name that TensorFlow has and graphflow lacks fails where it is used, with one line; any other name is an ordinary AttributeError."""

from __future__ import annotations

import pytest

import graphflow as tf
from graphflow.missing import MissingName, names_of, namespaces, tensorflow_names

NAMESPACES = ("nn", "train", "io", "errors", "image", "contrib.layers", "keras.layers", "lookup", "losses", "summary", "dtypes")


def at(path: str) -> object:
    found: object = tf
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_names_that_nobody_has(namespace: str) -> None:
    with pytest.raises(AttributeError):
        at(f"{namespace}.no_such_name_anywhere")


@pytest.mark.parametrize("namespace", sorted(namespaces()))
def test_every_namespace_says_what_it_lacks(namespace: str) -> None:
    missing = []
    for name in sorted(n for n in tensorflow_names() if "/" not in n and n.rpartition(".")[0] == namespace):
        try:
            at(name)
        except MissingName as error:
            missing.append(str(error))
        except AttributeError as error:
            pytest.fail(f"{name}: {error}")
    assert all("\n" not in m and m.startswith("TensorFlow 1.15 has tf.") for m in missing)


def test_the_nearest_name_is_given() -> None:
    lookup = names_of("nn")
    with pytest.raises(MissingName) as caught:
        lookup("quantized_conv2d")
    assert "TensorFlow 1.15 has tf.nn.quantized_conv2d" in str(caught.value)
    with pytest.raises(AttributeError, match=r"the nearest name that is here: tf\.nn\.conv2d"):
        tf.nn.convv2d  # noqa: B018


def test_namespaces_of_aliases() -> None:
    assert tf.debugging.assert_equal is tf.assert_equal
    assert tf.manip.tile is tf.tile
