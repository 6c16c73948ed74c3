"""How a recorded call is described: once, for the script that asks TensorFlow 1.15 (record_ops.py) and for the test that asks graphflow.

A `Call` names a function (`"Relu"` is `tf.raw_ops.Relu`, `"nn.moments"` is `tf.nn.moments`) and its arguments. Arguments made by
`some`, `of`,
`awkward` and `typed` are tensors that a run feeds; `kept` makes a variable of one; all others are passed as they are. One description
stands for a call with each dtype that TensorFlow takes. Runs on Python 3.7, which is what TensorFlow 1.15 needs.
"""

from __future__ import annotations

import zlib

import numpy as np

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
FLOATS = ("float32", "float64")
NUMBERS = DTYPES[:5]
INTEGERS = ("int32", "int64", "uint8")

_AWKWARD_FLOATS = [
    np.nan, -np.inf, np.inf, -0.0, 0.0, 1.0, -1.0, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1e-7, -1e-7, 3.0, -7.0, 20.0, -20.0, 87.5, 1e10, -1e10,
    1e-30, -1e-30, 3e38, -3e38, 0.1,
]  # fmt: skip


class Input:
    """A tensor argument. `values(T, seed)` are its values where the call's dtype is `T`."""

    swept = True  # its dtype is the call's
    variable = False

    def __init__(self, make):
        self._make = make

    def values(self, dtype, seed):
        return self._make(dtype, np.random.RandomState(seed))


def some(*shape, low=-3.0, high=3.0):
    """Values drawn from [low, high] (whole ones of three times the range for integers, so that ties and zeros occur)."""

    def make(dtype, random):
        drawn = random.uniform(low, high, shape)
        if dtype == "bool":
            return np.asarray(drawn > (low + high) / 2)
        if np.dtype(dtype).kind in "iu":
            drawn = np.rint(3 * drawn)
            return np.asarray(np.abs(drawn) if dtype == "uint8" else drawn).astype(dtype)
        return np.asarray(drawn).astype(dtype)

    return Input(make)


def of(values):
    """The given values in the call's dtype."""
    return Input(lambda dtype, random: np.asarray(values).astype(dtype))


def awkward(*shape, finite=False):
    """Values where implementations part: NaN, infinities (not where `finite`), zeros of both signs, ties, extremes of the dtype; `shape`
    has one -1."""

    def make(dtype, random):
        if dtype == "bool":
            values = np.array([False, True])
        elif np.dtype(dtype).kind in "iu":
            ends = np.iinfo(dtype)
            values = np.array([ends.min, ends.min + 1, ends.max, ends.max - 1, 0, 1, 2, 3, 7, 100, *(() if dtype == "uint8" else (-1, -2, -7, 46341))])
        else:
            values = np.array(_AWKWARD_FLOATS[3 if finite else 0 :])
        return values.astype(dtype).reshape(shape or (-1,))

    return Input(make)


def typed(values, dtype="int32"):
    """Values of a dtype of their own: indices, shapes, conditions."""
    made = Input(lambda _, random: np.asarray(values, dtype))
    made.swept = False
    return made


def kept(input_):
    """The input as a variable's first value. What the variable holds after the run is recorded too."""
    made = Input(input_._make)
    made.swept, made.variable = input_.swept, True
    return made


class Call:
    """One call. `ulps`: how many units in the last place of each element (or of the largest one, with `of_largest`) a float may differ;
    where it is 0, zeros must have the right sign too.

    `gradient`: whether gradients with regard to the floating swept inputs are recorded. `refuses`: words of TensorFlow's messages, where
    the call is not valid. `differs`: why graphflow's answer is another one on purpose; the answer is then not compared.
    """

    def __init__(self, path, arguments, dtypes, ulps, of_largest, gradient, refuses, differs):
        self.path, self.arguments, self.dtypes = path, arguments, dtypes
        self.ulps, self.of_largest, self.gradient = ulps, of_largest, gradient
        self.refuses, self.differs = refuses, differs
        self.number = 0


class Family:
    """Calls that are judged alike."""

    def __init__(self, ulps=0, of_largest=False, dtypes=DTYPES):
        self.ulps, self.of_largest, self.dtypes = ulps, of_largest, dtypes
        self.calls = []

    def __call__(self, path, dtypes=None, ulps=None, gradient=True, differs=None, **arguments):
        """Describes a call. `dtypes` are those that are tried; what TensorFlow does not take is left out while recording."""
        chosen = (dtypes,) if isinstance(dtypes, str) else dtypes or self.dtypes
        if not any(i.swept for i in inputs_of(arguments)):
            chosen = (chosen[0],)
        self.calls.append(Call(path, arguments, chosen, self.ulps if ulps is None else ulps, self.of_largest, gradient, None, differs))

    def refuses(self, path, *words, dtypes="float32", **arguments):
        """Describes a call that is not valid. words: of TensorFlow's message, first where all is known while building, then (if they are
        others) where nothing is known before the run. "": only the class is the same. None: nothing is compared; TensorFlow takes the call,
        dies of it, or graphflow answers otherwise."""
        words = {"known": words[0], "unknown": words[-1]}
        self.calls.append(Call(path, arguments, (dtypes,), 0, False, False, words, None))


