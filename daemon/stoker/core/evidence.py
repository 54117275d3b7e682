"""What a zone's readings say of its heater: does it warm the room while on, and does it stop when off?

Rule: weather, sun, doors and slow floors are no faults, and none of them keeps time with the relay. So a heater under
which the room does not clearly climb is switched off and on again in pulses, and each pulse tells by how much the room
followed. Where that stands clear of what the room does by itself, the heater is trusted, the longer the clearer it
was; where it is surely less than a heater makes, it is a runaway; and while nobody can tell, the pulses go on: half
the heat, which keeps pipes from freezing and burns nothing down. How long a pulse lasts, and what a heater makes in
it, is learnt from how soon the room answers in daily life.
A relay sticks where the room, since switching off or since a later climb as fast as a heater's, only ever gets warmer
for longer than a sunny day, or for a day and a night without losing much of the gain.

All of it looks at the means of slots of some minutes, so that noise and resolution don't matter much.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stoker.core import average
from stoker.core.settings import Zone as Settings

SLOT = 300.0  # s; readings are averaged over this,
SLOT_READINGS = 3  # over so many at least,
LONGEST_SLOT = 3600.0  # s; and over no more than this
SLOTS = 3  # that half a pulse has at least
GAP = 1800.0  # s without a reading after which nothing from before can be compared
RISE = 0.4  # K that a room which is heated climbs sometime, and more than twice its greatest fall on the way
EFFECT = 0.3  # K by which the room has answered to the relay
FAINT = 0.12  # K that the weakest heater makes in a pulse, if reckoned by the root of time as one of `QUICK`
FAINT_WHERE_QUICK = 0.2  # K, in a room that falls steeply
MEDIAN = 0.67  # of the standard deviation: where the median of what is scattered as by chance lies
STILL = 0.02  # K: a room moves by itself by this at least
BEFORE = 4  # pulses: what the course did before the first one counts as much
CLEAR = 3.0  # errors (and more while there are few pulses) that the effect of a heater stands clear of
SURE = 1.5  # errors by which it is less than a heater makes, or else nobody can tell
TRUSTED, TRUSTED_PER_ERROR = 86400.0, 5400.0  # s: how long a test counts at most, and for each error it was clear of
COLDER = 2.0  # K below that test at which it counts no more
ANSWERS = 3  # that have to be seen before the room's own are believed
PATIENCE = 2.0  # times the slowest of them: how long half a pulse lasts
QUICK = 1800.0  # s; and at least this
STEEP, STEEP_WITHIN = 5.0, 1800.0  # K and s; a sensor that slips falls like this, and so does a room with its door open
STEEP_PULSES = 10  # at least, where only that is known of how soon the room answers: no door is open for longer
CLEAN = 7200.0  # s without switching after which only the next switching can be what a room answers to
LOST = 1 / 3  # of what a room has gained: a night without sun takes more, and then the watch begins anew
CLIMB_WITHIN = 14400.0  # s in which it has gained `stuck_on_rise` then: a season takes longer
NIGHT = 1.5  # of `stuck_on_after`: how long a room has to stay warm that fell by less, so that a night is among it


class Mean(NamedTuple):
    """One slot: the mean of its readings, and the time of its last one."""

    at: float
    celsius: float


class Plan(NamedTuple):
    """How to test a heater."""

    pulses: int  # at least, before it is held to be without effect
    half: float  # s off, and on again, of each
    effect: float  # K that a heater makes in one


class Series(NamedTuple):
    """The pulses of one plan: by how much the room followed each, at once and a quarter of a pulse late (K)."""

    plan: Plan
    restless: float  # K that the course bends by itself within `QUICK`, as was seen before the first; nan: unknown
    effects: list[tuple[float, float]]


class Pulse(NamedTuple):
    """The heater goes off, and then on again for as long."""

    began: float
    half: float  # s
    told: tuple[str, ...]  # what was seen, in words
    on: bool = False
    whole: bool = False  # not cut short where the room seems to answer: one that was can only speak for the heater


class Findings(NamedTuple):
    """What is held against the heater, each in words or empty."""

    testing: str = ""
    runaway: str = ""
    stuck_on: str = ""


class Evidence:
    """The bounded history of one zone and its heater. Fed with every reading that is taken, in order.

    `doubted`: the evidence of a relay that stuck, when somebody has reset that fault. The room has to cool now.
    `hold`: s for which the relay stays as it was, on or off, so no half of a pulse is shorter.
    `heated`: an earlier run heated not long ago, so that the drive-off at the start is a switching off like another.
    """

    def __init__(
        self,
        settings: Settings,
        stale_after: float = 0.0,
        doubted: "Evidence | None" = None,
        heated: bool = False,
        hold: float = 0.0,
    ) -> None:
        self.settings = settings
        self.findings = Findings()
        self._slot = min(SLOT, settings.runaway_after / 8 or SLOT)
        self._gap = max(GAP, stale_after)
        self._last = math.nan  # when the last reading was measured
        self._celsius = math.nan  # what it said
        self._step = math.inf  # K, the smallest that the sensor made
        self._levels: dict[tuple[str, ...], float] = {}  # K that these thermometers are above those that came first
        self._on: bool | None = None  # the relay as it was with the last reading
        self._switched = Mean(math.nan, math.nan)  # when it changed
        self._readings: list[float] = []  # of the slot that is not over
        self._slot_began = math.nan
        self._slot_length = self._slot  # of the last one
        self._hold = hold
        self._longest = max(settings.runaway_test / 2, hold)  # s, of half a pulse
        slots = math.ceil(max(settings.runaway_after, 4 * self._longest) / self._slot) + 2
        self._lately: deque[Mean] = deque(maxlen=slots)  # whatever the relay did
        self._heated = 0.0  # s with heat since it is wanted
        self._heating: deque[tuple[float, Mean]] = deque(maxlen=slots)  # and how warm it was after so much of it
        self._bends: deque[float] = deque(maxlen=slots)  # K, that the course made by itself, as if within `QUICK`
        self._fell_from = math.nan  # where a steep fall began that was not made good
        self._series: Series | None = None
        self._pulse: Pulse | None = None
        self._otherwise = 0.0  # s of this half in which the relay was not as the pulse wants it
        self._trusted = Mean(-math.inf, math.inf)  # until this time, and down to this temperature
        self._content = False  # the zone has not wanted heat since it was switched off
        self._answer = math.nan  # s that the room took for it since it was switched; infinite: none yet; nan: not asked
        self._coldest = self._warmest = math.nan  # since then
        self._answers: deque[float] = deque(doubted._answers if doubted else (), maxlen=2 * ANSWERS)  # s
        self._watched = False  # the relay is off, and was on not long ago
        self._lowest: Mean | None = None  # where it began that the room only gets warmer
        self._peak = math.nan  # since then
        self._dipped = False  # it fell a little since then
        self._heated_before = heated
        self._doubted = doubted is not None
        self._hottest = doubted._peak if doubted else math.nan  # that the relay which stuck made it

    def see(self, reading: Mean, on: bool, wanted: bool, by: tuple[str, ...] = ()) -> Findings:
        """Take one more reading, with the relay as it is now and whether the zone itself wants heat.

        `by`: the thermometers that it comes from. Where some come and go, the level goes on as it was.
        """
        passed, gap = reading.at - self._last, not reading.at - self._last <= self._gap
        if gap:
            self._forget()
            passed = 0.0
        reading = self._on_one_level(reading, by)
        if not gap and (step := abs(reading.celsius - self._celsius)):
            self._step = min(step, self._step)
        self._last, self._celsius = reading.at, reading.celsius
        self._heated += passed * on
        self._otherwise += passed * (self._pulse is not None and on is not self._pulse.on)
        if on is not self._on:
            self._switch(reading, on, wanted)
            self._readings, self._slot_began = [], reading.at - passed
        if not wanted:
            self._heat_on()
            self._content = not on
        self._readings.append(reading.celsius)
        length = reading.at - self._slot_began
        if length >= self._slot and (len(self._readings) >= SLOT_READINGS or length >= LONGEST_SLOT):
            self._slot_length = length
            mean = Mean(reading.at, sum(self._readings) / len(self._readings))
            self._readings, self._slot_began = [], reading.at
            self._judge(mean)
        self.findings = self.findings._replace(testing=self._testing())
        return self.findings

    def _on_one_level(self, reading: Mean, by: tuple[str, ...]) -> Mean:
        """As those thermometers would say that came first. The difference is noted once, so no noise adds up."""
        if not self._levels:
            self._levels[by] = 0.0
        above = self._levels.setdefault(by, reading.celsius - self._celsius)
        return reading._replace(celsius=reading.celsius - above)

    def reset(self) -> None:
        """Somebody has reset another fault than a sticking relay: heating is judged anew, the relay is watched on."""
        self.findings, self._fell_from = Findings(), math.nan
        self._start_over()

    def _forget(self) -> None:
        """After a gap nothing from before can be compared."""
        self._on, self._watched, self._lowest, self._fell_from = None, False, None, math.nan
        self._lately.clear()
        self._levels.clear()
        self._start_over()

    def interrupted(self) -> None:
        """Nobody looked for a while: what was before is not compared with what comes. The hours of heat go on."""
        self._pulse = None
        for each in (self._lately, self._heating, self._bends):
            each.clear()

    def _start_over(self) -> None:
        """Nothing is held against the heater for now, and nothing is known of its effect."""
        self._series = None
        self._heat_on()

    def _heat_on(self) -> None:
        """No test for now."""
        self._pulse, self._heated = None, 0.0
        self._heating.clear()
        self._bends.clear()

    def _switch(self, reading: Mean, on: bool, wanted: bool) -> None:
        warm_enough = self._content and wanted if on else not wanted
        if warm_enough and 0 < self._answer < math.inf:
            self._answers.append(self._answer)
        steady = reading.at - self._switched.at >= CLEAN
        answered = self.settings.control == "hysteresis"  # which never switches again before the room has answered
        self._answer = math.inf if self._on is not None and warm_enough and (answered or steady) else math.nan
        self._content &= on
        watched = bool(self._on) or self._doubted or self._heated_before
        self._watched = watched and not on
        self._lowest = reading if self._watched else None
        self._peak = reading.celsius
        self._doubted &= not on
        self._heated_before = self._dipped = False
        self._coldest = self._warmest = reading.celsius
        self._on, self._switched = on, reading

    def _judge(self, mean: Mean) -> None:
        self._coldest, self._warmest = min(self._coldest, mean.celsius), max(self._warmest, mean.celsius)
        self._lately.append(mean)
        self._note_steep_fall(mean)
        self._listen(mean)
        if self._pulse and self._series:
            self._examine(self._pulse, self._series, mean)
        elif self._on:
            self._suspect(mean)
        self._look_for_a_fall(mean)

    # --- how soon the room answers

    def _listen(self, mean: Mean) -> None:
        turned = mean.celsius - self._coldest if self._on else self._warmest - mean.celsius
        if math.isinf(self._answer) and turned >= max(EFFECT, 2 * self._step):
            self._answer = mean.at - self._switched.at

    def _patience(self) -> float:
        """How long to wait for the room's answer, as learnt; infinite while that is unknown."""
        return max(QUICK, PATIENCE * max(self._answers)) if len(self._answers) >= ANSWERS else math.inf

    def _note_steep_fall(self, mean: Mean) -> None:
        if mean.celsius >= self._fell_from - STEEP / 2:
            self._fell_from = math.nan
        before = max(other.celsius for other in self._lately if mean.at - other.at <= STEEP_WITHIN)
        if before - mean.celsius >= STEEP:
            self._fell_from = before if math.isnan(self._fell_from) else max(before, self._fell_from)

    # --- heating without effect

    def _suspect(self, mean: Mean) -> None:
        after = self.settings.runaway_after
        self._heating.append((self._heated, mean))
        self._note_how_restless(mean)
        means = [each for heated, each in self._heating if self._heated - heated <= after]
        trusted = mean.at < self._trusted.at and mean.celsius > self._trusted.celsius
        if after and self._heated >= after and not trusted and rise(means) < RISE:
            self._begin_pulse(mean, f"{mean.celsius:.2f} °C after {span(after)} of heating")

    def _begin_pulse(self, mean: Mean, told: str, *, whole: bool = False) -> None:
        plan = self._plan()
        if not self._series or plan.pulses != self._series.plan.pulses:
            self._series = Series(plan, average.median(self._bends) / MEDIAN if self._bends else math.nan, [])
        self._pulse, self._otherwise = Pulse(mean.at, self._series.plan.half, (told,), whole=whole), 0.0

    def _plan(self) -> Plan:
        """Long where the room's answer is unknown, but that what falls so steeply can answer quickly as well."""
        patience, longest = self._patience(), self._longest
        shortest = min(max(QUICK, self._hold, SLOTS * self._slot_length), longest)
        if patience > shortest and not math.isnan(self._fell_from):
            return Plan(STEEP_PULSES, shortest, FAINT_WHERE_QUICK)
        if math.isinf(patience):
            return Plan(3, max(longest / 2, shortest), FAINT)
        half = min(max(patience, shortest), longest)
        return Plan(1, half, max(FAINT, EFFECT * math.sqrt(half * QUICK) / 2 / max(self._answers)))

    def _note_how_restless(self, mean: Mean) -> None:
        """By how much the course bends while the relay stays on."""
        half = max(min(QUICK, self.settings.runaway_after / 6), self._slot_length)
        bend = self._bend(mean.at - 2 * half, half)
        if mean.at - self._switched.at >= 4 * half and not math.isnan(bend):
            self._bends.append(abs(bend))

    def _level(self, at: float, half: float) -> float:
        width = max(half / 3, 2 * self._slot_length)
        middle = at + self._slot_length / 2  # of slots, reckoned from their ends
        means = [mean.celsius for mean in self._lately if -width < mean.at - middle <= 0]
        return average.mean(means) if means else math.nan

    def _bend(self, at: float, half: float) -> float:
        """By how much a course follows a pulse at that time, K; straight ones and those that bend evenly don't."""
        before, off, on, after = (self._level(at + number * half, half) for number in (-1, 0, 1, 2))
        return (3 * (off - on) + after - before) / 2 / math.sqrt(half / QUICK)

    def _examine(self, pulse: Pulse, series: Series, mean: Mean) -> None:
        passed = mean.at - pulse.began - pulse.half * pulse.on
        told = (*pulse.told, f"{mean.celsius:.2f} °C after {span(passed)} {'on again' if pulse.on else 'off'}")
        if self._otherwise > pulse.half / 2:
            self._heat_on()  # others switch the same heater, or it rests: that was no test
        elif pulse.on and passed >= pulse.half:
            self._weigh(pulse._replace(told=told), series, mean)
        elif not pulse.on and (passed >= pulse.half or self._answers_now(pulse, series, passed)):
            self._pulse, self._otherwise = Pulse(pulse.began, passed, told, on=True, whole=passed >= pulse.half), 0.0

    def _answers_now(self, pulse: Pulse, series: Series, passed: float) -> bool:
        """Whether the fall since it is off is so clear that there is no need to wait any longer."""
        before, off, now = (self._level(pulse.began + number * passed, passed) for number in (-1, 0, 1))
        answer, clear = 2 * off - before - now, 2 * CLEAR * series.restless * math.sqrt(passed / QUICK)
        return (
            not pulse.whole
            and passed >= max(self._hold, SLOTS * self._slot_length)
            and answer >= EFFECT
            and answer >= clear
        )

    def _weigh(self, pulse: Pulse, series: Series, mean: Mean) -> None:
        effects = [(self._bend(pulse.began, pulse.half), self._bend(pulse.began - pulse.half / 2, pulse.half))]
        if pulse.whole:
            series.effects.extend(effects)
            effects = series.effects
        coarse = self._step / 3 / math.sqrt(pulse.half / QUICK) if self._step < math.inf else 0.0
        weighed = [weigh(phase, series.restless, max(STILL, coarse)) for phase in zip(*effects, strict=True)]
        late = len(effects) > 2  # then what follows late, even against the beat, is an answer too
        felt = [each for each in weighed if (abs(each.effect) if late else each.effect) >= series.plan.effect]
        errors = max((each.errors for each in felt), default=0.0)
        none = all(abs(each.effect) + SURE * each.error < series.plan.effect for each in weighed)
        if errors >= CLEAR:
            self._trusted = Mean(mean.at + min(TRUSTED, TRUSTED_PER_ERROR * errors), mean.celsius - COLDER)
            self._start_over()
        elif none and len(series.effects) >= series.plan.pulses:
            self._heat_on()
            text = f"heating makes no difference: {', '.join(pulse.told)}; the heater is dead or the sensor elsewhere"
            self.findings = self.findings._replace(runaway=text)
        else:
            self._begin_pulse(mean, pulse.told[0], whole=True)

    def _testing(self) -> str:
        if not self._pulse or self._pulse.on:
            return ""
        more = (
            f"; {len(effects)} times so far nobody could tell"
            if self._series and (effects := self._series.effects)
            else ""
        )
        return f"off for at most {span(self._pulse.half)}, to see whether heating makes any difference{more}"

    # --- cooling without a fall

    def _look_for_a_fall(self, mean: Mean) -> None:
        after, off_for = self.settings.stuck_on_after, mean.at - self._switched.at
        if self._lowest is None and not self._on and self._watched and off_for <= 2 * after:
            self._look_for_a_climb(mean)
        lowest = self._lowest
        if lowest is None or not after:
            return
        self._peak = max(self._peak, mean.celsius)
        passed, rose, fell = mean.at - lowest.at, mean.celsius - self._switched.celsius, self._peak - mean.celsius
        self._dipped |= fell >= EFFECT
        hot = rose >= self.settings.stuck_on_rise or mean.celsius > self.settings.max_temperature
        if self._doubted:
            self._look_again(lowest, mean, fell >= EFFECT)
        elif fell >= max(EFFECT, LOST * (self._peak - lowest.celsius)) or passed > 2 * after:
            self._lowest = None  # what takes longer is the season, not a heater
        elif hot and passed >= after * (NIGHT if self._dipped else 1):
            told = "hardly a fall" if self._dipped else "no fall"
            text = f"{lowest.celsius:.2f} °C with the relay off {span(passed)} ago, {mean.celsius:.2f} °C now"
            self.findings = self.findings._replace(stuck_on=f"{text}, and {told} between: the relay seems to stick")

    def _look_for_a_climb(self, mean: Mean) -> None:
        """Although it had fallen, it gets warmer as fast as a heater makes it: the watch begins anew."""
        since = max(mean.at - CLIMB_WITHIN, self._switched.at)
        lowest = min((each for each in self._lately if each.at >= since), key=lambda each: each.celsius)
        if mean.celsius - lowest.celsius >= self.settings.stuck_on_rise:
            self._lowest, self._peak, self._dipped = lowest, mean.celsius, False

    def _look_again(self, lowest: Mean, mean: Mean, fell: bool) -> None:
        """After a reset: it stuck before, so the room has to cool, and to go on until it has by `stuck_on_rise`."""
        self._hottest = max(self._peak, self._hottest)
        passed = mean.at - lowest.at
        if mean.celsius <= self._hottest - self.settings.stuck_on_rise:
            self._doubted, self._lowest = False, None
        elif fell:
            self._lowest, self._peak = mean, mean.celsius
        elif passed >= min(self._patience(), self.settings.runaway_test, self.settings.stuck_on_after):
            text = f"{lowest.celsius:.2f} °C {span(passed)} ago, {mean.celsius:.2f} °C now, and no fall between"
            self.findings = self.findings._replace(stuck_on=f"{text} although reset: the relay still seems to stick")


