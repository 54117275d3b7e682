"""Reading the configuration for a command: every problem one line on standard error, then exit code 78."""

import sys
from pathlib import Path

from stoker import devices
from stoker.cli import Exit
from stoker.config import Config, ConfigError


def load(path: Path, guest: bool = False) -> Config:
    """The configuration, or the end of the command. A `guest` only talks with the daemon of another machine."""
    try:
        return devices.load(path, guest)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(Exit.CONFIG)
