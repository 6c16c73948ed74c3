"""The figures of `run.py` as text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import workloads


def median(figures: Mapping[str, Any]) -> float:
    """Milliseconds per step: the median of the rounds' medians."""
    return statistics.median(figures["medians"])


def spread(figures: Mapping[str, Any]) -> float:
    """Half the distance between the shortest and the longest round, as a share of the median."""
    return (max(figures["medians"]) - min(figures["medians"])) / 2 / median(figures)


def ratio(row: Mapping[str, Any], of: str = "medians") -> float | None:
    """The best peer's time divided by ours; None where there is no peer, or no time of ours. of: "medians" or "quick"."""
    times = {name: statistics.median(figures[of]) for name, figures in row.items() if of in figures}
    ours = times.pop("graphflow", None)
    return min(times.values()) / ours if ours and times else None


def share(figures: Mapping[str, Any]) -> float:
    """The share of the roofline of the whole step that is reached, by what the cores did at the time of each step."""
    return float(figures["about"]["limit"]["seconds"]) * 1e3 / figures["paired"]


def head(peers: Sequence[str]) -> str:
    """The columns."""
    return (
        f"{'':14}{'ms/step':>9}{'±':>5}{'GF/s':>7}{'peak':>6}{'roof':>6}{'cold s':>8}{'warm s':>8}{'arena MB':>10}{'bound':>7}"
        f"{'best':>7}" + "".join(f"{name.replace('tensorflow', 'tf'):>17}" for name in peers)
    )


def line(key: str, row: Mapping[str, Any], peers: Sequence[str]) -> str:
    """One workload: ms per step and how far the rounds lie apart, GF/s of its contractions and their share of the multiply-add peak at
    the time, the share of the roofline, first steps, arena and arena / lower bound, best peer / ours, and of each peer its ms and its
    time / ours."""
    name, batch = key.split("/")
    ours = row["graphflow"]
    if "medians" not in ours:
        return f"{key:14} graphflow failed: {ours.get('error')}"
    ms, about = median(ours), ours["about"]
    flops = workloads.flops(name, int(batch)) * 1e3  # and milliseconds
    best = ratio(row)
    text = (
        f"{key:14}{ms:9.3f}{spread(ours):5.0%}{flops / ms / 1e9:7.1f}{flops / ours['paired'] / ours['peak']:6.0%}{share(ours):6.0%}"
        f"{ours['cold_s']:8.2f}{ours['warm_s']:8.3f}{about['arena'] / 1e6:10.2f}{about['arena'] / max(about['arena_bound'], 1):7.3f}"
        f"{'' if best is None else f'{best:.2f}':>7}"
    )
    for peer in peers:
        figures = row.get(peer, {})
        shown = f"{median(figures):.3f} {median(figures) / ms:.2f}x" if "medians" in figures else "failed" if figures else "-"
        text += f"{shown:>17}"
    return text


def summary(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The mean and the worst of best peer / ours, by the medians and by the quickest tenth of the steps."""
    lines = []
    for of, what in (("medians", "medians"), ("quick", "quickest tenth of the steps")):
        ratios = {key: found for key, row in results.items() if (found := ratio(row, of)) is not None}
        if not ratios:
            return "no peers were found (PEERS=path,path names interpreters that have them)"
        worst = min(ratios, key=lambda key: ratios[key])
        mean = statistics.geometric_mean(ratios.values())
        lines.append(f"best peer / graphflow, {what}: geometric mean {mean:.2f}, lowest {ratios[worst]:.2f} ({worst})")
    return "\n".join(lines)
