"""What the generated code may use: vector width, registers, masks, fused multiply-add.

A target is named: "native" is this machine; "avx512", "avx2", "sse2" and "neon" are fixed descriptions, the narrower
ones of which run on this machine too and are used to test that no kernel depends on one width.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache

from graphflow.kernel.expr import TYPES


@dataclass(frozen=True)
class Target:
    """One instruction set. `masks`: loads and stores of part of a vector are single instructions; `half`: f16
    converts in hardware; `estimates`: reciprocals to 14 bits, and multiplication by a power of two; `tiles`: AMX's products of bfloat16.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    masks: bool
    fma: bool
    half: bool
    rounding: bool
    estimates: bool = False
    tiles: bool = False

    def lanes(self, type_: str) -> int:
        """How many elements of an element type fill one vector."""
        return self.vector_bytes // TYPES[type_].itemsize

    @property
    def attributes(self) -> str:
        """Function attributes that every kernel carries."""
        bits = self.vector_bytes * 8
        return f'nounwind "prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'


X86_TRIPLE = "x86_64-unknown-linux-gnu"
_AVX2 = "+avx2,+avx,+fma,+f16c,+bmi,+bmi2,+popcnt,+sse4.2,+lzcnt"
_AVX512 = _AVX2 + ",+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512cd"
SSE2 = Target("sse2", X86_TRIPLE, "x86-64", "", 16, 16, masks=False, fma=False, half=False, rounding=False)
AVX2 = Target("avx2", X86_TRIPLE, "x86-64", _AVX2, 32, 16, masks=False, fma=True, half=True, rounding=True)
AVX512 = Target("avx512", X86_TRIPLE, "x86-64", _AVX512, 64, 32, masks=True, fma=True, half=True, rounding=True, estimates=True)
NEON = Target(
    "neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32, masks=False, fma=True, half=True, rounding=True
)
SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA = 158, 0x1023, 18
NAMED = {t.name: t for t in (SSE2, AVX2, AVX512, NEON)}


def target(name: str = "native") -> Target:
    """The target called `name`; "native" describes the machine this runs on."""
    if name == "native":
        return _native()
    if name not in NAMED:
        raise ValueError(f"unknown target {name!r}: choose native, {', '.join(NAMED)}")
    found = NAMED[name]
    host = _native()
    if name != "neon" and host.triple != found.triple and not host.triple.startswith(("aarch64", "arm64")):
        return Target(
            **{**vars(found), "triple": host.triple}
        )  # the same instructions under this system's calling convention
    return found


@lru_cache(maxsize=1)
def _native() -> Target:
    """The widest description this machine satisfies, with its own CPU name and feature list."""
    import llvmlite.binding as llvm  # not needed, and slow to import, until something is compiled

    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    features = llvm.get_host_cpu_features()
    if triple.startswith(("aarch64", "arm64")):
        return Target(**{**vars(NEON), "name": "native", "triple": triple, "cpu": cpu, "features": features.flatten()})
    wide = all(features.get(f) for f in ("avx512f", "avx512bw", "avx512dq", "avx512vl"))
    base = AVX512 if wide else AVX2 if features.get("avx2") and features.get("fma") and features.get("f16c") else SSE2
    tiles = wide and all(features.get(f) for f in ("amx-tile", "amx-bf16")) and _tiles_permitted()
    return Target(**{**vars(base), "name": "native", "triple": triple, "cpu": cpu, "features": features.flatten(), "tiles": tiles})


def _tiles_permitted() -> bool:
    """Ask Linux for the tile registers, which a process must do before it uses them (Documentation/arch/x86/xstate.rst). It refuses where
    a signal stack has no room for them."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).syscall(SYS_ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA) == 0)
