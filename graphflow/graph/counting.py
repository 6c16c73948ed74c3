"""For how many operations a graph counts: op seeds are derived from that number (graph/seeds.py)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class OperationCount:
    """The operations that a graph has made, and those that TensorFlow would have made beside them (autodiff/counts.py)."""

    def __init__(self) -> None:
        self.made = 0
        self._others = 0  # negative where TensorFlow makes fewer
        self._apart = 0
        self._noted: set[Hashable] = set()

    def next_id(self) -> int:
        """The number of a new operation."""
        self.made += 1
        return self.made

    @property
    def total(self) -> int:
        """How many operations TensorFlow would have made by now."""
        return self.made + self._others

    @contextmanager
    def counting_for(self, number: int | None, apart: bool = False, whole: bool = False) -> Iterator[None]:
        """What is made in this block counts for `number` operations; None: for as many as it makes.

        apart: a block around this one that counts for a number of its own counts for these as well, unless its number is the `whole`.
        """
        before, apart_before = self.total, self._apart
        yield
        if number is not None:
            if whole:
                self._apart = apart_before
            number += self._apart - apart_before
            self._others += before + number - self.total
        if apart:
            self._apart = apart_before + self.total - before

    def first_time(self, *key: Hashable) -> bool:
        """Whether it is asked for the first time for a key: what TensorFlow computes once and notes in the graph counts once."""
        if key in self._noted:
            return False
        self._noted.add(key)
        return True
