"""Samplers, sampled losses, CTC, embeddings, sparse tensors, strings: programs, and what real TensorFlow 1.15 computes for them.

    TF1/bin/python tests/golden/sequence.py tests/golden/sequence.npz
"""

import sys

import numpy as np

TRUE = np.array([[0, 3], [7, 2], [9, 1]], np.int64)
TABLE = np.random.RandomState(0).randn(20, 8).astype(np.float32)
OFFSETS = np.random.RandomState(1).randn(20).astype(np.float32)
INPUTS = np.random.RandomState(2).randn(4, 8).astype(np.float32)
LABELS = np.array([[1], [3], [5], [19]])
RUNS = 3  # of each program in one session: samplers go on in their streams, the learned one learns

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def sampler(kind, unique, **settings):
    def build(tf):
        return list(getattr(tf.nn, kind)(TRUE, 2, unique=unique, **settings)), {}

    return build


WEIGHTS = [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 7.0, 8.0, 9.0, 10.0]
for distinct in (True, False):
    for size, count in ((10, 5), (50000, 64)):
        for name in ("uniform", "log_uniform", "learned_unigram"):
            settings = {"num_sampled": count, "range_max": size, "seed": 3}
            CASES[f"{name}_{size}_{distinct}"] = sampler(f"{name}_candidate_sampler", distinct, **settings)
    CASES[f"fixed_{distinct}"] = sampler(
        "fixed_unigram_candidate_sampler", distinct, num_sampled=6, range_max=10, unigrams=WEIGHTS, distortion=0.75, seed=3
    )


def sampled_loss(kind, **settings):
    def build(tf):
        w, b = tf.get_variable("w", initializer=TABLE), tf.get_variable("b", initializer=OFFSETS)
        x, y = tf.placeholder(tf.float32, [None, 8]), tf.placeholder(tf.int32, [None, 1])
        loss = getattr(tf.nn, kind)(w, b, y, x, 5, 20, **settings)
        return [loss, *[tf.convert_to_tensor(g) for g in tf.gradients(loss, [w, b, x])]], {x: INPUTS, y: LABELS}

    return build


CASES["nce"] = sampled_loss("nce_loss")
CASES["nce_without_hits"] = sampled_loss("nce_loss", remove_accidental_hits=True)
CASES["sampled_softmax"] = sampled_loss("sampled_softmax_loss", seed=3)


def lookup(strategy, **settings):
    def build(tf):
        sizes = [0, 7, 14, 20]
        parts = [tf.get_variable(f"w{k}", initializer=TABLE[sizes[k] : sizes[k + 1]]) for k in range(3)]
        ids = tf.constant([[0, 5], [17, 5]])
        rows = tf.nn.embedding_lookup(parts, ids, partition_strategy=strategy, **settings)
        return [rows, *[tf.convert_to_tensor(g) for g in tf.gradients(tf.reduce_sum(rows * rows), parts)]], {}

    return build


CASES["lookup_mod"], CASES["lookup_div"], CASES["lookup_norm"] = lookup("mod"), lookup("div"), lookup("div", max_norm=1.5)


def combined(combiner, weighted):
    def build(tf):
        w = tf.get_variable("w", initializer=TABLE)
        at, shape = [[0, 0], [0, 1], [1, 0], [2, 1]], [3, 2]
        ids = tf.SparseTensor(at, tf.constant([1, 3, 1, 7], tf.int64), shape)
        weights = tf.SparseTensor(at, tf.constant([1.0, 0.5, 2.0, 3.0]), shape) if weighted else None
        rows = tf.nn.embedding_lookup_sparse(w, ids, weights, combiner=combiner)
        return [rows, tf.convert_to_tensor(tf.gradients(rows, w)[0])], {}

    return build


for how in ("mean", "sum", "sqrtn"):
    CASES[f"combined_{how}"], CASES[f"combined_{how}_weighted"] = combined(how, False), combined(how, True)


