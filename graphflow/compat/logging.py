"""`tf.logging`: the logger called "tensorflow", which writes `LEVEL:tensorflow:message` to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from graphflow.missing import names_of

if TYPE_CHECKING:
    from logging import Logger

DEBUG, INFO, WARN, ERROR, FATAL = 10, 20, 30, 40, 50

_logger: Logger | None = None
_counts: dict[Any, int] = {}


def get_logger() -> Logger:
    """The logger itself."""
    global _logger
    if _logger is None:
        import logging  # 8 ms that most programs need not pay

        _logger = logging.getLogger("tensorflow")
        if not _logger.handlers and not logging.getLogger().handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
            _logger.addHandler(handler)
        if _logger.level == logging.NOTSET:
            _logger.setLevel(WARN)
    return _logger


def log(level: int, msg: str, *args: Any) -> None:
    """Write a message of the given level."""
    get_logger().log(level, msg, *args)


def debug(msg: str, *args: Any) -> None:
    """Write a message of level DEBUG."""
    log(DEBUG, msg, *args)


def info(msg: str, *args: Any) -> None:
    """Write a message of level INFO."""
    log(INFO, msg, *args)


def warn(msg: str, *args: Any) -> None:
    """Write a message of level WARN."""
    log(WARN, msg, *args)


warning = warn


def error(msg: str, *args: Any) -> None:
    """Write a message of level ERROR."""
    log(ERROR, msg, *args)


def fatal(msg: str, *args: Any) -> None:
    """Write a message of level FATAL; the program goes on."""
    log(FATAL, msg, *args)


def vlog(level: int, msg: str, *args: Any) -> None:
    """Write a message of a numeric level of detail."""
    log(level, msg, *args)


def log_if(level: int, msg: str, condition: bool, *args: Any) -> None:
    """Write the message if `condition` holds."""
    if condition:
        log(level, msg, *args)


def _count(msg: str) -> int:
    """How often the line that called the caller has come here before."""
    frame = sys._getframe(2)
    key = (frame.f_code.co_filename, frame.f_lineno, msg)
    _counts[key] = _counts.get(key, -1) + 1
    return _counts[key]


def log_every_n(level: int, msg: str, n: int, *args: Any) -> None:
    """Write the first and then every n-th message of this line."""
    log_if(level, msg, not _count(msg) % n, *args)


def log_first_n(level: int, msg: str, n: int, *args: Any) -> None:
    """Write only the first n messages of this line."""
    log_if(level, msg, _count(msg) < n, *args)


def flush() -> None:
    """Write out what handlers hold back."""
    for handler in get_logger().handlers:
        handler.flush()


def get_verbosity() -> int:
    """The lowest level that is written."""
    return get_logger().getEffectiveLevel()


def set_verbosity(v: int | str) -> None:
    """Choose the lowest level that is written."""
    get_logger().setLevel(v)

globals()["__getattr__"] = names_of("logging")
