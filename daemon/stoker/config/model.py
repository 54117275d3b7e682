"""What a configuration is, and what a problem in one is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from stoker.core import settings as core
from stoker.link.settings import Backlog, Mqtt

Key = tuple[str, ...]
"""A key's path: ("zones", "room", "target")."""

OptionsOf = Callable[[str], type[Struct]]
"""A driver's name -> its Options. What it raises says why not; an attribute `known` lists the names that there are."""


class Drivers(Struct, frozen=True):
    """What the configuration must know of the drivers: which options each takes."""

    thermometer: OptionsOf
    heater: OptionsOf


class Device(Struct, frozen=True, kw_only=True):
    """The table [device]."""

    id: Annotated[str, Meta(description="this device's name in topics; empty: the host's name")] = ""
    state_dir: Annotated[
        str,
        Meta(description="folder for what survives a restart; empty: the one that systemd gives, /var/lib/stoker ..."),
    ] = ""
    max_restarts: Annotated[
        int, Meta(ge=0, le=100, description="runs in a row that died while heating before one must be stable; 0: any")
    ] = 5
    stable_after: Annotated[
        core.Seconds, Meta(ge=0, le=86400, description="a run that has lasted this long is stable")
    ] = 600.0


class Wall(Struct, frozen=True, kw_only=True):
    """What [device] says of the clock on the wall."""

    timezone: Annotated[str, Meta(description="of the schedule, such as Europe/Berlin; empty: the system's")] = ""
    clock: Annotated[
        Literal["synchronised", "trusted"],
        Meta(description="trusted: the schedule runs although the system doesn't say that its clock is right"),
    ] = "synchronised"


class Base(Struct, frozen=True, kw_only=True):
    """What [mqtt] holds beside the link's settings."""

    base: Annotated[str, Meta(description="what its topics begin with; empty: stoker/<device.id>")] = ""
    alive_every: Annotated[
        core.Seconds, Meta(ge=0, le=3600, description="time between two signals of life; 0: none")
    ] = 60.0


class Metrics(Struct, frozen=True, kw_only=True):
    """The table [metrics]."""

    port: Annotated[int, Meta(ge=0, le=65535, description="of the Prometheus endpoint; 0: none")] = 0
    address: Annotated[
        str, Meta(min_length=1, description="on which it listens; everybody who reaches it can read it")
    ] = "127.0.0.1"


class DriverChoice(Struct, frozen=True):
    """A driver's name and its options, validated."""

    name: str
    options: Struct


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration. `warnings`: lines about what is legal and dangerous."""

    core: core.Settings
    mqtt: Mqtt
    metrics: Metrics
    backlog: Backlog
    thermometers: dict[str, DriverChoice]
    heaters: dict[str, DriverChoice]
    state_dir: Path
    clock_trusted: bool
    files: tuple[Path, ...]
    warnings: tuple[str, ...]


class Problem(Struct, frozen=True):
    """One line for the user. Line 0: the whole file. Key "": the file's text, not a key."""

    file: Path
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` in the order of the files, and of the lines in them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def default_state_dir() -> Path:
    """The folder that systemd made for us; without systemd the system's, or else the user's own."""
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    system, home = Path("/var/lib/stoker"), os.environ.get("HOME")
    if os.access(system, os.W_OK) or not home:
        return system
    return Path(os.environ.get("XDG_STATE_HOME") or Path(home, ".local/state"), "stoker")
