"""Being written by helper C: see the package docstring for the API."""
from __future__ import annotations
from typing import Any
def schedule_contract(contract: Any, buffers: Any, target: Any, symbols: Any = (), prefix: str = "t") -> Any:
    raise NotImplementedError
