"""tf.gfile, tf.logging and the text helpers of tf.compat."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphflow import compat, errors
from graphflow.compat import gfile, logging


def test_files(tmp_path: Path) -> None:
    path = str(tmp_path / "a" / "b.txt")
    gfile.MakeDirs(str(tmp_path / "a"))
    with gfile.GFile(path, "w") as f:
        f.write("one\ntwo\n")
        f.write(b"three\n")
    assert [line for line in gfile.Open(path)] == ["one\n", "two\n", "three\n"]
    with gfile.FastGFile(path, "rb") as f:
        assert (f.read(3), f.tell(), f.size()) == (b"one", 3, 14)
    assert gfile.Exists(path) and not gfile.IsDirectory(path)
    assert gfile.ListDirectory(str(tmp_path / "a")) == ["b.txt"]
    gfile.Copy(path, path + "2")
    assert gfile.Glob(str(tmp_path / "a" / "*")) == [path, path + "2"]
    with pytest.raises(errors.AlreadyExistsError, match="file already exists"):
        gfile.Rename(path, path + "2")
    gfile.Rename(path, path + "2", overwrite=True)
    gfile.Remove(path + "2")
    gfile.DeleteRecursively(str(tmp_path / "a"))
    assert not gfile.Exists(str(tmp_path / "a"))


def test_an_empty_file_is_written(tmp_path: Path) -> None:
    gfile.GFile(str(tmp_path / "empty"), "w").close()
    assert gfile.Stat(str(tmp_path / "empty")).length == 0


def test_errors_are_tensorflows(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    for call in (gfile.GFile(missing).read, lambda: gfile.Remove(missing), lambda: gfile.ListDirectory(missing)):
        with pytest.raises(errors.NotFoundError, match=f"{missing}; No such file or directory"):
            call()
    with pytest.raises(errors.AlreadyExistsError):
        gfile.MkDir(str(tmp_path))


def test_text_helpers() -> None:
    assert compat.as_bytes("é") == b"\xc3\xa9"
    assert compat.as_text(b"\xc3\xa9") == compat.as_str("é") == "é"
    assert compat.as_str_any(3) == "3" and compat.as_str_any(b"3") == "3"
    with pytest.raises(TypeError, match="Expected binary or unicode string, got 3"):
        compat.as_bytes(3)


def test_logging(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import logging as standard

    monkeypatch.setattr(logging, "_logger", None)
    monkeypatch.setattr(standard.getLogger(), "handlers", [])
    monkeypatch.setattr(standard.getLogger("tensorflow"), "handlers", [])
    logging.info("not shown")
    logging.warn("shown %d", 1)
    for _ in range(3):
        logging.log_first_n(logging.ERROR, "once", 1)
    logging.set_verbosity(logging.INFO)
    logging.info("shown")
    assert capsys.readouterr().err == "WARNING:tensorflow:shown 1\nERROR:tensorflow:once\nINFO:tensorflow:shown\n"
    assert logging.get_verbosity() == logging.INFO
    logging.set_verbosity(logging.WARN)
