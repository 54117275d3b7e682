"""Relay feedback: the relay swings the room around its target, and the swing tells what the room is.

Rule: it ends by itself, with gains or with the reason why not. It is heat like any other: interlocks stand above it.

On a room with slopes -r·D and +r·(1-D) behind a dead time (D: the share of time with heat) the swing goes past each
switching point by slope times delay. So r = swing / (period · D · (1-D)) and delay = (swing - band) / r, which for
D = 1/2 is Åström and Hägglund's ultimate period (4 delays), and holds where that formula does not: with a heater that
is far too strong or barely strong enough.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.average import mean, median
from stoker.core.pi import Demand
from stoker.core.process import Gains, Process, plausible, simc

BAND = 0.1  # K between switching on and switching off
ABORT = 3.0  # K from the target at which a swing has gone wrong
LIMIT = 86400.0  # s
SWINGS = 2  # whole ones that are measured; the first is not counted
SMOOTH = 6  # readings that are averaged


class Progress(NamedTuple):
    """How far it is, 0 to 1, and a line for a person. At the end there are `gains`, or a `failure` says why not."""

    share: float
    text: str
    gains: Gains | None = None
    failure: str = ""

    @property
    def ended(self) -> bool:
        """There is nothing more to come."""
        return self.gains is not None or bool(self.failure)


class Swing(NamedTuple):
    """From one switching on to the next."""

    began: float
    heated: float  # s
    lowest: float
    highest: float
    ended: float


class Autotune:
    """Give it every reading by `demand` and do as it says until `progress.ended`. `cycle`: of the PI to come, s."""

    def __init__(  # noqa: PLR0913 -- its settings
        self,
        target: float,
        now: float,
        cycle: float,
        *,
        min_on: float = 10.0,
        min_off: float = 10.0,
        limit: float = LIMIT,
    ) -> None:
        self.target = target
        self.cycle = cycle
        self.min_on, self.min_off = min_on, min_off
        self.limit = limit
        self.began = now
        self.progress = Progress(0.0, f"heating to {target:g} °C")
        self._recent: deque[float] = deque(maxlen=SMOOTH)
        self._at = -math.inf  # of the last reading
        self._on = False
        self._since = -math.inf  # when the relay was last seen to switch
        self._relay = False
        self._arrived = False
        self._swings: list[Swing] = []
        self._began = math.nan  # the present swing
        self._off_at = math.nan
        self._lowest = self._highest = math.nan

    def demand(self, celsius: float, at: float, now: float, *, relay_on: bool) -> Demand:
        """What the relay should do now."""
        if relay_on is not self._relay:
            self._relay, self._since = relay_on, now
        if at > self._at and not self.progress.ended:
            self._at = at
            self._recent.append(celsius)
            self._look(mean(self._recent), now)
        end = self.began + self.limit
        if now >= end and not self.progress.ended:
            self._end(f"no {SWINGS} swings within {self.limit / 3600:g} h")
        if self.progress.ended:
            return Demand(False, self.progress.text)
        free_at = self._since + (self.min_on if relay_on else self.min_off)
        if self._on is not relay_on and now < free_at:
            return Demand(relay_on, self.progress.text, free_at, float(relay_on))
        return Demand(self._on, self.progress.text, end, float(self._on))

    def abort(self, why: str) -> None:
        """Something else decides about the heater, so the swing says nothing any more."""
        if not self.progress.ended:
            self._fail(why)

    def _look(self, celsius: float, now: float) -> None:
        self._arrived = self._arrived or abs(celsius - self.target) <= BAND
        if self._arrived and abs(celsius - self.target) > ABORT:
            self._fail(f"{celsius:.2f} °C is more than {ABORT:g} K from {self.target:g} °C")
            return
        self._lowest, self._highest = min(celsius, self._lowest), max(celsius, self._highest)
        if self._on and celsius > self.target + BAND / 2:
            self._on, self._off_at = False, now
        elif not self._on and celsius < self.target - BAND / 2:
            self._on = True
            self._next_swing(celsius, now)

    def _next_swing(self, celsius: float, now: float) -> None:
        if not math.isnan(self._off_at) and not math.isnan(self._began):
            swing = Swing(self._began, self._off_at - self._began, self._lowest, self._highest, now)
            self._swings.append(swing)
            share = min((len(self._swings) - 1) / SWINGS, 1.0)
            text = f"swing {len(self._swings)}: {swing.highest - swing.lowest:.2f} K"
            self.progress = Progress(share, f"{text} in {(swing.ended - swing.began) / 60:.0f} min")
            if len(self._swings) > SWINGS:
                self._end("")
        self._began, self._lowest, self._highest = now, celsius, celsius

    def _end(self, why: str) -> None:
        """Read the gains off the swings there are; the first began from somewhere else."""
        swings = [swing for swing in self._swings[1:] if 0 < swing.heated < swing.ended - swing.began]
        if not swings:
            self._fail(why or "no swing told anything")
            return
        process = read_off(swings)
        gains = simc(process, self.cycle)
        text = f"{process.rate * 3600:.2f} K/h, {process.delay / 60:.1f} min: {gains.kp:.2f}/K, {gains.ti / 60:.0f} min"
        self.progress = Progress(1.0, text, gains)

    def _fail(self, why: str) -> None:
        self.progress = Progress(1.0, f"autotune failed: {why}", failure=why)


def read_off(swings: Sequence[Swing]) -> Process:
    """The process that swings like this between switching points `BAND` apart."""
    rates, delays = list[float](), list[float]()
    for swing in swings:
        period, height = swing.ended - swing.began, swing.highest - swing.lowest
        duty = swing.heated / period
        rate = height / (period * duty * (1 - duty))
        rates.append(rate)
        delays.append((height - BAND) / rate)
    return plausible(median(rates), median(delays))
