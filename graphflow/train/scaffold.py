"""tf.train.Scaffold: the operations that a training program needs besides its own: initialisers, checks, summaries, a saver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.compat import logging
from graphflow.graph.build import make
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.ops import resources
from graphflow.ops.source import group
from graphflow.ops.variable_checks import report_uninitialized_variables
from graphflow.ops.variables import global_variables, global_variables_initializer, local_variables_initializer
from graphflow.summary.ops import merge_all
from graphflow.train.saver import saver_or_default


class Scaffold:
    """What is given, or is made by `finalize` from the graph's collections.

    init_fn: called as init_fn(scaffold, session) after init_op. ready_op: names of what is not initialised; empty when all is.
    """

    def __init__(
        self,
        init_op: Any = None,
        init_feed_dict: Any = None,
        init_fn: Callable[[Scaffold, Any], Any] | None = None,
        ready_op: Any = None,
        ready_for_local_init_op: Any = None,
        local_init_op: Any = None,
        summary_op: Any = None,
        saver: Any = None,
        copy_from_scaffold: Scaffold | None = None,
    ) -> None:
        given = {
            "init_op": init_op, "init_feed_dict": init_feed_dict, "user_init_fn": init_fn, "ready_op": ready_op,
            "ready_for_local_init_op": ready_for_local_init_op, "local_init_op": local_init_op, "summary_op": summary_op, "saver": saver,
        }  # fmt: skip
        if copy_from_scaffold is not None and not isinstance(copy_from_scaffold, Scaffold):
            raise TypeError("copy_from_scaffold is not a Scaffold instance.")
        for name, value in given.items():
            if value is None and copy_from_scaffold is not None:
                value = getattr(copy_from_scaffold, "_" + name)
            setattr(self, "_" + name, value)

    def finalize(self) -> Scaffold:
        """Makes what was not given, and finalises the graph."""
        self._default("init_op", GraphKeys.INIT_OP, _init_op)
        self._default("ready_op", GraphKeys.READY_OP, _ready_op)
        self._default("ready_for_local_init_op", GraphKeys.READY_FOR_LOCAL_INIT_OP, _ready_for_local_init_op)
        self._default("local_init_op", GraphKeys.LOCAL_INIT_OP, self.default_local_init_op)
        self._default("summary_op", GraphKeys.SUMMARY_OP, merge_all)
        if self._saver is None:
            self._saver = saver_or_default()
        self._saver.build()
        get_default_graph().finalize()
        logging.info("Graph was finalized.")
        return self

    def _default(self, name: str, key: str, make_default: Callable[[], Any]) -> None:
        if getattr(self, "_" + name) is None:
            setattr(self, "_" + name, self.get_or_default(name, key, make_default))

    @staticmethod
    def get_or_default(arg_name: str, collection_key: str, default_constructor: Callable[[], Any]) -> Any:
        """The item of a collection, or a new one that is put there. RuntimeError where there are several."""
        found = get_collection(collection_key)
        if len(found) > 1:
            raise RuntimeError(
                f'More than one item in the collection "{collection_key}". Please indicate which one to use by passing it to the '
                f"tf.Scaffold constructor as:  tf.Scaffold({arg_name}=item to use)"
            )
        if found:
            return found[0]
        item = default_constructor()
        if item is not None:
            add_to_collection(collection_key, item)
        return item

    @staticmethod
    def default_local_init_op() -> Any:
        """An operation that initialises local variables, tables and local resources."""
        return group(
            local_variables_initializer(),
            resources.tables_initializer(),
            resources.initialize_resources(resources.local_resources()),
        )

    @property
    def init_op(self) -> Any:
        """Initialises global variables."""
        return self._init_op  # type: ignore[attr-defined]

    @property
    def init_feed_dict(self) -> Any:
        """What is fed to init_op."""
        return self._init_feed_dict  # type: ignore[attr-defined]

    @property
    def init_fn(self) -> Callable[[Any], Any] | None:
        """Called with the session after init_op."""
        user = self._user_init_fn  # type: ignore[attr-defined]
        return (lambda session: user(self, session)) if user else None

    @property
    def ready_op(self) -> Any:
        """The names of what is not initialised."""
        return self._ready_op  # type: ignore[attr-defined]

    @property
    def ready_for_local_init_op(self) -> Any:
        """The names of what must be initialised before local_init_op and is not."""
        return self._ready_for_local_init_op  # type: ignore[attr-defined]

    @property
    def local_init_op(self) -> Any:
        """Initialises what is not saved in checkpoints."""
        return self._local_init_op  # type: ignore[attr-defined]

    @property
    def summary_op(self) -> Any:
        """All summaries, merged; None where there are none."""
        return self._summary_op  # type: ignore[attr-defined]

    @property
    def saver(self) -> Any:
        """Saves the model."""
        return self._saver


def _init_op() -> Any:
    return group(global_variables_initializer(), resources.initialize_resources(resources.shared_resources()))


def _joined(variables: Any, others: Any) -> Any:
    return make("ConcatV2", [variables, others], 0, name="concat")


def _ready_op() -> Any:
    return _joined(report_uninitialized_variables(), resources.report_uninitialized_resources())


def _ready_for_local_init_op() -> Any:
    shared = resources.shared_resources()
    return _joined(report_uninitialized_variables(global_variables()), resources.report_uninitialized_resources(shared))
