"""`tf.flags`: command-line flags, parsed when the first one is read.

    flags.DEFINE_integer("steps", 1000, "how many training steps")
    flags.FLAGS.steps                       # 500 under `program.py --steps=500`, `--steps 500` or `-steps 500`

Flags that nobody defined are left alone: many programs read sys.argv in two ways.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphflow.missing import names_of


class Error(Exception):
    """Base of what goes wrong with flags."""


class DuplicateFlagError(Error):
    """A flag was defined twice."""


class IllegalFlagValueError(Error):
    """A flag was given a value it cannot take."""


class UnrecognizedFlagError(Error):
    """A flag on the command line was never defined."""


class Flag:
    """One flag: its name, how text becomes its value, and the value."""

    def __init__(self, name: str, default: Any, help: str, parse: Callable[[str], Any], boolean: bool = False) -> None:
        self.name, self.help, self.boolean = name, help, boolean
        self._parse = parse
        self.default = self._checked(default)
        self.value = self.default
        self.present = 0

    def _checked(self, value: Any) -> Any:
        return self._convert(value) if isinstance(value, str) else value

    def _convert(self, text: str) -> Any:
        try:
            return self._parse(text)
        except ValueError as error:
            raise IllegalFlagValueError(f"flag --{self.name}={text}: {error}") from None

    def parse(self, text: str) -> None:
        """Take the value from the command line."""
        self.value = self._convert(text)
        self.present += 1

    def reset(self) -> None:
        """Go back to the default."""
        self.value, self.present = self.default, 0


class FlagValues:
    """All flags by name; reading one parses the command line first."""

    def __init__(self) -> None:
        self.__dict__["_flags"] = {}
        self.__dict__["_required"] = []
        self.__dict__["_parsed"] = False

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        """Parse `argv` (the program's name first) and return what is no flag. Unknown flags are an error unless `known_only`."""
        rest, unknown = [argv[0]] if argv else [], []
        arguments = iter(argv[1:])
        for argument in arguments:
            if argument == "--":
                rest.extend(arguments)
            elif not argument.startswith("-") or argument == "-":
                rest.append(argument)
            elif not self._take(argument, arguments):
                unknown.append(argument)
                rest.append(argument)
        if unknown and not known_only:
            raise UnrecognizedFlagError(f"Unknown command line flag '{unknown[0].lstrip('-').split('=')[0]}'")
        self.__dict__["_parsed"] = True
        for name in self._required:
            if self._flags[name].value is None:
                raise IllegalFlagValueError(f"flag --{name}=None: Flag --{name} must have a value other than None.")
        return rest

    def _take(self, argument: str, following: Iterator[str]) -> bool:
        """Use one argument that begins with a dash; False where no flag has that name."""
        name, equals, text = argument.lstrip("-").partition("=")
        name = name.replace("-", "_") if name not in self._flags else name
        if name in ("help", "helpfull", "h") and name not in self._flags:
            print(f"{sys.argv[0]}:\n{self.get_help()}")
            raise SystemExit(0)
        flag = self._flags.get(name)
        if flag is None and name.startswith("no") and not equals:
            flag = self._flags.get(name[2:])
            if flag is None or not flag.boolean:
                return False
            flag.parse("false")
            return True
        if flag is None:
            return False
        if not equals:
            missing = object()
            value = "true" if flag.boolean else next(following, missing)
            if value is missing:
                raise Error(f"Missing value for flag --{name}")
            text = str(value)
        flag.parse(text)
        return True

    def __getattr__(self, name: str) -> Any:
        if name == "__flags":
            return self._flags
        if name.startswith("__"):
            raise AttributeError(name)
        if not self._parsed:
            self(sys.argv, known_only=True)
        if name not in self._flags:
            raise AttributeError(name)
        return self._flags[name].value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._flags:
            raise AttributeError(f"no flag '{name}' is defined")
        self._flags[name].value = value

    def __delattr__(self, name: str) -> None:
        if name not in self._flags:
            raise AttributeError(name)
        del self._flags[name]

    def __getitem__(self, name: str) -> Flag:
        return self._flags[name]

    def __contains__(self, name: str) -> bool:
        return name in self._flags

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def __dir__(self) -> list[str]:
        return sorted(self._flags)

    def is_parsed(self) -> bool:
        """Whether a command line has been parsed."""
        return self._parsed

    def mark_as_parsed(self) -> None:
        """Use the defaults without looking at the command line."""
        self.__dict__["_parsed"] = True

    def unparse_flags(self) -> None:
        """Parse again at the next reading."""
        self.__dict__["_parsed"] = False
        for flag in self._flags.values():
            flag.reset()

    def flag_values_dict(self) -> dict[str, Any]:
        """All values by name."""
        return {name: getattr(self, name) for name in self._flags}

    def _parse_flags(self, args: Sequence[str] | None = None) -> None:
        """What programs of TensorFlow 1.4 and before call."""
        self([sys.argv[0], *args] if args is not None else sys.argv, known_only=True)

    def get_help(self) -> str:
        """One paragraph a flag."""
        return "\n".join(f"  --{f.name}: {f.help}\n    (default: {f.default!r})" for f in self._flags.values())


FLAGS = FlagValues()


def DEFINE_flag(flag: Flag, flag_values: FlagValues = FLAGS) -> Flag:
    """Enter a flag."""
    if flag.name in flag_values:
        raise DuplicateFlagError(f"The flag '{flag.name}' is defined twice.")
    flag_values._flags[flag.name] = flag
    if flag_values.is_parsed():  # defined late: the command line may speak of it
        flag_values.__dict__["_parsed"] = False
    return flag


def _boolean(text: str) -> bool:
    if text.lower() in ("true", "t", "1", "yes", "y"):
        return True
    if text.lower() in ("false", "f", "0", "no", "n"):
        return False
    raise ValueError(f"Non-boolean argument to boolean flag: {text}")


def _items(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _define(flag: Flag, flag_values: FlagValues, required: bool) -> None:
    DEFINE_flag(flag, flag_values)
    if required:
        mark_flag_as_required(flag.name, flag_values)


def _bounded(parse: Callable[[str], Any], lower: Any, upper: Any) -> Callable[[str], Any]:
    """Parsing that refuses numbers below `lower` and above `upper`."""

    def parsed(text: str) -> Any:
        value = parse(text)
        if (lower is not None and value < lower) or (upper is not None and value > upper):
            raise ValueError(f"{value} is not between {lower} and {upper}")
        return value

    return parsed


def DEFINE_string(name, default, help, flag_values=FLAGS, required=False, **args):
    """A flag that holds text."""
    _define(Flag(name, default, help or "", str), flag_values, required)


def DEFINE_integer(name, default, help, lower_bound=None, upper_bound=None, flag_values=FLAGS, required=False, **args):
    """A flag that holds an integer (decimal, or 0x…, 0o…)."""

    def parse(text: str) -> int:
        return int(text, 0) if text[:1] == "0" and len(text) > 1 else int(text)

    _define(Flag(name, default, help or "", _bounded(parse, lower_bound, upper_bound)), flag_values, required)


def DEFINE_float(name, default, help, lower_bound=None, upper_bound=None, flag_values=FLAGS, required=False, **args):
    """A flag that holds a float."""
    default = float(default) if isinstance(default, int) else default
    _define(Flag(name, default, help or "", _bounded(float, lower_bound, upper_bound)), flag_values, required)


def DEFINE_boolean(name, default, help, flag_values=FLAGS, module_name=None, required=False, **args):
    """A flag that is on (`--name`) or off (`--noname`, `--name=false`)."""
    default = bool(default) if isinstance(default, int) else default
    _define(Flag(name, default, help or "", _boolean, boolean=True), flag_values, required)


DEFINE_bool = DEFINE_boolean


def DEFINE_list(name, default, help, flag_values=FLAGS, required=False, **args):
    """A flag that holds a comma-separated list."""
    _define(Flag(name, default, help or "", _items), flag_values, required)


def DEFINE_enum(name, default, enum_values, help, flag_values=FLAGS, module_name=None, required=False, **args):
    """A flag that holds one of `enum_values`."""

    def one_of(text: str) -> str:
        if text not in enum_values:
            raise ValueError(f"value should be one of <{'|'.join(enum_values)}>")
        return text

    _define(Flag(name, default, help or "", one_of), flag_values, required)


def mark_flag_as_required(flag_name: str, flag_values: FlagValues = FLAGS) -> None:
    """Refuse a command line that leaves the flag without a value."""
    flag_values._required.append(flag_name)


def mark_flags_as_required(flag_names: Sequence[str], flag_values: FlagValues = FLAGS) -> None:
    """The same for several flags."""
    for name in flag_names:
        mark_flag_as_required(name, flag_values)


globals()["__getattr__"] = names_of("flags")
