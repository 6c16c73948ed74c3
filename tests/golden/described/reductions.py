"""Reductions, scans, segments, sorting, products of matrices."""

from __future__ import annotations

from tests.golden.describe import DTYPES, FLOATS, Family, awkward, of, some, typed

exact = Family()
summed = Family(ulps=16, of_largest=True)

AXES = (
    ((7,), [0]), ((3, 4), [0]), ((3, 4), [1]), ((3, 4), [-1]), ((3, 4), [0, 1]), ((3, 4), []), ((2, 3, 4), [1]), ((2, 3, 4), [0, -1]),
    ((2, 3, 4), [-3]), ((), []), ((0, 3), [0]), ((0, 3), [1]), ((2, 0), [1]), ((1, 5), [0]), ((33, 17), [1]), ((33, 17), [0]),
)  # fmt: skip
for name in ("Sum", "Prod", "Max", "Min", "Mean", "EuclideanNorm"):
    for shape, axes in AXES:
        low = 0.8 if name == "Prod" and len(shape) == 2 and shape[0] == 33 else -3.0  # so that products of 33 stay near one
        dtypes = FLOATS if low > 0 else None
        family = exact if name in ("Max", "Min") else summed
        # Where nothing is reduced TensorFlow's norm gives its input back, which may be negative.
        differs = "TensorFlow gives the input itself" if name == "EuclideanNorm" and (not axes or shape == (1, 5)) else None
        family(name, input=some(*shape, low=low, high=1.25 if low > 0 else 3.0), axis=typed(axes, "int32"), dtypes=dtypes, differs=differs)
    summed(name, input=some(2, 3, 4), axis=typed([0, 2]), keep_dims=True)
    summed(name, input=some(3, 4), axis=typed(1, "int64"), keep_dims=True)
    summed(name, input=some(3, 4), axis=typed(-2), gradient=False)
for name in ("Max", "Min"):
    exact(name, input=of([[1, 3, 3], [2, 2, 2]]), axis=typed([1]))  # the gradient of ties
    exact(name, input=awkward(), axis=typed([0]), dtypes=("int32", "int64", "uint8"))
    exact(name, input=of([[float("inf"), 1], [-float("inf"), -float("inf")], [-0.0, -1.0]]), axis=typed([1]), dtypes=FLOATS, gradient=False)
for name in ("Sum", "Prod", "Mean"):
    summed(name, input=awkward(), axis=typed([0]), dtypes=("int32", "int64", "uint8"))
    special = of([[float("inf"), 1], [float("inf"), -float("inf")], [float("nan"), 2]])
    summed(name, input=special, axis=typed([1]), dtypes=FLOATS, gradient=False)
summed("Prod", input=of([[0, 2, 3], [0, 0, 3], [1, 2, 3]]), axis=typed([1]), dtypes=FLOATS)  # the gradient where factors are zero
for name in ("All", "Any"):
    for shape, axes in AXES:
        exact(name, input=some(*shape), axis=typed(axes, "int32"), dtypes="bool")
    exact(name, input=some(3, 4), axis=typed([1]), keep_dims=True, dtypes="bool")
for name in ("ArgMax", "ArgMin"):
    for shape, axis in (((7,), 0), ((3, 4), 0), ((3, 4), 1), ((3, 4), -1), ((2, 3, 4), 1), ((0, 3), 1), ((33, 17), 0)):
        exact(name, input=some(*shape), dimension=typed(axis))
        exact(name, input=some(*shape), dimension=typed(axis, "int64"), output_type="int32")
    exact(name, input=of([[1, 3, 3], [2, 2, 2], [3, 1, 1]]), dimension=typed(1))
    exact(name, input=of([[float("-inf")] * 3, [float("inf"), 1, float("inf")], [0.0, -0.0, 0.0]]), dimension=typed(1), dtypes=FLOATS)
for shape in ((), (0,), (7,), (3, 4)):
    summed("L2Loss", t=some(*shape))
