"""PI control for a relay: a duty between 0 and 1, given as pulses of heat within a cycle.

Rule: the integral moves only while this controller decides and its duty is not at a limit. A new target moves the
proportional part at once and the integral not at all. While something else decides (`hold`) everything stands still;
after that the integral returns, the smaller the longer it was away (with a heating curve: the nearer to the curve).

Far from the target it is full heat or none, until the room would get there by itself; PI takes over from there.
"""

import math
from typing import NamedTuple

from stoker.core.process import Gains, Reactions, simc

FAR = 0.3  # K that the room would still be away by itself, for full heat or none
AWAY = 0.6  # K from the target at least, for full heat or none at once; nearer, pulses wait for their cycle
FORGET = 43200.0  # s in which an integral that is not used fades to a third
SOONEST = 1.0  # s, shortest time to the next look


class Demand(NamedTuple):
    """What control wants. `until`: when it must be asked again although nothing happened."""

    on: bool
    text: str
    until: float = math.inf
    duty: float = 0.0


class PI:
    """`cycle`, `min_on`, `min_off`: s. `curve`: duty per K between target and outside. `learns`: gains follow the room.

    Give `gains` that an autotune found with `learns=False`.
    """

    def __init__(  # noqa: PLR0913 -- its settings
        self,
        gains: Gains = Gains(),  # noqa: B008 -- frozen
        cycle: float = 1200.0,
        min_on: float = 10.0,
        min_off: float = 10.0,
        *,
        curve: float = 0.0,
        learns: bool = True,
    ) -> None:
        self.pulses = Pulses(cycle, min_on, min_off)
        self.curve = curve
        self.learns = learns
        self.reactions = Reactions()
        self.integral = 0.0  # duty
        self._gains = gains
        self._pursuit = 0  # 1: full heat, -1: none, until the room would get there by itself
        self._fresh = True  # the target is new
        self._target = math.nan
        self._then = -math.inf  # when it was last asked
        self._error = 0.0  # then, K
        self._feed = 0.0  # then, duty
        self._held = True
        self._resting = False  # the duty was at a limit, so the integral stood still

    @property
    def gains(self) -> Gains:
        """What it controls with at this moment."""
        process = self.reactions.process if self.learns else None
        return simc(process, self.pulses.cycle) if process else self._gains

    def hold(self, celsius: float | None, at: float, now: float, *, relay_on: bool) -> None:
        """Something else decides: look on, and change nothing. `celsius` is None where there is no reading."""
        if celsius is not None:
            self.reactions.watch(celsius, at, relay_on)
        self.pulses.look_on(relay_on, now)
        self._pass(now, held=True)

    def demand(  # noqa: PLR0913 -- everything that a decision hangs on, and nothing kept by others
        self, celsius: float, at: float, target: float, now: float, *, relay_on: bool, outside: float | None = None
    ) -> Demand:
        """What it wants for the reading `celsius` of the time `at`. Ask at each reading and order, and at `until`."""
        self.reactions.watch(celsius, at, relay_on)
        self._pass(now, held=False)
        feed = 0.0 if outside is None else min(max(self.curve * (target - outside), 0.0), 1.0)
        if target != self._target:
            self._target, self._fresh, self._pursuit = target, True, 0
        self._error = error = target - celsius
        self._feed = feed
        self._bound()
        raw = self.integral + feed + self.gains.kp * error
        self._pursue(raw, error)
        if self._pursuit:
            raw = float(self._pursuit > 0)
        duty = min(max(raw, 0.0), 1.0)
        self._resting = bool(self._pursuit) or (raw >= 1 and error > 0) or (raw <= 0 and error < 0)
        on, until = self.pulses.give(duty, relay_on, now, at_once=bool(self._pursuit))
        return Demand(on, self._text(celsius, target, duty), until, duty)

    def _pass(self, now: float, held: bool) -> None:
        """Bring the integral to this moment. What was so at the last look has been so until now."""
        elapsed = max(now - self._then, 0.0) if math.isfinite(self._then) else 0.0
        if self._held:
            self.integral *= math.exp(-elapsed / FORGET)
        elif not self._resting:
            self.integral += self.gains.kp * self._error * elapsed / self.gains.ti
            self._bound()
        self._then, self._held = max(now, self._then), held

    def _bound(self) -> None:
        self.integral = min(max(self.integral, -self._feed), 1.0 - self._feed)

    def _pursue(self, raw: float, error: float) -> None:
        left = error - self.reactions.slope() * self.gains.lead  # K that the room would still be away by itself
        if self._pursuit * left < 0 or self._pursuit * error < 0:
            self._take_over()
            self._pursuit, self._fresh = 0, False
        if self._pursuit:
            return
        if (raw >= 1 or self._fresh) and error > AWAY and left > FAR:
            self._pursuit = 1
        elif (raw <= 0 or self._fresh) and error < -AWAY and left < -FAR:
            self._pursuit = -1

    def _take_over(self) -> None:
        """After full heat or none: what holds this temperature is seen from how fast it still changes."""
        heat = self._pursuit > 0
        holding = self.reactions.holding_duty(float(heat))
        if holding is not None:
            halfway = (self.integral + holding - self._feed) / 2
            self.integral = max(self.integral, halfway) if heat else min(self.integral, halfway)
            self._bound()

    def _text(self, celsius: float, target: float, duty: float) -> str:
        if self._pursuit:
            return f"{celsius:.2f} °C, {'full' if duty else 'no'} heat until {target:g} °C is near"
        return f"{celsius:.2f} °C, {duty:.0%} heat for {target:g} °C"


