"""Ops that move elements: shapes, slices, joins, gathers, blocks."""

from __future__ import annotations

from tests.golden.describe import FLOATS, INTEGERS, Family, awkward, of, some, typed

exact = Family()
summed = Family(ulps=4, of_largest=True)


def longs(values):
    return typed(values, "int64")


for shape, to in (((2, 6), [3, 4]), ((2, 6), [-1]), ((2, 6), [4, -1]), ((1,), []), ((), [1, 1]), ((0, 6), [3, -1, 4]), ((0, 3), [0])):
    exact("Reshape", tensor=some(*shape), shape=typed(to, "int32"))
    exact("Reshape", tensor=some(*shape), shape=longs(to))
exact("Reshape", tensor=awkward(), shape=typed([-1, 1]))
for shape, axis in (((3,), 0), ((3,), 1), ((3,), -1), ((2, 3), -3), ((), 0), ((), -1), ((0, 2), 1)):
    exact("ExpandDims", input=some(*shape), axis=typed(axis))
    exact("ExpandDims", input=some(*shape), axis=longs(axis))
for shape, axes in (((1, 3, 1), []), ((1, 3, 1), [0]), ((1, 3, 1), [-1]), ((1, 3, 1), [0, 2]), ((1,), []), ((3,), []), ((0, 1), [1])):
    exact("Squeeze", input=some(*shape), axis=axes)
for shape, order in (((3, 4), [1, 0]), ((2, 3, 4), [2, 0, 1]), ((2, 3, 4, 2), [0, 3, 1, 2]), ((5,), [0]), ((), []), ((0, 3), [1, 0])):
    exact("Transpose", x=some(*shape), perm=typed(order))
    exact("Transpose", x=some(*shape), perm=longs(order))
exact("transpose", a=some(2, 3, 4))
for shape, axes in (((5,), [0]), ((3, 4), [1]), ((3, 4), [0, -1]), ((2, 3, 4), [-2]), ((2, 3), []), ((0, 3), [0])):
    exact("ReverseV2", tensor=some(*shape), axis=typed(axes))
    exact("ReverseV2", tensor=some(*shape), axis=longs(axes))
for shape, to in (((3,), [2, 3]), ((2, 1), [2, 4]), ((), [3]), ((1, 1), [0, 5]), ((3,), [3])):
    summed("BroadcastTo", input=some(*shape), shape=typed(to))
for shape, times in (((3,), [2]), ((2, 3), [2, 1]), ((2, 3), [1, 3]), ((2, 3), [0, 2]), ((), []), ((1, 2, 1), [2, 2, 3])):
    summed("Tile", input=some(*shape), multiples=typed(times))
    summed("Tile", input=some(*shape), multiples=longs(times))
for order in ([0], [2, 0, 1], [3, 1, 0, 2], []):
    exact("InvertPermutation", x=typed(order))
    exact("InvertPermutation", x=longs(order))

for axis, shapes in (
    (0, ((2, 3), (1, 3))), (1, ((2, 3), (2, 1), (2, 0))), (-1, ((2, 3), (2, 2))), (-2, ((1, 2), (3, 2))), (0, ((3,), (0,), (2,))),
    (2, ((2, 1, 3), (2, 1, 1))),
):  # fmt: skip
    exact("ConcatV2", values=[some(*s) for s in shapes], axis=typed(axis))
    exact("ConcatV2", values=[some(*s) for s in shapes], axis=longs(axis), gradient=False)  # nor has TensorFlow gradients for some int64 sizes
exact("concat", values=[awkward(), some(3)], axis=0)
exact("concat", values=[some(3)], axis=0)
for axis, shape, count in ((0, (3,), 2), (1, (2, 3), 3), (-1, (2, 3), 2), (-3, (2, 3), 1), (0, (), 4), (0, (0, 2), 2)):
    exact("Pack", values=[some(*shape) for _ in range(count)], axis=axis)
for axis, shape in ((0, (3,)), (1, (2, 3)), (-1, (2, 4)), (-2, (3, 2)), (0, (2, 0)), (2, (2, 1, 3))):
    exact("Unpack", value=some(*shape), num=shape[axis], axis=axis)
for axis, shape, ways in ((0, (6,), 3), (1, (2, 4), 2), (-1, (3, 6), 6), (0, (4, 0), 2), (1, (2, 0), 2), (0, (3,), 1)):
    exact("Split", axis=typed(axis), value=some(*shape), num_split=ways)
for axis, shape, sizes in ((0, (6,), [1, 2, 3]), (1, (2, 5), [4, 1]), (-1, (2, 5), [-1, 2]), (0, (4, 2), [0, 4, 0]), (0, (3,), [3])):
    exact("SplitV", value=some(*shape), size_splits=typed(sizes), axis=typed(axis), num_split=len(sizes))
    exact("SplitV", value=some(*shape), size_splits=longs(sizes), axis=typed(axis), num_split=len(sizes))