for name in ("Cumsum", "Cumprod"):
    for shape, axis in (((7,), 0), ((3, 4), 1), ((3, 4), -2), ((2, 3, 2), 1), ((0, 2), 0), ((2, 0), 0)):
        for exclusive in (False, True):
            for reverse in (False, True):
                summed(name, x=some(*shape), axis=typed(axis), exclusive=exclusive, reverse=reverse)
    summed(name, x=some(3, 4), axis=typed(1, "int64"))
summed("Cumprod", x=of([2, 0, 3, 0, 4]), axis=typed(0), dtypes=FLOATS)

for name in ("SegmentSum", "SegmentProd", "SegmentMax", "SegmentMin", "SegmentMean"):
    for shape, ids in (((5,), [0, 0, 1, 1, 1]), ((5, 2), [0, 0, 2, 2, 4]), ((3, 2, 2), [1, 1, 1]), ((4,), [0, 1, 2, 3]), ((0, 2), [])):
        summed(name, data=some(*shape), segment_ids=typed(ids, "int32"))
        summed(name, data=some(*shape), segment_ids=typed(ids, "int64"))
    summed(name, data=of([[1, 3, 3], [1, 2, 3]]), segment_ids=typed([0, 0]))  # the gradient of ties
for name in ("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin"):
    for shape, ids, count in (((5,), [1, 0, 1, -1, 3], 4), ((5, 2), [2, 2, 0, 1, 2], 3), ((2, 2, 2), [[1, 0], [-1, 1]], 2), ((0,), [], 2), ((3,), [0, 0, 0], 1)):
        summed(name, data=some(*shape), segment_ids=typed(ids, "int32"), num_segments=typed(count))
        summed(name, data=some(*shape), segment_ids=typed(ids, "int64"), num_segments=typed(count, "int64"))
for at, shape, size in (([[4], [3], [1], [4]], (4,), [8]), ([[0], [2]], (2, 3), [3, 3]), ([[0, 1], [2, 0]], (2,), [3, 2]), ([[1]], (1, 2, 2), [2, 2, 2])):
    summed("ScatterNd", indices=typed(at), updates=some(*shape), shape=typed(size))
    summed("ScatterNd", indices=typed(at, "int64"), updates=some(*shape), shape=typed(size, "int64"))

for shape, k in (((7,), 3), ((3, 5), 2), ((2, 2, 4), 4), ((5,), 0), ((4,), 1), ((3, 0), 0)):
    exact("TopKV2", input=some(*shape), k=typed(k), gradient=0 not in shape)  # TensorFlow's gradient fails where there is no row
    exact("nn.top_k", input=some(*shape), k=k, sorted=True, gradient=0 not in shape)
exact("TopKV2", input=of([[1, 3, 3, 2, 3], [0, 0, 0, 0, 0]]), k=typed(4))  # ties: the lower index first
exact("TopKV2", input=awkward(), k=typed(2), dtypes=("int32", "int64", "uint8"))
for shape in ((7,), (3, 5), (2, 2, 4)):
    exact("sort", values=some(*shape))
    exact("sort", values=some(*shape), direction="DESCENDING", axis=0)
    exact("argsort", values=some(*shape), stable=True)
exact("InTopKV2", predictions=typed([[0.1, 0.5, 0.4], [0.3, 0.3, 0.3], [0.9, 0.05, 0.05]], "float32"), targets=typed([2, 1, 1]), k=typed(1))
exact("InTopKV2", predictions=typed([[0.1, 0.5, 0.4], [0.3, 0.3, 0.3]], "float32"), targets=typed([2, 0], "int64"), k=typed(2, "int64"))
not_finite = [[float("nan"), 1, 2], [1, float("inf"), 2], [1, 2, 3]]
exact("InTopKV2", predictions=typed(not_finite, "float32"), targets=typed([1, 1, 5]), k=typed(2))

