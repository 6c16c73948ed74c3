"""The figures of `run.py` as a bar picture: SVG that any browser shows, with no library behind it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from benchmarks.table import median, share, spread

COLOURS = {
    "graphflow": "#0b7a53", "tensorflow": "#e8871e", "tensorflow-xla": "#f2b872", "torch": "#c8402f", "torch-nhwc": "#dd7f72",
    "torch-compile": "#efbbb3", "jax": "#4a6fb3",
}  # fmt: skip
LEFT, PLOT, RIGHT = 140, 560, 190  # pixels: names, bars, figures
LONGEST = 8.0  # times graphflow's; longer bars are cut, their figures are not
BAR, GAP, TOP, LEGEND = 12, 14, 94, 52


def bars(results: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """Time per step relative to graphflow, a group of bars for each workload; the dark part of graphflow's bar is its roofline."""
    unit = PLOT / LONGEST
    parts: list[str] = []
    shown = [name for name in COLOURS if any("medians" in row.get(name, {}) for row in results.values())]
    y = TOP
    for key, row in results.items():
        if "medians" not in row.get("graphflow", {}):
            continue
        base = median(row["graphflow"])
        present = [name for name in shown if "medians" in row.get(name, {})]
        middle = y + len(present) * BAR / 2
        parts.append(_text(LEFT - 10, middle + 4, key, 'text-anchor="end" font-weight="600"'))
        for name in present:
            ratio = median(row[name]) / base
            width = min(ratio, LONGEST) * unit
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 1}" fill="{COLOURS[name]}"/>')
            if name == "graphflow":
                dark = min(share(row[name]), 1.0) * unit  # matrix tiles pass the roofline of multiply-adds
                parts.append(f'<rect x="{LEFT}" y="{y}" width="{dark:.1f}" height="{BAR - 1}" fill="#064a33"/>')
            cut = " ›" if ratio > LONGEST else ""
            text = f"{median(row[name]):.3g} ms ±{spread(row[name]):.0%}" + ("" if name == "graphflow" else f", {ratio:.2f}×") + cut
            parts.append(_text(LEFT + width + 5, y + BAR - 3, text, 'font-size="10"'))
            y += BAR
        y += GAP
    height, width = y + 8, LEFT + PLOT + RIGHT
    grid = [
        f'<line x1="{LEFT + k * unit:.1f}" y1="{TOP - 6}" x2="{LEFT + k * unit:.1f}" y2="{y - GAP + 4}" stroke="#ddd"/>'
        + _text(LEFT + k * unit, TOP - 10, f"{k}×", 'text-anchor="middle" fill="#777" font-size="10"')
        for k in range(int(LONGEST) + 1)
    ]
    legend, x = [], LEFT
    for name in shown:
        legend.append(f'<rect x="{x}" y="{LEGEND}" width="11" height="11" fill="{COLOURS[name]}"/>{_text(x + 15, LEGEND + 10, name)}')
        x += 36 + 7 * len(name)
    title = _text(LEFT, 20, "Time per training step, graphflow = 1; its dark part is what the machine's roofline allows", 'font-size="15"')
    where = _text(LEFT, 38, f"{about['cpu']} ({about['code_for']}), {about['threads']} threads", 'fill="#777"')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#222"><rect width="{width}" height="{height}" fill="#fff"/>'
        f"{title}{where}{''.join(legend)}{''.join(grid)}{''.join(parts)}</svg>\n"
    )


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
