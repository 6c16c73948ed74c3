"""Being written by helper C: see the package docstring for the API."""
from __future__ import annotations
from typing import Any
Host = Any
def emit_contract(host: Any, contract: Any) -> None:
    raise NotImplementedError
