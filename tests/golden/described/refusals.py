"""Calls that are not valid, by the rule that they break, with words of TensorFlow's answer while building and in the run."""

from __future__ import annotations

from tests.golden.describe import Family, kept, of, some, typed

bad = Family()


def longs(values):
    return typed(values, "int64")


# -- shapes that do not go together
for name in ("AddV2", "Mul", "Maximum", "Less", "FloorMod", "Pow", "SquaredDifference", "Atan2", "Xdivy", "DivNoNan"):
    bad.refuses(
        name,
        "Dimensions must be equal, but are 3 and 4",
        "shapes: [2,3]",
        **{"y" if name != "Atan2" else "x": some(4), "x" if name != "Atan2" else "y": some(2, 3)},
    )
for name in ("LogicalAnd", "Equal"):
    bad.refuses(name, "Dimensions must be equal, but are 2 and 3", "shapes: [2]", x=some(2), y=some(3), dtypes="bool")
for name in ("SigmoidGrad", "TanhGrad", "SqrtGrad"):
    bad.refuses(name, None, y=some(2), dy=some(3))
for name in ("ReluGrad", "SoftplusGrad", "LeakyReluGrad"):
    bad.refuses(name, "must be equal, but are 2 and 3", "", gradients=some(2), features=some(3))
