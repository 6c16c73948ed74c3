"""Options from the environment."""

from __future__ import annotations

import pytest

from graphflow.config import options, override, read_environment


def test_defaults() -> None:
    found = read_environment({})
    assert found.threads >= 1 and found.verify == 1 and found.target == "native" and found.cache_dir.endswith("graphflow")


def test_everything_can_be_set() -> None:
    found = read_environment(
        {
            "GRAPHFLOW_THREADS": "3",
            "GRAPHFLOW_CACHE_DIR": "",
            "GRAPHFLOW_PASSES_OFF": "cse, dce",
            "GRAPHFLOW_PASS_LIMIT": "2",
            "GRAPHFLOW_DEBUG": "1",
            "GRAPHFLOW_TARGET": "avx2",
            "GRAPHFLOW_DUMP_TO": "/tmp/x",
        }
    )
    assert found.threads == 3 and found.cache_dir == "" and found.passes_off == {"cse", "dce"} and found.pass_limit == 2
    assert found.debug and found.verify == 2 and found.target == "avx2" and found.dump_to == "/tmp/x"


@pytest.mark.parametrize(("value", "text"), [("x", "must be an integer"), ("0", "must be at least 1")])
def test_nonsense_is_refused_by_name(value: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"GRAPHFLOW_THREADS {text}"):
        read_environment({"GRAPHFLOW_THREADS": value})


def test_override_is_undone() -> None:
    before = options()
    with override(threads=7):
        assert options().threads == 7
    assert options() is before
