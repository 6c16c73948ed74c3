"""Convolution, pooling, normalisation, softmax and losses, resizing, image and layer functions."""

from __future__ import annotations

from tests.golden.describe import FLOATS, NUMBERS, Family, of, some, typed

exact = Family(dtypes=FLOATS)
summed = Family(ulps=32, of_largest=True, dtypes=FLOATS)
deep = Family(ulps=256, of_largest=True, dtypes=FLOATS)  # several sums, a division or a root between them

for shape, kernel, stride, padding, extra in (
    ((1, 5, 5, 1), (3, 3, 1, 1), 1, "VALID", {}), ((2, 5, 4, 3), (3, 3, 3, 2), 1, "SAME", {}), ((2, 7, 6, 2), (3, 2, 2, 4), 2, "SAME", {}),
    ((1, 7, 7, 2), (3, 3, 2, 3), 2, "VALID", {}), ((2, 4, 4, 3), (1, 1, 3, 5), 1, "SAME", {}), ((1, 6, 6, 1), (5, 5, 1, 2), 3, "SAME", {}),
    ((1, 9, 9, 1), (3, 3, 1, 2), 1, "VALID", {"dilations": [1, 2, 2, 1], "gradient": False}), ((1, 4, 4, 2), (4, 4, 2, 3), 1, "VALID", {}),
    ((2, 5, 5, 2), (2, 2, 2, 2), 1, "EXPLICIT", {"explicit_paddings": [0, 0, 1, 0, 2, 1, 0, 0]}), ((0, 5, 5, 1), (3, 3, 1, 2), 1, "SAME", {}),
    ((1, 8, 8, 3), (3, 3, 3, 17), 1, "SAME", {}),
):  # fmt: skip
    summed("Conv2D", input=some(*shape), filter=some(*kernel), strides=[1, stride, stride, 1], padding=padding, **extra)
for shape, kernel, out, stride, padding in (
    ((2, 5, 4, 3), (3, 3, 3, 2), (2, 5, 4, 2), 1, "SAME"), ((1, 7, 6, 2), (3, 2, 2, 4), (1, 4, 3, 4), 2, "SAME"),
    ((1, 7, 7, 2), (3, 3, 2, 3), (1, 3, 3, 3), 2, "VALID"), ((1, 6, 6, 1), (5, 5, 1, 2), (1, 2, 2, 2), 3, "SAME"),
):  # fmt: skip
    common = {"strides": [1, stride, stride, 1], "padding": padding, "out_backprop": some(*out)}
    summed("Conv2DBackpropInput", input_sizes=typed(shape), filter=some(*kernel), **common)
    summed("Conv2DBackpropFilter", input=some(*shape), filter_sizes=typed(kernel), **common)
    kernel = (*kernel[:3], 2)
    common["out_backprop"] = some(*out[:3], kernel[2] * 2)
    summed("DepthwiseConv2dNative", input=some(*shape), filter=some(*kernel), strides=common["strides"], padding=padding)
    summed("DepthwiseConv2dNativeBackpropInput", input_sizes=typed(shape), filter=some(*kernel), **common)
    summed("DepthwiseConv2dNativeBackpropFilter", input=some(*shape), filter_sizes=typed(kernel), **common)
for shape, kernel, stride, padding in (
    ((1, 4, 4, 4, 2), (2, 2, 2, 2, 3), 1, "VALID"), ((1, 3, 5, 4, 1), (3, 3, 3, 1, 2), 2, "SAME"), ((2, 3, 3, 3, 2), (1, 1, 1, 2, 2), 1, "SAME"),
):  # fmt: skip
    summed("Conv3D", input=some(*shape), filter=some(*kernel), strides=[1, stride, stride, stride, 1], padding=padding)
summed("nn.conv1d", value=some(2, 7, 3), filters=some(3, 3, 4), stride=2, padding="SAME")
summed("nn.conv2d_transpose", value=some(1, 3, 3, 2), filter=some(3, 3, 4, 2), output_shape=[1, 6, 6, 4], strides=[1, 2, 2, 1])
summed("nn.conv2d_transpose", value=some(1, 3, 3, 2), filter=some(2, 2, 1, 2), output_shape=[1, 4, 4, 1], strides=[1, 1, 1, 1], padding="VALID")
summed("nn.atrous_conv2d", value=some(1, 8, 8, 2), filters=some(3, 3, 2, 2), rate=2, padding="SAME")
summed("nn.separable_conv2d", input=some(1, 5, 5, 2), depthwise_filter=some(3, 3, 2, 2), pointwise_filter=some(1, 1, 4, 3), strides=[1, 1, 1, 1],
       padding="SAME")  # fmt: skip
summed("nn.depthwise_conv2d", input=some(1, 6, 6, 2), filter=some(3, 3, 2, 1), strides=[1, 1, 1, 1], padding="VALID", rate=[2, 2])
summed("nn.convolution", input=some(1, 7, 7, 2), filter=some(3, 3, 2, 2), padding="SAME", dilation_rate=[2, 2])

