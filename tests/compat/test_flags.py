"""tf.flags and tf.app.run."""

from __future__ import annotations

import functools
import sys

import pytest

from graphflow.compat import app, flags


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test defines its flags on a set of its own."""
    values = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", values)
    monkeypatch.setattr(flags.mark_flag_as_required, "__defaults__", (values,))
    for name in [n for n in dir(flags) if n.startswith("DEFINE_") and n != "DEFINE_flag"]:
        monkeypatch.setattr(flags, name, functools.partial(getattr(flags, name), flag_values=values))
    flags.DEFINE_integer("steps", 1000, "how many")
    flags.DEFINE_float("rate", 1, "how fast")
    flags.DEFINE_string("log_dir", "/tmp/x", "a name that absl has too")
    flags.DEFINE_boolean("fake", False, "on or off")
    flags.DEFINE_list("names", "a,b", "some")
    flags.DEFINE_enum("mode", "train", ["train", "eval"], "one of")


def command_line(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> flags.FlagValues:
    monkeypatch.setattr(sys, "argv", ["program.py", *arguments])
    return flags.FLAGS


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    f = command_line(monkeypatch)
    assert (f.steps, f.rate, f.log_dir, f.fake, f.names, f.mode) == (1000, 1.0, "/tmp/x", False, ["a", "b"], "train")
    assert isinstance(f.rate, float)


@pytest.mark.parametrize("arguments", [("--steps=5",), ("--steps", "5"), ("-steps", "5"), ("--unknown=1", "x", "--steps=5")])
def test_the_command_line_is_parsed_at_the_first_reading(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    assert command_line(monkeypatch, *arguments).steps == 5


@pytest.mark.parametrize(
    ("argument", "value"), [("--fake", True), ("--nofake", False), ("--fake=true", True), ("--fake=0", False), ("--fake=no", False)]
)
def test_booleans(monkeypatch: pytest.MonkeyPatch, argument: str, value: bool) -> None:
    assert command_line(monkeypatch, argument).fake is value


def test_what_is_no_flag_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    f = command_line(monkeypatch)
    assert f(["p", "a", "--steps=2", "--other=3", "--", "--rate=9"], known_only=True) == ["p", "a", "--other=3", "--rate=9"]
    assert (f.steps, f.rate) == (2, 1.0)
    with pytest.raises(flags.UnrecognizedFlagError, match="Unknown command line flag 'other'"):
        f(["p", "--other=3"])


def test_values_may_be_set_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    f = command_line(monkeypatch, "--steps=3")
    assert f.steps == 3
    f.steps = 8
    assert f.steps == 8
    assert f["steps"].default == 1000
    assert "steps" in f and list(f)[:2] == ["steps", "rate"]
    assert f.flag_values_dict()["mode"] == "train"
    assert getattr(f, "__flags")["steps"].value == 8
    with pytest.raises(AttributeError, match="no flag 'stepz' is defined"):
        f.stepz = 1
    with pytest.raises(AttributeError, match="stepz"):
        _ = f.stepz


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--steps=many", r"flag --steps=many: invalid literal for int\(\) with base 10: 'many'"),
        ("--rate=fast", "flag --rate=fast: could not convert string to float: 'fast'"),
        ("--fake=perhaps", "flag --fake=perhaps: Non-boolean argument to boolean flag: perhaps"),
        ("--mode=play", r"flag --mode=play: value should be one of <train\|eval>"),
    ],
)
def test_wrong_values_are_told(monkeypatch: pytest.MonkeyPatch, argument: str, message: str) -> None:
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        _ = command_line(monkeypatch, argument).steps


def test_a_flag_without_its_value_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(flags.Error, match="Missing value for flag --steps"):
        _ = command_line(monkeypatch, "--steps").rate


def test_a_flag_defined_late_is_parsed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    f = command_line(monkeypatch, "--late=4")
    assert f.steps == 1000
    flags.DEFINE_integer("late", 0, "")
    assert f.late == 4


def test_twice_is_an_error() -> None:
    with pytest.raises(flags.DuplicateFlagError, match="The flag 'steps' is defined twice"):
        flags.DEFINE_string("steps", "", "")


def test_required(monkeypatch: pytest.MonkeyPatch) -> None:
    flags.DEFINE_string("needed", None, "")
    flags.mark_flag_as_required("needed")
    with pytest.raises(flags.IllegalFlagValueError, match="Flag --needed must have a value other than None"):
        _ = command_line(monkeypatch).steps


def test_app_run_parses_and_exits_with_mains_result(monkeypatch: pytest.MonkeyPatch) -> None:
    f = command_line(monkeypatch, "--steps=6", "--mine=1", "rest")
    seen = []
    with pytest.raises(SystemExit) as caught:
        app.run(main=lambda argv: seen.append((f.steps, argv)) or 4)
    assert caught.value.code == 4
    assert seen == [(6, ["program.py", "--mine=1", "rest"])]
