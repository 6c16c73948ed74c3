"""What an assembly listing says of itself: loops, kinds of instructions, vector width, registers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from graphflow.compiler.llvm.marks import AssemblyLine

# The first pattern that a mnemonic begins with names its kind; x86-64 in AT&T spelling, then AArch64.
KINDS = (
    ("multiply-add", r"vfn?m(add|sub)|tdp|fml[as]|fmadd|fmsub"),
    ("branch", r"j[a-z]+$|ret|call|b$|b\.|bl$|cbn?z|tbn?z"),
    ("convert", r"v?cvt|vpmov[sz]x|fcvt|[su]cvtf|sxtl|uxtl"),
    ("compare, mask", r"v?cmp|vpcmp|vptest|k(mov|and|or|xor|not|shift|test|add|unpck|xnor)|test|set|cmov|v?p?blend"
                      r"|vpternlog|fcm|cm[egh]|bsl|bit$|bif$|ccmp|cset|csel"),
    ("shuffle", r"v?p?(broadcast|shuf|perm|unpck|insert|extract|align|movhl|movlh|movddup|movsh|movsl)|dup|ins$|ext$|zip|uzp|trn|tbl|umov"),
    ("gather, scatter", r"v?p?(gather|scatter|compress|expand)"),
    ("arithmetic", r"v(add|sub|mul|div|max|min|sqrt|rsqrt|rcp|rndscale|scalef|getexp|getmant|and|or|xor|fixup|range|reduce)[np]?[sp]"
                   r"|(add|sub|mul|div|max|min|sqrt)[sp][sd]"
                   r"|f(add|sub|mul|div|max|min|sqrt|abs|neg|rint|nmul)"),
    ("vector integer", r"vp"),
    ("memory", r"v?mov|tile|ld|st|prfm|prefetch|push|pop"),
    ("integer", r"add|sub|lea|imul|mul|and|or|xor|not|neg|shl|shr|sar|sal|rol|ror|inc|dec|idiv|div|bt"
                r"|bz|tz|lz|pop|adc|sbb|c[dq][qo]|m?sub|madd"
                r"|lsl|lsr|asr|"
                r"eor|sdiv|udiv|neg|orr|adr|cn|sm|um|sxt|uxt|ubf|sbf"),
)  # fmt: skip
_KINDS = tuple((name, re.compile(pattern)) for name, pattern in KINDS)
_INSTRUCTION = re.compile(r"^\s+([a-z][a-z0-9.]*)\b\s*(.*)$")
_VECTOR = re.compile(r"%([xyz])mm(\d+)|\b([vq])(\d+)(?:\.\d+[bhsd])?\b")
_SCALAR = re.compile(r"%(r(?:[a-d]x|[sd]i|bp|\d+)|e(?:[a-d]x|[sd]i|bp))[dwb]?\b|\b[xw](\d+)\b")
_MASK = re.compile(r"%k(\d)")
_STACK = re.compile(r"\(%rsp|\(%rbp|\[sp")
WIDTHS = {"z": 512, "y": 256, "x": 128, "v": 128, "q": 128}
_ALIAS = {"eax": "rax", "ebx": "rbx", "ecx": "rcx", "edx": "rdx", "esi": "rsi", "edi": "rdi", "ebp": "rbp"}


def kind_of(mnemonic: str, operands: str) -> str:
    """What an instruction does; a move is "load" or "store" by where its memory operand stands, "move" between registers."""
    for name, pattern in _KINDS:
        if pattern.match(mnemonic):
            if name != "memory":
                return name
            if mnemonic.startswith(("ld", "pop", "prefetch", "prfm", "tileload")):
                return "load"
            if mnemonic.startswith(("st", "push", "tilestore")):
                return "store"
            return "store" if operands.rstrip().endswith(")") else "load" if "(" in operands else "move"
    return "other"


def loop_depths(lines: Sequence[AssemblyLine]) -> list[int]:
    """For each line the number of loops around it: a loop goes from a label to the last jump back to it."""
    labels: dict[str, int] = {}
    ends: dict[int, int] = {}
    for number, line in enumerate(lines):
        if line.text.endswith(":"):
            labels[line.text[:-1].strip()] = number
        match = _INSTRUCTION.match(line.text)
        if match and kind_of(match[1], match[2]) == "branch":
            target = re.search(r"(\.?L\w+)\s*$", match[2])
            if target and target[1] in labels:
                ends[labels[target[1]]] = number
    depths = [0] * len(lines)
    for start, end in ends.items():
        for number in range(start, end + 1):
            depths[number] += 1
    return depths


def statistics(lines: Sequence[AssemblyLine]) -> dict[str, Any]:
    """The instruction mix (all instructions, and those in innermost loops), vector width in bits, registers, accesses to the stack."""
    depths = loop_depths(lines)
    deepest = max(depths, default=0)
    mix: Counter[str] = Counter()
    inner: Counter[str] = Counter()
    vectors: set[int] = set()
    scalars: set[str] = set()
    masks: set[str] = set()
    width = stack = count = 0
    for line, depth in zip(lines, depths, strict=True):
        match = _INSTRUCTION.match(line.text)
        if match is None or match[1].startswith("."):
            continue
        count += 1
        kind = kind_of(match[1], match[2])
        mix[kind] += 1
        if deepest and depth == deepest:
            inner[kind] += 1
        for x, number, arm, arm_number in _VECTOR.findall(match[2]):
            vectors.add(int(number or arm_number))
            width = max(width, WIDTHS[x or arm])
        for name, arm in _SCALAR.findall(match[2]):
            scalars.add(_ALIAS.get(name, name) or arm)
        masks.update(_MASK.findall(match[2]))
        stack += bool(_STACK.search(match[2]))
    return {
        "instructions": count, "mix": dict(mix.most_common()), "inner": dict(inner.most_common()), "vector": width,
        "registers": {"vector": len(vectors), "general": len(scalars), "mask": len(masks)}, "stack": stack, "depth": deepest,
    }  # fmt: skip