exact("ConcatOffset", concat_dim=typed(1), shape=[typed([2, 2, 7]), typed([2, 3, 7]), typed([2, 9, 7])])

for shape, begin, size in (((5,), [1], [3]), ((3, 4), [0, 2], [-1, 2]), ((3, 4), [1, 1], [1, -1]), ((2, 3, 4), [0, 1, 2], [2, 0, 2]), ((), [], [])):
    exact("Slice", input=some(*shape), begin=typed(begin), size=typed(size))
    exact("Slice", input=some(*shape), begin=longs(begin), size=longs(size), gradient=False)
for shape, begin, end, strides, masks in (
    ((7,), [1], [6], [2], {}), ((7,), [-1], [-8], [-1], {}), ((7,), [5], [0], [-2], {}), ((7,), [-3], [100], [1], {}),
    ((7,), [3], [3], [1], {}), ((7,), [2], [0], [1], {}), ((7,), [0], [0], [-1], {"begin_mask": 1, "end_mask": 1}),
    ((3, 4), [1, 0], [2, 3], [1, 2], {"shrink_axis_mask": 1}), ((3, 4), [-1, -1], [0, 0], [1, 1], {"shrink_axis_mask": 3}),
    ((3, 4), [0, 1], [0, 3], [1, 1], {"begin_mask": 1, "end_mask": 1}), ((2, 3, 4), [0, 1], [0, 2], [1, 1], {"ellipsis_mask": 1}),
    ((2, 3, 4), [1, 0, 2], [2, 0, 3], [1, 1, 1], {"ellipsis_mask": 2, "shrink_axis_mask": 1}),
    ((3, 4), [0, 0, 1], [0, 3, 3], [1, 1, 1], {"new_axis_mask": 1}), ((3,), [0, 0], [3, 0], [2, 1], {"new_axis_mask": 2}),
    ((0, 3), [0, 1], [5, 3], [1, 1], {}), ((3, 4, 2), [2], [0], [-1], {}),
):  # fmt: skip
    exact("StridedSlice", input=some(*shape), begin=typed(begin), end=typed(end), strides=typed(strides), **masks)
    exact("StridedSlice", input=some(*shape), begin=longs(begin), end=longs(end), strides=longs(strides), dtypes="float32", **masks)
exact("StridedSliceGrad", shape=typed([7]), begin=typed([1]), end=typed([6]), strides=typed([2]), dy=some(3))
exact("StridedSliceGrad", shape=typed([3, 4]), begin=typed([-1, 0]), end=typed([0, 4]), strides=typed([1, 3]), dy=some(2), shrink_axis_mask=1)
exact("StridedSliceGrad", shape=longs([5]), begin=longs([4]), end=longs([-6]), strides=longs([-1]), dy=some(5))

for shape, paddings in (((3,), [[1, 2]]), ((2, 3), [[0, 1], [2, 0]]), ((0, 2), [[1, 0], [0, 1]]), ((), []), ((2, 1, 2), [[0, 0], [1, 1], [0, 0]])):
    paddings = paddings or [[0, 0]][:0]
    given = typed(paddings) if paddings else typed([[0, 0]][:0])
    if shape:
        exact("Pad", input=some(*shape), paddings=given)
        exact("Pad", input=some(*shape), paddings=longs(paddings), dtypes=FLOATS, gradient=False)
        exact("PadV2", input=some(*shape), paddings=given, constant_values=some())
for mode, shape, paddings in (
    ("REFLECT", (4,), [[3, 2]]), ("REFLECT", (3, 4), [[1, 2], [0, 3]]), ("SYMMETRIC", (4,), [[4, 1]]), ("SYMMETRIC", (2, 3), [[2, 2], [3, 0]]),
    ("REFLECT", (3,), [[0, 0]]), ("SYMMETRIC", (1, 2), [[1, 1], [1, 1]]),
):  # fmt: skip
    summed("MirrorPad", input=some(*shape), paddings=typed(paddings), mode=mode)
    whole = [n + low + high for n, (low, high) in zip(shape, paddings)]
    summed("MirrorPadGrad", input=some(*whole), paddings=typed(paddings), mode=mode)

for shape, at in (((5,), [0, 4, 4]), ((4, 3), [[1, 0], [3, 3]]), ((4, 3), 2), ((4, 3), []), ((2, 0), [1, 1]), ((3, 2, 2), [2])):
    summed("Gather", params=some(*shape), indices=typed(at))
    summed("gather", params=some(*shape), indices=longs(at))