bad.refuses("AddN", "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]", "", inputs=[some(2), some(3)])
bad.refuses("AddN", "List argument 'inputs' to 'AddN' Op with length 0 shorter than minimum length 1", inputs=[])
bad.refuses("Select", "Dimension 0 in both shapes must be equal, but are", "", condition=typed([True, False], "bool"), x=some(3), y=some(3))
bad.refuses(
    "Select",
    "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]",
    "",
    condition=typed([True, False], "bool"),
    x=some(2),
    y=some(3),
)
bad.refuses("Select", "Shapes must be equal rank, but are 1 and 2", "", condition=typed([[True]], "bool"), x=some(2), y=some(2))
bad.refuses(
    "where",
    "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]",
    "",
    condition=typed([True, False], "bool"),
    x=some(3, 2),
    y=some(3, 2),
)
bad.refuses("MatMul", "Dimensions must be equal, but are 3 and 4", "", a=some(2, 3), b=some(4, 5))
bad.refuses("MatMul", "Dimensions must be equal, but are 2 and 3", "", a=some(2, 3), b=some(3, 5), transpose_a=True)
bad.refuses("MatMul", "Shape must be rank 2 but is rank 1", "", a=some(3), b=some(3, 5))
bad.refuses("MatMul", "Shape must be rank 2 but is rank 3", "", a=some(2, 3, 4), b=some(4, 5))
bad.refuses("BatchMatMul", "Dimensions must be equal, but are 4 and 5", "", x=some(2, 3, 4), y=some(2, 5, 6))
bad.refuses("BatchMatMul", "must be equal, but are 2 and 3", "", x=some(2, 3, 4), y=some(3, 4, 6))
bad.refuses("BatchMatMulV2", "Dimensions must be equal, but are 2 and 3", "", x=some(2, 3, 4), y=some(3, 4, 6))
bad.refuses("BatchMatMulV2", "Shape must be at least rank 2 but is rank 1", "", x=some(4), y=some(4, 6))
bad.refuses("BiasAdd", "Dimensions must be equal, but are 3 and 4", "", value=some(2, 3), bias=some(4))
bad.refuses("BiasAdd", "Shape must be rank 1 but is rank 2", "", value=some(2, 3), bias=some(3, 1))
bad.refuses("BiasAdd", "Shape must be at least rank 2 but is rank 1", "must be at least", value=some(3), bias=some(3))
bad.refuses("BiasAdd", None, value=some(2, 3), bias=some(3), data_format="NWHC")
bad.refuses("BiasAddGrad", "Shape must be at least rank 2 but is rank 1", "must be at least", out_backprop=some(3))
bad.refuses("tensordot", "Dimensions must be equal, but are 3 and 4", "", a=some(2, 3), b=some(4, 5), axes=1)
# -- shapes that cannot be
bad.refuses(
    "Reshape", "Cannot reshape a tensor with 6 elements to shape [4] (4 elements)", "a tensor with 6", tensor=some(2, 3), shape=typed([4])
)
bad.refuses("Reshape", "size may be", tensor=some(2, 3), shape=typed([-1, -1]))
bad.refuses("Reshape", "Dimension size must be evenly divisible by 4 but is 6", "", tensor=some(2, 3), shape=typed([4, -1]))
bad.refuses("Reshape", "", "0 must be", tensor=some(2, 3), shape=typed([-2, -3]))
bad.refuses("Reshape", "Shape must be rank 1 but is rank 2", "", tensor=some(2, 3), shape=typed([[6]]))
bad.refuses(
    "Reshape",
    "Cannot reshape a tensor with 6 elements to shape [1099511627776,1099511627776] (",
    None,
    tensor=some(2, 3),
    shape=longs([2**40, 2**40]),
)
bad.refuses("Reshape", None, tensor=some(0), shape=typed([0, -1]))
bad.refuses(
    "Reshape", "Cannot reshape a tensor with 0 elements to shape [3] (3 elements)", "a tensor with 0", tensor=some(0), shape=typed([3])
)
bad.refuses("ExpandDims", "dim 3 not in the interval [-3, 2]", "", input=some(2, 3), axis=typed(3))
bad.refuses("ExpandDims", "dim -4 not in the interval [-3, 2]", "", input=some(2, 3), axis=typed(-4))
bad.refuses(
    "ExpandDims", "must be a tensor with a single value", "dim' must be a tensor with a single value", input=some(2, 3), axis=typed([0, 1])
)
bad.refuses("Squeeze", "Can not squeeze dim[1], expected a dimension of 1, got 3", input=some(1, 3), axis=[1])
bad.refuses("Squeeze", "] not in [-2,2)", "", input=some(1, 3), axis=[2])
bad.refuses("Squeeze", "] not in [-2,2)", "", input=some(1, 3), axis=[-3])
bad.refuses("Transpose", "Dimension must be", "", x=some(2, 3), perm=typed([0]))
bad.refuses("Transpose", "1 is missing from {0,0}", x=some(2, 3), perm=typed([0, 0]))
bad.refuses("Transpose", "perm dim 2 is out of range of input rank 2", "2 is out of range", x=some(2, 3), perm=typed([0, 2]))
bad.refuses("Transpose", None, x=some(2, 3), perm=typed([-1, 0]))
bad.refuses("Transpose", "Shape must be rank 1 but is rank 2", "", x=some(2, 3), perm=typed([[0, 1]]))
bad.refuses("ReverseV2", "= 2 is out of valid range [", tensor=some(2, 3), axis=typed([2]))
bad.refuses("ReverseV2", "axis 0 specified more than once", tensor=some(2, 3), axis=typed([0, -2]))
bad.refuses("ReverseV2", "Shape must be rank 1 but is rank 0", "", tensor=some(2, 3), axis=typed(0))
bad.refuses("BroadcastTo", "", "Incompatible shapes: [3] vs. [2", input=some(3), shape=typed([2, 2]))
bad.refuses("BroadcastTo", "", "Rank of input (2) must be no greater than rank of output shape (1)", input=some(2, 3), shape=typed([3]))
bad.refuses("BroadcastTo", None, "Dimension -2 must be >= 0", input=some(1), shape=typed([-2]))
bad.refuses("Tile", "Shape must be rank", "", input=some(2, 3), multiples=typed([2]))
bad.refuses("Tile", "Expected multiples", input=some(2), multiples=typed([-1]))
bad.refuses("Tile", "Shape must be rank 1 but is rank 2", "", input=some(2), multiples=typed([[1]]))
bad.refuses("Tile", None, input=some(2), multiples=longs([2**62]))
bad.refuses("InvertPermutation", "0 is duplicated in the input", x=typed([0, 0]))
bad.refuses("InvertPermutation", "2 is not between 0 and 2", x=typed([0, 2]))
bad.refuses("InvertPermutation", "-1 is not between 0 and 2", x=typed([-1, 0]))
bad.refuses("InvertPermutation", "Shape must be rank 1 but is rank 2", "", x=typed([[0, 1]]))
bad.refuses("ConcatV2", "in both shapes must be equal, but are 3 and 4", "", values=[some(2, 3), some(2, 4)], axis=typed(0))
bad.refuses("ConcatV2", "", values=[some(2, 3), some(2)], axis=typed(0))
bad.refuses(
    "ConcatV2", "", "Expected concatenating dimensions in the range [-2, 2), but got 2", values=[some(2, 3), some(2, 3)], axis=typed(2)
)
bad.refuses(
    "ConcatV2", "", "Expected concatenating dimensions in the range [-2, 2), but got -3", values=[some(2, 3), some(2, 3)], axis=typed(-3)
)
bad.refuses("ConcatV2", "", values=[some(), some()], axis=typed(0))
bad.refuses("ConcatV2", "Shape must be rank 0 but is rank 1", "", values=[some(2), some(3)], axis=typed([0, 1]))
bad.refuses("ConcatV2", None, values=[some(2)], axis=typed(0))
bad.refuses(
    "Pack", "Dimension 0 in both shapes must be equal, but are 2 and 3. Shapes are [2] and [3]", "", values=[some(2), some(3)], axis=0
)
bad.refuses("Pack", "", "in [-2, 2)", values=[some(2), some(2)], axis=2)
bad.refuses("Pack", "", "in [-2, 2)", values=[some(2), some(2)], axis=-3)
bad.refuses("stack", "Shapes must be equal rank, but are 1 and 2", "", values=[some(2), some(2, 1)])
bad.refuses("Unpack", "Dimension must be 3 but is 2", "", value=some(2, 3), num=3, axis=0)
bad.refuses("Unpack", "", "in [-2, 2)", value=some(2, 3), num=2, axis=2)
bad.refuses("Unpack", "", "in [0, 0)", value=some(), num=1)
bad.refuses("unstack", "axis = -3 not in [-2, 2)", "Cannot infer num from shape <unknown>", value=some(2, 3), axis=-3)
bad.refuses(
    "Split",
    "",
    "Number of ways to split should evenly divide the split dimension, but got split_dim 0 (size = 5) and num_split 2",
    axis=typed(0),
    value=some(5),
    num_split=2,
)
bad.refuses("Split", "", "split_dim", axis=typed(1), value=some(4), num_split=2)
bad.refuses("Split", "", "split_dim", axis=typed(-2), value=some(4), num_split=2)
bad.refuses("Split", "Attr 'num_split' of 'Split' Op passed 0 less than minimum 1", axis=typed(0), value=some(4), num_split=0)
bad.refuses("Split", "", axis=typed([0, 1]), value=some(4), num_split=2)
bad.refuses(
    "SplitV",
    "",
    "Determined shape must either match input shape along split_dim exactly if fully specified, or be less than the size of the input along split_dim if not fully specified.  Got: 4",
    value=some(5),
    size_splits=typed([2, 2]),
    axis=typed(0),
    num_split=2,
)
bad.refuses("SplitV", "size_splits can only have one -1", "", value=some(5), size_splits=typed([-1, -1]), axis=typed(0), num_split=2)
bad.refuses(
    "SplitV",
    "",
    "Determined shape must either match input shape along split_dim exactly if fully specified, or be less than the size of the input along split_dim if not fully specified.  Got: 6",
    value=some(5),
    size_splits=typed([6, -1]),
    axis=typed(0),
    num_split=2,
)
bad.refuses("SplitV", "", "split_dim", value=some(5), size_splits=typed([2, 3]), axis=typed(1), num_split=2)
bad.refuses(
    "SplitV",
    "Length of size_splits should be equal to num_outputs",
    "",
    value=some(5),
    size_splits=typed([2, 3]),
    axis=typed(0),
    num_split=3,
)
bad.refuses("SplitV", None, value=some(5), size_splits=typed([7, -2]), axis=typed(0), num_split=2)
bad.refuses("ConcatOffset", "Concat dim is out of range: 2 vs. 2", concat_dim=typed(2), shape=[typed([2, 2]), typed([2, 2])])
bad.refuses(
    "ConcatOffset",
    "All dimensions except 0 must match. Input 1 has shape [2 3] and doesn't match input 0 with shape [2 2]",
    concat_dim=typed(0),
    shape=[typed([2, 2]), typed([2, 3])],
)
bad.refuses("ConcatOffset", "input 1 should contain 2 elements, but got 1", concat_dim=typed(0), shape=[typed([2, 2]), typed([2])])
# -- slices
bad.refuses("Slice", "Expected begin[0] in [0, 4], but got 5", input=some(4), begin=typed([5]), size=typed([1]))
bad.refuses("Slice", "Expected begin[0] in [0, 4], but got -1", input=some(4), begin=typed([-1]), size=typed([1]))
bad.refuses("Slice", "Expected size[0] in [0, 2], but got 3", input=some(4), begin=typed([2]), size=typed([3]))
bad.refuses("Slice", "", "Expected size[0] in [0, 4], but got -2", input=some(4), begin=typed([0]), size=typed([-2]))
bad.refuses(
    "Slice", "", "Expected begin and size arguments to be 1-D tensors of size 1", input=some(4), begin=typed([0, 0]), size=typed([1, 1])
)
bad.refuses(
    "Slice", "", "Expected begin and size arguments to be 1-D tensors of size 1", input=some(4), begin=typed([0]), size=typed([1, 1])
)
bad.refuses("StridedSlice", "strides[0] must be non-zero", input=some(4), begin=typed([0]), end=typed([1]), strides=typed([0]))
bad.refuses(
    "StridedSlice",
    "slice index 4 of dimension 0 out of bounds",
    input=some(4),
    begin=typed([4]),
    end=typed([5]),
    strides=typed([1]),
    shrink_axis_mask=1,
)
bad.refuses(
    "StridedSlice", "of dimension 0 out of bounds", input=some(4), begin=typed([-5]), end=typed([0]), strides=typed([1]), shrink_axis_mask=1
)
bad.refuses(
    "StridedSlice",
    "Index out of range using input dim 1; input has only 1 dims",
    input=some(4),
    begin=typed([0, 0]),
    end=typed([1, 1]),
    strides=typed([1, 1]),
)
bad.refuses("StridedSlice", None, input=some(4), begin=typed([0]), end=typed([1, 1]), strides=typed([1]))
bad.refuses(
    "StridedSlice",
    "only stride 1 allowed on non-range indexing",
    None,
    input=some(4),
    begin=typed([0]),
    end=typed([1]),
    strides=typed([-1]),
    shrink_axis_mask=1,
)
bad.refuses(
    "StridedSlice",
    "Multiple ellipses in slice spec not allowed",
    input=some(4),
    begin=typed([0, 0]),
    end=typed([1, 1]),
    strides=typed([1, 1]),
    ellipsis_mask=3,
)
bad.refuses("StridedSliceGrad", "", shape=typed([4]), begin=typed([0]), end=typed([3]), strides=typed([1]), dy=some(2))
bad.refuses("Pad", "Paddings must be non-negative", input=some(2), paddings=typed([[-1, 0]]))
bad.refuses("Pad", "Shape must be rank 2 but is rank 1", "", input=some(2), paddings=typed([[1, 1], [1, 1]]))
bad.refuses("Pad", "Dimension must be 2 but is 3", "", input=some(2), paddings=typed([[1, 1, 1]]))
bad.refuses("Pad", "Shape must be rank 2 but is rank 1", "", input=some(2), paddings=typed([1, 1]))
bad.refuses("PadV2", "", input=some(2), paddings=typed([[1, 1]]), constant_values=some(2))
bad.refuses("MirrorPad", "paddings must be less than the dimension size: 3, 0", input=some(3), paddings=typed([[3, 0]]), mode="REFLECT")
bad.refuses(
    "MirrorPad", "paddings must be no greater than the dimension size: 0, 4", input=some(3), paddings=typed([[0, 4]]), mode="SYMMETRIC"
)
bad.refuses(
    "MirrorPad", "Paddings must be non-negative", "must be non-negative", input=some(3), paddings=typed([[-1, 0]]), mode="SYMMETRIC"
)
bad.refuses(
    "MirrorPad",
    "Attr 'mode' of 'MirrorPad' Op passed string 'EDGE' not in: \"REFLECT\", \"SYMMETRIC\"",
    input=some(3),
    paddings=typed([[1, 0]]),
    mode="EDGE",
)
# -- gathers and scatters
bad.refuses("Gather", "indices[0] = 3 is not in [0, 3)", params=some(3), indices=typed([3]))
bad.refuses("Gather", "indices[0] = -1 is not in [0, 3)", params=some(3), indices=typed([-1]))
bad.refuses("Gather", "Shape must be at least rank 1 but is rank 0", "must be at least", params=some(), indices=typed([0]))
bad.refuses("Gather", "indices[0] = 0 is not in [0, 0)", params=some(0, 2), indices=typed([0]))
bad.refuses("gather", "indices[0] = 3 is not in [0, 3)", params=some(2, 3), indices=typed([3]), axis=1)
bad.refuses(
    "gather",
    "Shape must be at least rank 3 but is rank 2",
    "Expected axis in the range [-2, 2), but got 2",
    params=some(2, 3),
    indices=typed([0]),
    axis=2,
)
bad.refuses(
    "gather",
    "Shape must be at least rank 3 but is rank 2",
    "Expected axis in the range [-2, 2), but got -3",
    params=some(2, 3),
    indices=typed([0]),
    axis=-3,
)
bad.refuses("GatherNd", "does not index into param shape [3]", params=some(3), indices=typed([[3]]))
bad.refuses("GatherNd", "does not index into param shape [3]", params=some(3), indices=typed([[-1]]))
bad.refuses(
    "GatherNd",
    "indices.shape[-1] must be <= params.rank, but saw indices shape: [1",
    "must be <= params",
    params=some(3),
    indices=typed([[0, 0]]),
)
bad.refuses("GatherNd", "Shape must be at least rank 1 but is rank 0", "must be at least", params=some(3), indices=typed(0))
bad.refuses(
    "OneHot",
    "must be non-negative",
    "depth must be non-negative, got: -1",
    indices=typed([1]),
    depth=typed(-1),
    on_value=some(),
    off_value=some(),
)
bad.refuses("OneHot", "", "depth must be a scalar, but got", indices=typed([1]), depth=typed([3]), on_value=some(), off_value=some())
bad.refuses("OneHot", "on_value must be a scalar, but got", indices=typed([1]), depth=typed(3), on_value=some(2), off_value=some())
bad.refuses(
    "OneHot",
    "Expected axis to be -1 or between [0, 2).  But received: 2",
    indices=typed([1]),
    depth=typed(3),
    on_value=some(),
    off_value=some(),
    axis=2,
)
bad.refuses("ReverseSequence", "must be equal, but are 2 and 1", "", input=some(2, 3), seq_lengths=typed([1]), seq_dim=1)
bad.refuses("ReverseSequence", "seq_lens(1) > input.dims(1)", "", input=some(2, 3), seq_lengths=typed([1, 4]), seq_dim=1)
bad.refuses("ReverseSequence", "seq_lens(1) < 0", None, input=some(2, 3), seq_lengths=typed([1, -1]), seq_dim=1)
bad.refuses(
    "ReverseSequence",
    "seq_dim must be < input rank: 2 vs. 2",
    "seq_dim must be < input",
    input=some(2, 3),
    seq_lengths=typed([1, 1]),
    seq_dim=2,
)
bad.refuses("ReverseSequence", "batch_dim == seq_dim == 0", input=some(2, 3), seq_lengths=typed([1, 1]), seq_dim=0)
bad.refuses("ScatterNd", "", indices=typed([[3]]), updates=some(1), shape=typed([3]))
bad.refuses("ScatterNd", "", indices=typed([[-1]]), updates=some(1), shape=typed([3]))
bad.refuses(
    "ScatterNd",
    "The outer 1 dimensions of indices.shape=[1,1] must match the outer 1 dimensions of updates.shape=[2]: Dimension 0 in both shapes must be equal, but are",
    "dimensions of indices",
    indices=typed([[0]]),
    updates=some(2),
    shape=typed([3]),
)
bad.refuses("ScatterNd", "", indices=typed([[0, 0]]), updates=some(1), shape=typed([3]))
bad.refuses("ScatterNd", None, "Dimension -3 must be >= 0", indices=typed([[0]]), updates=some(1), shape=typed([-3]))
bad.refuses(
    "ScatterNd",
    "OOM when allocating tensor with shape[4611686018427387904] and type float",
    indices=longs([[0]]),
    updates=some(1),
    shape=longs([2**62]),
)
for name in ("ScatterUpdate", "ScatterAdd", "ScatterMul", "ScatterMax"):
    bad.refuses(name, "indices[0] = 3 is not in [0, 3)", ref=kept(some(3)), indices=typed([3]), updates=some(1))
    bad.refuses(name, "indices[0] = -1 is not in [0, 3)", ref=kept(some(3)), indices=typed([-1]), updates=some(1))
    bad.refuses(name, "Dimension 1 in both shapes must be equal, but are", "", ref=kept(some(3, 2)), indices=typed([0]), updates=some(1, 3))
