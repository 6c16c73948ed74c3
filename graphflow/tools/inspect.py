"""`graphflow inspect PROGRAM.py [ARGS] -o report.html`: runs a program and writes the page of what was compiled for it, with times."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from graphflow.tools.machine import available, measured
from graphflow.tools.recorder import Recorder, recording

Run = Callable[[str, Sequence[str]], None]
SHOWN = 12  # signatures of the page: the slowest


def watched(run: Run, program: str, arguments: Sequence[str]) -> tuple[Recorder, BaseException | None]:
    """Runs a program to its end, and what ended it where that was not its last line."""
    with recording(Recorder()) as recorder:
        try:
            run(program, arguments)
        except KeyboardInterrupt as stopped:  # so does somebody stop a long training whose page is wanted
            return recorder, stopped
        except SystemExit as left:
            return recorder, left if left.code else None
        except Exception as error:
            return recorder, error
    return recorder, None


def split_arguments(arguments: Sequence[str], parser: argparse.ArgumentParser) -> tuple[Any, list[str]]:
    """The tool's options, wherever they stand before "--", and the arguments of the program."""
    cut = list(arguments).index("--") if "--" in arguments else len(arguments)
    known, rest = parser.parse_known_args(arguments[:cut])
    return known, [*rest, *arguments[cut + 1 :]]


def checked(parser: argparse.ArgumentParser, program: str) -> str:
    """The program's path; ends the process with a message where there is none."""
    if not os.path.exists(program):
        parser.error(f"no program {program!r}")
    return program


def main(arguments: Sequence[str], run: Run) -> int:
    """Entry point of `graphflow inspect`. The page is written also where the program fails; its error follows."""
    from graphflow.tools.report import model_of, write

    parser = argparse.ArgumentParser(prog="graphflow inspect", description=__doc__, allow_abbrev=False)
    parser.add_argument("program", help="a TensorFlow 1.x program; its own arguments follow")
    parser.add_argument("-o", "--output", default="report.html", help="the page (default: report.html)")
    args, rest = split_arguments(arguments, parser)
    recorder, error = watched(run, checked(parser, args.program), rest)
    signatures = recorder.signatures
    model = model_of(os.path.basename(args.program), signatures[:SHOWN], measured(available()))
    size = write(model, args.output)
    left_out = f" (the {SHOWN} slowest)" if len(signatures) > SHOWN else ""
    print(f"{args.output}: {len(signatures)} compiled signatures{left_out}, {size / 1e6:.2f} MB", file=sys.stderr)
    if error is not None:
        raise error
    return 0
