"""Writing checkpoints in TensorFlow's V1 format: one table with the tensors in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow import dtypes
from graphflow.io.bundle import Item, shape_proto
from graphflow.io.files import make_parents, write_atomically
from graphflow.io.schema import SavedSlice, SavedSliceMeta, SavedTensorSliceMeta, SavedTensorSlices, TensorProto, VersionDef
from graphflow.io.slices import proto_of, slice_key
from graphflow.io.table import Pair, write_table
from graphflow.io.tensors import FIELDS


def write_old(path: str, items: Sequence[Item]) -> None:
    """Writes a checkpoint: (name, type, value, part) for each tensor."""
    meta = SavedTensorSliceMeta(versions=VersionDef(producer=1))
    tensors: dict[str, SavedSliceMeta] = {}
    pairs: list[Pair] = []
    for name, dtype, array, part in items:
        shape = array.shape if part is None else part.full_shape
        bounds = tuple((0, None) for _ in shape) if part is None else part.bounds
        if name not in tensors:
            tensors[name] = meta.tensor.add(name=name, shape=shape_proto(shape), type=int(dtype))
        tensors[name].slice.append(proto_of(bounds))
        data = TensorProto()
        if dtype is dtypes.string:
            data.string_val.extend(array.ravel().tolist())
        else:
            field, numbers = FIELDS[dtype]
            flat = np.ascontiguousarray(array).reshape(-1)
            getattr(data, field).extend((flat if numbers is None else flat.view(numbers)).tolist())
        record = SavedTensorSlices(data=SavedSlice(name=name, slice=proto_of(bounds), data=data))
        pairs.append((slice_key(name.encode(), bounds), record.SerializeToString()))
    pairs.append((b"", SavedTensorSlices(meta=meta).SerializeToString()))
    make_parents(path)
    write_atomically(path, write_table(sorted(pairs)))
