"""Where recorded answers are kept: one npz with an index as JSON and, per dtype, the elements of all arrays in one row."""

from __future__ import annotations

import json

import numpy as np


class Answers:
    """`values`: arrays by label (None stands for a gradient that there is not). `refusals`: stage, exception class and text by label."""

    def __init__(self, values, refusals):
        self.values, self.refusals = values, refusals

    def save(self, path):
        rows, index = {}, {}
        for name in sorted(self.values):
            index[name] = [None if a is None else [a.dtype.name, list(a.shape)] for a in self.values[name]]
            for array in self.values[name]:
                if array is not None:
                    rows.setdefault(array.dtype.name, []).append(array.ravel())
        document = json.dumps({"values": index, "refusals": self.refusals}, sort_keys=True).encode()
        np.savez_compressed(path, index=np.frombuffer(document, np.uint8), **{n: np.concatenate(r) for n, r in rows.items()})

    @classmethod
    def load(cls, path):
        with np.load(path) as stored:
            rows = {name: stored[name] for name in stored.files}
        document = json.loads(rows.pop("index").tobytes().decode())
        taken = dict.fromkeys(rows, 0)

        def array(described):
            if described is None:
                return None
            dtype, shape = described
            start, size = taken[dtype], int(np.prod(shape, dtype=np.int64))
            taken[dtype] = start + size
            return rows[dtype][start : start + size].reshape(shape)

        values = {name: [array(d) for d in document["values"][name]] for name in sorted(document["values"])}
        return cls(values, document["refusals"])