def ctc(number, **settings):
    def build(tf):
        random = np.random.RandomState(number)
        steps, batch, classes = random.randint(5, 30), random.randint(1, 8), random.randint(3, 9)
        x = (random.randn(steps, batch, classes) * 2).astype(np.float32)
        lengths = random.randint(max(steps // 2, 3), steps + 1, batch).astype(np.int32)
        places = [(b, k) for b in range(batch) for k in range(random.randint(1, lengths[b] + 1))]
        labels = tf.SparseTensor(np.array(places, np.int64), random.randint(0, classes - 1, len(places)).astype(np.int32), [batch, steps])
        logits = tf.placeholder(tf.float32, [None, None, classes])
        loss = tf.nn.ctc_loss(labels, logits, lengths, **settings)
        fetches = [loss, tf.gradients(loss, logits)[0]]
        for merge in (True, False):
            (best,), score = tf.nn.ctc_greedy_decoder(logits, lengths, merge_repeated=merge)
            fetches += [best.indices, best.values, best.dense_shape, score]
            width = (3, 20)[number % 2]
            paths, scores = tf.nn.ctc_beam_search_decoder(logits, lengths, beam_width=width, top_paths=2, merge_repeated=merge)
            fetches += [part for p in paths for part in (p.indices, p.values, p.dense_shape)] + [scores]
        return fetches, {logits: x}

    return build


for number in range(8):
    CASES[f"ctc_{number}"] = ctc(number, preprocess_collapse_repeated=bool(number & 1), ctc_merge_repeated=not number & 2)


@case
def sparse_tensors(tf):
    t = tf.sparse_reorder(tf.SparseTensor([[0, 1], [2, 3], [1, 0]], [1.0, 2.0, 3.0], [3, 4]))
    ids = tf.SparseTensor([[0, 0], [1, 1]], tf.constant([2, 3], tf.int64), [2, 2])
    first = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 2, 3], [2, 2])
    second = tf.SparseTensor([[0, 0], [1, 0], [1, 1]], [1, 2, 3], [2, 2])
    filled, empty = tf.sparse_fill_empty_rows(tf.sparse_slice(t, [1, 0], [2, 3]), 9.0)
    given = [t, tf.sparse_reshape(t, [2, -1]), tf.sparse_concat(1, [t, t]), tf.sparse_slice(t, [0, 1], [3, 2]), tf.sparse_add(t, t),
             tf.sparse_transpose(t), filled, tf.sparse_retain(t, [True, False, True])]  # fmt: skip
    given += tf.sparse_split(sp_input=t, num_split=2, axis=1)
    dense = [tf.sparse_tensor_to_dense(t), tf.sparse_tensor_dense_matmul(t, tf.constant(TABLE[:4])), empty, tf.sparse_reduce_sum(t, 1),
             tf.sparse_to_indicator(ids, 5), tf.edit_distance(first, second), tf.sparse_to_dense([[0, 1], [1, 2]], [2, 3], 5),
             tf.sparse_add(t, tf.constant(TABLE[:3, :4]))]  # fmt: skip
    return [part for s in given for part in (s.indices, s.values, s.dense_shape)] + dense, {}


@case
def hashes(tf):
    text = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_+-=/?.," * 2
    return [tf.string_to_hash_bucket_fast([text[:n] for n in range(len(text))], 2**60)], {}


def results(tf, name):
    """What a program's fetches are in its runs."""
    with tf.Graph().as_default():
        tf.set_random_seed(7)
        fetches, feed = CASES[name](tf)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            runs = RUNS if name.endswith(("True", "False")) else 1
            return [np.asarray(value) for _ in range(runs) for value in session.run(fetches, feed)]


if __name__ == "__main__":
    import tensorflow

    np.savez_compressed(sys.argv[1], **{f"{name}/{k}": v for name in CASES for k, v in enumerate(results(tensorflow, name))})
