"""What a zone's readings say of its heater: does it warm the room while on, and does it stop when off?

Rule: weather, sun, doors and slow floors are no faults, and none of them keeps time with the relay. So a heater that
seems to do nothing is switched off for a while and then on again: if it works, the room falls behind its course and
then gets ahead of it, and a course that bends by itself, as that of a cooling house does, cancels out. How long each
half takes is learnt from how soon the room answers in daily life; while that is unknown, it is as long as allowed,
and all of it is done twice or more.
A relay sticks only where after switching off no fall came at all, or for longer none that took back much of the gain.

All of it looks at the means of slots of some minutes, so that noise and resolution don't matter much.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from stoker.core.settings import Zone as Settings

SLOT = 300.0  # s; readings are averaged over this,
SLOT_READINGS = 3  # over so many at least,
LONGEST_SLOT = 3600.0  # s; and over no more than this
SLOTS = 6  # that half a pulse has at least
GAP = 1800.0  # s without a reading after which nothing from before can be compared
RISE = 0.4  # K that a room which is heated rises sometime
EFFECT = 0.3  # K off its course: the heater was felt
CLEAR = 1.2  # K off its course: no need to wait any longer
WILD = 0.8  # K off it the other way in each pulse: something else moves the room
TRUSTED = 43200.0  # s for which a test that was passed counts
ANSWERS = 3  # that have to be seen before the room's own are believed
PATIENCE = 3.0  # times the slowest of them: how long half a pulse lasts
QUICK = 1800.0  # s; and at least this
STEEP, STEEP_WITHIN = 5.0, 1800.0  # K and s; a sensor that slips falls like this, and so does a room with its door open
LOST = 1 / 3  # of what a room has gained since its heater went off: a night without sun takes more, and then it is well
NIGHT = 1.5  # of `stuck_on_after`: how long a room has to stay warm that fell by less, so that a night is among it
CLEAN = 7200.0  # s without switching after which only the next switching can be what a room answers to


class Mean(NamedTuple):
    """One slot: the mean of its readings, and the time of its last one."""

    at: float
    celsius: float


class Course(NamedTuple):
    """Where a temperature goes when nothing changes: a straight line."""

    at: float
    celsius: float
    slope: float  # K/s

    def expected(self, at: float) -> float:
        """The temperature at that time."""
        return self.celsius + self.slope * (at - self.at)


class Plan(NamedTuple):
    """How to test a heater: how often it goes off and on again before it is held to be without effect."""

    pulses: int
    half: float  # s of each


class Test(NamedTuple):
    """Half a pulse: the heater is off, or on again, to see whether the room leaves its course."""

    plan: Plan
    on: bool
    course: Course
    told: tuple[str, ...]  # what was seen before, in words
    whole: int = 0  # pulses that went on for as long as planned
    first: bool = True  # this pulse is the first, which is cut short where the room seems to answer
    felt: float = 0.0  # K off its courses in the earlier halves, as a heater would do it
    least: float = 0.0  # s of heat before anything is said: as long as it was without


class Findings(NamedTuple):
    """What is held against the heater, each in words or empty."""

    testing: str = ""
    runaway: str = ""
    stuck_on: str = ""


class Evidence:
    """The bounded history of one zone and its heater. Fed with every reading that is taken, in order.

    `doubted`: the evidence of a relay that stuck, when somebody has reset that fault. The room has to cool now.
    `heated`: an earlier run heated not long ago, so that the drive-off at the start is a switching off like another.
    """

    def __init__(
        self, settings: Settings, stale_after: float = 0.0, doubted: "Evidence | None" = None, heated: bool = False
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
        slots = math.ceil(max(settings.runaway_after, settings.runaway_test) / self._slot) + 2
        self._lately: deque[Mean] = deque(maxlen=slots)  # whatever the relay did
        self._heated = 0.0  # s with heat since it is wanted
        self._heating: deque[tuple[float, Mean]] = deque(maxlen=slots)  # and how warm it was after so much of it
        self._fell_from = math.nan  # where a steep fall began that was not made good
        self._test: Test | None = None
        self._otherwise = 0.0  # s of this half in which the relay was not as the test wants it
        self._trusted_until = -math.inf
        self._content = False  # the zone has not wanted heat since it was switched off
        self._listening = False  # for the answer to the last switching
        self._coldest = self._warmest = math.nan  # since then
        self._answers: deque[float] = deque(doubted._answers if doubted else (), maxlen=2 * ANSWERS)  # s
        self._switched_off: Mean | None = None  # the beginning of a stretch of cooling that has not cooled yet
        self._dipped = False  # it fell a little since then
        self._heated_before = heated
        self._doubted = doubted is not None
        self._hottest = doubted._warmest if doubted else math.nan  # that the relay which stuck made it

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
        self._otherwise += passed * (self._test is not None and on is not self._test.on)
        if on is not self._on:
            self._switch(reading, on, wanted)
        if not wanted:
            self._trust()
            self._content = not on
            self._listening &= not on  # somebody else's heat on the same heater has its own rhythm
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
        self._trust()

    def _forget(self) -> None:
        """After a gap nothing from before can be compared."""
        self._on, self._switched_off, self._fell_from = None, None, math.nan
        self._lately.clear()
        self._levels.clear()
        self._trust()

    def _trust(self, until: float = -math.inf) -> None:
        """Nothing is held against the heater for now; at best for a while."""
        self._test, self._heated = None, 0.0
        self._heating.clear()
        self._trusted_until = max(self._trusted_until, until)

    def _switch(self, reading: Mean, on: bool, wanted: bool) -> None:
        steady = reading.at - self._switched.at >= CLEAN
        answered = self.settings.control == "hysteresis"  # which never switches again before the room has answered
        warm_enough = self._content if on else not wanted
        self._listening = self._on is not None and warm_enough and (answered or steady)
        self._content &= on
        watched = self._on or self._doubted or self._heated_before
        self._switched_off = reading if watched and not on else None
        self._doubted &= not on
        self._heated_before = self._dipped = False
        self._coldest = self._warmest = reading.celsius
        self._on, self._switched = on, reading
        self._readings, self._slot_began = [], reading.at

    def _judge(self, mean: Mean) -> None:
        self._coldest, self._warmest = min(self._coldest, mean.celsius), max(self._warmest, mean.celsius)
        self._lately.append(mean)
        self._note_steep_fall(mean)
        self._listen(mean)
        if self._test:
            self._examine(self._test, mean)
        elif self._on:
            self._suspect(mean)
        self._look_for_a_fall(mean)

    # --- how soon the room answers

    def _listen(self, mean: Mean) -> None:
        turned = mean.celsius - self._coldest if self._on else self._warmest - mean.celsius
        if self._listening and turned >= max(EFFECT, 2 * self._step):
            self._listening = False
            self._answers.append(mean.at - self._switched.at)

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
        means = [each for heated, each in self._heating if self._heated - heated <= after]
        if not after or self._heated < after or mean.at < self._trusted_until or rise(means) >= RISE:
            return
        plan, told = self._plan(), f"{mean.celsius:.2f} °C after {span(after)} of heating"
        self._begin(Test(plan, False, self._course(plan), (told,)))

    def _begin(self, half: Test) -> None:
        self._test, self._otherwise = half, 0.0

    def _plan(self) -> Plan:
        """Long where the room's answer is unknown, but that what falls so steeply can answer quickly as well."""
        patience, longest = self._patience(), self.settings.runaway_test / 2
        shortest = min(max(QUICK, SLOTS * self._slot_length), longest)
        if patience > shortest and not math.isnan(self._fell_from):
            return Plan(3, shortest)
        return Plan(2 if math.isinf(patience) else 1, min(max(patience, shortest), longest))

    def _course(self, plan: Plan) -> Course:
        """Where the temperature goes, as the last while tells that is as long as half a pulse."""
        end = self._lately[-1].at
        return trend([each for each in self._lately if end - each.at <= plan.half])

    def _examine(self, test: Test, mean: Mean) -> None:
        expected, passed = test.course.expected(mean.at), mean.at - test.course.at
        felt = test.felt + (mean.celsius - expected) * (1 if test.on else -1)
        over = passed >= test.plan.half
        if test.on and passed >= test.least and felt >= EFFECT:
            self._trust(mean.at + TRUSTED)
        elif not test.on and mean.celsius >= max(test.course.celsius, expected) + EFFECT:
            self._trust()  # something else warms the room, so nothing can be said
        elif over and self._otherwise > test.plan.half / 2:
            self._trust()  # others switch the same heater, or it rests: that was no test
        elif over or (not test.on and felt - test.felt >= (EFFECT if test.first else CLEAR)):
            told = f"{mean.celsius:.2f} °C after {span(passed)} {'on again' if test.on else 'off'}"
            self._end_half(test._replace(told=(*test.told[: 1 + test.on], told)), felt, passed)

    def _end_half(self, test: Test, felt: float, passed: float) -> None:
        early = test.least < test.plan.half
        whole = test.whole + (test.on and not early)
        if test.on and felt <= -WILD * max(whole, 1):
            self._trust()  # late answers, or something else that moves the room as much: nothing can be said
        elif whole == test.plan.pulses:
            text = f"heating makes no difference: {', '.join(test.told)}; the heater is dead or the sensor elsewhere"
            self.findings = self.findings._replace(runaway=text)
        elif test.on:
            felt = 0.0 if early else felt
            half = Test(test.plan, False, self._course(test.plan), test.told, whole, first=False, felt=felt)
            self._begin(half)
        else:
            least = min(max(passed, 3 * self._slot_length), test.plan.half)
            self._begin(test._replace(on=True, course=self._course(test.plan), felt=felt, least=least))

    def _testing(self) -> str:
        if not self._test or self._test.on:
            return ""
        return f"off for at most {span(self._test.plan.half)}, to see whether heating makes any difference"

    # --- cooling without a fall

    def _look_for_a_fall(self, mean: Mean) -> None:
        began, after = self._switched_off, self.settings.stuck_on_after
        if began is None or not after:
            return
        passed, rose = mean.at - began.at, mean.celsius - began.celsius
        fell = self._warmest - mean.celsius
        self._dipped |= fell >= EFFECT
        hot = rose >= self.settings.stuck_on_rise or mean.celsius > self.settings.max_temperature
        if self._doubted:
            self._look_again(began, mean, fell >= EFFECT)
        elif fell >= max(EFFECT, LOST * (self._warmest - began.celsius)) or passed > 2 * after:
            self._switched_off = None  # what takes longer is the season, not a heater
        elif hot and passed >= after * (NIGHT if self._dipped else 1):
            told = "hardly a fall" if self._dipped else "no fall"
            text = f"{began.celsius:.2f} °C when switched off {span(passed)} ago, {mean.celsius:.2f} °C now"
            self.findings = self.findings._replace(stuck_on=f"{text}, and {told} between: the relay seems to stick")

    def _look_again(self, began: Mean, mean: Mean, fell: bool) -> None:
        """After a reset: it stuck before, so the room has to cool, and to go on until it has by `stuck_on_rise`."""
        self._hottest = max(self._warmest, self._hottest)
        if mean.celsius <= self._hottest - self.settings.stuck_on_rise:
            self._doubted, self._switched_off = False, None
        elif fell:
            self._switched_off, self._warmest = mean, mean.celsius
        elif mean.at - began.at >= min(self._patience(), self.settings.runaway_test, self.settings.stuck_on_after):
            text = (
                f"{began.celsius:.2f} °C {span(mean.at - began.at)} ago, {mean.celsius:.2f} °C now, and no fall between"
            )
            self.findings = self.findings._replace(stuck_on=f"{text} although reset: the relay still seems to stick")


def rise(means: Sequence[Mean]) -> float:
    """The greatest climb from any mean to a later one, K."""
    lowest, best = math.inf, 0.0
    for mean in means:
        lowest = min(lowest, mean.celsius)
        best = max(best, mean.celsius - lowest)
    return best


def trend(means: Sequence[Mean]) -> Course:
    """The straight line through the means (least squares), from the last one's time on."""
    end = means[-1].at
    at = sum(mean.at - end for mean in means) / len(means)
    celsius = sum(mean.celsius for mean in means) / len(means)
    spread = sum((mean.at - end - at) ** 2 for mean in means)
    slope = sum((mean.at - end - at) * (mean.celsius - celsius) for mean in means) / spread if spread else 0.0
    return Course(end, celsius - slope * at, slope)


def span(seconds: float) -> str:
    """A span as it is read: `45 min`, `4.0 h`."""
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