for name in ("ScatterNdUpdate", "ScatterNdAdd"):
    bad.refuses(name, "indices[0] = [3] does not index into shape [3]", ref=kept(some(3)), indices=typed([[3]]), updates=some(1))
    bad.refuses(name, "indices[0] = [-1] does not index into shape [3]", ref=kept(some(3)), indices=typed([[-1]]), updates=some(1))
    bad.refuses(
        name,
        "The outer 1 dimensions of indices.shape=[1,1] must match the outer 1 dimensions of updates.shape=[2]: Dimension 0 in both shapes must be equal, but are",
        "indices.shape",
        ref=kept(some(3)),
        indices=typed([[0]]),
        updates=some(2),
    )
for name in ("SegmentSum", "SegmentMax", "SegmentMean"):
    bad.refuses(name, "segment_ids should be the same size as dimension 0 of input", data=some(3), segment_ids=typed([0, 1]))
    bad.refuses(name, "segment ids are not increasing", data=some(2), segment_ids=typed([1, 0]))
    bad.refuses(
        name,
        "Segment id -1 out of range [0, 1), possibly because 'segment_ids' input is not sorted",
        data=some(2),
        segment_ids=typed([-1, 0]),
    )
    bad.refuses(name, "Shape must be rank 1 but is rank 2", "", data=some(2), segment_ids=typed([[0, 0]]))
