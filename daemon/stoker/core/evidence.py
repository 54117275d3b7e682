"""What a zone's readings say of its heater: does it warm the room while on, and does it stop when off?

Rule: weather, sun, doors and slow floors are no faults. A heater that seems to do nothing is therefore put to the test
before anything is said against it: it is switched off, and where the room then cools faster than it did, the heater is
a good one that is only too weak. A relay sticks only where after switching off no fall came at all.

All of it looks at the means of slots of some minutes, so that noise and resolution don't matter much.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.settings import Zone as Settings

SLOT = 300.0  # s; readings are averaged over this
RISE = 0.4  # K that a room which is heated rises sometime
EFFECT = 0.3  # K below its trend: that the heater is off has been felt
STEEP, STEEP_WITHIN = 5.0, 1800.0  # K and s; a sensor that slips falls like this, and so does a room with its door open
QUICK_TEST = 1800.0  # s; a room that can fall so steeply answers quickly too
TRUSTED = 43200.0  # s for which a test that was passed counts


class Mean(NamedTuple):
    """One slot: the mean of its readings, and the time of its last one."""

    at: float
    celsius: float


class Trial(NamedTuple):
    """The heater is off since `since` to see whether the room feels it: what it would be otherwise is `expected`."""

    since: float
    level: float
    slope: float  # K/s
    limit: float

    def expected(self, at: float) -> float:
        """The temperature at that time if the heater made no difference."""
        return self.level + self.slope * (at - self.since)


class Findings(NamedTuple):
    """What is held against the heater, each in words or empty."""

    testing: str = ""
    runaway: str = ""
    stuck_on: str = ""


class Evidence:
    """The bounded history of one zone and its heater. Fed with every reading that is taken, in order."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.findings = Findings()
        self._slot = min(SLOT, settings.runaway_after / 8 or SLOT)
        self._on: bool | None = None  # the relay as it was with the last reading
        self._since = math.nan  # since when
        self._means: deque[Mean] = deque(maxlen=math.ceil(settings.runaway_after / self._slot) + 2)
        self._lately: deque[Mean] = deque(maxlen=math.ceil(STEEP_WITHIN / self._slot) + 1)
        self._readings: list[float] = []  # of the slot that is not over
        self._slot_began = math.nan
        self._last = math.nan  # when the last reading was measured
        self._fell_from = math.nan  # where a steep fall began that was not made good
        self._test: Trial | None = None
        self._trusted_until = -math.inf
        self._switched_off: Mean | None = None  # the beginning of a stretch of cooling that has not cooled yet
        self._warmest = math.nan  # since then

    def see(self, reading: Mean, on: bool, wanted: bool) -> Findings:
        """Take one more reading, with the relay as it is now and whether the zone itself wants heat."""
        if not reading.at - self._last <= max(STEEP_WITHIN, 3 * self._slot):
            self._forget()
        self._last = reading.at
        if on is not self._on:
            self._switch(reading, on)
        if not wanted:
            self._test = None
            if on:  # somebody else's heat on the same heater
                self._means.clear()
                self._since = reading.at
        self._readings.append(reading.celsius)
        if reading.at - self._slot_began >= self._slot:
            mean = Mean(reading.at, sum(self._readings) / len(self._readings))
            self._readings, self._slot_began = [], reading.at
            self._judge(mean)
        self.findings = self.findings._replace(testing=self._testing())
        return self.findings

    def _forget(self) -> None:
        """After a gap nothing from before can be compared."""
        self._on, self._test, self._switched_off, self._fell_from = None, None, None, math.nan
        self._lately.clear()

    def _switch(self, reading: Mean, on: bool) -> None:
        self._switched_off = reading if self._on else None
        self._warmest = reading.celsius
        self._on, self._since = on, reading.at
        self._means.clear()
        self._readings, self._slot_began = [], reading.at

    def _judge(self, mean: Mean) -> None:
        self._means.append(mean)
        self._note_steep_fall(mean)
        if self._on:
            self._suspect(mean)
        elif self._test:
            self._examine(self._test, mean)
        self._look_for_a_fall(mean)

    def _note_steep_fall(self, mean: Mean) -> None:
        self._lately.append(mean)
        if mean.celsius >= self._fell_from - STEEP / 2:
            self._fell_from = math.nan
        before = max(other.celsius for other in self._lately if mean.at - other.at <= STEEP_WITHIN)
        if before - mean.celsius >= STEEP:
            self._fell_from = before if math.isnan(self._fell_from) else max(before, self._fell_from)

    # --- heating without effect

    def _suspect(self, mean: Mean) -> None:
        after = self.settings.runaway_after
        if not after or mean.at - self._since < after or mean.at < self._trusted_until:
            return
        means = [each for each in self._means if mean.at - each.at <= after]
        if mean.at - means[0].at < after / 2 or rise(means) >= RISE:
            return
        level, slope = trend(means[len(means) // 2 :])
        steep = not math.isnan(self._fell_from)
        limit = min(QUICK_TEST, self.settings.runaway_test) if steep else self.settings.runaway_test
        self._test = Trial(mean.at, level, slope, limit)

    def _examine(self, test: Trial, mean: Mean) -> None:
        missing = test.expected(mean.at) - mean.celsius
        passed = mean.at - test.since
        if missing >= EFFECT:
            self._trusted_until = mean.at + TRUSTED
            self._test = None
        elif mean.celsius >= max(test.level, test.expected(mean.at)) + EFFECT:
            self._test = None  # something else warms the room, so nothing can be said
        elif passed >= test.limit:
            text = f"{test.level:.2f} °C and no warmer after {span(self.settings.runaway_after)} of heating"
            text += f", nor colder ({mean.celsius:.2f} °C) after {span(passed)} off"
            self.findings = self.findings._replace(runaway=f"{text}: the heater is dead or the sensor elsewhere")

    def _testing(self) -> str:
        if not self._test:
            return ""
        return f"off for at most {span(self._test.limit)}, to see whether heating makes any difference"

    # --- cooling without a fall

    def _look_for_a_fall(self, mean: Mean) -> None:
        began = self._switched_off
        if began is None:
            return
        self._warmest = max(self._warmest, mean.celsius)
        if mean.celsius <= self._warmest - EFFECT:
            self._switched_off = None
            return
        after, passed = self.settings.stuck_on_after, mean.at - began.at
        if passed > 2 * after:  # what takes longer is the season, not a heater
            self._switched_off = None
            return
        if after and passed >= after and mean.celsius - began.celsius >= self.settings.stuck_on_rise:
            text = f"{began.celsius:.2f} °C when switched off {span(passed)} ago, {mean.celsius:.2f} °C now"
            self.findings = self.findings._replace(stuck_on=f"{text}, and no fall between: the relay seems to stick")


def rise(means: Sequence[Mean]) -> float:
    """The greatest climb from any mean to a later one, K."""
    lowest, best = math.inf, 0.0
    for mean in means:
        lowest = min(lowest, mean.celsius)
        best = max(best, mean.celsius - lowest)
    return best


def trend(means: Sequence[Mean]) -> tuple[float, float]:
    """The straight line through the means (least squares): its temperature at the last one, and its slope in K/s."""
    end = means[-1].at
    at = sum(mean.at - end for mean in means) / len(means)
    celsius = sum(mean.celsius for mean in means) / len(means)
    spread = sum((mean.at - end - at) ** 2 for mean in means)
    slope = sum((mean.at - end - at) * (mean.celsius - celsius) for mean in means) / spread if spread else 0.0
    return celsius - slope * at, slope


def span(seconds: float) -> str:
    """A span as it is read: `45 min`, `4.0 h`."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
