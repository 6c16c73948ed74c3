"""The page: data and view in one file that needs no network.

The data that every view needs is JSON in a script element; long texts (listings, Programs) are gzipped, each in an element of its own, and
unpacked by the browser when they are looked at.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from importlib import resources
from typing import Any

from graphflow.tools.report.model import Model

VIEW = ("core.js", "listing.js", "source.js", "layout.js", "graph.js", "passes.js", "kernels.js", "memory.js", "timeline.js", "main.js")


def _asset(name: str) -> str:
    return resources.files("graphflow.tools.report").joinpath("view", name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """JSON that may stand in a script element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, default=float).replace("</", "<\\/").replace("<!--", "<\\u0021--")


def page_text(model: Model) -> str:
    """The whole file."""
    texts = [
        f'<script type="text/plain" id="text-{key}">{base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()}</script>'
        for key, text in model.texts.items()
    ]
    parts = {
        "TITLE": html.escape(model.data["title"]), "STYLE": _asset("style.css"),
        "DATA": _json(_rounded(model.data)), "TEXTS": "\n".join(texts), "SCRIPT": "\n".join(map(_asset, VIEW)),
    }  # fmt: skip
    text = _asset("page.html")
    for name, part in parts.items():
        text = text.replace(f"<!--{name}-->", part, 1)
    return text


def _rounded(item: Any) -> Any:
    """Floats with six digits: more would only make the file longer."""
    if isinstance(item, float):
        return int(item) if item == int(item) and abs(item) < 1e15 else float(f"{item:.6g}")
    if isinstance(item, dict):
        return {k: _rounded(v) for k, v in item.items()}
    if isinstance(item, (list, tuple)):
        return [_rounded(v) for v in item]
    return item


def write(model: Model, path: str) -> int:
    """Write the page; its size in bytes."""
    data = page_text(model).encode("utf-8")
    with open(path, "wb") as file:
        file.write(data)
    return len(data)