for name in ("UnsortedSegmentSum", "UnsortedSegmentMax"):
    bad.refuses(name, "segment_ids[1] = 2 is out of range [0, 2)", data=some(2), segment_ids=typed([0, 2]), num_segments=typed(2))
    bad.refuses(name, "", "Input num_segments == -1 must not be negative", data=some(2), segment_ids=typed([0, 0]), num_segments=typed(-1))
    bad.refuses(name, "must be equal, but are 2 and 1", "", data=some(2), segment_ids=typed([0]), num_segments=typed(2))
    bad.refuses(name, "Shape must be rank 0 but is rank 1", "", data=some(2), segment_ids=typed([0, 0]), num_segments=typed([2]))
# -- reductions, scans, sorting
for name in ("Sum", "Max", "Mean", "Prod"):
    bad.refuses(
        name, "Invalid reduction dimension 2 for input with 2 dimensions", "Invalid reduction dimension", input=some(2, 3), axis=typed([2])
    )
    bad.refuses(
        name,
        "Invalid reduction dimension -3 for input with 2 dimensions",
        "-3 for input with 2 dimension",
        input=some(2, 3),
        axis=typed([-3]),
    )
    bad.refuses(name, None, input=some(2, 3), axis=typed([0, 0]))
bad.refuses(
    "All",
    "Invalid reduction dimension 1 for input with 1 dimensions",
    "Invalid reduction dimension",
    input=some(2),
    axis=typed([1]),
    dtypes="bool",
)
for name in ("ArgMax", "ArgMin"):
    bad.refuses(
        name,
        "Dimension (2) must be in the range [-2, 2), where 2 is the number of dimensions in the input",
        "in the range [-2, 2)",
        input=some(2, 3),
        dimension=typed(2),
    )
    bad.refuses(
        name,
        "Dimension (-3) must be in the range [-2, 2), where 2 is the number of dimensions in the input",
        "in the range [-2, 2)",
        input=some(2, 3),
        dimension=typed(-3),
    )
    bad.refuses(name, "Reduction axis 1 is empty in shape [2,0]", input=some(2, 0), dimension=typed(1))
    bad.refuses(name, "Shape must be rank 0 but is rank 1", "", input=some(2, 3), dimension=typed([0, 1]))
