"""Checkpoint files: those of real TensorFlow are read, ours survive, damage is noticed, and a killed process loses nothing."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphflow import dtypes
from graphflow.errors import DataLossError, NotFoundError, OpError
from graphflow.io.bundle import Bundle, write_bundle
from graphflow.io.checkpoint import CheckpointReader, open_checkpoint, read_part
from graphflow.io.old_format import write_old
from graphflow.io.slices import parse_part, slice_key
from graphflow.io.table import Table, write_table
from tests.golden import record_checkpoints

GOLDEN = Path(record_checkpoints.__file__).parent / "checkpoints"
VALUES = record_checkpoints.values()


def same(found: object, wanted: object) -> bool:
    return np.array_equal(np.asarray(found), np.asarray(wanted)) and np.asarray(found).dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("name", sorted(VALUES))
def test_reads_what_tensorflow_wrote(name: str) -> None:
    reader = CheckpointReader(str(GOLDEN / "v2"))
    assert reader.has_tensor(name) and same(reader._source.read(name.encode()), VALUES[name])


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"float16", "uint16", "complex128"}))
def test_reads_the_old_format(name: str) -> None:
    assert same(open_checkpoint(str(GOLDEN / "v1")).read(name.encode()), VALUES[name])


def test_reader_describes_a_checkpoint() -> None:
    reader = CheckpointReader(str(GOLDEN / "v2"))
    assert reader.get_variable_to_shape_map()["scope/parts"] == [7, 3]
    assert reader.get_variable_to_dtype_map()["bfloat16"] is dtypes.bfloat16
    assert reader.get_tensor("bfloat16")["bfloat16"].tolist() == [0x3FC0, 0x4020]
    assert b"float32 (DT_FLOAT) [2,3]\n" in reader.debug_string()
    assert not reader.has_tensor("none")
    with pytest.raises(NotFoundError, match="Key none not found in checkpoint"):
        reader.get_tensor("none")
    with pytest.raises(NotFoundError, match="Failed to find any matching files for /none/such"):
        CheckpointReader("/none/such")


def items() -> list[tuple[str, dtypes.DType, np.ndarray, None]]:
    arrays = {name: np.asarray(value) for name, value in VALUES.items()}
    return [(name, dtypes.as_dtype(a.dtype), a, None) for name, a in arrays.items()]


def test_same_bytes_as_tensorflow(tmp_path: Path) -> None:
    """The data of the variables that TensorFlow saved whole, in its order; the index, key by key."""
    theirs = Bundle(str(GOLDEN / "v2"))
    parts = [b"7 3 0,3:0,3", b"7 3 3,2:0,3", b"7 3 5,2:0,3"]
    listed = []
    for name in sorted(theirs.names):
        dtype, _ = theirs.describe(name)
        if name == b"scope/parts":
            for spec in parts:
                part = parse_part(spec.decode())
                listed.append((name.decode(), dtype, read_part(theirs, name, part), part))
        else:
            listed.append((name.decode(), dtype, theirs.read(name), None))
    write_bundle(str(tmp_path / "v2"), listed)
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"v2{suffix}").read_bytes() == (GOLDEN / f"v2{suffix}").read_bytes()


@pytest.mark.parametrize("write", [write_bundle, write_old])
def test_there_and_back(write, tmp_path: Path) -> None:
    wanted = [i for i in items() if i[0]]
    write(str(tmp_path / "new/folder/x"), wanted)
    source = open_checkpoint(str(tmp_path / "new/folder/x"))
    assert source.names == {name.encode() for name, *_ in wanted}
    for name, _, array, _ in wanted:
        assert same(source.read(name.encode()), array), name


def test_parts_are_found_by_their_key() -> None:
    assert slice_key(b"pv", ((0, 4), (0, 64))) == b"\x00pv\x00\x01\x01\x02\x80\x84\x80\xc0\x40"
    assert slice_key(b"v", ((0, None),)) == b"\x00v\x00\x01\x01\x01\x80\x7f"
    part = parse_part("7 3 3,2:-")
    assert part is not None and part.shape == (2, 3)
    assert same(read_part(Bundle(str(GOLDEN / "v2")), b"scope/parts", part), VALUES["scope/parts"][3:5])
    for wrong in ("7 3 3,5:-", "7 3 3,2", "7 3", "x", "7 3 -1,2:-"):
        with pytest.raises(OpError):
            parse_part(wrong)


def test_tables_of_many_blocks() -> None:
    source = random.Random(1)
    pairs = sorted({f"k{source.randrange(10**6)}".encode(): source.randbytes(source.randrange(400)) for _ in range(5000)}.items())
    table = Table(write_table(pairs), "memory")
    assert list(table) == pairs and len(table._index) > 2
    assert all(table.get(key) == value for key, value in pairs[::7])
    assert table.get(b"a") is None and table.get(b"z") is None and table.get(b"k5x") is None


def damaged(folder: Path, source: random.Random) -> str:
    """A copy of the golden checkpoint with one thing wrong; says what."""
    for name in ("v2.index", "v2.data-00000-of-00001", "v1"):
        shutil.copy(GOLDEN / name, folder / name)
    name = source.choice(["v2.index", "v2.data-00000-of-00001", "v1"])
    data = bytearray((folder / name).read_bytes())
    at = source.randrange(len(data))
    how = source.randrange(3)
    if how == 0:
        data[at] ^= 1 << source.randrange(8)
    elif how == 1:
        del data[at:]
    else:
        data[at : at + 8] = source.randbytes(8)
    (folder / name).write_bytes(data)
    return f"{name} {at} {how}"


def test_a_thousand_damages_are_noticed(tmp_path: Path) -> None:
    source = random.Random(20)
    lost = 0
    for _ in range(1000):
        what = damaged(tmp_path, source)
        prefix = "v1" if what.startswith("v1") else "v2"
        try:
            checkpoint = open_checkpoint(str(tmp_path / prefix))
            found = {name: checkpoint.read(name) for name in checkpoint.names}
        except DataLossError:
            lost += 1
            continue
        # the footer has padding and an unused handle: what was read in spite of the damage must be right
        assert all(same(found[n.encode()], v) for n, v in VALUES.items() if n.encode() in found) and len(found) >= 13, what
    assert lost > 900


# -- killed processes --------------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
import numpy as np
from graphflow import dtypes
from graphflow.io.bundle import write_bundle

left = int(sys.argv[2])

def counted(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call

for name in ("fsync", "replace", "unlink", "link"):
    setattr(os, name, counted(getattr(os, name)))
write_bundle(sys.argv[1], [("w", dtypes.float32, np.full(1000, 2, np.float32), None)])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_killed_at_every_step_of_saving_over_a_checkpoint(tmp_path: Path) -> None:
    prefix = str(tmp_path / "model")
    write_bundle(prefix, [("w", dtypes.float32, np.full(1000, 1, np.float32), None)])
    seen = set()
    for step in range(40):
        if step % 2:  # else what the killed process has left stays
            for path in tmp_path.iterdir():
                path.unlink()
            write_bundle(prefix, [("w", dtypes.float32, np.full(1000, 1, np.float32), None)])
        ended = subprocess.run([sys.executable, "-c", CHILD, prefix, str(step)], cwd=os.getcwd(), check=False)
        value = Bundle(prefix).read(b"w")
        assert value.shape == (1000,) and len(set(value.tolist())) == 1 and value[0] in (1, 2)
        seen.add((ended.returncode, value[0]))
        if ended.returncode == 0 and step > 12:
            break
    assert (-9, 1.0) in seen and (-9, 2.0) in seen and (0, 2.0) in seen
    write_bundle(prefix, [("w", dtypes.float32, np.full(1000, 3, np.float32), None)])
    assert Bundle(prefix).read(b"w")[0] == 3
    assert {p.name for p in tmp_path.iterdir() if "tempstate" not in p.name} == {"model.index", "model.data-00000-of-00001"}
