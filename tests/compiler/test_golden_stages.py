"""The text of every stage of five small programs: graph, Program after each pass that changed it, loop IR, plan.

What changes here changes for every program: read the difference, then take it over with `pytest --update-golden`. The code is for a
fixed target, so that the texts are the same on every machine; no machine code is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import graphflow as tf
from graphflow.compiler.capture import Feed, capture, symbolic_pattern
from graphflow.compiler.dump import kernel_text, plan_text, program_text
from graphflow.compiler.llvm.target import AVX512, Target
from graphflow.compiler.pipeline import compile_program
from graphflow.config import Options
from graphflow.graph.operation import Operation
from graphflow.runtime.storage import Storage
from tests.golden.stage_programs import PROGRAMS

FOLDER = Path(__file__).parents[1] / "golden" / "stages"


class NoCode:
    """Stands for the Jit where nothing is run."""

    target: Target = AVX512
    notes: None = None

    def begin(self, request: Any) -> None:
        pass

    def compile_many(self, requests: Sequence[Any]) -> list[None]:
        return [None for _ in requests]


def stages(program: Callable[[], Any]) -> str:
    """All stages of a program, one after the other under a line that names each."""
    with tf.Graph().as_default():
        fetches, shapes = program()
        tensors = [f for f in fetches if not isinstance(f, Operation)]
        feeds = [Feed(t, shape, None) for t, shape in shapes.items()]
        targets = [f for f in fetches if isinstance(f, Operation)]
        captured = capture(tensors, targets, feeds, symbolic_pattern(feeds), Storage(), frozenset())
        compiled = compile_program(captured.program, NoCode(), Options(verify=2), [t.name for t in shapes], captured.operations)
    report = compiled.report
    parts = [("graph", report.graph), ("capture", program_text(report.stages[0].before))]
    parts += [(s.name, program_text(s.after)) for s in report.stages if s.after is not s.before]
    parts += [(f"kernel {step.name}", kernel_text(step)) for step in compiled.steps]
    parts.append(("plan", plan_text(compiled.bind(list(shapes.values())))))
    return "".join(f"==== {name}\n{text}" for name, text in parts)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_every_stage_is_as_it_was(program: Callable[[], Any], update_golden: bool) -> None:
    path = FOLDER / f"{program.__name__}.txt"
    found = stages(program)
    if update_golden:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found)
    wanted = path.read_text()
    assert found.split("\n") == wanted.split("\n"), f"{path} differs; if that is meant: pytest --update-golden"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_text_does_not_depend_on_what_was_compiled_before(program: Callable[[], Any]) -> None:
    first = stages(program)
    for other in PROGRAMS:
        stages(other)
    assert stages(program) == first
