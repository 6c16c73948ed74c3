"""tf.train's input pipelines: producers that put strings, numbers or slices into a queue, and batches made of what threads compute.

Each adds a QueueRunner to the graph; tf.train.start_queue_runners starts its threads in a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphflow.dtypes import bool as bool_
from graphflow.dtypes import float32, int32, int64, string
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.composite import SparseTensor
from graphflow.graph.convert import convert_n
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.ops.choose import boolean_mask
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.files import matching_files
from graphflow.ops.gather import gather
from graphflow.ops.logic import cast
from graphflow.ops.queues import FIFOQueue, PaddingFIFOQueue, QueueBase, RandomShuffleQueue
from graphflow.ops.random_choice import random_shuffle
from graphflow.ops.ranges import range as range_of
from graphflow.ops.shape import shape, size
from graphflow.ops.source import constant, identity, no_op
from graphflow.ops.variables import Variable
from graphflow.ops.watching import Assert
from graphflow.shapes import TensorShape, as_shape
from graphflow.summary import scalar
from graphflow.train.queue_runner import QueueRunner, add_queue_runner
from graphflow.train.sparse_batches import queue_dtype, restored, stored

# -- producers ---------------------------------------------------------------------------------------------------------------------


def match_filenames_once(pattern, name=None):
    """A local variable with the names of the files that match the patterns (sorted), filled when local variables are initialised."""
    with name_scope(name, "matching_filenames", [pattern]) as name:
        return Variable(
            matching_files(pattern), name=name, trainable=False, validate_shape=False, collections=[GraphKeys.LOCAL_VARIABLES]
        )


def limit_epochs(tensor, num_epochs=None, name=None):
    """`tensor`, which the run gives num_epochs times and then fails with OutOfRangeError. The count is a local variable."""
    if num_epochs is None:
        return tensor
    if num_epochs <= 0:
        raise ValueError(f"num_epochs must be > 0 not {num_epochs}.")
    with name_scope(name, "limit_epochs", [tensor]) as name:
        epochs = Variable(constant(0, int64), name="epochs", trainable=False, collections=[GraphKeys.LOCAL_VARIABLES])
        with control_dependencies([epochs.count_up_to(num_epochs)]):
            return identity(tensor, name=name)


def input_producer(input_tensor, element_shape=None, num_epochs=None, shuffle=True, seed=None, capacity=32, shared_name=None,
                   summary_name=None, name=None, cancel_op=None):  # fmt: skip
    """A queue of the rows of input_tensor, again and again, or num_epochs times; in a new order each time with `shuffle`."""
    with name_scope(name, "input_producer", [input_tensor]):
        input_tensor = convert_to_tensor(input_tensor, name="input_tensor")
        row = input_tensor.shape[1:].merge_with(element_shape)
        if not row.is_fully_defined():
            raise ValueError("Either `input_tensor` must have a fully defined shape or `element_shape` must be specified")
        if shuffle:
            input_tensor = random_shuffle(input_tensor, seed=seed)
        input_tensor = limit_epochs(input_tensor, num_epochs)
        queue = FIFOQueue(capacity, [input_tensor.dtype.base_dtype], [row], shared_name=shared_name, name=name or "input_producer")
        add_queue_runner(QueueRunner(queue, [queue.enqueue_many([input_tensor])], cancel_op=cancel_op))
        if summary_name is not None:
            scalar(summary_name, cast(queue.size(), float32) * (1.0 / capacity))
        return queue


_EMPTY = "string_input_producer requires a non-null input tensor"


def string_input_producer(string_tensor, num_epochs=None, shuffle=True, seed=None, capacity=32, shared_name=None, name=None,
                          cancel_op=None):  # fmt: skip
    """A queue of strings, typically names of files; see input_producer."""
    if not isinstance(string_tensor, Tensor) and not isinstance(string_tensor, Variable) and not len(string_tensor):
        raise ValueError(_EMPTY)
    with name_scope(name, "input_producer", [string_tensor]) as name:
        string_tensor = convert_to_tensor(string_tensor, dtype=string)
        with control_dependencies([Assert(make("Greater", size(string_tensor), 0), [_EMPTY])]):
            string_tensor = identity(string_tensor)
        return input_producer(
            string_tensor, [], num_epochs, shuffle, seed, capacity, shared_name, f"fraction_of_{capacity}_full", name, cancel_op
        )


def range_input_producer(limit, num_epochs=None, shuffle=True, seed=None, capacity=32, shared_name=None, name=None):
    """A queue of the numbers 0 to limit - 1; see input_producer."""
    with name_scope(name, "input_producer", [limit]) as name:
        numbers = range_of(limit)
        return input_producer(numbers, [], num_epochs, shuffle, seed, capacity, shared_name, f"fraction_of_{capacity}_full", name)


def slice_input_producer(tensor_list, num_epochs=None, shuffle=True, seed=None, capacity=32, shared_name=None, name=None):
    """One row of each tensor of the list, the same row of all; see input_producer for its order."""
    with name_scope(name, "input_producer", list(tensor_list)):
        tensors = convert_n(list(tensor_list))
        if not tensors:
            raise ValueError("Expected at least one tensor in slice_input_producer().")
        rows = shape(tensors[0])[0]
        index = range_input_producer(rows, num_epochs, shuffle, seed, capacity, shared_name).dequeue()
        return [gather(t, index) for t in tensors]


# -- batches -----------------------------------------------------------------------------------------------------------------------


def _flat(tensors: Any) -> list[Any]:
    found = [tensors[key] for key in sorted(tensors, key=str)] if isinstance(tensors, Mapping) else tensors
    found = list(found) if isinstance(found, (list, tuple)) else [found]
    if not found:
        raise ValueError("Expected at least one tensor in batch().")
    dense = iter(convert_n([t for t in found if not isinstance(t, SparseTensor)]))
    return [t if isinstance(t, SparseTensor) else next(dense) for t in found]


def _like(tensors: Any, found: Any) -> Any:
    """What was dequeued, in the form that was given."""
    many = list(found) if isinstance(found, (list, tuple)) else [found]
    if isinstance(tensors, Mapping):
        return dict(zip(sorted(tensors, key=str), many, strict=True))
    return many if len(many) > 1 else many[0]


def _kept(keep_input: Any, enqueue_many: bool) -> Any:
    """keep_input as a tensor, or True where it is always so."""
    keep = convert_to_tensor(keep_input, bool_, name="keep_input") if not isinstance(keep_input, bool) else keep_input
    if isinstance(keep, Tensor):
        if keep.shape.ndims is None:
            raise ValueError("`keep_input` dimensions must be known at graph construction.")
        if not enqueue_many and keep.shape.ndims == 1:
            raise ValueError("`keep_input` cannot be a vector when `enqueue_many=False`.")
        if keep.shape.ndims > 1:
            raise ValueError("`keep_input` must be 0 or 1 dimensions.")
        known = known_contents(keep)
        return True if known is not None and known.ndim == 0 and bool(known) else keep
    return True if keep else constant(False)


def _enqueue(queue: QueueBase, tensors: Sequence[Any], keep: Any, enqueue_many: bool) -> Any:
    put: Callable[[Sequence[Any]], Any] = queue.enqueue_many if enqueue_many else queue.enqueue

    def components() -> list[Any]:
        return stored(tensors, queue, enqueue_many)

    if keep is True:
        return put(components())
    if keep.shape.ndims == 1:
        return put([boolean_mask(t, keep) for t in components()])
    return cond(keep, lambda: put(components()), no_op)


def _shapes(lists: Sequence[Sequence[Any]], shapes: Any, enqueue_many: bool) -> list[TensorShape]:
    """The shape of each component, which all lists share."""
    columns = list(zip(*lists, strict=True))
    if shapes is not None:
        return [TensorShape([]) if isinstance(c[0], SparseTensor) else as_shape(s) for c, s in zip(columns, shapes, strict=True)]
    found = []
    for column in columns:
        if isinstance(column[0], SparseTensor):
            found.append(TensorShape([]))
            continue
        each = [t.shape[1:] if enqueue_many else t.shape for t in column]
        if any(s.ndims is None for s in each) or len({s.ndims for s in each}) > 1:
            raise ValueError(f"Cannot infer Tensor's rank: {column[0]}")
        sizes = zip(*(s.as_list() for s in each), strict=True)
        found.append(TensorShape([n[0] if len(set(n)) == 1 else None for n in sizes]))
    return found


def _types(lists: Sequence[Sequence[Any]]) -> list[Any]:
    if len({tuple(isinstance(t, SparseTensor) for t in tensors) for tensors in lists}) > 1:
        raise ValueError(f"Inconsistent SparseTensors list: {lists}")
    kinds = [[queue_dtype(t) for t in tensors] for tensors in lists]
    if any(k != kinds[0] for k in kinds[1:]):
        raise TypeError(f"Expected types to be consistent: {kinds[0]} vs. {next(k for k in kinds if k != kinds[0])}")
    return kinds[0]


def _batched(lists: Sequence[Any], keep_input: Any, batch_size: Any, threads: int, queue_of: Callable[[Any, Any], QueueBase], full: Any,
             enqueue_many: bool, shapes: Any, fewer: bool, scope: str | None, default: str, dynamic_pad: bool = False) -> Any:  # fmt: skip
    """A batch of the tensors of several lists, each of which a thread (for one list: `threads` of them) computes and puts into a queue."""
    if isinstance(lists[0], Mapping) and any(t.keys() != lists[0].keys() for t in lists[1:]):
        raise ValueError("All dictionaries in tensors_list must have the same keys")
    if any(len(_flat(t)) != len(_flat(lists[0])) for t in lists[1:]):
        raise ValueError("Expected the same number of tensors in every list")
    flat = [_flat(tensors) for tensors in lists]
    with name_scope(scope, default, [t for tensors in flat for t in tensors]) as name:
        keep = _kept(keep_input, enqueue_many)
        types = _types(flat)
        sizes = _shapes(flat, shapes, enqueue_many)
        if not dynamic_pad and not all(s.is_fully_defined() for s in sizes):
            raise ValueError(f"All shapes must be fully defined: {sizes}")
        queue = queue_of(types, sizes)
        operations = [_enqueue(queue, tensors, keep, enqueue_many) for tensors in flat]
        add_queue_runner(QueueRunner(queue, operations * threads if len(flat) == 1 else operations))
        label, share = full(queue)
        scalar(label, share)
        take = queue.dequeue_up_to if fewer else queue.dequeue_many
        return _like(lists[0], restored(take(batch_size, name=name), flat[0], queue, enqueue_many))


def _in_order(capacity: int, dynamic_pad: bool, shared_name: str | None) -> tuple[Callable[[Any, Any], QueueBase], Any]:
    def queue_of(types: Any, sizes: Any) -> QueueBase:
        kind = PaddingFIFOQueue if dynamic_pad else FIFOQueue
        return kind(capacity, types, sizes, shared_name=shared_name)

    def full(queue: QueueBase) -> tuple[str, Any]:
        return f"fraction_of_{capacity}_full", cast(queue.size(), float32) * (1.0 / capacity)

    return queue_of, full


def _shuffled(capacity: int, least: int, seed: int | None, shared_name: str | None) -> tuple[Callable[[Any, Any], QueueBase], Any]:
    if capacity <= least:
        raise ValueError(f"capacity {capacity} must be bigger than min_after_dequeue {least}.")

    def queue_of(types: Any, sizes: Any) -> QueueBase:
        return RandomShuffleQueue(capacity, least, types, sizes, seed=seed, shared_name=shared_name)

    def full(queue: QueueBase) -> tuple[str, Any]:
        free = make("Maximum", convert_to_tensor(0, int32), queue.size() - least)
        return f"fraction_over_{least}_of_{capacity - least}_full", cast(free, float32) * (1.0 / (capacity - least))

    return queue_of, full


def maybe_batch(tensors, keep_input, batch_size, num_threads=1, capacity=32, enqueue_many=False, shapes=None, dynamic_pad=False,
                allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """batch of the examples for which `keep_input` (bool; with enqueue_many one for each row, or one for all) holds."""
    return _batched([tensors], keep_input, batch_size, num_threads, *_in_order(capacity, dynamic_pad, shared_name), enqueue_many, shapes,
                    allow_smaller_final_batch, name, "batch", dynamic_pad)  # fmt: skip


def batch(tensors, batch_size, num_threads=1, capacity=32, enqueue_many=False, shapes=None, dynamic_pad=False,
          allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """Batches [batch_size, ...] of what `tensors` (a tensor, a list or a dict) give run after run, in num_threads threads.

    enqueue_many: they give several examples at once, along the first dimension. shapes: of the examples, needed where they are not known.
    dynamic_pad: examples of different sizes are padded with zeros. allow_smaller_final_batch: the rest at the end is a batch too.
    """
    return maybe_batch(tensors, True, batch_size, num_threads, capacity, enqueue_many, shapes, dynamic_pad, allow_smaller_final_batch,
                       shared_name, name)  # fmt: skip


def maybe_batch_join(tensors_list, keep_input, batch_size, capacity=32, enqueue_many=False, shapes=None, dynamic_pad=False,
                     allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """batch_join of the examples for which `keep_input` holds."""
    return _batched(tensors_list, keep_input, batch_size, 1, *_in_order(capacity, dynamic_pad, shared_name), enqueue_many, shapes,
                    allow_smaller_final_batch, name, "batch_join", dynamic_pad)  # fmt: skip


def batch_join(tensors_list, batch_size, capacity=32, enqueue_many=False, shapes=None, dynamic_pad=False,
               allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """batch with one thread for each of several lists of tensors, all of the same types."""
    return maybe_batch_join(tensors_list, True, batch_size, capacity, enqueue_many, shapes, dynamic_pad, allow_smaller_final_batch,
                            shared_name, name)  # fmt: skip


def maybe_shuffle_batch(tensors, batch_size, capacity, min_after_dequeue, keep_input, num_threads=1, seed=None, enqueue_many=False,
                        shapes=None, allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """shuffle_batch of the examples for which `keep_input` holds."""
    return _batched([tensors], keep_input, batch_size, num_threads, *_shuffled(capacity, min_after_dequeue, seed, shared_name),
                    enqueue_many, shapes, allow_smaller_final_batch, name, "shuffle_batch")  # fmt: skip


def shuffle_batch(tensors, batch_size, capacity, min_after_dequeue, num_threads=1, seed=None, enqueue_many=False, shapes=None,
                  allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """batch in random order: examples are drawn from at least min_after_dequeue, at most `capacity` of them."""
    return maybe_shuffle_batch(tensors, batch_size, capacity, min_after_dequeue, True, num_threads, seed, enqueue_many, shapes,
                               allow_smaller_final_batch, shared_name, name)  # fmt: skip


def maybe_shuffle_batch_join(tensors_list, batch_size, capacity, min_after_dequeue, keep_input, seed=None, enqueue_many=False,
                             shapes=None, allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """shuffle_batch_join of the examples for which `keep_input` holds."""
    return _batched(tensors_list, keep_input, batch_size, 1, *_shuffled(capacity, min_after_dequeue, seed, shared_name), enqueue_many,
                    shapes, allow_smaller_final_batch, name, "shuffle_batch_join")  # fmt: skip


def shuffle_batch_join(tensors_list, batch_size, capacity, min_after_dequeue, seed=None, enqueue_many=False, shapes=None,
                       allow_smaller_final_batch=False, shared_name=None, name=None):  # fmt: skip
    """shuffle_batch with one thread for each of several lists of tensors."""
    return maybe_shuffle_batch_join(tensors_list, batch_size, capacity, min_after_dequeue, True, seed, enqueue_many, shapes,
                                    allow_smaller_final_batch, shared_name, name)  # fmt: skip
