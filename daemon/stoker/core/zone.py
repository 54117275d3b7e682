"""One place to keep warm: aim, demand, then interlocks, then a decision with its reason.

Rule: `decide` is the only way to a decision. It may be asked at any time and as often as one likes.
"""

import math
from datetime import tzinfo
from typing import NamedTuple, cast

from stoker.core import aim, control, interlocks, schedule
from stoker.core.messages import Now, Order, Reason, SetHeater, SetMode, SetPreset, SetSchedule, SetTarget
from stoker.core.settings import Zone as Settings
from stoker.core.thermometer import Seen
from stoker.core.window import OpenWindow


class Decision(NamedTuple):
    """Heat or no heat, and why. `until`: when it must be looked at again although nothing happened."""

    on: bool
    reason: Reason
    text: str
    fault: bool = False  # an interlock's decision: minimum times don't hold against it
    until: float = math.inf

    def same_as(self, other: "Decision") -> bool:
        """The same for those outside; only the numbers in the text may have changed."""
        return self.on is other.on and self.reason is other.reason


class ByHand(NamedTuple):
    """An order by hand, in force until the monotonic time `until`."""

    on: bool
    until: float


class Zone:
    """A zone's orders and its state. `wish` is what it asked last, `decision` what it was told became of it."""

    def __init__(self, name: str, settings: Settings, stale_after: float, timezone: tzinfo) -> None:
        self.name = name
        self.settings = settings
        self.stale_after = stale_after
        self.timezone = timezone
        self.orders = aim.Orders()
        self.by_hand: ByHand | None = None
        self.heating = False  # what control wanted last: inside the band it goes on wanting
        self.window = OpenWindow(settings.window.fall or math.inf, settings.window.within, settings.window.suspend)
        self.forbidding: interlocks.Interlock | None = None
        self.aim = aim.Aim(settings.target, "just started")
        self.wish = self.decision = Decision(False, Reason.NO_TEMPERATURE_YET, "just started")
        self._configured = schedule.parse(settings.schedule) if settings.schedule else None

    @property
    def mode(self) -> str:
        """What was ordered, or else what the configuration says."""
        return aim.mode(self.settings, self.orders)

    @property
    def schedule(self) -> schedule.Schedule | None:
        """What was ordered, or else what the configuration says."""
        return self.orders.schedule or self._configured

    def obey(self, order: Order, now: Now) -> None:
        """Take an order. A mode ordered ends an order by hand: the last word counts."""
        match order:
            case SetMode(mode=mode):
                self.orders.mode = mode
                self.by_hand = None
            case SetTarget(target=target):
                self.orders.target, self.orders.preset, self.orders.boost_until = target, "none", -math.inf
                self.orders.target_until = self._next_change(now)
            case SetPreset(preset="boost"):
                self.orders.boost_until = now.mono + self.settings.boost_for
            case SetPreset(preset=preset):
                self.orders.preset, self.orders.boost_until = cast(aim.Preset, preset), -math.inf
            case SetSchedule(schedule=ordered):
                self.orders.schedule = ordered
            case SetHeater(on=on):
                self.by_hand = None if on is None else ByHand(on, now.mono + self.settings.order_hold)

    def _next_change(self, now: Now) -> float:
        """How long a target ordered now holds, Unix time: with a schedule until its next change."""
        if self.mode != "auto" or self.schedule is None or not now.synchronised:
            return math.inf
        return self.schedule.at(now.wall, self.timezone).until

    def adopt(self, old: "Zone") -> None:
        """Go on where the same zone stood before its settings were read anew."""
        self.orders, self.heating, self.forbidding = old.orders, old.heating, old.forbidding
        if old.settings.heater == self.settings.heater:
            self.by_hand = old.by_hand
        self.wish, self.decision = old.wish, old.decision

    def take(self, celsius: float, at: float) -> None:
        """Note a reading of this zone's first thermometer: a steep fall is an open window."""
        self.window.take(celsius, at)

    def decide(self, seen: Seen, away: bool, now: Now) -> Decision:
        """What this zone asks of its heater now; kept as `wish`. `away`: everybody is known to be away."""
        away = away and self.settings.follows_presence
        self.aim = aim.aim(self.settings, self.orders, self.schedule, away, now, self.timezone)
        demand = self._demand(seen.celsius, now.mono)
        situation = interlocks.Situation(
            now=now.mono,
            celsius=seen.celsius,
            at=seen.at,
            trouble=seen.trouble,
            stale_after=self.stale_after,
            max_temperature=self.settings.max_temperature,
            forbidding=self.forbidding.reason if self.forbidding else None,
        )
        verdict = interlocks.verdict(situation)
        self.forbidding = verdict.interlock if verdict else None
        until = min(demand.until, self.aim.until, situation.stale_at if now.mono < situation.stale_at else math.inf)
        if verdict:
            demand = Decision(False, verdict.interlock.reason, verdict.text, fault=True)
        self.wish = demand._replace(until=until)
        return self.wish

    def _demand(self, celsius: float | None, now: float) -> Decision:
        if self.by_hand and now >= self.by_hand.until:
            self.by_hand = None
        if self.by_hand:
            text = f"ordered {'on' if self.by_hand.on else 'off'} by hand"
            return Decision(self.by_hand.on, Reason.BY_HAND, text, until=self.by_hand.until)
        if self.mode == "off":
            return self._against_frost(celsius, Reason.MODE_OFF, "the zone's mode is off")
        if why := self.window.suspends(now):
            return self._against_frost(celsius, Reason.OPEN_WINDOW, why)._replace(until=self.window.until or math.inf)
        limits = control.band(self.aim.target, self.settings.hysteresis)
        self.heating = celsius is not None and control.wants_heat(celsius, limits, self.heating)
        if self.heating:
            text = f"{celsius:.2f} °C, heating to {limits.off_above:g} °C ({self.aim.because})"
            return Decision(True, Reason.BELOW_TARGET, text)
        known = "no temperature" if celsius is None else f"{celsius:.2f} °C"
        text = f"{known}, heating again below {limits.on_below:g} °C ({self.aim.because})"
        return Decision(False, Reason.TARGET_REACHED, text)

    def _against_frost(self, celsius: float | None, reason: Reason, text: str) -> Decision:
        """No heat, but against frost where that is not forbidden."""
        limits = control.Band(self.settings.frost, self.settings.frost + aim.FROST_BAND)
        wanted = celsius is not None and control.wants_heat(celsius, limits, self.heating)
        self.heating = wanted and self.settings.frost_protection
        if self.heating:
            text = f"{celsius:.2f} °C, heating to {limits.off_above:g} °C although {text}"
            return Decision(True, Reason.FROST_PROTECTION, text)
        return Decision(False, reason, text)