for a, b, left, right in (
    ((3, 4), (4, 5), False, False), ((4, 3), (4, 5), True, False), ((3, 4), (5, 4), False, True), ((4, 3), (5, 4), True, True),
    ((1, 1), (1, 1), False, False), ((0, 4), (4, 5), False, False), ((3, 0), (0, 5), False, False), ((3, 4), (4, 0), False, False),
    ((1, 17), (17, 1), False, False), ((17, 33), (33, 9), False, False), ((65, 7), (65, 5), True, False),
):  # fmt: skip
    summed("MatMul", a=some(*a), b=some(*b), transpose_a=left, transpose_b=right)
for a, b, left, right in (
    ((2, 3, 4), (2, 4, 5), False, False), ((2, 4, 3), (2, 4, 5), True, False), ((2, 3, 4), (2, 5, 4), False, True),
    ((2, 2, 4, 3), (2, 2, 5, 4), True, True), ((0, 3, 4), (0, 4, 5), False, False), ((2, 3, 0), (2, 0, 2), False, False),
):  # fmt: skip
    summed("BatchMatMul", x=some(*a), y=some(*b), adj_x=left, adj_y=right)
    summed("BatchMatMulV2", x=some(*a), y=some(*b), adj_x=left, adj_y=right)
summed("BatchMatMulV2", x=some(2, 1, 3, 4), y=some(5, 4, 2))
summed("BatchMatMulV2", x=some(3, 4), y=some(2, 4, 2))
summed("matmul", a=some(2, 3, 4), b=some(2, 4, 2), transpose_b=False)
summed("matmul", a=some(3, 4), b=some(4, 2), a_is_sparse=True, dtypes="float32")
summed("tensordot", a=some(2, 3, 4), b=some(4, 3, 2), axes=[[1, 2], [1, 0]])
summed("tensordot", a=some(2, 3), b=some(3, 4), axes=1)
for shape, format_ in (((3, 4), "NHWC"), ((2, 3, 4), "NHWC"), ((2, 2, 3, 4), "NHWC"), ((2, 4, 2, 3), "NCHW"), ((0, 4), "NHWC")):
    summed("BiasAdd", value=some(*shape), bias=some(4), data_format=format_)
    summed("BiasAddGrad", out_backprop=some(*shape), data_format=format_)
summed("BiasAddV1", value=some(3, 4), bias=some(4))

for name in ("reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod", "reduce_logsumexp", "math.reduce_std", "math.reduce_variance"):
    summed(name, input_tensor=some(3, 4))
    summed(name, input_tensor=some(2, 3, 4), axis=[0, -1], keepdims=True)
    summed(name, input_tensor=some(2, 3, 4), axis=1)
summed("reduce_logsumexp", input_tensor=of([[1000, 1000], [float("-inf")] * 2, [float("inf"), 1]]), axis=1, dtypes=FLOATS)
for order in ("euclidean", 1, 2, 3, float("inf")):
    summed("norm", tensor=some(3, 4), ord=order, axis=1)
summed("norm", tensor=some(3, 4))
summed("norm", tensor=some(2, 3, 4), ord="fro", axis=[-2, -1])
summed("norm", tensor=some(2, 3, 4), ord=1, axis=[-2, -1], keepdims=True)
summed("math.count_nonzero", input_tensor=some(3, 4), axis=1)
summed("math.count_nonzero", input_tensor=some(3, 4))
summed("math.confusion_matrix", labels=typed([1, 2, 4]), predictions=typed([2, 2, 4]))
summed("math.confusion_matrix", labels=typed([1, 0]), predictions=typed([1, 1]), num_classes=3, dtype="float32", weights=typed([0.5, 2], "float32"))
for values in ([1, 5, 2], [0], []):
    for dtype in DTYPES[:5]:
        exact("sequence_mask", lengths=typed(values, dtype) if dtype in ("int32", "int64") else typed(values, "int32"), maxlen=4)
