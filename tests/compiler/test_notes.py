"""Kernels noted between processes: what is recalled is what was lowered, and notes are refused where they could be wrong."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from graphflow.compiler import lower
from graphflow.compiler.linear import linearise
from graphflow.compiler.lower import lower_group
from graphflow.compiler.lower.notes import Recalled, key_text, packed, unpacked
from graphflow.compiler.passes.fuse import fuse
from graphflow.graph.op import REGISTRY
from graphflow.kernel.printer import body_text
from graphflow.runtime import jit
from graphflow.runtime.cache import DiskCache
from graphflow.runtime.jit import DiskNotes
from tests.compiler.support import AVX512, mlp


def linearised(program, machine, notes):
    return linearise(program, partial(lower_group, target=machine, notes=notes), lambda low: None)


class Pages(dict):
    """Notes in memory."""

    load = dict.get
    store = dict.__setitem__


@pytest.fixture
def forgetful(monkeypatch):
    """What this process remembers is empty; call it to forget again, as a new process would."""

    def forget():
        monkeypatch.setattr(lower, "_known", {})

    forget()
    return forget


def test_a_recalled_kernel_is_the_lowered_one(forgetful):
    notes = Pages()
    first = [lower_group(g, AVX512, notes) for g in fuse(mlp()).nodes if g.form.value != "alias"]
    assert notes and not any(isinstance(low.kernel, Recalled) for low in first)
    forgetful()
    again = [lower_group(g, AVX512, notes) for g in fuse(mlp()).nodes if g.form.value != "alias"]
    for low, recalled in zip(first, again, strict=True):
        assert isinstance(recalled.kernel, Recalled)
        assert recalled[1:] == low[1:]
        assert (recalled.kernel.buffers, recalled.kernel.symbols, recalled.kernel.checks) == (
            low.kernel.buffers, low.kernel.symbols, low.kernel.checks,
        )  # fmt: skip
        assert body_text(recalled.kernel) == low.text  # written again when it is looked at


def test_nothing_is_lowered_for_a_program_whose_kernels_are_noted(forgetful, monkeypatch):
    notes = Pages()
    linearised(fuse(mlp()), AVX512, notes)
    forgetful()
    monkeypatch.setattr(lower, "_lower", lambda *a: pytest.fail("lowered again"))
    linearised(fuse(mlp()), AVX512, notes)


def test_another_target_has_notes_of_its_own(forgetful):
    notes, program = Pages(), fuse(mlp())
    linearised(program, AVX512, notes)
    forgetful()
    before = set(notes)
    linearised(program, dataclasses.replace(AVX512, registers=16), notes)
    assert set(notes) - before


def test_a_damaged_note_is_none(forgetful):
    notes = Pages()
    linearised(fuse(mlp()), AVX512, notes)
    forgetful()
    broken = Pages({key: data[: len(data) // 2] for key, data in notes.items()})
    assert linearised(fuse(mlp()), AVX512, broken).steps
    assert broken == notes  # written anew


def test_ops_of_the_program_have_no_notes():
    add = REGISTRY["AddV2"]()
    assert key_text([add, 2, 0, 1, 2], ()) == key_text([REGISTRY["AddV2"](), 2, 0, 1, 2], ()) != ""
    assert key_text([add, 2, 0, 1, 2], ()) != key_text([add, 2, 1, 0, 2], ())

    class Mine(type(add), abstract=True):
        pass

    assert key_text([Mine(), 2, 0, 1, 2], ()) == ""
    assert key_text([add, 2, 0, 1, 2], (object(),)) == ""  # its text is another one in every process


def test_packing_keeps_sizes_equal():
    """Hashes of index expressions are of this process only; they are made again."""
    from graphflow.kernel.index import symbol
    from graphflow.kernel.nodes import Buffer, Kernel, Role

    size = 3 * symbol("d0") + 1
    recalled, rest = unpacked(packed(Kernel("k", (Buffer("b0", "f32", (size,), Role.IN),), ("d0",), ()), (size,)))
    assert recalled.buffers[0].shape == (size,) and rest == (size,)
    assert hash(rest[0]) == hash(size)
    assert unpacked(b"nonsense") is None


def test_notes_on_disk_belong_to_a_state_of_the_sources(tmp_path, monkeypatch):
    notes = DiskNotes(DiskCache(str(tmp_path)))
    notes.store("key", b"data")
    assert notes.load("key") == b"data" and notes.load("other") is None
    monkeypatch.setattr(jit, "sources", lambda: "changed")
    assert notes.load("key") is None


def test_sources_that_change_after_loading_are_this_process_own(monkeypatch):
    unchanged = jit.sources.__wrapped__()
    monkeypatch.setattr(jit, "LOADED", 0.0)
    assert len({unchanged, jit.sources.__wrapped__(), jit.sources.__wrapped__()}) == 3
