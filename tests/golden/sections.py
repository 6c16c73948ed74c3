"""Reading recorded nodes."""

from __future__ import annotations

from collections.abc import Iterable


def sections(lines: Iterable[str]) -> dict[str, list[str]]:
    """The lines below each heading "# name", by name."""
    out: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("# "):
            below = out[line[2:]] = []
        else:
            below.append(line)
    return out
