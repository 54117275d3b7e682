"""Every rule that may forbid heat, as one table. The first row that sees its fault decides.

Rule: an interlock stands above every demand and every order. It looks at one zone's situation, says what is wrong in
words, or says nothing. A new one is one function and one row. What is latched stays so until somebody resets it.
`TABLE` is the whole table as the manual shows it, with the rows that other files keep.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from stoker.core.evidence import Findings, span
from stoker.core.messages import Reason
from stoker.core.thermometer import Trouble

OVER_TEMPERATURE_RELEASE = 1.0  # K below the limit before heat may return
TOLERANCE = 1e-6  # s; sums of floats
OUR_HEAT = 1800.0  # s after switching off during which a temperature that is too high is blamed on the heater


class Relay(NamedTuple):
    """The zone's heater: what its driver last confirmed, since when, and how long it may be on."""

    on: bool
    since: float  # when this stretch, or this rest, began
    heated_until: float  # when it was last on; minus infinity for never
    max_on: float
    rest: float
    latch: bool  # after max_on somebody has to reset it
    stretch: float = 0.0  # s that it was on for, the last time


class Around(NamedTuple):
    """What is around a zone: its relay, and what the rest of the device holds against heat (each in words or empty)."""

    relay: Relay
    held: str = ""  # why this run may not heat yet
    stuck_elsewhere: str = ""  # the zone whose relay sticks


class Latched(Struct, frozen=True):
    """A fault that stays until a reset. `time`: when it came, as RFC 3339."""

    reason: Reason
    text: str
    time: str = ""


class Situation(Struct, frozen=True):
    """What an interlock may look at."""

    now: float
    celsius: float | None  # the last reading taken
    before: float | None  # the one before it
    hottest: float | None  # of all that measure the place
    at: float  # when the last was measured, or when the waiting for the first began
    trouble: Trouble | None  # why there is none newer
    stale_after: float
    max_temperature: float
    around: Around
    findings: Findings  # what the readings say of the heater
    latched: Latched | None
    forbidding: Reason | None  # the interlock that forbade heat until now

    @property
    def stale_at(self) -> float:
        """From this moment on what was measured no longer counts."""
        return self.at + self.stale_after

    @property
    def max_on_at(self) -> float:
        """When the relay has been on for long enough, or has rested for long enough."""
        relay = self.around.relay
        return relay.since + (relay.max_on if relay.on else relay.rest)


def _never(_: Situation) -> bool:
    return False


def _always(_: Situation) -> bool:
    return True


class Interlock(NamedTuple):
    """A row of the table."""

    reason: Reason
    sees: str
    does: str
    forbids: Callable[[Situation], str]  # the text that says why, or nothing
    latches: Callable[[Situation], bool] = _never  # whether it stays so until a reset
    fault: bool = True  # worth an event when it comes and when it goes


class Verdict(NamedTuple):
    """Heat is forbidden: by which row, and why. `latch`: from now on until a reset."""

    interlock: Interlock
    text: str
    latch: bool = False


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
    celsius, limit = situation.hottest, situation.max_temperature
    if celsius is None:
        return ""
    if celsius > limit:
        return f"{celsius:.2f} °C is above {limit:g} °C"
    release = limit - OVER_TEMPERATURE_RELEASE
    if situation.forbidding is Reason.OVER_TEMPERATURE and celsius > release:
        return f"{celsius:.2f} °C, after more than {limit:g} °C; heat may return at {release:g} °C"
    return ""


def _our_heat(situation: Situation) -> bool:
    """Two readings say so, and it is this heater's heat: what the sun did needs nobody to come and look."""
    limit, relay = situation.max_temperature, situation.around.relay
    twice = all(celsius is not None and celsius > limit for celsius in (situation.celsius, situation.before))
    return twice and (relay.on or situation.now - relay.heated_until < OUR_HEAT)


def _stuck_on(situation: Situation) -> str:
    elsewhere = situation.around.stuck_elsewhere
    if situation.findings.stuck_on or not elsewhere:
        return situation.findings.stuck_on
    return f"every output is off because the relay of {elsewhere} sticks"


def _stuck_here(situation: Situation) -> bool:
    return bool(situation.findings.stuck_on)


def _runaway(situation: Situation) -> str:
    return situation.findings.runaway


def _heater_test(situation: Situation) -> str:
    return situation.findings.testing


def _held(situation: Situation) -> str:
    return situation.around.held


def _max_on_latches(situation: Situation) -> bool:
    """Its rest doesn't: after a reset it is only waited for."""
    return situation.around.relay.latch and situation.around.relay.on


def _max_on(situation: Situation) -> str:
    relay = situation.around.relay
    if not relay.max_on:
        return ""
    if relay.on:
        return f"on for {span(situation.now - relay.since)}" if situation.now >= situation.max_on_at else ""
    if relay.stretch >= relay.max_on - TOLERANCE and situation.now < situation.max_on_at:
        return f"rests until it has been off for {span(relay.rest)}"
    return ""


