"""What this machine can do: fused multiply-adds per second of one core and of all, and bytes per second from L2, L3 and DRAM."""

from __future__ import annotations

from graphflow.tools.machine import available
from graphflow.tools.machine import measure as measured_on


def measure(seconds: float = 0.3) -> dict[str, float]:
    """GF/s of one core and of all, and GB/s of one core from each level of memory, and from DRAM with all."""
    one, every = measured_on(1, seconds), measured_on(available(), seconds)
    return {
        "threads": float(every.threads), "lanes": float(every.lanes), "peak_core": one.flops / 1e9, "peak_all": every.flops / 1e9,
        "l2_gbs": one.l2 / 1e9, "l3_gbs": one.l3 / 1e9, "dram_gbs": one.dram / 1e9, "dram_all_gbs": every.dram / 1e9,
    }  # fmt: skip


if __name__ == "__main__":
    for key, value in measure().items():
        print(f"{key:14} {value:10.1f}")
