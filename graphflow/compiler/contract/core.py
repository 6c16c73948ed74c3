"""What a core takes for the parts of a step that differ from one maker's cores to another's; measured, not looked up.

All other prices are those of the core that the project began on, AMD's Zen 5, and taken to hold for every core.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.compiler.llvm.target import Target


@dataclass(frozen=True)
class Core:
    """`step`: cycles of a step beside its multiply-adds. `load`: cycles of the load ports for a vector, or for an element for all lanes;
    `fill`: the same for a cache line that comes from the second-level cache meanwhile, `ask`: for one that is asked for. `spill`: cycles of
    a step for each line that comes, whatever the ports do.

    `way`, `ways`: bytes of one way of the second-level cache, and how many of them; `lost`: which part of the ways lines a way apart may
    take before some are lost, and from which part on all are. `far`: bytes of an operand from which tiles ask for its next panel while they
    pass over one. `stream`: cycles of a byte that comes from beyond that cache for every tile that is transposed before its epilogue.
    `packed`: most bytes of a copied panel. `chunk`: bytes of the rows that pass over one panel after another before further ones do; 0 for
    all of them.

    `terms`: cycles of a register of the terms of a minimal filter: made and read; where their products are added to sums in memory; and
    where these fill no whole registers."""

    step: float
    load: float
    fill: float
    ask: float
    spill: float
    way: int
    ways: int
    lost: tuple[float, float]
    far: int
    stream: float
    packed: int
    chunk: int
    terms: tuple[float, float, float]


ZEN5 = Core(
    step=0.8, load=0.55, fill=0.0, ask=0.0, spill=0.35, way=128 << 10, ways=16, lost=(1.0, 1.0), far=3 << 20, stream=0.0,
    packed=128 << 10, chunk=256 << 10, terms=(1.3, 2.0, 5.0),
)  # fmt: skip
# Loads of 512 bits: 1.13 in a cycle instead of two, and about one beside multiplications (elements for all lanes count as such; of 256 bits
# 1.66, of 128 bits two). With these prices, of 235 contractions for each of which the cheapest plans were measured, 193 are done in the
# quickest of them or in one that takes up to 5 % longer. What comes from the third-level cache takes long: an operand is better asked for
# early than read again by a few rows after another. So do sums that wait in memory for the next products.
SUNNY_COVE = Core(
    step=0.17, load=0.96, fill=0.15, ask=0.5, spill=0.15, way=64 << 10, ways=20, lost=(0.5, 1.2), far=1 << 20, stream=0.1,
    packed=256 << 10, chunk=0, terms=(2.0, 6.0, 7.0),
)  # fmt: skip
# Measured on the first; on a Xeon with AMX, which LLVM took for the third, the same tiles had the same shares of the peak.
INTEL = frozenset({"icelake-server", "icelake-client", "rocketlake", "tigerlake", "sapphirerapids", "emeraldrapids", "graniterapids"})


def core_of(target: Target) -> Core:
    """The core that code for a target is priced for. Only vectors of 512 bits differ from one to another."""
    return SUNNY_COVE if target.cpu in INTEL and target.vector_bytes == 64 else ZEN5
