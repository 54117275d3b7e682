"""`stoker off`: drive every heater off without the daemon. For ExecStopPost, after whatever end the daemon found.

Rule: what was driven last is driven off although the configuration has meanwhile been broken, changed or removed, and
before that is read: on a small Pi this takes longer than the rest.
"""

import contextlib
import sys
import tomllib
from argparse import Namespace
from pathlib import Path

from stoker import devices, driven
from stoker.cli import Exit
from stoker.config import ConfigError, DriverChoice, default_state_dir
from stoker.core.messages import SwitchFailed


def main(arguments: Namespace) -> int:
    """Try every heater, whatever the others say: what was driven last at once, and then what is configured."""
    done: list[DriverChoice] = []
    code = _off(driven.recall(_state_dir(arguments.config)), done)
    try:
        config = devices.load(arguments.config)
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return code or Exit.CONFIG
    for heaters in (config.heaters, driven.recall(config.state_dir)):
        code = _off(heaters, done) or code
    return code


def _off(heaters: dict[str, DriverChoice], done: list[DriverChoice]) -> Exit:
    """Drive off those that are not done yet."""
    code = Exit.OK
    for name, choice in heaters.items():
        if choice in done:
            continue
        done.append(choice)
        outcome = driven.drive_off(name, choice)
        if isinstance(outcome, SwitchFailed):
            print(f"heater {name}: {outcome.text}", file=sys.stderr)
            code = Exit.FAILED
        else:
            print(f"heater {name}: off", flush=True)
    return code


def _state_dir(path: Path) -> Path:
    """The state directory, as far as the configuration tells it, whatever else is wrong with it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if path.is_file() and (told := tomllib.loads(path.read_text())["device"]["state_dir"]):  # a pipe would hang us
            return Path(told)
    return default_state_dir()
