"""Whether sessions note what their runs do. Apart from `runtime.trace`, which needs the compiler: a session asks this when it is made."""

from __future__ import annotations

from typing import Any

_everything: Any = None


def trace_everything(trace: Any) -> None:
    """From now on new sessions note all their runs in `trace`, a runtime.trace.Trace; None ends that."""
    global _everything
    _everything = trace


def current() -> Any:
    """The Trace that new sessions take part in, or None."""
    return _everything
