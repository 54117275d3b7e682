"""Which heaters were driven last, in a file of the state directory: `stoker off` must find them whatever has become of
the configuration, and a start must switch off what the configuration no longer names.
"""

import contextlib
import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from stoker import devices
from stoker.config import Config, DriverChoice
from stoker.core.messages import Switched, SwitchFailed

log = logging.getLogger(__name__)

FILE = "driven.json"


class _Driven(Struct, frozen=True):
    driver: str
    options: dict[str, object]


def note(config: Config) -> None:
    """Write down what is about to be driven. Where that cannot be written, a line says so and control goes on."""
    table = {name: _Driven(choice.name, msgspec.to_builtins(choice.options)) for name, choice in config.heaters.items()}
    new, path = msgspec.json.encode(table), config.state_dir / FILE
    try:
        if path.exists() and path.read_bytes() == new:
            return  # an SD card is written to as seldom as can be
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        with aside.open("wb") as file:
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        log.warning("%s: %s; `stoker off` needs an intact configuration without it", path, error.strerror)


def recall(state_dir: Path) -> dict[str, DriverChoice]:
    """What was noted last; nothing where nothing can be read. An option that its driver no longer knows is left out."""
    try:
        table = msgspec.json.decode((state_dir / FILE).read_bytes(), type=dict[str, _Driven])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    choices: dict[str, DriverChoice] = {}
    for name, one in table.items():
        with contextlib.suppress(Exception):  # a driver of others that is no longer installed
            choices[name] = devices.choice(one.driver, one.options)
    return choices


def drive_off_others(config: Config) -> None:
    """Switch off what was driven last and is another heater now, or none."""
    for name, choice in recall(config.state_dir).items():
        if choice not in config.heaters.values():
            outcome = drive_off(name, choice)
            done = "is off" if isinstance(outcome, Switched) else f"could not be switched off: {outcome.text}"
            log.warning("heater %s, driven before and no longer configured like that, %s", name, done)


def drive_off(name: str, choice: DriverChoice) -> Switched | SwitchFailed:
    """Claim it at its off level, and let it go."""
    port = devices.heater(name, choice)
    outcome = port.switch(False)
    port.close()
    return outcome
