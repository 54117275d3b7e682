"""Every rule that may forbid heat, as one table. The first row that sees its fault decides.

Rule: an interlock stands above every demand and every order. It looks at one zone's situation, says what is wrong in
words, or says nothing. A new one is one function and one row.
"""

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from stoker.core.messages import Reason
from stoker.core.thermometer import Trouble

OVER_TEMPERATURE_RELEASE = 1.0  # K below the limit before heat may return


class Situation(Struct, frozen=True):
    """What an interlock may look at."""

    now: float
    celsius: float | None  # the last reading taken
    at: float  # when it was measured, or when the waiting for the first began
    trouble: Trouble | None  # why there is none newer
    stale_after: float
    max_temperature: float
    forbidding: Reason | None  # the interlock that forbade heat until now

    @property
    def stale_at(self) -> float:
        """From this moment on what was measured no longer counts."""
        return self.at + self.stale_after


class Interlock(NamedTuple):
    """A row of the table."""

    reason: Reason
    sees: str
    does: str
    forbids: Callable[[Situation], str]  # the text that says why, or nothing
    fault: bool = True  # worth an event when it comes and when it goes


class Verdict(NamedTuple):
    """Heat is forbidden: by which row, and why."""

    interlock: Interlock
    text: str


def _no_temperature_yet(situation: Situation) -> str:
    if situation.celsius is not None or situation.now >= situation.stale_at:
        return ""
    return "waiting for the first reading"


def _stale(situation: Situation) -> str:
    if situation.now < situation.stale_at:
        return ""
    age = f"{situation.now - situation.at:.0f} s"
    last = situation.celsius
    what = f"no reading since the start {age} ago" if last is None else f"last reading {last:.2f} °C, {age} old"
    why = f"; {situation.trouble.reason}: {situation.trouble.text}" if situation.trouble else ""
    return f"{what}; {situation.stale_after:g} s are allowed{why}"


def _over_temperature(situation: Situation) -> str:
    limit = situation.max_temperature
    if situation.forbidding is Reason.OVER_TEMPERATURE:
        limit -= OVER_TEMPERATURE_RELEASE
    if situation.celsius is None or situation.celsius <= limit:
        return ""
    return f"{situation.celsius:.2f} °C is above {limit:g} °C"


INTERLOCKS = (
    Interlock(
        Reason.NO_TEMPERATURE_YET, "no reading since the start, still in time", "off", _no_temperature_yet, fault=False
    ),
    Interlock(Reason.STALE_TEMPERATURE, "no accepted reading in time", "off until there is one", _stale),
    Interlock(Reason.OVER_TEMPERATURE, "above max_temperature", "off until 1 K below it", _over_temperature),
)


def verdict(situation: Situation) -> Verdict | None:
    """Why heat is forbidden, or None where no row forbids it."""
    for interlock in INTERLOCKS:
        if text := interlock.forbids(situation):
            return Verdict(interlock, text)
    return None