for name in ("Cumsum", "Cumprod"):
    bad.refuses(name, "Expected scan axis in the range [-2, 2), but got 2", x=some(2, 3), axis=typed(2))
    bad.refuses(name, "Expected scan axis in the range [-2, 2), but got -", x=some(2, 3), axis=typed(-3))
    bad.refuses(name, "axis must be a scalar, not [1]", x=some(2, 3), axis=typed([0]))
bad.refuses("TopKV2", "input must have last dimension >= k = 4 but is 3", "input must have", input=some(3), k=typed(4))
bad.refuses("TopKV2", "", "Need k >= 0, got -1", input=some(3), k=typed(-1))
bad.refuses("TopKV2", "Shape must be at least rank 1 but is rank 0", "", input=some(), k=typed(1))
bad.refuses("TopKV2", "", input=some(3), k=typed([1, 1]))
bad.refuses(
    "InTopKV2",
    "Dimensions must be equal, but are 1 and 2",
    "",
    predictions=typed([[1.0, 2.0]], "float32"),
    targets=typed([1, 1]),
    k=typed(1),
)
bad.refuses(
    "InTopKV2", "Shape must be rank 2 but is rank 1", "", predictions=typed([1.0, 2.0], "float32"), targets=typed([1, 1]), k=typed(1)
)
bad.refuses("Unique", "Shape must be rank 1 but is rank 2", None, x=some(2, 2))
bad.refuses("Where", None, condition=some())
for start, limit, delta in ((0, 3, 0), (3, 0, 1), (0, 3, -1)):
    bad.refuses("Range", "", start=typed(start), limit=typed(limit), delta=typed(delta))
