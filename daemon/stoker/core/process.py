"""What a heated room is to a controller: how fast full heat warms it, and how long it takes to notice.

Rule: everything here is read off the room's own curve. `Gains` follow from a `Process` by one rule, whoever found it.
"""

import math
from collections import deque
from typing import NamedTuple

from msgspec import Struct

from stoker.core.average import mean, median

SAMPLE = 60.0  # s; readings are averaged over this long, against noise and the sensor's steps
GAP = 600.0  # s without a reading: what came before says nothing any more
BEFORE = 3600.0  # s before a rise that tell how the room was going without it
RIPPLE = 1200.0  # s over which the pulses of a cycle even out
WINDOW = 300.0  # s, shortest stretch over which a slope is measured
LONGEST = 86400.0  # s of one rise that are kept
SHARE = 0.125  # of a cycle, by which pulses are late in effect: half of one in theory, less as each is cut to measure
QUICK = 240.0  # s, shortest rise that tells anything: a small chamber's
ENOUGH = 0.5  # K, a smaller rise tells nothing
KEPT = 5  # rises whose median counts

RATE = (0.02 / 3600, 100.0 / 3600)  # K/s, from a castle to a matchbox
DELAY = (30.0, 7200.0)  # s
KP = (0.03, 3.0)  # duty per K
TI = (900.0, 28800.0)  # s


class Process(Struct, frozen=True):
    """An integrator behind a dead time: near its target every room is that, for long enough to control it."""

    rate: float  # K/s that full heat warms faster than no heat
    delay: float  # s from a switch of the relay to its effect


class Gains(Struct, frozen=True):
    """A PI controller's. The defaults are careful ones for a room that nothing is known of."""

    kp: float = 0.3  # duty per K
    ti: float = 7200.0  # s in which a constant error adds as much as its proportional part
    lead: float = 900.0  # s that the room goes on as before after the relay was switched

    def possible(self) -> bool:
        """Whether a room can have them: what is remembered may be of another version, or broken."""
        return KP[0] <= self.kp <= KP[1] and TI[0] <= self.ti <= TI[1] and 0 <= self.lead <= DELAY[1] + SAMPLE


def simc(process: Process, cycle: float) -> Gains:
    """Skogestad's rule (SIMC, Journal of Process Control 13, 2003) for an integrator, as tight as its delay allows.

    Pulses are a delay as well: the least that is reckoned with, and a part of it besides.
    """
    delay = max(process.delay, cycle * SHARE) + cycle * SHARE
    return Gains(kp=_within(KP, 1 / (process.rate * 2 * delay)), ti=_within(TI, 4 * delay), lead=process.delay + SAMPLE)


def plausible(rate: float, delay: float) -> Process:
    """A process within what rooms and chambers can be."""
    return Process(_within(RATE, rate), _within(DELAY, delay))


def _within(limits: tuple[float, float], value: float) -> float:
    return min(max(value, limits[0]), limits[1])


class Sample(NamedTuple):
    """The room over a minute."""

    at: float
    celsius: float
    duty: float


class Reactions:
    """Learns the process from every rise at full heat that is long enough."""

    def __init__(self) -> None:
        self._readings: list[float] = []
        self._on = 0.0  # s of heat since the sample began
        self._began = self._then = -math.inf
        self._past: deque[Sample] = deque(maxlen=int(BEFORE / SAMPLE))
        self._rise: list[Sample] = []  # since the relay went on
        self._before: tuple[float, float] = (0.0, 0.0)  # slope and duty of the hour before that
        self._found: deque[Process] = deque(maxlen=KEPT)
        self._rising: Process | None = None  # what the present rise tells so far

    @property
    def process(self) -> Process | None:
        """The median of recent rises; of the present one while there is no other."""
        if not self._found:
            return self._rising
        rate = median(found.rate for found in self._found)
        return Process(rate, median(found.delay for found in self._found))

    def slope(self) -> float:
        """K/s over the last minutes; 0 where too little is known."""
        recent = [sample for sample in self._past if sample.at > self._then - WINDOW - SAMPLE]
        if len(recent) < 3:
            return 0.0
        return (recent[-1].celsius - recent[0].celsius) / (recent[-1].at - recent[0].at)

    def holding_duty(self, duty: float) -> float | None:
        """What would hold the temperature of this moment, read off its slope at this `duty`; None if unknown."""
        if self.process is None:
            return None
        return _within((0.0, 1.0), duty - self.slope() / self.process.rate)

    def watch(self, celsius: float, at: float, on: bool) -> None:
        """Take each reading (the same one twice is none) and whether the relay was on since the last."""
        if at <= self._then:
            return
        if at - self._then > GAP:
            self._forget(at)
        self._on += (at - self._then) * on
        self._then = at
        self._readings.append(celsius)
        if not on:
            self._end_rise()
        if at - self._began >= SAMPLE:
            self._take_sample(at, on)

    def _forget(self, at: float) -> None:
        self._past.clear()
        self._rise.clear()
        self._readings.clear()
        self._rising, self._on, self._began, self._then = None, 0.0, at, at

    def _take_sample(self, at: float, on: bool) -> None:
        span = at - self._began
        sample = Sample(at - span / 2, mean(self._readings), min(self._on / span, 1.0))
        if on and not self._rise:
            self._before = self._trend()
            self._rise.append(self._start(sample))
        self._past.append(sample)
        if on and sample.at - self._rise[0].at < LONGEST:
            self._rise.append(sample)
            self._rising = self._read_off() or self._rising
        self._readings.clear()
        self._on, self._began = 0.0, at

    def _trend(self) -> tuple[float, float]:
        """Slope and duty over the last hour; a room of which less is known is taken to have stood still, unheated."""
        if len(self._past) < BEFORE / SAMPLE / 3:
            return 0.0, 0.0
        first, last = self._past[0], self._past[-1]
        duty = mean(sample.duty for sample in self._past)
        return (last.celsius - first.celsius) / (last.at - first.at), duty

    def _start(self, sample: Sample) -> Sample:
        """Where the rise began, apart from the ripple of the pulses before it."""
        recent = [past for past in self._past if past.at > sample.at - RIPPLE]
        if not recent:
            return sample
        celsius = mean(past.celsius for past in recent)
        ago = sample.at - mean(past.at for past in recent)
        return sample._replace(celsius=celsius + self._before[0] * ago)

    def _end_rise(self) -> None:
        if self._rising:
            self._found.append(self._rising)
        self._rise.clear()
        self._rising = None

    def _read_off(self) -> Process | None:
        """The steepest tangent of the rise, and where it meets the line on which the room was before."""
        first, last = self._rise[0], self._rise[-1]
        slope, duty = self._before
        length = last.at - first.at
        if length < QUICK or duty > 0.6 or last.celsius - first.celsius - slope * length < ENOUGH:
            return None
        ahead = max(min(WINDOW, length / 2), length / 4)
        step = max(1, round(ahead / SAMPLE))
        pairs = list(zip(self._rise, self._rise[step:], strict=False))
        if not pairs:  # the sensor is so slow that the rise has few samples
            return None
        steepest, middle, risen = max(
            (
                (b.celsius - a.celsius) / (b.at - a.at) - slope,
                (a.at + b.at) / 2 - first.at,
                (a.celsius + b.celsius) / 2 - first.celsius,
            )
            for a, b in pairs
        )
        if steepest <= 0:
            return None
        return plausible(steepest / (1 - duty), middle - (risen - slope * middle) / steepest)
