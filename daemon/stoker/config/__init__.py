"""/etc files -> frozen structs, or every problem in one clear line.

Rule: what one key may hold stands in its struct (`core/settings.py`, `link/settings.py`, a driver's `Options`) and
nowhere else. Here stand the files (`files.py`), the tree of their tables (`tree.py`), the rules between keys
(`check.py`) and the words (`words.py`). Nothing unknown passes.
"""

from pathlib import Path

from stoker.config.files import File, conf_d, read
from stoker.config.model import Base, Config, ConfigError, Device, DriverChoice, Drivers, Problem, default_state_dir
from stoker.config.spans import parse_seconds, show_seconds

__all__ = [
    "Base",
    "Config",
    "ConfigError",
    "Device",
    "DriverChoice",
    "Drivers",
    "Problem",
    "default_state_dir",
    "load",
    "parse_seconds",
    "show_seconds",
]


def load(path: Path, drivers: Drivers, guest: bool = False) -> Config:
    """Read `path`, then `conf.d/*.toml` beside it in sorted order, where a later file overrides single keys.

    Raises ConfigError with everything that is wrong. A `guest` only talks with a device, so it needs no thermometer.
    """
    files: list[File] = []
    unreadable: list[Problem] = []
    for name in (path, *conf_d(path)):
        try:
            files.append(read(name))
        except ConfigError as error:
            unreadable += error.problems
    if unreadable:
        raise ConfigError(tuple(unreadable))
    from stoker.config.check import Check  # which `stoker off` does not wait for

    return Check(files, guest).config(drivers)