class Pulses:
    """Time-proportioning: one pulse in a cycle, on for its share. What minimum times round off is carried over.

    None begins so soon after another that, with the duty as it is then, it would end sooner than a cycle after that.
    """

    def __init__(self, cycle: float, min_on: float, min_off: float) -> None:
        self.cycle = max(cycle, min_on + min_off)
        self.min_on, self.min_off = min_on, min_off
        self._start = -math.inf  # of this cycle
        self._ended = -math.inf  # the last pulse
        self._owed: float = 0.0  # s of heat that were asked for and not given, or given too much
        self._carried = 0.0  # of that, what this cycle makes good
        self._after_heat = self._paused = False
        self._then = -math.inf
        self._asked = 0.0  # the duty of the last look
        self._relay: bool = False
        self._wanted = False
        self._since = -math.inf  # when the relay was last seen to switch

    def look_on(self, relay_on: bool, now: float) -> None:
        """Something else decides."""
        self._see(relay_on, now)
        self._asked = float(relay_on)

    def give(self, duty: float, relay_on: bool, now: float, *, at_once: bool) -> tuple[bool, float]:
        """On or off now for this duty, and when to look again. `at_once` does not wait for the cycle's end."""
        self._see(relay_on, now)
        self._asked = duty
        if at_once:
            self._owed, self._carried, self._after_heat, self._paused = 0.0, 0.0, duty > 0, True
            if self._after_heat:
                self._start = -math.inf
            return self._allowed(duty > 0, now, math.inf)
        following = max(self._start, self._ended - self._share(duty)) + self.cycle
        if now >= following:
            most = max(self.min_on, self.min_off, SOONEST)
            self._carried = self._owed = min(max(self._owed, -most), most)
            self._start, self._paused = now, False
            if self._after_heat and self._share(duty) < self.cycle:  # it is in the middle of the pause after its pulse
                self._start -= (self.cycle + self._share(duty)) / 2
            self._after_heat = False
        end = self._start + self._share(duty)
        self._paused = self._paused or now >= end  # one pulse in a cycle, whatever the duty does after it
        on = not self._paused
        return self._allowed(on, now, end if on else max(following, self._start + self.cycle))

    def _share(self, duty: float) -> float:
        """Seconds of heat in this cycle."""
        share = duty * self.cycle + self._carried
        if share < max(self.min_on, SOONEST):
            return 0.0
        return self.cycle if self.cycle - share < max(self.min_off, SOONEST) else share

    def _allowed(self, on: bool, now: float, until: float) -> tuple[bool, float]:
        free_at = self._since + (self.min_on if self._relay else self.min_off)
        if on is not self._relay and now < free_at:
            return self._relay, free_at
        self._wanted = on
        return on, max(until, now + SOONEST)

    def _see(self, relay_on: bool, now: float) -> None:
        obeyed = relay_on is self._wanted  # then it switched when it was told to
        if math.isfinite(self._then):
            relay = relay_on if obeyed else self._relay
            self._owed += (self._asked - relay) * max(now - self._then, 0.0)
        if relay_on is not self._relay:
            self._since = self._then if obeyed else now
            if not relay_on:
                self._ended = self._since
        self._relay, self._wanted, self._then = relay_on, relay_on, max(now, self._then)
