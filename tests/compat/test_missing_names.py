"""A name that TensorFlow has and graphflow lacks fails where it is used, with one line; any other name is an ordinary AttributeError."""

from __future__ import annotations

import types
from collections.abc import Iterator

import pytest

import graphflow as tf
from graphflow import compat
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


@pytest.fixture
def hook() -> Iterator[None]:
    compat.install()
    yield
    compat.uninstall()


@pytest.mark.usefixtures("hook")
def test_what_is_imported_fails_where_it_is_used() -> None:
    from tensorflow.contrib.learn import DNNClassifier
    from tensorflow.keras import layers
    from tensorflow.keras.layers import Dense
    from tensorflow.python.keras import backend as K

    for use in (lambda: Dense(3), lambda: layers.Dense(3), lambda: types.new_class("Mine", (Dense,)), lambda: isinstance(3, Dense)):
        with pytest.raises(MissingName, match=r"TensorFlow 1.15 has tf\.keras\.layers\.Dense, .*the nearest name .* tf\.layers\.Dense$"):
            use()
    with pytest.raises(MissingName, match=r"tf\.contrib\.learn\.DNNClassifier"):
        DNNClassifier.fit()
    with pytest.raises(MissingName, match="clear_session"):
        K.clear_session()
    with pytest.raises(ImportError):
        from tensorflow.keras.layers import NoSuchLayer  # noqa: F401
    assert not hasattr(tf.keras.layers, "Dense")