bad.refuses("Range", "Shape must be rank 0 but is rank 1", "", start=typed([0]), limit=typed(3), delta=typed(1))
bad.refuses(
    "Range",
    "OOM when allocating tensor with shape[1152921504606846976] and type int64 on",
    start=longs(0),
    limit=longs(2**60),
    delta=longs(1),
)
bad.refuses("LinSpace", "Requires num > 0: 0", start=some(), stop=some(), num=typed(0))
bad.refuses("LinSpace", "Requires num > 0: -2", start=some(), stop=some(), num=typed(-2))
bad.refuses("LinSpace", "Shape must be rank 0 but is rank 1", "", start=some(2), stop=some(), num=typed(2))
bad.refuses("Fill", "Fill dimensions must be >= 0", "must be >= 0", dims=typed([-1]), value=some())
bad.refuses("Fill", "Shape must be rank 0 but is rank 1", "", dims=typed([2]), value=some(2))
bad.refuses("Fill", "Shape must be rank 1 but is rank 2", "", dims=typed([[2]]), value=some())
bad.refuses("Fill", "Shape [1099511627776", dims=longs([2**40, 2**40]), value=some())
bad.refuses("Fill", "OOM when allocating tensor with shape[1099511627776] and type float", dims=longs([2**40]), value=some())
bad.refuses("IdentityN", "Attr 'T' of 'IdentityN' Op passed list of length 0 less than minimum 1", input=[])
bad.refuses("ShapeN", "List argument 'input' to 'ShapeN' Op with length 0 shorter than minimum length 1", input=[])
bad.refuses("BroadcastArgs", "shapes: [", s0=typed([2]), s1=typed([3]))
bad.refuses("BroadcastGradientArgs", None, s0=typed([2]), s1=typed([3]))
for name in ("RandomUniform", "TruncatedNormal", "RandomStandardNormal"):
    bad.refuses(name, "Dimension -1 must be >= 0", shape=typed([-1]), dtype="float32")
    bad.refuses(name, "Shape must be rank 1 but is rank 2", "", shape=typed([[2]]), dtype="float32")
    bad.refuses(name, None, shape=longs([2**40, 2**40]), dtype="float32")
    bad.refuses(name, "OOM when allocating tensor with shape[4398046511104] and type float", shape=longs([2**42]), dtype="float32")
