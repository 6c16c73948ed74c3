"""`import graphflow` stays quick: what it must not load before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_import_loads_nothing_heavy() -> None:
    code = "import sys, graphflow; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    for heavy in ("llvmlite", "networkx", "urllib.request", "tarfile", "tqdm", "hypothesis", "matplotlib"):
        assert heavy not in loaded, f"import graphflow loads {heavy}"
