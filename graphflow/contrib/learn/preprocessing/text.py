"""Texts as rows of word numbers or of bytes."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from graphflow.compat import gfile
from graphflow.contrib.learn.preprocessing.categorical_vocabulary import CategoricalVocabulary

__all__ = ["ByteProcessor", "VocabularyProcessor", "tokenizer"]

# runs of capitals, a capitalised word before another one ("TensorFlow" is two), and else letters, digits, _, ' and -
TOKENIZER_RE = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|[\'\w\-]+", re.UNICODE)


def tokenizer(iterator: Iterable[str]) -> Iterator[list[str]]:
    """The words of each text."""
    for text in iterator:
        yield TOKENIZER_RE.findall(text)


class VocabularyProcessor:
    """Texts to rows of `max_document_length` word numbers: longer ones are cut, shorter ones filled with 0.

    min_frequency: words counted so often or less are unknown. vocabulary: one to continue with. tokenizer_fn: from texts to lists of words.
    """

    def __init__(
        self,
        max_document_length: int,
        min_frequency: int = 0,
        vocabulary: CategoricalVocabulary | None = None,
        tokenizer_fn: Callable[[Iterable[str]], Iterable[Iterable[Any]]] | None = None,
    ) -> None:
        self.max_document_length = max_document_length
        self.min_frequency = min_frequency
        self.vocabulary_ = vocabulary or CategoricalVocabulary()
        self._tokenizer = tokenizer_fn or tokenizer

    def fit(self, raw_documents, unused_y=None):
        """Learns the words of some texts."""
        for tokens in self._tokenizer(raw_documents):
            for token in tokens:
                self.vocabulary_.add(token)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    def fit_transform(self, raw_documents, unused_y=None):
        """Learns the words of some texts; a generator of their rows."""
        self.fit(raw_documents)
        return self.transform(raw_documents)

    def transform(self, raw_documents):
        """Yields a row, int64 [max_document_length], for each text."""
        for tokens in self._tokenizer(raw_documents):
            row = np.zeros(self.max_document_length, np.int64)
            for place, token in zip(range(self.max_document_length), tokens):
                row[place] = self.vocabulary_.get(token)
            yield row

    def reverse(self, documents):
        """Yields the words of each row, with spaces between."""
        for row in documents:
            yield " ".join(self.vocabulary_.reverse(number) for number in row)

    def save(self, filename):
        """Writes the processor to a file (a pickle)."""
        with gfile.GFile(filename, "wb") as file:
            file.write(pickle.dumps(self))

    @classmethod
    def restore(cls, filename):
        """The processor in a file. It is a pickle: restore only files that you trust."""
        with gfile.GFile(filename, "rb") as file:
            return pickle.loads(file.read())


class ByteProcessor:
    """Texts to rows of `max_document_length` bytes."""

    def __init__(self, max_document_length):
        self.max_document_length = max_document_length

    def fit(self, x):
        """There is nothing to learn."""

    def fit_transform(self, x):
        """A generator of the rows of some texts."""
        return self.transform(x)

    def reverse(self, x):
        """Yields the text of each row; an empty one where its bytes are not UTF-8."""
        for row in x:
            try:
                yield np.trim_zeros(row.astype(np.int8), trim="b").tobytes().decode("utf-8")
            except UnicodeDecodeError:
                yield ""

    def transform(self, x):
        """Yields a row, uint8 [max_document_length], for each text (str or bytes)."""
        for document in x:
            data = document.encode("utf-8") if isinstance(document, str) else document
            row = np.frombuffer(data, np.uint8)[: self.max_document_length]
            yield np.pad(row, (0, self.max_document_length - len(row)))