bad.refuses(
    "RandomUniformInt", "Need minval < maxval, got 3 >= 3", "Need minval < maxval, got", shape=typed([2]), minval=typed(3), maxval=typed(3)
)
bad.refuses("RandomUniformInt", "Shape must be rank 0 but is rank 1", "", shape=typed([2]), minval=typed(3), maxval=typed([4]))
bad.refuses("Multinomial", "Shape must be rank 2 but is rank 1", "", logits=some(3), num_samples=typed(2))
bad.refuses("Multinomial", None, "", logits=some(2, 3), num_samples=typed(-1))
bad.refuses("Multinomial", "num_classes should be positive, got 0", logits=some(2, 0), num_samples=typed(2))
# -- matrices and blocks
bad.refuses("Diag", "Shape must be at least rank 1 but is rank 0", "must be at least rank 1", diagonal=some())
bad.refuses("DiagPart", "Input must have even and non-zero rank, input rank is 1", "", input=some(3))
bad.refuses("DiagPart", "must be equal, but are 2 and 3", "", input=some(2, 3))
bad.refuses("MatrixDiag", "Shape must be at least rank 1 but is rank 0", "must be at least", diagonal=some())
bad.refuses("MatrixDiagPart", "Shape must be at least rank 2 but is rank 1", "must be at least", input=some(3))
bad.refuses("MatrixSetDiag", "must be equal, but are 3 and 2", "", input=some(3, 3), diagonal=some(2))
bad.refuses("MatrixSetDiag", "Shape must be at least rank 2 but is rank 1", "must be at least", input=some(3), diagonal=some(3))
bad.refuses("MatrixBandPart", "must be at least", input=some(3), num_lower=longs(0), num_upper=longs(0))
bad.refuses(
    "MatrixBandPart",
    "num_lower must be negative or less or equal to number of rows (3) got: 4",
    None,
    input=some(3, 3),
    num_lower=longs(4),
    num_upper=longs(0),
)
bad.refuses("MatrixBandPart", "num_lower must be scalar, got shape [1]", input=some(3, 3), num_lower=longs([0]), num_upper=longs(0))
bad.refuses("DepthToSpace", "Dimension size must be evenly divisible by 4 but is 3", "divisible by", input=some(1, 2, 2, 3), block_size=2)
bad.refuses("DepthToSpace", None, input=some(1, 2, 2, 4), block_size=1)
bad.refuses("DepthToSpace", "Shape must be rank 4 but is rank 3", "", input=some(2, 2, 4), block_size=2)
bad.refuses("SpaceToDepth", "Dimension size must be evenly divisible by 2 but is 3", "divisible by", input=some(1, 3, 2, 1), block_size=2)
bad.refuses("SpaceToDepth", "Attr 'block_size' of 'SpaceToDepth' Op passed 0 less than minimum 2", input=some(1, 2, 2, 1), block_size=0)
bad.refuses(
    "SpaceToBatchND",
    "Dimension size must be evenly divisible by 2 but is 3",
    None,
    input=some(1, 3, 2, 1),
    block_shape=typed([2, 2]),
    paddings=typed([[0, 0], [0, 0]]),
)
bad.refuses(
    "SpaceToBatchND",
    "block_shape must be positive",
    None,
    input=some(1, 2, 2, 1),
    block_shape=typed([2, 0]),
    paddings=typed([[0, 0], [0, 0]]),
)
bad.refuses(
    "SpaceToBatchND",
    "paddings cannot be negative",
    None,
    input=some(1, 2, 2, 1),
    block_shape=typed([2, 2]),
    paddings=typed([[-1, 1], [0, 0]]),
)
bad.refuses(
    "SpaceToBatchND",
    "Shape must be at least rank 3 but is rank 2",
    None,
    input=some(1, 2),
    block_shape=typed([2, 2]),
    paddings=typed([[0, 0], [0, 0]]),
)
bad.refuses(
    "BatchToSpaceND",
    "Dimension size must be evenly divisible by 2 but is 3",
    None,
    input=some(3, 2, 2, 1),
    block_shape=typed([2, 2]),
    crops=typed([[0, 0], [0, 0]]),
)
bad.refuses(
    "BatchToSpaceND",
    "Negative dimension size caused by subtracting 2 from 0",
    None,
    input=some(4, 1, 1, 1),
    block_shape=typed([2, 2]),
    crops=typed([[2, 2], [0, 0]]),
)
# -- nets
ONE = [1, 1, 1, 1]
bad.refuses(
    "Conv2D",
    "Negative dimension size caused by subtracting 3 from 2",
    None,
    input=some(1, 2, 2, 1),
    filter=some(3, 3, 1, 1),
    strides=ONE,
    padding="VALID",
)
bad.refuses("Conv2D", "", None, input=some(1, 4, 4, 2), filter=some(3, 3, 1, 1), strides=ONE, padding="SAME")
bad.refuses("Conv2D", "Shape must be rank 4 but is rank 3", "", input=some(4, 4, 2), filter=some(3, 3, 2, 1), strides=ONE, padding="SAME")
bad.refuses("Conv2D", "Shape must be rank 4 but is rank 3", "", input=some(1, 4, 4, 2), filter=some(3, 3, 2), strides=ONE, padding="SAME")
bad.refuses("Conv2D", "", input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=[1, 0, 0, 1], padding="SAME")
bad.refuses(
    "Conv2D",
    "Current implementation does not yet support strides in the batch and depth dimensions",
    input=some(1, 4, 4, 1),
    filter=some(3, 3, 1, 1),
    strides=[2, 1, 1, 1],
    padding="SAME",
)
bad.refuses(
    "Conv2D", "attribute to contain 4 values, but got: 2", input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=[1, 1], padding="SAME"
)
bad.refuses("Conv2D", '"SAME", "VALID", "EXPLICIT"', input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=ONE, padding="FULL")
bad.refuses("Conv2D", "data_format", input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=ONE, padding="SAME", data_format="NHCW")
bad.refuses("Conv2D", "", input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=ONE, padding="SAME", dilations=[1, 0, 1, 1])
bad.refuses(
    "Conv2D", None, input=some(1, 4, 4, 1), filter=some(3, 3, 1, 1), strides=ONE, padding="EXPLICIT", explicit_paddings=[0, 0, 1, 1]
)
bad.refuses(
    "Conv2DBackpropInput",
    "Size of out_backprop doesn't match computed: actual = 3, computed = 4",
    input_sizes=typed([1, 4, 4, 1]),
    filter=some(3, 3, 1, 1),
    out_backprop=some(1, 3, 3, 1),
    strides=ONE,
    padding="SAME",
)
bad.refuses(
    "Conv2DBackpropInput",
    None,
    input_sizes=typed([1, 4, 4]),
    filter=some(3, 3, 1, 1),
    out_backprop=some(1, 4, 4, 1),
    strides=ONE,
    padding="SAME",
)
bad.refuses(
    "Conv2DBackpropFilter",
    "",
    input=some(1, 4, 4, 1),
    filter_sizes=typed([3, 3, 1, 2]),
    out_backprop=some(1, 4, 4, 1),
    strides=ONE,
    padding="SAME",
)
bad.refuses(
    "DepthwiseConv2dNative",
    "Dimensions must be equal, but are 2 and 1",
    "",
    input=some(1, 4, 4, 2),
    filter=some(3, 3, 1, 1),
    strides=ONE,
    padding="SAME",
)
bad.refuses("DepthwiseConv2dNative", None, input=some(1, 4, 4, 2), filter=some(3, 3, 2, 1), strides=[1, 1, 2, 1], padding="SAME")
bad.refuses("Conv3D", "", None, input=some(1, 4, 4, 4, 2), filter=some(3, 3, 3, 1, 1), strides=[1, 1, 1, 1, 1], padding="SAME")
for name, key in (("MaxPool", "input"), ("AvgPool", "value")):
    bad.refuses(
        name,
        "Negative dimension size caused by subtracting 3 from 2",
        None,
        ksize=[1, 3, 3, 1],
        strides=ONE,
        padding="VALID",
        **{key: some(1, 2, 2, 1)},
    )
    bad.refuses(name, None, ksize=[1, 0, 2, 1], strides=ONE, padding="VALID", **{key: some(1, 2, 2, 1)})
    bad.refuses(name, "", ksize=[1, 2, 2, 1], strides=[1, 0, 1, 1], padding="VALID", **{key: some(1, 2, 2, 1)})
    bad.refuses(name, "dimension", ksize=[2, 1, 1, 1], strides=ONE, padding="VALID", **{key: some(2, 2, 2, 1)})
    bad.refuses(name, "", ksize=[2, 2], strides=ONE, padding="VALID", **{key: some(1, 2, 2, 1)})
    bad.refuses(name, "Shape must be rank 4 but is rank 3", "", ksize=[1, 2, 2, 1], strides=ONE, padding="SAME", **{key: some(2, 2, 1)})
