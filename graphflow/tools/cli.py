"""The command line.

    graphflow run PROGRAM.py [ARGS]     run a TensorFlow 1.x program on graphflow, without an edit
    graphflow demo                      train a small net on the embedded digits and show what the compiler made of it
    graphflow profile PROGRAM.py [ARGS] run a program and show which kernels its time went to
    graphflow inspect PROGRAM.py [ARGS] -o report.html
                                        run a program and write a page of every stage of its compilation, with times
    graphflow dump PROGRAM.py [ARGS] --after PASS --kernel NAME --format text|dot|json
                                        run a program and print one stage; --explain OP OP: were they fused, and if not, why
    graphflow doctor                    the machine, the settings, and what would be slow here
    graphflow cache [ls|clear]          the compiled objects on disk
    python -m graphflow ...             the same
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence

USAGE = """usage: graphflow run PROGRAM.py [ARGS ...]   run a TensorFlow 1.x program on graphflow
       graphflow demo [--steps N] [--dump DIR]   train on the embedded digits and show the compiler's work
       graphflow profile PROGRAM.py [ARGS ...]   run a program and show which kernels its time went to
       graphflow inspect PROGRAM.py [ARGS ...] -o report.html   ... and write a page of every stage of its compilation
       graphflow dump PROGRAM.py [ARGS ...] [--after PASS] [--kernel NAME] [--format text|dot|json] [--explain OP OP]
       graphflow doctor                          show the machine, the settings, and what would be slow here
       graphflow cache [ls|clear]                show or remove the compiled objects on disk
       graphflow --help"""


def run_program(program: str, arguments: Sequence[str]) -> None:
    """Run a program file as `python PROGRAM.py ARGS` would, with `tensorflow` meaning graphflow."""
    from graphflow.compat import install

    install()
    sys.argv = [program, *arguments]
    # As Python itself does: a program imports its neighbours.
    sys.path.insert(0, os.path.dirname(os.path.abspath(program)))
    runpy.run_path(program, run_name="__main__")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command == "run":
        if not rest or not os.path.exists(rest[0]):
            print(f"graphflow run: {f'no program {rest[0]!r}' if rest else 'which program?'}\n{USAGE}", file=sys.stderr)
            return 2
        run_program(rest[0], rest[1:])
        return 0
    if command == "demo":
        from graphflow.tools import demo

        return demo.main(rest)
    if command == "profile":
        from graphflow.tools import profile

        return profile.main(rest, run_program)
    if command == "inspect":
        from graphflow.tools import inspect

        return inspect.main(rest, run_program)
    if command == "dump":
        from graphflow.tools import dump

        return dump.main(rest, run_program)
    if command == "doctor":
        from graphflow.tools import doctor

        print(doctor.report())
        return 0
    if command == "cache":
        from graphflow.tools import doctor

        return doctor.cache(rest)
    print(f"graphflow: unknown command {command!r}\n{USAGE}", file=sys.stderr)
    return 2
