"""What is known of one thermometer. Only a reading that every rule in `READING_RULES` lets pass is taken.

A reading that is refused changes nothing but the trouble told; with time what is known becomes stale. A leap to
another level is refused too, unless it stays there: then it is believed, but not before everything that was known has
become stale. So no leap ever brings heat sooner than silence would take it.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from stoker.core.average import median
from stoker.core.messages import Reading, ReadingFailed, Reason
from stoker.core.settings import Thermometer as Settings
from stoker.core.settings import stale_by_default

OUTLIER = 5.0  # K from the median of its zone
REPEAT = 300.0  # seconds; the same trouble is told again at most this often
ALLOWANCE = 5.0  # K that noise and resolution may add to the fastest change
CONSISTENT = 3  # readings in a row that agree with each other make a new level


class Trouble(NamedTuple):
    """Why the last reading is missing."""

    reason: str
    text: str


class Seen(NamedTuple):
    """What a zone knows of its temperature."""

    celsius: float | None
    at: float  # when the oldest reading that counts was measured; before the first, when the waiting began
    trouble: Trouble | None  # why there is none newer
    hottest: float | None = None  # of all that count; what limits look at
    by: tuple[str, ...] = ()  # the names of those that count; of none while none is fresh


class Thermometer:
    """The last reading that was taken, and what has been wrong since."""

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self.celsius: float | None = None
        self.at = now  # of the last reading taken; before the first, when the waiting began
        self.trouble: Trouble | None = None
        self.leap: list[Reading] = []  # readings in a row that leapt away from what is known, and agree
        self.changed: Reading | None = None  # the first reading of the value that the last one had
        self._told: dict[str, float] = {}  # reason -> when it was last told
        self.telling = False  # the present trouble was told, so its end will be

    def take(self, reading: Reading) -> Trouble | None:
        """Take a reading, or return why not."""
        for rule in READING_RULES:
            if text := rule.refuses(reading, self):
                self.trouble = Trouble(rule.reason, text)
                return self.trouble
        self.leap.clear()
        if self.celsius is None or reading.at >= self.at:
            self.celsius, self.at = reading.celsius, reading.at
        self.trouble = None
        return None

    def fail(self, failure: ReadingFailed) -> Trouble:
        """Note that there was no reading, and why."""
        self.trouble = Trouble(failure.reason, failure.text)
        return self.trouble

    def seen(self) -> Seen:
        """What is known."""
        return Seen(self.celsius, self.at, self.trouble, self.celsius)

    def worth_telling(self, reason: str, now: float) -> bool:
        """Tell the same trouble at most once in `REPEAT` seconds, however often it comes and goes."""
        if now - self._told.get(reason, -math.inf) < REPEAT:
            return False
        self._told[reason] = now
        self.telling = True
        return True

    def far(self, reading: Reading, celsius: float, at: float) -> bool:
        """Whether this reading differs more from another temperature than the time between allows.

        What is stale already allows no more than what just became so: anything may come out of a long silence.
        """
        passed = min(abs(reading.at - at), stale_by_default(self.settings.interval))
        return abs(reading.celsius - celsius) > ALLOWANCE + self.settings.max_rate * passed / 60


def _out_of_range(reading: Reading, thermometer: Thermometer) -> str:
    celsius, limits = reading.celsius, thermometer.settings
    if not math.isfinite(celsius):
        return f"{celsius} is no temperature"
    if not limits.minimum <= celsius <= limits.maximum:
        return f"{celsius:.2f} °C is outside {limits.minimum:g} to {limits.maximum:g} °C"
    return ""


def _too_fast(reading: Reading, thermometer: Thermometer) -> str:
    known, settings = thermometer.celsius, thermometer.settings
    if not settings.max_rate or known is None or not thermometer.far(reading, known, thermometer.at):
        return ""
    if (leap := thermometer.leap) and thermometer.far(reading, leap[-1].celsius, leap[-1].at):
        leap.clear()
    if not leap or reading.at > leap[-1].at:
        leap.append(reading)
    if len(leap) >= CONSISTENT and reading.at - thermometer.at >= stale_by_default(settings.interval):
        return ""
    del leap[:-CONSISTENT]
    passed = reading.at - thermometer.at
    return f"{known:.2f} to {reading.celsius:.2f} °C within {passed:.0f} s, {settings.max_rate:g} K a minute is allowed"


def _frozen(reading: Reading, thermometer: Thermometer) -> str:
    limit, changed = thermometer.settings.frozen_after, thermometer.changed
    if changed is None or reading.celsius != changed.celsius:
        thermometer.changed = reading
        return ""
    passed = reading.at - changed.at
    if not limit or passed <= limit:
        return ""
    return f"{reading.celsius:g} °C for {passed:.0f} s without the slightest change, {limit:g} s are allowed"


class ReadingRule(NamedTuple):
    """A row of the table: when is a reading not taken?"""

    reason: Reason
    sees: str
    refuses: Callable[[Reading, Thermometer], str]  # the text that says why, or nothing


READING_RULES = (
    ReadingRule(Reason.IMPLAUSIBLE_TEMPERATURE, "out of the thermometer's range", _out_of_range),
    ReadingRule(Reason.IMPLAUSIBLE_TEMPERATURE, "the same to the last bit for too long", _frozen),
    ReadingRule(Reason.IMPLAUSIBLE_TEMPERATURE, "changed faster than a temperature can", _too_fast),
)


class Doubts(NamedTuple):
    """The thermometers of a zone that differ from what counts."""

    liars: tuple[str, ...] = ()  # now; where no other is left, they count
    outvoted: tuple[str, ...] = ()  # by a majority once: they don't count before they have agreed again


def together(several: Mapping[str, Thermometer], doubts: Doubts, stale_after: float, now: float) -> Seen:
    """The median of those that have a fresh reading; the dead ones and known liars are left out.

    Where two disagree nobody knows which is wrong: the warmer counts, which heats less. Where none is fresh, the
    freshest of the stale.
    """
    if len(several) == 1:  # as in most houses
        ((name, one),) = several.items()
        return _alone(name, one, stale_after, now)
    trusted = {name: one for name, one in several.items() if name not in doubts.outvoted} or several
    fresh = _fresh(trusted, stale_after, now)
    if not fresh:
        return max(trusted.values(), key=lambda one: (one.celsius is not None, one.at)).seen()
    by = tuple(name for name in fresh if name not in doubts.liars) or tuple(fresh)
    counting = [fresh[name] for name in by]
    values = [one.celsius for one in counting if one.celsius is not None]
    apart = len(values) == 2 and max(values) - min(values) > OUTLIER
    celsius = max(values) if apart else median(values)
    trouble = counting[0].trouble if len(counting) == 1 else None
    hottest = celsius if len(values) > 2 else max(values)
    return Seen(celsius, min(one.at for one in counting), trouble, hottest, by)


def _alone(name: str, one: Thermometer, stale_after: float, now: float) -> Seen:
    if one.celsius is None or now >= one.at + stale_after:
        return one.seen()
    return Seen(one.celsius, one.at, one.trouble, one.celsius, (name,))


def outliers(several: Mapping[str, Thermometer], before: Doubts, seen: Seen, stale_after: float, now: float) -> Doubts:
    """Those with a fresh reading that differs by more than `OUTLIER` from what counts."""
    if len(several) == 1:
        return before  # it differs from nobody
    if not seen.by or seen.celsius is None:
        return before._replace(liars=before.outvoted)
    fresh = _fresh(several, stale_after, now)
    values = {name: one.celsius for name, one in fresh.items() if one.celsius is not None}
    liars = tuple(name for name, celsius in values.items() if abs(celsius - seen.celsius) > OUTLIER)
    majority = len(values) - len(liars) > 1
    outvoted = (name for name in several if name in before.outvoted and (name in liars or name not in fresh))
    return Doubts(liars, tuple(dict.fromkeys((*outvoted, *(liars if majority else ())))))


def _fresh(several: Mapping[str, Thermometer], stale_after: float, now: float) -> dict[str, Thermometer]:
    return {name: one for name, one in several.items() if one.celsius is not None and now < one.at + stale_after}