INTERLOCKS = (
    Interlock(
        Reason.STUCK_ON,
        "since the relay went off, or since the room climbed by `stuck_on_rise` within 4 h after a fall, it got warmer "
        "for `stuck_on_after`, by `stuck_on_rise` or above `max_temperature`, without any fall, or for half as long "
        "again without losing a third of it; after a reset of this fault: no fall within `runaway_test`",
        "alarm, latched; every other output of the device off",
        _stuck_on,
        latches=_stuck_here,
    ),
    Interlock(
        Reason.RUNAWAY,
        "heating for `runaway_after` without a clear climb, and then no difference between off and on: "
        "slipped sensor, dead heater",
        "off, latched",
        _runaway,
        latches=_always,
    ),
    Interlock(
        Reason.NO_TEMPERATURE_YET,
        "no reading since the start, still in time",
        "off",
        _no_temperature_yet,
        fault=False,
    ),
    Interlock(
        Reason.STALE_TEMPERATURE,
        "no accepted reading for `stale_after` (three intervals and at least 30 s)",
        "off until there is one; against frost on for `stale_duty` of the time, where that is configured",
        _stale,
    ),
    Interlock(
        Reason.OVER_TEMPERATURE,
        "above `max_temperature`",
        "its own request is off (another zone may keep the boiler on); latched when a second reading agrees and the "
        "heater was on in the last 30 min, else until 1 K below it",
        _over_temperature,
        latches=_our_heat,
    ),
    Interlock(
        Reason.TOO_MANY_RESTARTS,
        "`max_restarts` runs in a row that ended soon after they had begun to heat, and not by an order",
        "off until this run has lasted `stable_after`",
        _held,
    ),
    Interlock(
        Reason.MAX_ON,
        "on for `max_on` at a stretch",
        "off for `max_on_rest`; latched with `max_on_latch = true`",
        _max_on,
        latches=_max_on_latches,
    ),
    Interlock(
        Reason.HEATER_TEST,
        "heating for `runaway_after` without a clear climb",
        "off, for half of `runaway_test` at most, and on again for as long: where that makes a difference, the heater "
        "is only too weak, and heat stays; where it makes none, `runaway`; until that is clear it goes on, with half "
        "the heat",
        _heater_test,
        fault=False,
    ),
)
_BY_REASON = {interlock.reason: interlock for interlock in INTERLOCKS}
LATCHING = (Reason.STUCK_ON, Reason.RUNAWAY, Reason.OVER_TEMPERATURE, Reason.MAX_ON)


class Row(NamedTuple):
    """A row of the manual's table."""

    reason: Reason
    sees: str
    does: str
    where: str = "interlocks.py"


TABLE = (
    *(Row(interlock.reason, interlock.sees, interlock.does) for interlock in INTERLOCKS),
    Row(
        Reason.IMPLAUSIBLE_TEMPERATURE,
        "a reading outside `minimum` and `maximum`, or that changed faster than `max_rate`, or the same to the last "
        "bit for longer than `frozen_after`",
        "the reading is not taken and not published; stale follows",
        "thermometer.py",
    ),
    Row(
        Reason.SHORT_CYCLE,
        "`min_on` or `min_off` is not over",
        "the heater stays as it was; never on against a fault",
        "heater.py",
    ),
    Row(
        Reason.SWITCH_FAILED,
        "the driver could not switch",
        "alarm; perhaps on, so off is tried again and again",
        "heater.py",
    ),
    Row(
        Reason.CLOCK_JUMP,
        "the wall clock went back or leapt",
        "an event; spans are monotonic and unharmed, the schedule is read anew",
        "clock.py",
    ),
)


def verdict(situation: Situation) -> Verdict | None:
    """Why heat is forbidden, or None where no row forbids it. What is latched stands above all but a sticking relay."""
    latched = situation.latched
    if latched and latched.reason is not Reason.STUCK_ON and situation.findings.stuck_on:
        return Verdict(_BY_REASON[Reason.STUCK_ON], situation.findings.stuck_on, latch=True)
    if latched:
        return Verdict(_BY_REASON[latched.reason], f"{latched.text} (since {latched.time}, until a reset)")
    for interlock in INTERLOCKS:
        if text := interlock.forbids(situation):
            return Verdict(interlock, text, interlock.latches(situation))
    return None


def recall(text: str) -> Latched:
    """A latched fault as it was remembered. What cannot be read was latched all the same."""
    try:
        fault = msgspec.json.decode(text, type=Latched)
    except (msgspec.MsgspecError, RecursionError):
        fault = Latched(Reason.RUNAWAY, "a fault that was remembered and cannot be read", "?")
    return fault if fault.reason in LATCHING else Latched(Reason.RUNAWAY, f"{fault.reason}: {fault.text}", fault.time)


def forbidden_otherwise(situation: Situation) -> bool:
    """Whether another row than the stale temperature's speaks against heat too."""
    return any(row.forbids(situation) for row in INTERLOCKS if row.reason is not Reason.STALE_TEMPERATURE)


def next_look(situation: Situation) -> float:
    """When the verdict may change although nothing happens; infinity for never."""
    moments = [situation.stale_at, situation.max_on_at if situation.around.relay.max_on else situation.stale_at]
    return min((moment for moment in moments if moment > situation.now), default=float("inf"))


def as_markdown() -> str:
    """The table for the manual."""
    rows = [f"| `{row.reason}` | {row.sees} | {row.does} |" for row in TABLE]
    return "\n".join(["| reason | what it sees | what it does |", "|---|---|---|", *rows])
