"""Imports a library without something that it imports and never needs here."""

import contextlib
import sys
from collections.abc import Generator
from types import ModuleType


@contextlib.contextmanager
def without(name: str) -> Generator[None]:
    """Inside, who imports this module gets an empty one, unless the real one is there already; afterwards the real."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        del sys.modules[name]
