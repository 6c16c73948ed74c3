"""Compiling goes on without searches for garbage, and what a large program leaves is not searched right after it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from graphflow.runtime.steps import MANY, uncollected


@pytest.fixture(autouse=True)
def _collecting() -> Iterator[None]:
    """A search for garbage just made, and none frozen."""
    gc.enable()
    gc.unfreeze()
    gc.collect()
    yield
    gc.unfreeze()
    gc.enable()


def _old(thing: object) -> bool:
    return any(held is thing for held in gc.get_objects(generation=2))


def test_what_a_large_program_leaves_is_old_at_once() -> None:
    searches: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        searches.append(phase)

    gc.callbacks.append(note)
    try:
        with uncollected():
            made = [[k] for k in range(2 * MANY)]
        more = [[k] for k in range(10)]  # new objects, of which the first would begin a search
    finally:
        gc.callbacks.remove(note)
    assert not searches and gc.isenabled()
    assert _old(made[0]) and _old(made[-1]) and not _old(more[0])
    assert gc.get_freeze_count() == 0


def test_what_a_small_one_leaves_is_as_young_as_ever() -> None:
    with uncollected():
        made = [[k] for k in range(100)]
    assert gc.isenabled() and not _old(made[0])


def test_what_the_program_has_frozen_stays_so() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with uncollected():
        made = [[k] for k in range(2 * MANY)]
    assert gc.get_freeze_count() == frozen > 0 and made


def test_nothing_is_searched_afterwards_where_nothing_was_before() -> None:
    gc.disable()
    with uncollected():
        made = [[k] for k in range(2 * MANY)]
    assert not gc.isenabled() and not _old(made[0])