def flat(value):
    """What stands in lists, tuples and dicts, in order."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in flat(part)]
    return [value]


def inputs_of(arguments):
    return [leaf for leaf in flat([arguments[name] for name in arguments]) if isinstance(leaf, Input)]


def numbered(families):
    """All calls by path; each has its number among those of its path."""
    by_path = {}
    for family in families:
        for call in family.calls:
            of_path = by_path.setdefault(call.path, [])
            call.number = len(of_path)
            of_path.append(call)
    return by_path


def label(call, dtype):
    return "%s.%d.%s" % (call.path, call.number, dtype)


def function(tf, path):
    found = tf if "." in path or hasattr(tf, path) and path[0].islower() else tf.raw_ops
    for part in path.split("."):
        found = getattr(found, part)
    return found


class Built:
    """A call in the default graph: `fetches` (a flat list; None stands where there is no gradient), `feeds`, and the `variables` it
    changes."""

    def __init__(self, tf, call, dtype, sizes="known", values="fed", shapes=None):
        """sizes: "known" while building, "unknown", or "ranked": only the number of dimensions is known. values: "fed", or "constant"
        (which typed ones are where sizes are known, unless the
        call has no other). shapes: of the results, for the weights of gradients; without them there are no gradients."""
        self.feeds, self.variables, differentiated = {}, [], []
        name = label(call, dtype)
        count = [0]
        constant = sizes == "known" and any(i.swept for i in inputs_of(call.arguments))

        def tensor(leaf):
            if not isinstance(leaf, Input):
                return leaf
            count[0] += 1
            array = leaf.values(dtype, zlib.crc32(("%s:%d" % (name, count[0])).encode()))
            if leaf.variable:
                made = tf.Variable(array, trainable=False, use_resource=False)
                self.variables.append(made)
                return made._ref()
            if values == "constant" or constant and not leaf.swept:
                return tf.constant(array)
            made = tf.placeholder(array.dtype, {"known": array.shape, "ranked": [None] * array.ndim}.get(sizes))
            self.feeds[made] = array
            if leaf.swept and array.dtype.kind == "f":
                differentiated.append(made)
            return made

        def given(value):
            if isinstance(value, dict):
                return {key: given(part) for key, part in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)(given(part) for part in value)
            return tensor(value)

        arguments = {key: given(value) for key, value in sorted(call.arguments.items())}
        results = function(tf, call.path)(**arguments)
        self.fetches = [r for r in flat(_plain(tf, results)) if r is not None]
        if call.gradient and differentiated and not self.variables and shapes is not None:
            self._differentiate(tf, name, differentiated, shapes, sizes)

    def _differentiate(self, tf, name, inputs, shapes, sizes):
        outputs, weights = [], []
        for number, (output, shape) in enumerate(zip(self.fetches, shapes)):
            if output.dtype.base_dtype.is_floating:
                random = np.random.RandomState(zlib.crc32(("%s:dy%d" % (name, number)).encode()))
                values = random.uniform(-2, 2, shape).astype(output.dtype.base_dtype.as_numpy_dtype)
                weight = tf.placeholder(values.dtype, {"known": shape, "ranked": [None] * len(shape)}.get(sizes))
                self.feeds[weight] = values
                outputs.append(output)
                weights.append(weight)
        if not outputs:
            return
        try:
            self.fetches += tf.gradients(outputs, inputs, weights)
        except LookupError:  # the op has no gradient
            pass


def _plain(tf, results):
    """Tensors out of operations, sparse gradients and namedtuples."""
    if isinstance(results, dict):
        return {key: _plain(tf, value) for key, value in results.items()}
    if isinstance(results, (list, tuple)):
        return [_plain(tf, value) for value in results]
    if isinstance(results, tf.SparseTensor):
        return [results.indices, results.values, results.dense_shape]
    return results


def dense(tf, fetches):
    """Gradients of a gather come as IndexedSlices: as tensors."""
    return [None if f is None else tf.convert_to_tensor(f) if isinstance(f, tf.IndexedSlices) else f for f in fetches]
