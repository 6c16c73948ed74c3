"""`tf.app`: run a program's main function with its flags parsed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from graphflow.compat import flags

__all__ = ["flags", "run"]


def run(main: Callable[[list[str]], Any] | None = None, argv: Sequence[str] | None = None) -> NoReturn:
    """Parse the flags in `argv` (default: the command line), call `main` with what is left, and exit with its result.

    Unknown flags are left to `main`, which defaults to the program's own `main`.
    """
    rest = flags.FLAGS(list(sys.argv if argv is None else argv), known_only=True)
    main = main or sys.modules["__main__"].main
    sys.exit(main(rest))
