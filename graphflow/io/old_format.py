"""Writing checkpoints in TensorFlow's V1 format: one table with the tensors in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphflow import dtypes
from graphflow.errors import InvalidArgumentError
from graphflow.io.bundle import Item, shape_proto
from graphflow.io.files import make_parents, write_atomically
from graphflow.io.schema import SavedSlice, SavedSliceMeta, SavedTensorSliceMeta, SavedTensorSlices, TensorProto, VersionDef
from graphflow.io.slices import proto_of, slice_key
from graphflow.io.table import Pair, write_table
from graphflow.io.tensors import FIELDS

# The most bytes that an element of a type may take in a message: a negative number of an integer type takes ten.
_MOST_BYTES = {
    dtypes.bool: 1, dtypes.uint8: 2, dtypes.uint16: 3, dtypes.float16: 3, dtypes.float32: 4, dtypes.float64: 8, dtypes.complex64: 8,
    dtypes.complex128: 16, dtypes.string: 1,
}  # fmt: skip
_HEADER = 1 << 10
_LIMIT = 1 << 31  # of a message


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
        bound = array.size * _MOST_BYTES.get(dtype, 10)
        if bound + _HEADER > _LIMIT:
            size = f"conservative estimate: {bound + _HEADER} bytes"
            raise InvalidArgumentError(None, None, f"Tensor slice is too large to serialize ({size}): {name}")
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
