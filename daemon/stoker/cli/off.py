"""`stoker off`: drive every heater off without the daemon. For ExecStopPost, after whatever end the daemon found.

Rule: what was driven last is driven off although the configuration has meanwhile been broken, changed or removed.
"""

import sys
import tomllib
from argparse import Namespace
from pathlib import Path

from stoker import devices, driven
from stoker.cli import Exit
from stoker.config import ConfigError, DriverChoice, default_state_dir
from stoker.core.messages import SwitchFailed


def main(arguments: Namespace) -> int:
    """Try every heater, whatever the others say."""
    code, heaters = _heaters(arguments.config)
    for name, choice in heaters:
        outcome = driven.drive_off(name, choice)
        if isinstance(outcome, SwitchFailed):
            print(f"heater {name}: {outcome.text}", file=sys.stderr)
            code = Exit.FAILED
        else:
            print(f"heater {name}: off", flush=True)
    return code


def _heaters(path: Path) -> tuple[Exit, list[tuple[str, DriverChoice]]]:
    """Those of the configuration, and those that were driven last."""
    try:
        config = devices.load(path)
        code, configured, state_dir = Exit.OK, dict(config.heaters), config.state_dir
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        code, configured, state_dir = Exit.CONFIG, {}, _state_dir(path)
    last = driven.recall(state_dir)
    return code, [*configured.items(), *((name, one) for name, one in last.items() if one not in configured.values())]


def _state_dir(path: Path) -> Path:
    """The state directory as far as a broken configuration tells it."""
    try:
        return Path(tomllib.loads(path.read_text())["device"]["state_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return default_state_dir()
