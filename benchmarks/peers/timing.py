"""The clock of the kernels' rows, ours and the peers'. Standard library only: it runs in the peers' interpreters too."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

BURST = 0.5e-3  # seconds of work that are timed together


def best(action: Callable[[], Any], seconds: float) -> float:
    """The least seconds of one call, of bursts that are long beside the steps of the thread's clock."""
    action()
    count, least, end = 1, math.inf, time.thread_time() + seconds
    while True:
        began = time.thread_time()
        for _ in range(count):
            action()
        now = time.thread_time()
        if now - began < BURST:
            count *= 2
            continue
        least = min(least, (now - began) / count)
        if now > end:
            return least