for shape, window, stride, padding in (
    ((1, 4, 4, 1), 2, 2, "VALID"), ((2, 5, 7, 3), 3, 2, "SAME"), ((1, 5, 5, 2), 3, 1, "SAME"), ((1, 6, 5, 2), 2, 3, "VALID"),
    ((0, 4, 4, 1), 2, 2, "SAME"), ((1, 3, 3, 1), 3, 1, "VALID"),
):  # fmt: skip
    sizes = {"ksize": [1, window, window, 1], "strides": [1, stride, stride, 1], "padding": padding}
    exact("MaxPool", input=some(*shape), dtypes=None if shape[0] else "float32", **sizes)
    summed("AvgPool", value=some(*shape), **sizes)
    if shape[0]:
        exact("MaxPoolWithArgmax", input=some(*shape), **sizes)
exact("MaxPool", input=some(1, 5, 5, 2), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME", dtypes=("int32", "int64", "uint8"))
exact("MaxPool", input=of([[[[1.0], [1.0]], [[1.0], [1.0]]]]), ksize=[1, 2, 2, 1], strides=[1, 1, 1, 1], padding="SAME")  # the gradient of ties
exact("MaxPool", input=some(2, 1, 1, 6), ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="VALID", gradient=False)
exact("MaxPoolWithArgmax", input=some(2, 4, 4, 2), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID", include_batch_in_index=True)
for shape, window, stride, padding in (((1, 4, 4, 4, 1), 2, 2, "VALID"), ((1, 3, 5, 4, 2), 3, 2, "SAME")):
    sizes = {"ksize": [1, window, window, window, 1], "strides": [1, stride, stride, stride, 1], "padding": padding}
    exact("MaxPool3D", input=some(*shape), dtypes="float32", **sizes)
    summed("AvgPool3D", input=some(*shape), **sizes)

for shape in ((3, 5), (1, 1), (2, 17), (0, 3), (4, 1)):
    summed("Softmax", logits=some(*shape))
    summed("LogSoftmax", logits=some(*shape))
    # The second result depends on the labels too, of which TensorFlow's gradient knows nothing.
    summed("SoftmaxCrossEntropyWithLogits", features=some(*shape), labels=some(*shape, low=0, high=1), gradient=False)
large = of([[1000.0, 0, -1000], [0, 0, 0], [-1e30, 1e30, 0]])
summed("Softmax", logits=large)
summed("LogSoftmax", logits=large)
for shape, classes in (((3, 5), [0, 4, 2]), ((1, 2), [1]), ((2, 17), [16, 0])):
    summed("SparseSoftmaxCrossEntropyWithLogits", features=some(*shape), labels=typed(classes))
    summed("SparseSoftmaxCrossEntropyWithLogits", features=some(*shape), labels=typed(classes, "int64"))
summed("nn.softmax", logits=some(2, 3, 4), axis=1)
summed("nn.log_softmax", logits=some(2, 3, 4), axis=0)
summed("nn.softmax_cross_entropy_with_logits_v2", labels=some(2, 3, 4, low=0, high=1), logits=some(2, 3, 4))
summed("nn.sigmoid_cross_entropy_with_logits", labels=some(3, 4, low=0, high=1), logits=some(3, 4, low=-20, high=20))
summed("nn.weighted_cross_entropy_with_logits", labels=some(3, 4, low=0, high=1), logits=some(3, 4), pos_weight=2.5)
summed("nn.log_poisson_loss", targets=some(3, 4, low=0, high=3), log_input=some(3, 4), compute_full_loss=True)
summed("nn.l2_loss", t=some(3, 4))
deep("nn.l2_normalize", x=some(3, 4), axis=1)
deep("nn.l2_normalize", x=some(2, 3, 4), axis=[0, 2], epsilon=0.5)
deep("nn.moments", x=some(5, 4), axes=[0])
deep("nn.moments", x=some(2, 3, 4), axes=[0, 1], keep_dims=True)
deep("nn.weighted_moments", x=some(5, 4), axes=[0], frequency_weights=some(5, 4, low=0.1))
deep("nn.sufficient_statistics", x=some(5, 4), axes=[0])
deep("nn.batch_normalization", x=some(5, 4), mean=some(4), variance=some(4, low=0.2), offset=some(4), scale=some(4), variance_epsilon=1e-3)
none = typed([], "float32")
for path in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
    deep(path, x=some(2, 3, 2, 3), scale=some(3), offset=some(3), mean=none, variance=none, epsilon=1e-3, dtypes="float32")
deep("nn.fused_batch_norm", x=some(1, 4, 4, 2), scale=some(2), offset=some(2), epsilon=0.01, dtypes="float32")
for radius, bias, alpha, beta in ((5, 1.0, 1.0, 0.5), (1, 2.0, 1e-1, 0.75), (0, 1.0, 0.5, 1.0)):
    deep("LRN", input=some(2, 2, 2, 5), depth_radius=radius, bias=bias, alpha=alpha, beta=beta, dtypes="float32")
summed("nn.crelu", features=some(3, 4))
summed("nn.xw_plus_b", x=some(3, 4), weights=some(4, 2), biases=some(2))
summed("nn.relu_layer", x=some(3, 4), weights=some(4, 2), biases=some(2))
summed("nn.embedding_lookup", params=some(5, 3), ids=typed([[0, 4], [2, 2]]))
summed("nn.embedding_lookup", params=[some(3, 2), some(2, 2)], ids=typed([0, 4, 3]), partition_strategy="mod")
summed("nn.embedding_lookup", params=[some(3, 2), some(2, 2)], ids=typed([0, 4, 3]), partition_strategy="div")
summed("nn.embedding_lookup", params=some(5, 3), ids=typed([1, 2]), max_norm=1.0)
summed("nn.pool", input=some(1, 6, 6, 2), window_shape=[2, 2], pooling_type="AVG", padding="SAME", strides=[2, 2])
summed("nn.in_top_k", predictions=typed([[0.1, 0.9], [0.6, 0.4]], "float32"), targets=typed([1, 1]), k=1)
exact("space_to_batch", input=some(1, 4, 4, 1), paddings=[[0, 0], [0, 0]], block_size=2)
exact("batch_to_space", input=some(4, 2, 2, 1), crops=[[0, 0], [0, 0]], block_size=2)

summed("clip_by_value", t=some(3, 4), clip_value_min=-1.0, clip_value_max=1.5)
deep("clip_by_norm", t=some(3, 4), clip_norm=2.0)
deep("clip_by_norm", t=some(3, 4), clip_norm=1.0, axes=[1])
deep("clip_by_average_norm", t=some(3, 4), clip_norm=0.1)
deep("clip_by_global_norm", t_list=[some(3, 4), some(2)], clip_norm=1.0)
deep("global_norm", t_list=[some(3, 4), some(2)])
for path in ("absolute_difference", "mean_squared_error", "huber_loss", "mean_pairwise_squared_error"):
    deep("losses." + path, labels=some(3, 4), predictions=some(3, 4), dtypes="float32")
    deep("losses." + path, labels=some(3, 4), predictions=some(3, 4), weights=some(3, 1, low=0), dtypes="float32")  # its weights are of float32
deep("losses.log_loss", dtypes="float32", labels=some(3, 4, low=0, high=1), predictions=some(3, 4, low=0.1, high=0.9))
deep("losses.hinge_loss", labels=of([[1, 0, 1], [0, 0, 1]]), logits=some(2, 3))
deep("losses.cosine_distance", labels=some(3, 4), predictions=some(3, 4), axis=1)
deep("losses.sigmoid_cross_entropy", multi_class_labels=some(3, 4, low=0, high=1), logits=some(3, 4), label_smoothing=0.1, ulps=1024)
deep("losses.softmax_cross_entropy", onehot_labels=of([[1, 0, 0], [0, 0, 1]]), logits=some(2, 3), label_smoothing=0.2)
deep("losses.sparse_softmax_cross_entropy", labels=typed([2, 0]), logits=some(2, 3), weights=typed([0.5, 2], "float32"))

for size in ([5, 7], [2, 2], [1, 1], [4, 4]):
    for corners in (False, True):
        summed("ResizeBilinear", images=some(1, 3, 4, 2), size=typed(size), align_corners=corners, dtypes=NUMBERS, gradient=False)
        summed("ResizeBilinear", images=some(1, 3, 4, 2), size=typed(size), align_corners=corners, dtypes="float32")
        exact("ResizeNearestNeighbor", images=some(1, 3, 4, 2), size=typed(size), align_corners=corners)
    summed("ResizeBilinear", images=some(1, 3, 4, 2), size=typed(size), half_pixel_centers=True, dtypes="float32")
    exact("ResizeNearestNeighbor", images=some(1, 3, 4, 2), size=typed(size), half_pixel_centers=True)
deep("image.per_image_standardization", image=some(4, 4, 3), dtypes="float32")
for path in ("flip_left_right", "flip_up_down", "transpose_image", "rot90"):
    exact("image." + path, image=some(3, 4, 2), gradient=path != "rot90")  # whose shapes TensorFlow's gradient does not allow
deep("image.adjust_brightness", image=some(3, 4, 3), delta=0.3, dtypes="float32")
deep("image.adjust_contrast", images=some(3, 4, 3), contrast_factor=1.7, dtypes="float32")
deep("image.rgb_to_grayscale", images=some(3, 4, 3, low=0, high=1), dtypes="float32")
exact("image.grayscale_to_rgb", images=some(3, 4, 1))
exact("image.central_crop", image=some(5, 6, 2), central_fraction=0.5)
exact("image.crop_to_bounding_box", image=some(5, 6, 2), offset_height=1, offset_width=2, target_height=3, target_width=2)
exact("image.pad_to_bounding_box", image=some(3, 3, 2), offset_height=1, offset_width=2, target_height=6, target_width=6)
exact("image.resize_image_with_crop_or_pad", image=some(3, 6, 2), target_height=5, target_width=4)
deep("image.resize_images", images=some(1, 3, 3, 2), size=[5, 5], dtypes="float32")
deep("image.total_variation", images=some(2, 4, 4, 1), dtypes="float32")
