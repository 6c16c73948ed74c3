"""Random valid graphs, built through the public API from a recipe: a list of small numbers that shrinks well.

A graph has feeds with a batch of unknown size, two variables, and a pool of tensors that every step of the recipe adds one to. Shapes are
known as a*n + b for a batch of n, so that every graph is valid for every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import graphflow as tf

BATCH = (1, 0)
WIDTH = 6


def static(*sizes: int) -> tuple[tuple[int, int], ...]:
    """Dims that do not depend on the batch."""
    return tuple((0, size) for size in sizes)


class Entry(NamedTuple):
    """A float tensor of the pool; each of its `dims` is (a, b): a*n + b."""

    tensor: Any
    dims: tuple[tuple[int, int], ...]

    @property
    def rank(self) -> int:
        return len(self.dims)


class Built(NamedTuple):
    """A graph with what is run of it."""

    graph: Any
    fetches: list[Any]
    targets: list[Any]
    variables: list[Any]
    initializer: Any
    feeds: dict[str, Any]

    def arrays(self, batch: int, seed: int = 0) -> dict[Any, np.ndarray]:
        """Values for the feeds."""
        random = np.random.RandomState(seed)
        return {
            self.feeds["x"]: random.uniform(-1, 1, (batch, WIDTH)).astype(np.float32),
            self.feeds["picture"]: random.uniform(-1, 1, (batch, 6, 5, 3)).astype(np.float32),
            self.feeds["chosen"]: random.randint(0, WIDTH, batch).astype(np.int32),
            self.feeds["row"]: random.uniform(-1, 1, WIDTH).astype(np.float32),
        }


class Maker:
    """Adds ops to the pool of one graph."""

    def __init__(self) -> None:
        x = tf.placeholder(tf.float32, [None, WIDTH], name="x")
        picture = tf.placeholder(tf.float32, [None, 6, 5, 3], name="picture")
        chosen = tf.placeholder(tf.int32, [None], name="chosen")
        row = tf.placeholder(tf.float32, [WIDTH], name="row")
        self.feeds = {"x": x, "picture": picture, "chosen": chosen, "row": row}
        spread = np.random.RandomState(5).uniform(-1, 1, (WIDTH, WIDTH)).astype(np.float32)
        self.matrix = tf.Variable(spread, name="matrix")
        self.vector = tf.Variable(np.linspace(-1, 1, WIDTH, dtype=np.float32), name="vector")
        self.pool = [
            Entry(x, (BATCH, (0, WIDTH))),
            Entry(picture, (BATCH, *static(6, 5, 3))),
            Entry(row, static(WIDTH)),
            Entry(self.matrix.read_value(), static(WIDTH, WIDTH)),
            Entry(self.vector.read_value(), static(WIDTH)),
        ]
        self.targets: list[Any] = []

    def entry(self, number: int, wanted: Callable[[Entry], bool] = lambda e: True) -> Entry | None:
        """A tensor of the pool that fits; high numbers mean late ones."""
        fitting = [e for e in self.pool if wanted(e)]
        return fitting[number % len(fitting)] if fitting else None

    def add(self, tensor: Any, dims: Sequence[tuple[int, int]]) -> None:
        """One more tensor. Large ones are left out: they would only cost time."""
        size = int(np.prod([7 * a + b for a, b in dims]))
        if len(dims) <= 4 and 0 < size <= 8000:
            self.pool.append(Entry(tensor, tuple(dims)))

    def step(self, kind: int, p: int, q: int, r: int) -> None:
        """One step of a recipe. Where nothing fits it does nothing."""
        e = self.entry(p)
        assert e is not None
        STEPS[kind % len(STEPS)](self, e, q, r)

    # -- the families --------------------------------------------------------------------------------------------------------

    def unary(self, e: Entry, q: int, r: int) -> None:
        t = e.tensor
        makers = (
            lambda: tf.tanh(t), lambda: tf.sigmoid(t), lambda: tf.nn.relu(t), lambda: tf.exp(tf.minimum(t, 1.0)), lambda: tf.abs(t),
            lambda: -t, lambda: tf.square(tf.tanh(t)), lambda: tf.nn.softplus(t), lambda: tf.nn.leaky_relu(t, 0.1),
            lambda: tf.sqrt(tf.abs(t) + 0.5), lambda: tf.log(tf.abs(t) + 0.5), lambda: tf.nn.elu(t), lambda: tf.clip_by_value(t, -0.5, 0.7),
            lambda: tf.rsqrt(tf.square(t) + 1.0), lambda: tf.identity(t), lambda: tf.erf(t), lambda: t * 0.5 + 0.25,
            lambda: tf.stop_gradient(t),
        )  # fmt: skip
        self.add(makers[q % len(makers)](), e.dims)

    def binary(self, e: Entry, q: int, r: int) -> None:
        def fits(o: Entry) -> bool:
            return all(a == b or (0, 1) in (a, b) for a, b in zip(reversed(e.dims), reversed(o.dims), strict=False))

        o = self.entry(q, fits)
        if o is None:
            return
        a, b = e.tensor, o.tensor
        makers = (
            lambda: a + b, lambda: a - b, lambda: a * b, lambda: tf.maximum(a, b), lambda: tf.minimum(a, b),
            lambda: tf.squared_difference(a, b), lambda: a / (tf.square(b) + 1.0), lambda: tf.add_n([a, a]) - b,
        )  # fmt: skip
        rank = max(e.rank, o.rank)
        padded = [(((0, 1),) * (rank - i.rank) + i.dims) for i in (e, o)]
        self.add(makers[r % len(makers)](), [y if x == (0, 1) else x for x, y in zip(*padded, strict=True)])

    def reduce(self, e: Entry, q: int, r: int) -> None:
        if not e.rank:
            return
        axes = [a for a in range(e.rank) if (q >> a) & 1] or [q % e.rank]
        keep = bool(r & 1)
        maker = (tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_min, tf.reduce_logsumexp)[r // 2 % 5]
        dims = [((0, 1) if a in axes else d) for a, d in enumerate(e.dims) if keep or a not in axes]
        self.add(maker(e.tensor, axes if r % 3 else [a - e.rank for a in axes], keepdims=keep), dims)

    def move(self, e: Entry, q: int, r: int) -> None:
        t, d, rank = e.tensor, e.dims, e.rank
        if not rank:
            self.add(tf.reshape(t, [1, 1]), static(1, 1))
            return
        axis = r % rank
        kind = q % 11
        if kind == 0:
            perm = list(np.random.RandomState(r).permutation(rank))
            self.add(tf.transpose(t, perm), [d[a] for a in perm])
        elif kind == 1 and sum(a != 0 for a, _ in d) <= 1:
            wide = int(np.prod([b for a, b in d if a == 0]))
            scale = next((a for a, b in d if a and not b), None)
            if all(b == 0 for a, b in d if a):
                self.add(tf.reshape(t, [-1]), [(scale * wide, 0) if scale else (0, wide)])
        elif kind == 2:
            self.add(tf.expand_dims(t, axis), [*d[:axis], (0, 1), *d[axis:]])
        elif kind == 3:
            self.add(tf.concat([t, -t], axis), [*d[:axis], (2 * d[axis][0], 2 * d[axis][1]), *d[axis + 1 :]])
        elif kind == 4:
            self.add(tf.stack([t, t * 2.0], axis), [*d[:axis], (0, 2), *d[axis:]])
        elif kind == 5:
            self.add(tf.tile(t, [2 if a == axis else 1 for a in range(rank)]),
                     [(2 * a, 2 * b) if k == axis else (a, b) for k, (a, b) in enumerate(d)])  # fmt: skip
        elif kind == 6:
            self.add(tf.pad(t, [[r % 2, 1] if k == axis else [0, 0] for k in range(rank)], constant_values=0.5),
                     [(a, b + r % 2 + 1) if k == axis else (a, b) for k, (a, b) in enumerate(d)])  # fmt: skip
        elif kind == 7 and d[axis][0] == 0 and d[axis][1] > 2:
            self.add(tf.slice(t, [1 if k == axis else 0 for k in range(rank)], [d[k][1] - 2 if k == axis else -1 for k in range(rank)]),
                     [(a, b - 2) if k == axis else (a, b) for k, (a, b) in enumerate(d)])  # fmt: skip
        elif kind == 8:
            self.add(t[(slice(None),) * axis + (slice(None, None, -1),)], d)
        elif kind == 9 and d[axis][0] == 0 and d[axis][1] % 2 == 0:
            self.add(tf.split(t, 2, axis)[r // 4 % 2], [(a, b // 2) if k == axis else (a, b) for k, (a, b) in enumerate(d)])
        elif kind == 10:
            self.add(t[(slice(None),) * axis + (0,)], [*d[:axis], *d[axis + 1 :]])

    def matmul(self, e: Entry, q: int, r: int) -> None:
        if e.rank < 2 or e.dims[-1][0]:
            return
        wide = e.dims[-1][1]
        if e.rank == 2 and wide == WIDTH and q % 2:
            self.add(tf.matmul(e.tensor, self.matrix, transpose_b=bool(r & 1)), [e.dims[0], (0, WIDTH)])
        elif e.rank == 2 and q % 3 == 0:
            self.add(tf.matmul(e.tensor, e.tensor, transpose_a=True) / 4.0, [e.dims[1], e.dims[1]])
        elif e.rank == 2:
            weights = np.random.RandomState(r).uniform(-1, 1, (wide, 1 + r % 9)).astype(np.float32)
            self.add(tf.matmul(e.tensor, weights), [e.dims[0], (0, 1 + r % 9)])
        else:
            self.add(tf.matmul(e.tensor, e.tensor, transpose_b=True), [*e.dims[:-1], e.dims[-2]])

    def picture(self, e: Entry, q: int, r: int) -> None:
        found = self.entry(q, lambda o: o.rank == 4 and all(a == 0 for a, _ in o.dims[1:]) and o.dims[1][1] > 2 and o.dims[2][1] > 2)
        if found is None:
            return
        t, d = found.tensor, found.dims
        stride, same = 1 + r % 2, bool(r // 2 % 2)
        padding = "SAME" if same else "VALID"
        window = 2 + r // 4 % 2
        out = [-(-b // stride) if same else (b - window) // stride + 1 for _, b in d[1:3]]
        kind = q % 4
        if kind < 2:
            filters = 1 + r // 8 % 5
            kernel = np.random.RandomState(r).uniform(-0.5, 0.5, (window, window, d[3][1], filters)).astype(np.float32)
            made = tf.nn.conv2d(t, kernel, strides=[1, stride, stride, 1], padding=padding)
            if kind:
                made = tf.nn.relu(tf.nn.bias_add(made, np.linspace(-0.2, 0.3, filters).astype(np.float32)))
            self.add(made, [d[0], *static(*out), (0, filters)])
        else:
            pool = (tf.nn.max_pool, tf.nn.avg_pool)[kind - 2]
            self.add(pool(t, [1, window, window, 1], [1, stride, stride, 1], padding), [d[0], *static(*out), d[3]])

    def softmax(self, e: Entry, q: int, r: int) -> None:
        if not e.rank or e.dims[-1] == (0, 0):
            return
        if q % 4 == 0:
            self.add(tf.nn.softmax(e.tensor), e.dims)
        elif q % 4 == 1:
            self.add(tf.nn.log_softmax(e.tensor), e.dims)
        elif e.rank == 2 and q % 4 == 2:
            labels = tf.nn.softmax(e.tensor * 0.5)
            self.add(tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.stop_gradient(labels), logits=e.tensor), e.dims[:1])
        elif e.rank == 2 and e.dims[0] == BATCH and e.dims[1][0] == 0:
            labels = tf.mod(self.feeds["chosen"], e.dims[1][1])
            self.add(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=e.tensor), e.dims[:1])

    def gather(self, e: Entry, q: int, r: int) -> None:
        if not e.rank:
            return
        if e.dims[0][0] == 0 and q % 3 == 0:
            self.add(tf.gather(e.tensor, tf.mod(self.feeds["chosen"], e.dims[0][1])), [BATCH, *e.dims[1:]])
        elif e.dims[0] == BATCH and q % 3 == 1:
            self.add(tf.gather(e.tensor, tf.range(tf.shape(e.tensor)[0])), e.dims)
        else:
            axis = r % e.rank
            if e.dims[axis][0] == 0:
                self.add(tf.gather(e.tensor, [0, e.dims[axis][1] - 1, 0], axis=axis), [*e.dims[:axis], (0, 3), *e.dims[axis + 1 :]])

    def choose(self, e: Entry, q: int, r: int) -> None:
        o = self.entry(q, lambda o: o.dims == e.dims)
        assert o is not None
        limit = float(r % 5 - 2) / 4 + 0.013
        condition = (tf.greater, tf.less_equal)[r % 2](e.tensor, limit)
        self.add(tf.where(tf.logical_or(condition, tf.logical_not(tf.equal(o.tensor, o.tensor))), e.tensor, o.tensor * 0.5), e.dims)

    def integers(self, e: Entry, q: int, r: int) -> None:
        chosen = self.feeds["chosen"]
        kind = q % 5
        if kind == 0:
            self.add(tf.one_hot(chosen, WIDTH, on_value=0.75), (BATCH, (0, WIDTH)))
        elif kind == 1:
            self.add(tf.cast(chosen * 3 - chosen // 2, tf.float32) / 8.0, (BATCH,))
        elif kind == 2:
            self.add(tf.cast(tf.argmax(self.feeds["x"], 1), tf.float32), (BATCH,))
        elif kind == 3:
            self.add(tf.cast(tf.cast(self.feeds["row"] * 4.0, tf.int32), tf.float32) * 0.25, static(WIDTH))
        else:
            self.add(e.tensor / tf.cast(tf.size(e.tensor), tf.float32), e.dims)

    def assign(self, e: Entry, q: int, r: int) -> None:
        found = self.entry(q, lambda o: o.dims in (static(WIDTH), static(WIDTH, WIDTH)))
        assert found is not None
        variable = self.vector if found.rank == 1 else self.matrix
        value = tf.tanh(found.tensor) * 0.5
        makers = (variable.assign, variable.assign_add, variable.assign_sub)
        update = makers[r % 3](value)
        if r // 3 % 2:
            with tf.control_dependencies([update]):
                self.add(variable.read_value() + 0.125, found.dims)
        self.targets.append(update.op)


STEPS = (
    Maker.unary, Maker.unary, Maker.binary, Maker.binary, Maker.binary, Maker.reduce, Maker.reduce, Maker.move, Maker.move, Maker.move,
    Maker.matmul, Maker.matmul, Maker.picture, Maker.picture, Maker.softmax, Maker.gather, Maker.choose, Maker.integers, Maker.assign,
)  # fmt: skip


def build(recipe: Sequence[tuple[int, int, int, int]], ending: int) -> Built:
    """The graph of a recipe; `ending` says what is differentiated and how the variables are trained."""
    graph = tf.Graph()
    with graph.as_default():
        maker = Maker()
        for numbers in recipe:
            maker.step(*numbers)
        last = maker.pool[-1].tensor
        fetches = [e.tensor for e in maker.pool[5:][-3:]] or [last]
        loss = tf.reduce_mean(tf.tanh(last)) + tf.reduce_sum(tf.square(maker.vector)) * 0.01
        if ending % 3 == 1:
            found = tf.gradients(loss, [maker.matrix, maker.vector, maker.feeds["x"], maker.feeds["picture"]])
            fetches += [tf.convert_to_tensor(g) for g in found if g is not None]
        elif ending % 3 == 2:
            train = tf.train
            optimizers = (train.GradientDescentOptimizer(0.5), train.MomentumOptimizer(0.1, 0.9), train.AdamOptimizer(0.01, epsilon=1e-3))
            with tf.control_dependencies(maker.targets):
                maker.targets = [optimizers[ending // 3 % 3].minimize(loss)]
        return Built(graph, fetches, maker.targets, tf.global_variables(), tf.global_variables_initializer(), maker.feeds)
