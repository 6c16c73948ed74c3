"""Options of the test suite."""

from __future__ import annotations

import signal

import pytest

import graphflow as tf


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
