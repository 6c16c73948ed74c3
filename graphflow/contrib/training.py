"""tf.contrib.training: HParams, hyperparameters by name."""

from __future__ import annotations

import json
import re
from typing import Any

from graphflow.missing import names_of

__all__ = ["HParams"]

_SETTING = re.compile(r"(?P<name>[A-Za-z][\w.]*)(\[(?P<index>\d+)\])?\s*=\s*(\[(?P<list>[^\]]*)\]|(?P<value>[^,\[]*))(,|$)")


class HParams:
    """Hyperparameters as attributes: HParams(learning_rate=0.1).learning_rate"""

    def __init__(self, hparam_def=None, model_structure=None, **kwargs):
        self._hparam_types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name, value):
        """Another hyperparameter; a list has elements of one type."""
        if getattr(self, name, None) is not None:
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError(f"Multi-valued hyperparameters cannot be empty: {name}")
            self._hparam_types[name] = (type(value[0]), True)
        else:
            self._hparam_types[name] = (type(value), False)
        setattr(self, name, value)

    def set_hparam(self, name, value):
        """Another value of the type that the hyperparameter has."""
        kind, many = self._hparam_types[name]
        if isinstance(value, list) != many:
            raise ValueError(f"Must {'' if many else 'not '}pass a list for {'multi' if many else 'single'}-valued parameter: {name}.")
        setattr(self, name, [_cast(name, kind, v) for v in value] if many else _cast(name, kind, value))

    def del_hparam(self, name):
        """Take a hyperparameter away."""
        if hasattr(self, name):
            delattr(self, name)
            del self._hparam_types[name]

    def parse(self, values):
        """Set hyperparameters from text: "learning_rate=0.1,sizes=[1,2]"."""
        position = 0
        while position < len(values):
            found = _SETTING.match(values, position)
            if found is None:
                raise ValueError(f"Malformed hyperparameter value: {values[position:]}")
            position = found.end()
            name = found["name"].strip()
            if name not in self._hparam_types:
                raise ValueError(f"Unknown hyperparameter type for {name}")
            kind, _ = self._hparam_types[name]
            if found["list"] is not None:
                self.set_hparam(name, [_parsed(name, kind, v) for v in found["list"].split(",")])
            elif found["index"] is not None:
                changed = list(getattr(self, name))
                changed[int(found["index"])] = _parsed(name, kind, found["value"])
                self.set_hparam(name, changed)
            else:
                self.set_hparam(name, _parsed(name, kind, found["value"]))
        return self

    def override_from_dict(self, values_dict):
        """Set several hyperparameters."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def set_model_structure(self, model_structure):
        """Keep a description of the model beside the hyperparameters."""
        self._model_structure = model_structure

    def get_model_structure(self):
        """What set_model_structure kept."""
        return self._model_structure

    def to_json(self, indent=None, separators=None, sort_keys=False):
        """All values as JSON text."""
        return json.dumps(self.values(), indent=indent, separators=separators, sort_keys=sort_keys)

    def parse_json(self, values_json):
        """Set hyperparameters from JSON text."""
        return self.override_from_dict(json.loads(values_json))

    def values(self):
        """All values by name."""
        return {name: getattr(self, name) for name in self._hparam_types}

    def get(self, key, default=None):
        """A value by name, or the default."""
        return getattr(self, key) if key in self._hparam_types else default

    def __contains__(self, key: str) -> bool:
        return key in self._hparam_types

    def __str__(self) -> str:
        return str(sorted(self.values().items()))

    def __repr__(self) -> str:
        return f"HParams({self})"


def _parsed(name: str, kind: type, text: str) -> Any:
    text = text.strip()
    if kind is bool:
        if text not in ("true", "True", "1", "false", "False", "0"):
            raise ValueError(f"Could not parse hparam '{name}' of type 'bool' with value '{text}'")
        return text in ("true", "True", "1")
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"Could not parse hparam '{name}' of type '{kind.__name__}' with value '{text}'") from None


def _cast(name: str, kind: type, value: Any) -> Any:
    message = f"Could not cast hparam '{name}' of type '{kind.__name__}' from value {value!r}"
    if value is None or kind is type(None) or isinstance(value, kind):
        return value
    text = isinstance(value, (str, bytes))
    if text != issubclass(kind, (str, bytes)) or issubclass(kind, bool) != isinstance(value, bool):
        raise ValueError(message)
    if issubclass(kind, int) and not isinstance(value, int):
        raise ValueError(message)
    return kind(value)

globals()["__getattr__"] = names_of("contrib.training")
