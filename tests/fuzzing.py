"""How many cases the property tests try, and which.

Unless asked, each tries the same cases in every run: a submission must not fail by chance over something it did not touch. The search for
new ones is `make fuzz FUZZ=20`: twenty times as many, drawn anew; what it finds is mended, and kept as an `@example` or a test of its own.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("FUZZ") or 0)


def examples(count: int) -> settings:
    """The settings of a test that tries `count` cases, or FUZZ times as many."""
    return settings(
        max_examples=count * max(FACTOR, 1), derandomize=not FACTOR, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
