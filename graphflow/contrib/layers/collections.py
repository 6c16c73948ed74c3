"""What the layer functions of tf.contrib.layers share: collections of variables and outputs, and variables that belong to the model."""

from __future__ import annotations

from typing import Any

from graphflow.contrib.framework.variables import model_variable
from graphflow.graph.scopes import add_to_collection, add_to_collections


def variable_collections(collections: Any, name: str) -> Any:
    """The collections for the variable `name`, where they are given by name or for all alike."""
    return collections.get(name) if isinstance(collections, dict) else collections


def collect_variable(variable: Any, collections: Any, name: str) -> None:
    """Adds a variable to the collections given for its name."""
    if variable is not None:
        for collection in variable_collections(collections, name) or []:
            add_to_collection(collection, variable)


def collect_output(collections: Any, alias: str, outputs: Any) -> Any:
    """The outputs, added to the collections and known there as `alias`."""
    if collections:
        alias = alias.rstrip("/")
        outputs.aliases = [*getattr(outputs, "aliases", []), alias]
        add_to_collections(collections, outputs)
    return outputs


def as_model_variables(**renamed: str) -> Any:
    """A getter for a variable scope whose variables become model variables, with names of layers changed (kernel="weights")."""

    def getter(getter: Any, name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
               trainable: bool = True, collections: Any = None, caching_device: Any = None, partitioner: Any = None,
               use_resource: Any = None, **_: Any) -> Any:  # fmt: skip
        scope, slash, last = name.rpartition("/")
        return model_variable(
            f"{scope}{slash}{renamed.get(last, last)}", shape=shape, dtype=dtype, initializer=initializer, regularizer=regularizer,
            collections=collections, trainable=trainable, caching_device=caching_device, partitioner=partitioner, custom_getter=getter,
            use_resource=use_resource,
        )  # fmt: skip

    return getter