bad.refuses(
    "MaxPool",
    "Depthwise max pooling requires the depth window to evenly divide the input depth",
    None,
    ksize=[1, 1, 1, 2],
    strides=[1, 1, 1, 2],
    padding="VALID",
    input=some(1, 2, 2, 3),
)
bad.refuses(
    "MaxPool",
    "MaxPooling supports exactly one of pooling across depth or pooling across width/height",
    ksize=[1, 2, 1, 2],
    strides=[1, 2, 1, 2],
    padding="VALID",
    input=some(1, 2, 2, 2),
)
bad.refuses("Softmax", "Shape must be at least rank 1 but is rank 0", "", logits=some())
bad.refuses("SoftmaxCrossEntropyWithLogits", "Dimensions must be equal, but are 3 and 4", "", features=some(2, 3), labels=some(2, 4))
bad.refuses(
    "SoftmaxCrossEntropyWithLogits", "Shape must be broadcasted with rank 2, but is rank 1", "broadcasted", features=some(3), labels=some(3)
)
bad.refuses(
    "SparseSoftmaxCrossEntropyWithLogits",
    "Received a label value of 3 which is outside the valid range of [0, 3)",
    features=some(2, 3),
    labels=typed([3, 0]),
)
bad.refuses(
    "SparseSoftmaxCrossEntropyWithLogits",
    "Received a label value of -1 which is outside the valid range of [0, 3)",
    features=some(2, 3),
    labels=typed([-1, 0]),
)
bad.refuses("SparseSoftmaxCrossEntropyWithLogits", "Dimensions must be equal, but are 2 and 1", "", features=some(2, 3), labels=typed([0]))
bad.refuses("SparseSoftmaxCrossEntropyWithLogits", "Shape must be rank 2 but is rank 1", "", features=some(3), labels=typed([0]))
bad.refuses("SparseSoftmaxCrossEntropyWithLogits", None, features=some(2, 0), labels=typed([0, 0]))
bad.refuses(
    "nn.sparse_softmax_cross_entropy_with_logits",
    "Rank mismatch: Rank of labels (received 2) should equal rank of logits minus 1 (received 2)",
    None,
    labels=typed([[0]]),
    logits=some(1, 3),
)
bad.refuses(
    "nn.sigmoid_cross_entropy_with_logits",
    "logits and labels must have the same shape ((3,) vs (2,))",
    "shapes: [",
    labels=some(2),
    logits=some(3),
)
bad.refuses(
    "nn.softmax",
    "Dimension (2) must be in the range [-2, 2) where 2 is the number of dimensions in the input",
    "unsupported operand type(s) for",
    logits=some(2, 3),
    axis=2,
)
bad.refuses("nn.dropout", "rate must be a scalar tensor or a float in the range [0, 1), got -0.5", x=some(3), keep_prob=1.5)
bad.refuses("nn.dropout", "rate must be a scalar tensor or a float in the range [0, 1), got -0.5", x=some(3), rate=-0.5)
bad.refuses(
    "nn.moments", "Invalid reduction dimension 2 for input with 2 dimensions", "Invalid reduction dimension", x=some(2, 3), axes=[2]
)
bad.refuses(
    "FusedBatchNorm",
    "Shape must be rank 4 but is rank 3",
    "",
    x=some(2, 2, 3),
    scale=some(3),
    offset=some(3),
    mean=some(0),
    variance=some(0),
)
bad.refuses(
    "FusedBatchNorm",
    "Dimensions must be equal, but are 3 and 2",
    None,
    x=some(1, 2, 2, 3),
    scale=some(2),
    offset=some(3),
    mean=some(0),
    variance=some(0),
)
bad.refuses("LRN", "Shape must be rank 4 but is rank 2", "", input=some(2, 3))
bad.refuses("ResizeBilinear", "output dimensions must be positive", images=some(1, 2, 2, 1), size=typed([0, 2]))
bad.refuses("ResizeBilinear", "Dimension must be 2 but is 1", "", images=some(1, 2, 2, 1), size=typed([2]))
bad.refuses("ResizeBilinear", "Shape must be rank 4 but is rank 3", "", images=some(2, 2, 1), size=typed([2, 2]))
bad.refuses("ResizeNearestNeighbor", "output dimensions must be positive", images=some(1, 2, 2, 1), size=typed([-1, 2]))
# -- variables
bad.refuses(
    "Assign",
    "Dimension 0 in both shapes must be equal, but are 3 and 2. Shapes are [3] and [2]",
    "Assign requires shapes of both tensors to match. lhs shape= [3] rhs shape= [2]",
    ref=kept(some(3)),
    value=some(2),
)
bad.refuses(
    "AssignAdd", "Dimension 0 in both shapes must be equal, but are 3 and 2. Shapes are [3] and [2]", "", ref=kept(some(3)), value=some(2)
)
bad.refuses(
    "ApplyGradientDescent",
    "Dimension 0 in both shapes must be equal, but are 3 and 2. Shapes are [3] and [2]",
    "",
    var=kept(some(3)),
    alpha=some(),
    delta=some(2),
)
bad.refuses("ApplyGradientDescent", "Shape must be rank 0 but is rank 1", "", var=kept(some(3)), alpha=some(1), delta=some(3))
bad.refuses(
    "ApplyMomentum",
    "Dimension 0 in both shapes must be equal, but are 3 and 2. Shapes are [3] and [2]",
    var=kept(some(3)),
    accum=kept(some(2)),
    lr=some(),
    grad=some(3),
    momentum=some(),
)
bad.refuses("SparseApplyAdagrad", "", var=kept(some(3)), accum=kept(some(3)), lr=some(), grad=some(1), indices=typed([3]))
# -- the run itself
bad.refuses("CheckNumerics", "here : Tensor had NaN values", tensor=of([1.0, float("nan")]), message="here")
bad.refuses("FloorDiv", "Integer division by zero", x=of([1, 2]), y=of([1, 0]), dtypes="int32")
bad.refuses("FloorMod", "Integer division by zero", x=of([1, 2]), y=of([1, 0]), dtypes="int32")
bad.refuses("TruncateDiv", None, x=of([1, 2]), y=of([1, 0]), dtypes="int32")
bad.refuses("Pow", "Integers to negative integer powers are not allowed", x=of([2, 2]), y=of([1, -1]), dtypes="int32")
