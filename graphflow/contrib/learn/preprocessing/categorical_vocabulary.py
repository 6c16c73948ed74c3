"""Numbers for words."""

from __future__ import annotations

from typing import Any

__all__ = ["CategoricalVocabulary"]


class CategoricalVocabulary:
    """Numbers for words (or other hashable things). Until it is frozen, a word that is asked for gets the next number."""

    def __init__(self, unknown_token="<UNK>", support_reverse=True):
        self._unknown_token = unknown_token
        self._support_reverse = support_reverse
        self._mapping: dict[Any, int] = {unknown_token: 0}
        if support_reverse:
            self._reverse_mapping: list[Any] = [unknown_token]
        self._freq: dict[Any, int] = {}
        self._freeze = False

    def __len__(self) -> int:
        return len(self._mapping)

    def freeze(self, freeze=True):
        """From now on (or, with False, no longer) new words are unknown ones."""
        self._freeze = freeze

    def get(self, category):
        """The number of a word; 0 where it is unknown."""
        number = self._mapping.get(category)
        if number is None:
            if self._freeze:
                return 0
            number = self._number(category)
        return number

    def _number(self, category: Any) -> int:
        number = self._mapping[category] = len(self._mapping)
        if self._support_reverse:
            self._reverse_mapping.append(category)
        return number

    def add(self, category, count=1):
        """Counts a word."""
        if self.get(category) > 0:
            self._freq[category] = self._freq.get(category, 0) + count

    def trim(self, min_frequency, max_frequency=-1):
        """Forgets words that were counted `min_frequency` times or less (or `max_frequency` times or more, if that is positive), and
        numbers the others anew: the most frequent first, equally frequent ones by alphabet."""
        ordered = sorted(self._freq.items(), key=lambda item: (-item[1], isinstance(item[0], str), item[0]))
        self._mapping = {self._unknown_token: 0}
        if self._support_reverse:
            self._reverse_mapping = [self._unknown_token]
        for category, count in ordered:
            if count > min_frequency and not 0 < max_frequency <= count:
                self._number(category)
        self._freq = {category: count for category, count in ordered if category in self._mapping}

    def reverse(self, class_id):
        """The word of a number. ValueError where the vocabulary was made without `support_reverse`."""
        if not self._support_reverse:
            raise ValueError("This vocabulary wasn't initialized with support_reverse to support reverse() function.")
        return self._reverse_mapping[class_id]
