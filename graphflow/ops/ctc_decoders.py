"""Reading a label sequence off the outputs of a net trained with the CTC loss: by the best label of each step, or by a beam search."""

from __future__ import annotations

from heapq import heapify, heappush, heapreplace
from typing import Any

import numpy as np

from graphflow.dtypes import float32, float64, int64
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.composite import SparseTensor
from graphflow.graph.dims import merge_size
from graphflow.graph.op import TensorSpec
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank


class _Decoder(HostOp, abstract=True):
    """inputs [time, batch, classes] and sequence_length [batch] to sparse label sequences [batch, longest] and [batch, paths] scores."""

    arguments = ("inputs: T", "sequence_length: int32")
    types = {"T": (float32, float64)}

    def _batch(self, inputs: TensorSpec, sequence_length: TensorSpec) -> Any:
        need_rank(inputs, 3)
        need_rank(sequence_length, 1)
        batch = None if inputs.dims is None else inputs.dims[1]
        return batch if sequence_length.dims is None else merge_size(batch, sequence_length.dims[0])

    def _check(self, inputs: Any, sequence_length: Any) -> None:
        if len(sequence_length) != inputs.shape[1]:
            given = f"len(sequence_length):  {len(sequence_length)} batch_size: {inputs.shape[1]}"
            raise _refuse(f"len(sequence_length) != batch_size.  {given}")
        for b, length in enumerate(sequence_length.tolist()):
            if not 0 <= length <= len(inputs):
                raise _refuse(f"sequence_length({b}) <= {len(inputs)}")