for shape, at, axis, batch in (
    ((2, 3, 4), [2, 0], 1, 0), ((2, 3, 4), [[3, 3], [0, 1]], -1, 0), ((2, 3, 4), 1, 2, 0), ((2, 3), [[0, 2], [1, 1]], 1, 1),
    ((2, 3, 2), [[0], [2]], 1, 1), ((0, 3), [1], 1, 0),
):  # fmt: skip
    summed("gather", params=some(*shape), indices=typed(at), axis=axis, batch_dims=batch)
for shape, at in (((3,), [[2], [0]]), ((3, 2), [[2], [0]]), ((3, 2), [[2, 1], [0, 0]]), ((2, 3, 2), [[[1, 2]], [[0, 0]]]), ((3, 2), [1]), ((3, 2), [[]])):
    alone = at in ([1], [[]])  # TensorFlow's gradient of these fails
    summed("GatherNd", params=some(*shape), indices=typed(at, "int32"), gradient=not alone)
    summed("GatherNd", params=some(*shape), indices=longs(at), gradient=not alone)
for at, depth, axis in (([0, 2, -1, 3], 3, -1), ([[1, 0], [2, 5]], 3, 1), ([1, 1], 2, 0), (1, 3, -1), ([0, 1], 0, -1)):
    exact("OneHot", indices=typed(at), depth=typed(depth), on_value=some(), off_value=some(), axis=axis)
    exact("one_hot", indices=longs(at), depth=depth, axis=axis, dtypes="float32")
exact("one_hot", indices=typed([0, 1, 200], "uint8"), depth=4)
for lengths, seq, batch, shape in (([1, 3, 0], 1, 0, (3, 4)), ([4, 2], 0, 1, (4, 2, 2)), ([2, 2, 1], 2, 1, (2, 3, 2))):
    exact("ReverseSequence", input=some(*shape), seq_lengths=typed(lengths), seq_dim=seq, batch_dim=batch)
    exact("ReverseSequence", input=some(*shape), seq_lengths=longs(lengths), seq_dim=seq, batch_dim=batch)

for size, shape in ((2, (1, 2, 2, 4)), (2, (2, 1, 3, 8)), (3, (1, 1, 1, 9)), (2, (0, 2, 2, 4))):
    exact("DepthToSpace", input=some(*shape), block_size=size)
for size, shape in ((2, (1, 4, 4, 1)), (2, (2, 2, 6, 3)), (3, (1, 3, 3, 2)), (2, (0, 2, 2, 1))):
    exact("SpaceToDepth", input=some(*shape), block_size=size)
for shape, block, sides in (((1, 4, 4, 1), [2, 2], [[0, 0], [0, 0]]), ((2, 3, 5), [2], [[1, 0]]), ((1, 2, 3, 2), [1, 3], [[0, 0], [2, 1]])):
    exact("SpaceToBatchND", input=some(*shape), block_shape=typed(block), paddings=typed(sides))
for shape, block, sides in (((4, 2, 2, 1), [2, 2], [[0, 0], [0, 0]]), ((4, 3, 2), [2], [[1, 0]]), ((6, 1, 2, 1), [1, 3], [[0, 0], [2, 1]])):
    exact("BatchToSpaceND", input=some(*shape), block_shape=typed(block), crops=typed(sides))

for shape in ((), (0,), (3,), (2, 3)):
    exact("Shape", input=some(*shape))
    exact("Shape", input=some(*shape), out_type="int64")
    exact("Size", input=some(*shape))
    exact("Size", input=some(*shape), out_type="int64")
    exact("Rank", input=some(*shape))
    exact("Identity", input=some(*shape))
    exact("Snapshot", input=some(*shape))
    exact("StopGradient", input=some(*shape))
    exact("placeholder_with_default", input=some(*shape), shape=shape)
    exact("ZerosLike", x=some(*shape))
    exact("OnesLike", x=some(*shape))
    exact("Fill", dims=typed(shape, "int32"), value=some())
    exact("Fill", dims=longs(shape), value=some())
exact("Identity", input=awkward())
exact("Identity", input=of([1e-40, -1e-40, -0.0]))
exact("ShapeN", input=[some(3), some(), some(2, 0)])
exact("ShapeN", input=[some(3), some()], out_type="int64")
exact("IdentityN", input=[some(3), some(2, 2)])
exact("BroadcastArgs", s0=typed([3, 1]), s1=typed([2, 1, 4]))
exact("BroadcastArgs", s0=longs([]), s1=longs([2]))
exact("BroadcastGradientArgs", s0=typed([3, 1]), s1=typed([2, 3, 4]))
exact("BroadcastGradientArgs", s0=longs([2, 3]), s1=longs([]))
exact("BroadcastGradientArgs", s0=typed([1, 1]), s1=typed([1]))

for shape in ((3,), (1,), (0,), (2, 2)):
    exact("Diag", diagonal=some(*shape))
for shape in ((3, 3), (2, 2, 2, 2), (1, 1)):
    exact("DiagPart", input=some(*shape))