def rise(means: Sequence[Mean]) -> float:
    """How far the last mean is above the lowest, K; none where a fall between them was half as great."""
    lowest = highest = math.inf
    fall = 0.0
    for mean in means:
        if mean.celsius < lowest:
            lowest = highest = mean.celsius
            fall = 0.0
        highest = max(highest, mean.celsius)
        fall = max(fall, highest - mean.celsius)
    climbed = means[-1].celsius - lowest
    return climbed if climbed >= 2 * fall else 0.0


class Weighed(NamedTuple):
    """What pulses say together."""

    effect: float  # K
    error: float  # K, its standard error
    errors: float  # that the effect is clear of; while there are few pulses, each counts for less (as with Student)


def weigh(effects: Sequence[float], restless: float, still: float = STILL) -> Weighed:
    """Their mean against their spread. `restless`: what that was before, as good as `BEFORE` pulses; nan: unknown."""
    effects = [effect for effect in effects if not math.isnan(effect)]
    before = 0 if math.isnan(restless) else BEFORE
    degrees = len(effects) - 1 + before
    if not effects or not degrees:
        return Weighed(0.0, math.inf, 0.0)
    mean = average.mean(effects)
    squares = sum((effect - mean) ** 2 for effect in effects) + (before and before * restless**2)
    error = math.sqrt((squares / degrees + still**2) / len(effects))
    return Weighed(mean, error, abs(mean) / error / (1 + 3 / degrees))


def span(seconds: float) -> str:
    """A span as it is read: `45 min`, `4.0 h`."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