def _refuse(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(None, None, text)


def _sparse_parts(sequences: list[list[int]]) -> tuple[Any, Any, Any]:
    """Indices, values and shape of a SparseTensor whose rows are the sequences."""
    indices = [(b, k) for b, labels in enumerate(sequences) for k in range(len(labels))]
    values = [label for labels in sequences for label in labels]
    longest = max(map(len, sequences), default=0)
    return np.array(indices, np.int64).reshape(-1, 2), np.array(values, np.int64), np.array([len(sequences), longest], np.int64)


class CTCGreedyDecoder(_Decoder):
    """The best class of each step without blanks; with merge_repeated a class that follows itself counts once. The score is minus the sum
    of the best logits."""

    results = ("decoded_indices: int64", "decoded_values: int64", "decoded_shape: int64", "log_probability: T")
    merge_repeated: bool = False

    def infer(self, inputs: TensorSpec, sequence_length: TensorSpec) -> tuple[TensorSpec, ...]:
        batch = self._batch(inputs, sequence_length)
        parts = (TensorSpec(int64, (None, 2)), TensorSpec(int64, (None,)), TensorSpec(int64, (2,)))
        return (*parts, TensorSpec(inputs.dtype, (batch, 1)))

    def run(self, inputs: Any, sequence_length: Any) -> Any:
        self._check(inputs, sequence_length)
        best, blank = inputs.argmax(2), inputs.shape[2] - 1
        score = np.zeros((inputs.shape[1], 1), inputs.dtype)
        sequences = []
        for b, length in enumerate(sequence_length.tolist()):
            row = best[:length, b]
            kept = row != blank
            if self.merge_repeated:
                kept[1:] &= row[1:] != row[:-1]
            sequences.append(row[kept].tolist())
            score[b, 0] = -inputs[np.arange(length), b, row].sum(dtype=inputs.dtype)
        return (*_sparse_parts(sequences), score)


class CTCBeamSearchDecoder(_Decoder):
    """The top_paths most probable label sequences that a search with beam_width prefixes finds, and the logarithms of their probabilities.
    merge_repeated: of a label that stands several times in a row in the result one is left."""

    results = (
        "decoded_indices: top_paths*int64", "decoded_values: top_paths*int64", "decoded_shape: top_paths*int64", "log_probability: T",
    )  # fmt: skip
    beam_width: int
    top_paths: int
    merge_repeated: bool = True

    def infer(self, inputs: TensorSpec, sequence_length: TensorSpec) -> tuple[TensorSpec, ...]:
        for name in ("beam_width", "top_paths"):
            if getattr(self, name) < 1:
                raise ValueError(f"Value for attr '{name}' of {getattr(self, name)} must be at least minimum 1")
        batch = self._batch(inputs, sequence_length)
        parts = (TensorSpec(int64, (None, 2)), TensorSpec(int64, (None,)), TensorSpec(int64, (2,)))
        return (*(p for p in parts for _ in range(self.top_paths)), TensorSpec(inputs.dtype, (batch, self.top_paths)))

    def run(self, inputs: Any, sequence_length: Any) -> Any:
        self._check(inputs, sequence_length)
        if self.top_paths > self.beam_width:
            raise _refuse(f"Requested more paths ({self.top_paths}) than the beam width ({self.beam_width}).")
        scores = np.zeros((inputs.shape[1], self.top_paths), inputs.dtype)
        paths: list[list[list[int]]] = [[] for _ in range(self.top_paths)]
        for b, length in enumerate(sequence_length.tolist()):
            search = _BeamSearch(self.beam_width, inputs.shape[2] - 1, inputs.dtype)
            for t in range(length):
                search.step(inputs[t, b])
            found = search.best(self.top_paths, self.merge_repeated)
            if len(found) < self.top_paths:
                raise _refuse("Less leaves in the beam search than requested.")
            for k, (labels, score) in enumerate(found):
                paths[k].append(labels)
                scores[b, k] = score
        parts = [_sparse_parts(p) for p in paths]
        return (*(part for group in zip(*parts, strict=True) for part in group), scores)


class _BeamSearch:
    """Prefixes of label sequences with the probabilities that they end in a blank and in their last label (Graves 2012, section 7.5.3).

    A prefix is a node of a tree, known by number; those of the beam stand in arrays, the most probable first.
    """

    def __init__(self, width: int, blank: int, dtype: Any) -> None:
        self._width, self._blank = width, blank
        self._parent, self._label = [-1], [-1]
        self._children: dict[tuple[int, int], int] = {}
        self._nodes = [0]
        self._ends_blank = np.zeros(1, dtype)
        self._ends_label = np.full(1, -np.inf, dtype)

    def step(self, logits: Any) -> None:
        """Takes in the outputs of one time step."""
        top = logits.max()
        logs = logits - (top + np.log(np.exp(logits - top).sum()))
        place = {node: k for k, node in enumerate(self._nodes)}
        labels = np.array([self._label[n] for n in self._nodes])
        total = np.logaddexp(self._ends_blank, self._ends_label)
        grown = np.where(labels[:, None] == np.arange(self._blank), self._ends_blank[:, None], total[:, None]) + logs[: self._blank]
        ends_blank = total + logs[self._blank]
        ends_label = self._ends_label
        held: list[dict[int, int]] = [{} for _ in self._nodes]  # the children of each prefix that the beam holds, by label
        for k, node in enumerate(self._nodes):
            parent = place.get(self._parent[node])
            if parent is not None:  # what its parent adds to this prefix goes there
                held[parent][int(labels[k])] = k
                ends_label[k] = np.logaddexp(ends_label[k], grown[parent, labels[k]] - logs[labels[k]])
                grown[parent, labels[k]] = -np.inf
        ends_label = np.where(labels >= 0, ends_label + logs[labels], -np.inf).astype(total.dtype)
        beam = self._grow(total, np.logaddexp(ends_blank, ends_label), grown, held)
        count = len(self._nodes)
        nodes = self._nodes
        self._nodes = [nodes[k] if k < count else self._child(nodes[k // self._blank - count], k % self._blank) for _, k in beam]
        fresh = np.array([k >= count for _, k in beam])
        old = np.array([k if k < count else 0 for _, k in beam])
        self._ends_blank = np.where(fresh, -np.inf, ends_blank[old]).astype(total.dtype)
        self._ends_label = np.where(fresh, [score for score, _ in beam], ends_label[old]).astype(total.dtype)

    def _grow(self, before: Any, after: Any, grown: Any, held: list[dict[int, int]]) -> list[tuple[float, int]]:
        """The best prefixes after the step, each with its probability: number k of the old beam, or (count + parent) * labels + label.

        One prefix after the other is grown, the most probable before the step first, and whatever is better than the worst in the beam
        takes its place. A prefix that lost its place is not grown any more once its parent has been.
        """
        count = len(after)
        heap = [(float(score), k) for k, score in enumerate(after)]
        heapify(heap)
        lost: set[int] = set()
        closed: set[int] = set()
        best = grown.max(1, initial=-np.inf)
        for k in range(count):
            full = len(heap) == self._width
            if k in closed or before[k] == -np.inf or (full and before[k] <= heap[0][0]):
                continue
            if full and best[k] <= heap[0][0]:
                closed.update(c for c in held[k].values() if c in lost)
                continue
            for label, score in enumerate(grown[k].tolist()):
                if held[k].get(label) in lost:
                    closed.add(held[k][label])
                if score == -np.inf or (len(heap) == self._width and score <= heap[0][0]):
                    continue
                entry = (score, (count + k) * self._blank + label)
                if len(heap) < self._width:
                    heappush(heap, entry)
                else:
                    lost.add(heapreplace(heap, entry)[1])
        return sorted(heap, key=lambda entry: (-entry[0], entry[1]))

    def _child(self, node: int, label: int) -> int:
        found = self._children.get((node, label))
        if found is None:
            found = self._children[node, label] = len(self._parent)
            self._parent.append(node)
            self._label.append(label)
        return found

    def best(self, count: int, merge: bool) -> list[tuple[list[int], Any]]:
        """The most probable prefixes as labels, and the logarithms of their probabilities."""
        total = np.logaddexp(self._ends_blank, self._ends_label)
        found = []
        for k in np.argsort(-total, kind="stable")[:count]:
            node, labels = self._nodes[k], []
            while node:
                labels.append(self._label[node])
                node = self._parent[node]
            labels.reverse()
            if merge:
                labels = [v for i, v in enumerate(labels) if not i or v != labels[i - 1]]
            found.append((labels, total[k]))
        return found


def ctc_greedy_decoder(inputs, sequence_length, merge_repeated=True):
    """([SparseTensor int64 [batch, longest]], float [batch, 1]): the best class of every step, and minus the sum of its logits.

    inputs: float [time, batch, classes], the last class being the blank. sequence_length: int32 [batch].
    """
    indices, values, dims, score = make("CTCGreedyDecoder", inputs, sequence_length, merge_repeated=merge_repeated)
    return [SparseTensor(indices, values, dims)], score


def ctc_beam_search_decoder(inputs, sequence_length, beam_width=100, top_paths=1, merge_repeated=True):
    """(a list of top_paths SparseTensors int64 [batch, longest], float [batch, top_paths]): the most probable sequences first, and the
    logarithms of their probabilities. Arguments as for ctc_greedy_decoder."""
    fields = {"beam_width": beam_width, "top_paths": top_paths, "merge_repeated": merge_repeated}
    found = make("CTCBeamSearchDecoder", inputs, sequence_length, **fields)
    return [SparseTensor(*found[k : 3 * top_paths : top_paths]) for k in range(top_paths)], found[-1]


def ctc_beam_search_decoder_v2(inputs, sequence_length, beam_width=100, top_paths=1):
    """ctc_beam_search_decoder without merging of repeated labels in the result."""
    return ctc_beam_search_decoder(inputs, sequence_length, beam_width, top_paths, merge_repeated=False)