for shape in ((3,), (2, 3), (0,), (2, 1, 2)):
    exact("MatrixDiag", diagonal=some(*shape))
for shape, diagonal in (((3, 3), (3,)), ((2, 3), (2,)), ((3, 2), (2,)), ((2, 2, 4), (2, 2))):
    exact("MatrixDiagPart", input=some(*shape))
    exact("MatrixSetDiag", input=some(*shape), diagonal=some(*diagonal))
    for low, high in ((0, 0), (-1, 0), (1, 1), (0, -1), (-1, -1)):
        exact("MatrixBandPart", input=some(*shape), num_lower=longs(low), num_upper=longs(high))
exact("MatrixBandPart", input=some(3, 4), num_lower=typed(1), num_upper=typed(0))

for values in ([1, 1, 2, 4, 4, 4, 7, 8, 8], [5], [3, 0, 3, 1, 0], []):
    for dtype in ("float32", "float64", "int32", "int64", "uint8"):
        exact("Unique", x=typed(values, dtype))
        exact("UniqueWithCounts", x=typed(values, dtype), out_idx="int64")
exact("Unique", x=typed([True, False, True], "bool"))
for shape in ((0,), (7,), (2, 3), (2, 0), (2, 2, 2)):
    exact("Where", condition=some(*shape))
for values in ([1, 0, 1, 1], [[0, 1], [1, 1]]):
    exact("boolean_mask", tensor=some(4) if len(values) == 4 else some(2, 2, 3), mask=typed(values, "bool"))

for start, limit, delta in ((0, 5, 1), (3, 18, 3), (3, 1, -1), (5, 5, 1), (2, 10, 7)):
    for dtype in ("int32", "int64", "float32", "float64"):
        exact("Range", start=typed(start, dtype), limit=typed(limit, dtype), delta=typed(delta, dtype))
for dtype in FLOATS:
    exact("Range", start=typed(0, dtype), limit=typed(1, dtype), delta=typed(0.1, dtype))
    exact("Range", start=typed(1, dtype), limit=typed(-1, dtype), delta=typed(-0.3, dtype))
    for start, stop, count in ((0, 1, 5), (-3, 7, 11), (2, 2, 3), (5, 1, 4), (0, 1, 1), (0, 1e10, 7)):
        summed("LinSpace", start=typed(start, dtype), stop=typed(stop, dtype), num=typed(count))

for values in ([0, 1, 2, 3], [-1, -4, 2], 3, []):
    for formats in (("NHWC", "NCHW"), ("NCHW", "NHWC"), ("NHWC", "HWNC")):
        for kind in ("int32", "int64"):
            exact("DataFormatDimMap", x=typed(values, kind), src_format=formats[0], dst_format=formats[1])
for values in ([7, 4, 9, 3], [[7, 4], [9, 3], [4, 5], [5, 1]]):
    for formats in (("NHWC", "NCHW"), ("NCHW", "NHWC"), ("NHWC", "HWNC")):
        for kind in ("int32", "int64"):
            exact("DataFormatVecPermute", x=typed(values, kind), src_format=formats[0], dst_format=formats[1])
for shape in ((8,), (3, 16), (0, 8), (2, 1, 24)):
    exact("CompareAndBitpack", input=some(*shape), threshold=of(0))
    exact("CompareAndBitpack", input=some(*shape), threshold=of(1))
for begin, end, strides, shape, masks in (
    ([1], [4], [2], (2, 7), {}), ([0, 0], [0, 0], [1, -3], (5, 3), {"begin_mask": 3, "end_mask": 3}),
    ([-1], [0], [1], (7,), {"shrink_axis_mask": 1}), ([2, 3], [2, 3], [1, 1], (0, 0), {}),
    ([0, 1], [0, 99], [1, 1], (1, 4, 7), {"new_axis_mask": 1}), ([0, 2], [0, 3], [1, 1], (5,), {"ellipsis_mask": 1, "shrink_axis_mask": 2}),
):  # fmt: skip
    shape = (1, 1, 7) if masks.get("new_axis_mask") else shape
    place = {"begin": typed(begin), "end": typed(end), "strides": typed(strides), **masks}
    exact("TensorStridedSliceUpdate", input=some(5, 7), value=some(*shape), **place)
for kind in INTEGERS:
    for rows, ids in (([4, 0, 0, 2], [0, 0, 1, 3]), ([1], [0]), ([], [])):
        exact("SparseSegmentSum", dtypes=(kind,), data=some(5, 3), indices=typed(rows), segment_ids=typed(ids))
        exact("SparseSegmentSumWithNumSegments", dtypes=(kind,), data=some(5, 3), indices=typed(rows), segment_ids=typed(ids),
              num_segments=typed(5))  # fmt: skip
