"""tf.sysconfig: where things are, for building against. There is nothing to build against here, so flags are empty."""

from __future__ import annotations

from pathlib import Path

from graphflow import CXX11_ABI_FLAG, MONOLITHIC_BUILD
from graphflow.missing import names_of

__all__ = ["CXX11_ABI_FLAG", "MONOLITHIC_BUILD", "get_compile_flags", "get_include", "get_lib", "get_link_flags"]


def get_lib():
    """The folder of the package."""
    return str(Path(__file__).parent)


def get_include():
    """The folder of header files, of which there are none."""
    return str(Path(__file__).parent / "include")


def get_compile_flags():
    """Compiler flags: none."""
    return []


def get_link_flags():
    """Linker flags: none."""
    return []

globals()["__getattr__"] = names_of("sysconfig")
