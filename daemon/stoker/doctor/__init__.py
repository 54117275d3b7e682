"""What a person needs who stands before a cold room: each thing that heat hangs on, looked at, with its remedy.

Rule: one function looks at one thing and says what it found; nothing here switches a relay (but `click`, which asks
first) and nothing here writes. What cannot be looked at is said to be so. The rows are in the files beside this one,
from the machine over its devices to the broker.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from stoker.config import Config


class Verdict(StrEnum):
    """How a thing is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"  # it works, and may not when it matters
    BAD = "bad"  # stoker cannot do its work with it
    UNKNOWN = "unknown"  # it could not be looked at


class Finding(Struct, frozen=True):
    """One thing that was looked at: what was seen, and what to do about it."""

    what: str
    verdict: Verdict
    text: str
    remedy: str = ""


def examine(path: Path) -> Iterator[Finding]:
    """Every finding in turn, as soon as it is there. A configuration with errors is one of them."""
    from stoker.doctor import broker, configuration, hardware, machine  # what they import costs, and only doctor needs

    config: Config | None = None
    for finding in configuration.examine(path):
        if isinstance(finding, Finding):
            yield finding
        else:
            config = finding
    yield from machine.examine(config)
    yield from hardware.examine(config)
    if config:
        yield from broker.examine(config)
