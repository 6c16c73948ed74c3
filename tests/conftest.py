"""Options of the test suite."""

from __future__ import annotations

import random
import signal

import pytest

import graphflow as tf
from graphflow.ops import philox
from tests.fuzzing import FACTOR


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew; look at the difference!")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that starts us in the background says so, and tests of Ctrl-C would not end
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden texts are to be written anew."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _default_graph_of_its_own() -> None:
    """A test neither sees nor adds to what others have built, or finalized."""
    tf.reset_default_graph()


@pytest.fixture(autouse=True)
def _entropy_of_its_own(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test draws the same numbers in every run, those without a seed too, unless it is to search (see tests/fuzzing.py)."""
    if not FACTOR:
        numbers = random.Random(request.node.nodeid)
        monkeypatch.setattr(philox, "entropy", lambda: numbers.getrandbits(64))
