"""One place to keep warm: aim, demand, then interlocks, then a decision with its reason.

Rule: `decide` is the only way to a decision. It may be asked at any time and as often as one likes.
"""

import math
from datetime import tzinfo
from typing import NamedTuple, cast

from stoker.core import aim, control, frost, interlocks, schedule
from stoker.core.autotune import Autotune
from stoker.core.evidence import GAP, Evidence, Mean, span
from stoker.core.history import History
from stoker.core.messages import (
    Now,
    Order,
    Reason,
    ResetFault,
    SetHeater,
    SetMode,
    SetPreset,
    SetSchedule,
    SetTarget,
    Tune,
)
from stoker.core.pi import PI, Demand
from stoker.core.preheat import Preheat
from stoker.core.process import Gains
from stoker.core.settings import Heater as HeaterSettings
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


class View(NamedTuple):
    """What a zone sees of the world around it."""

    seen: Seen
    outside: float | None  # °C
    away: bool  # everybody is known to be away
    relay_on: bool  # of its heater, as its driver confirmed


class Zone:
    """A zone's orders and its state. `wish` is what it asked last, `decision` what it was told became of it."""

    def __init__(
        self, name: str, settings: Settings, heater: HeaterSettings, stale_after: float, timezone: tzinfo
    ) -> None:
        self.name = name
        self.settings = settings
        self._heater = heater
        self.stale_after = stale_after
        self.timezone = timezone
        self.orders = aim.Orders()
        self.by_hand: ByHand | None = None
        self.heating = False  # what control wanted last: inside the band it goes on wanting
        self.window = OpenWindow(settings.window.fall or math.inf, settings.window.within, settings.window.suspend)
        self.forbidding: interlocks.Interlock | None = None
        self.fault: interlocks.Latched | None = None
        self.evidence = self._new_evidence()
        self.history = self._new_history()
        self.celsius: float | None = None  # what was seen last
        self._before: float | None = None  # the reading before that
        self._seen_at = -math.inf  # when it was measured
        self.aim = aim.Aim(settings.target, "just started")
        self.wish = self.decision = Decision(False, Reason.NO_TEMPERATURE_YET, "just started")
        self._configured = schedule.parse(settings.schedule) if settings.schedule else None
        self.gains: Gains | None = None  # that an autotune found
        self.pi = self._new_pi() if settings.control == "pi" else None
        self.tuning: Autotune | None = None  # the last one, also when it has ended
        self.preheat = Preheat()
        self._plan: tuple[schedule.Schedule, aim.Aim, aim.Aim] | None = None  # what it says now, and then
        self._early_until = -math.inf  # Unix time of the schedule's change that heating has begun early for

    @property
    def mode(self) -> str:
        """What was ordered, or else what the configuration says."""
        return aim.mode(self.settings, self.orders)

    @property
    def off(self) -> bool:
        """No heat is wanted but against frost: mode off, and no boost that stands above it."""
        return self.mode == "off" and self.aim.preset != "boost"

    @property
    def schedule(self) -> schedule.Schedule | None:
        """What was ordered, or else what the configuration says."""
        return self.orders.schedule or self._configured

    def obey(self, order: Order, now: Now) -> None:
        """Take an order. A mode ordered ends an order by hand: the last word counts."""
        match order:
            case SetMode(mode=mode):
                self._change_mode(mode)
            case SetTarget(target=target):
                self.orders.target, self.orders.preset, self.orders.boost_until = target, "none", -math.inf
                self.orders.target_until = self._next_change(now)
            case SetPreset(preset="boost"):
                self.orders.boost_until = now.mono + self.settings.boost_for
            case SetPreset(preset=preset):
                self.orders.preset, self.orders.boost_until = cast(aim.Preset, preset), -math.inf
            case SetSchedule(schedule=ordered):
                self.orders.schedule = ordered
            case Tune(start=True):
                self.tuning = self._new_tuning(now.mono)
            case Tune():
                if self.tuning:
                    self.tuning.abort("ordered to stop")
            case SetHeater(on=on):
                self.by_hand = None if on is None else ByHand(on, now.mono + self.settings.order_hold)
            case ResetFault():
                self._reset(self.fault)

    def _reset(self, fault: interlocks.Latched | None) -> None:
        """With nothing latched, a test of the heater goes on. A doubt of the relay goes on in any case."""
        if fault and fault.reason is Reason.STUCK_ON:
            self.evidence = self._new_evidence(doubted=self.evidence)
        elif fault:
            self.evidence.reset()
        if fault:
            self.fault = self.forbidding = None
            self.history.forget()

    def recall_history(self, remembered: str, now: Now) -> None:
        """What the run before saw since heat was wanted."""
        self.history = self._new_history(remembered, now)

    def _new_evidence(self, doubted: Evidence | None = None, heated: bool = False) -> Evidence:
        return Evidence(self.settings, self.stale_after, doubted, heated, self._hold())

    def _hold(self) -> float:
        """How long the relay may have to stay as it is."""
        return max(self._heater.min_on, self._heater.min_off)

    def _new_history(self, remembered: str | None = None, now: Now | None = None) -> History:
        return History(max(GAP, self.stale_after), remembered, now)

    def recall_heat(self) -> None:
        """The run before this one heated not long ago: from its first reading on the relay is watched."""
        self.evidence = self._new_evidence(heated=True)

    def why_not(self, order: Order) -> str:
        """Why this order can do nothing now, which is for its sender to change; empty where it can."""
        if not (isinstance(order, Tune) and order.start):
            return ""
        if self.off:
            return "the zone's mode is off"
        if self.by_hand:
            return "an order by hand is in force"
        return f"{self.forbidding.reason} forbids heat" if self.forbidding else ""

    def note(self, order: Order, now: Now) -> str:
        """What stands above an order that was obeyed, so that it does nothing yet; empty where nothing does."""
        if isinstance(order, SetSchedule) and order.schedule and self.mode != "auto":
            return f"a schedule is followed in mode auto, and the mode is {self.mode}"
        if not isinstance(order, SetTarget | SetPreset):
            return ""
        if self.by_hand and now.mono < self.by_hand.until:
            left = span(self.by_hand.until - now.mono)
            return f"{'ON' if self.by_hand.on else 'OFF'} by hand stands above it for another {left}"
        if self.off:
            return "the zone's mode is off"
        return "away until somebody is at home" if self.aim.because == aim.ABSENCE else ""

    def _change_mode(self, mode: str | None) -> None:
        """The last word counts: an order by hand ends, in off a boost, and coming to auto a target ordered before."""
        before, self.orders.mode, self.by_hand = self.mode, mode, None
        if self.mode == "off":
            self.orders.boost_until = -math.inf
        if self.mode == "auto" and before != "auto":
            self.orders.target = None
        self.orders.target_until = math.inf  # out of auto a target stays until another is ordered

    def _next_change(self, now: Now) -> float:
        """How long a target ordered now holds, Unix time: with a schedule until its next change."""
        if self.mode != "auto" or self.schedule is None or not now.synchronised:
            return math.inf
        return self.schedule.at(now.wall, self.timezone).until

    def adopt(self, old: "Zone") -> None:
        """Go on where the same zone stood before its settings were read anew. What is remembered, it knows already."""
        self.orders.boost_until = old.orders.boost_until
        self.heating, self.forbidding = old.heating, old.forbidding
        if old.settings.heater == self.settings.heater:
            self.by_hand = old.by_hand
            self.preheat, self._early_until = old.preheat, old._early_until
            self._adopt_control(old)
        self.wish, self.decision = old.wish, old.decision
        self.history = self._new_history()

    def _adopt_control(self, old: "Zone") -> None:
        """Go on without a bump, where control is the same."""
        if (old.settings.control, old.settings.cycle, old.settings.heating_curve, old._heater) == (
            self.settings.control,
            self.settings.cycle,
            self.settings.heating_curve,
            self._heater,
        ):
            self.pi, self.tuning, self.gains = old.pi, old.tuning, old.gains

    def adopt_evidence(self, old: "Zone") -> None:
        """Go on with what the readings said, where thermometer, heater and limits are the same as before."""
        if old.settings.window == self.settings.window:
            self.window = old.window
        if (old.settings, old._hold()) == (self.settings, self._hold()):
            self.evidence, self.history, self._seen_at = old.evidence, old.history, old._seen_at

    def tune(self, gains: Gains | None) -> None:
        """Control with these gains from now on; None: with what is learnt by the way."""
        self.gains = gains
        if self.pi:
            self.pi = self._new_pi()

    def _new_pi(self) -> PI:
        limits = {"cycle": self.settings.cycle, "min_on": self._heater.min_on, "min_off": self._heater.min_off}
        gains = {"gains": self.gains, "learns": False} if self.gains else {}
        return PI(**limits, **gains, curve=self.settings.heating_curve)  # type: ignore[arg-type]

    def _new_tuning(self, now: float) -> Autotune:
        limits = {"min_on": self._heater.min_on, "min_off": self._heater.min_off}
        return Autotune(self.aim.target, now, self.settings.cycle, **limits)

    def decide(self, view: View, now: Now, around: interlocks.Around) -> Decision:
        """What this zone asks of its heater now; kept as `wish`."""
        seen = view.seen
        away = view.away and self.settings.follows_presence
        planned = self._planned(now)
        self._end_target(planned, now)
        self.aim = aim.aim(self.settings, self.orders, planned, away, now)
        self._look_ahead(view, now)
        if seen.celsius is not None:
            self.window.take(seen.celsius, seen.at, seen.by)
        demand = self._demand(view, now.mono)
        self._look(seen, around.relay.on, demand.on or self._cold(seen.celsius, demand.reason))
        situation = interlocks.Situation(
            now=now.mono,
            celsius=seen.celsius,
            before=self._before,
            hottest=seen.celsius if seen.hottest is None else seen.hottest,
            at=seen.at,
            trouble=seen.trouble,
            stale_after=self.stale_after,
            max_temperature=self.settings.max_temperature,
            around=around,
            findings=self.evidence.findings,
            latched=self.fault,
            forbidding=self.forbidding.reason if self.forbidding else None,
        )
        verdict = interlocks.verdict(situation)
        self.forbidding = verdict.interlock if verdict else None
        until = min(demand.until, self.aim.until, interlocks.next_look(situation))
        if verdict:
            self._look_on(view, now.mono, verdict.interlock.reason)
            demand = self._forbidden(verdict, situation)
        self.wish = demand._replace(until=min(until, demand.until))
        return self.wish

    def _end_target(self, planned: aim.Aim | None, now: Now) -> None:
        """A target ordered while a schedule is followed holds until its next change, and is then forgotten."""
        orders = self.orders
        if planned and planned.entry:  # also for one that was ordered while the clock was wrong
            orders.target_until = min(orders.target_until, planned.entry.until)
        if now.synchronised and now.wall >= orders.target_until:
            orders.target = None

    def _cold(self, celsius: float | None, why: Reason) -> bool:
        """Heat is missing although none is asked for at this very moment, as in a pause of proportional control."""
        chosen = why in (Reason.MODE_OFF, Reason.BY_HAND, Reason.OPEN_WINDOW)
        return not chosen and celsius is not None and celsius < self.aim.target - self.settings.hysteresis / 2

    def _look(self, seen: Seen, on: bool, wanted: bool) -> None:
        """Note a new reading, and what it says of the heater."""
        if seen.celsius is not None and seen.at > self._seen_at:
            self._before, self.celsius, self._seen_at = self.celsius, seen.celsius, seen.at
            reading = Mean(seen.at, seen.celsius)
            self.history.replay(self.evidence)
            findings = self.evidence.see(reading, on, wanted, seen.by)
            self.history.note(reading, on, wanted, seen.by, bool(findings.testing))

    def _forbidden(self, verdict: interlocks.Verdict, situation: interlocks.Situation) -> Decision:
        reason = verdict.interlock.reason
        if verdict.latch:
            self.fault = interlocks.Latched(reason, verdict.text)
        off = Decision(False, reason, verdict.text, fault=reason is not Reason.HEATER_TEST)
        return (reason is Reason.STALE_TEMPERATURE and self._while_blind(situation, off)) or off

    def _while_blind(self, situation: interlocks.Situation, off: Decision) -> Decision | None:
        """A little heat although nobody knows how warm it is, where that is configured and nothing else is wrong."""
        settings, warm = self.settings, control.band(self.aim.target, self.settings.hysteresis).off_above
        forbidden = self.mode == "off" or (self.by_hand and not self.by_hand.on)
        doubtful = interlocks.forbidden_otherwise(situation)
        if forbidden or doubtful or not frost.harmless(situation.celsius, warm, situation.trouble):
            return None
        now, stale_at = situation.now, situation.stale_at
        duty = frost.duty(settings.stale_duty, settings.stale_duty_for, stale_at=stale_at, now=now)
        if duty is None:
            return None
        return Decision(duty.on, off.reason, f"{off.text}; {duty.text}", fault=not duty.on, until=duty.until)

    def _planned(self, now: Now) -> aim.Aim | None:
        """What the schedule says. To find that out costs some calendar, so it is done once an entry."""
        week = self.schedule
        if week is None or not now.synchronised or self.mode != "auto":
            return None
        entry = self._plan[1].entry if self._plan and self._plan[0] is week else None
        if entry is None or not entry.since <= now.wall < entry.until:
            present = week.at(now.wall, self.timezone)
            both = (present, week.at(present.until, self.timezone))
            here, then = (aim.scheduled(self.settings, one, self.timezone) for one in both)
            self._plan = (week, here, then)
        return self._plan[1] if self._plan else None

    def _look_ahead(self, view: View, now: Now) -> None:
        """Aim at the schedule's next target early, where the room needs that long; once begun it stays begun.

        Only where the schedule decides: a target or a preset that somebody ordered stands above an early start too.
        """
        celsius, entry = view.seen.celsius, self.aim.entry
        if entry is None or self._plan is None or celsius is None or not self.settings.optimum_start:
            return
        then = self._plan[2]
        early = self.preheat.start_before(celsius, then.target, view.outside)
        if then.target <= self.aim.target or (now.wall < entry.until - early and self._early_until != entry.until):
            return
        self._early_until = entry.until
        self.aim = then._replace(because=f"early for {then.because}", until=self.aim.until)

    def _demand(self, view: View, now: float) -> Decision:
        """What is wanted, as long as no interlock forbids it."""
        celsius = view.seen.celsius
        if self.by_hand and now >= self.by_hand.until:
            self.by_hand = None
        if self.by_hand:
            self._look_on(view, now, Reason.BY_HAND)
            return self._by_hand(self.by_hand, celsius)
        if self.off:
            self._look_on(view, now, Reason.MODE_OFF)
            return self._against_frost(celsius, Reason.MODE_OFF, "the zone's mode is off")
        if why := self.window.suspends(now):
            self._look_on(view, now, Reason.OPEN_WINDOW)
            return self._against_frost(celsius, Reason.OPEN_WINDOW, why)._replace(until=self.window.until or math.inf)
        if celsius is None:
            return Decision(False, Reason.TARGET_REACHED, "no temperature")
        self.preheat.watch(celsius, self.aim.target, now, outside=view.outside)
        if self.pi:
            return self._proportional(self.pi, celsius, view, now)
        return self._two_point(celsius)

    def _by_hand(self, order: ByHand, celsius: float | None) -> Decision:
        if order.on:
            return Decision(True, Reason.BY_HAND, "ordered on by hand", until=order.until)
        return self._against_frost(celsius, Reason.BY_HAND, "ordered off by hand")._replace(until=order.until)

    def _two_point(self, celsius: float) -> Decision:
        limits = control.band(self.aim.target, self.settings.hysteresis)
        self.heating = control.wants_heat(celsius, limits, self.heating)
        if self.heating:
            text = f"{celsius:.2f} °C, heating to {limits.off_above:g} °C ({self.aim.because})"
            return Decision(True, Reason.BELOW_TARGET, text)
        text = f"{celsius:.2f} °C, heating again below {limits.on_below:g} °C ({self.aim.because})"
        return Decision(False, Reason.TARGET_REACHED, text)

    def _proportional(self, pi: PI, celsius: float, view: View, now: float) -> Decision:
        at = view.seen.at
        if self.tuning and self.tuning.target != self.aim.target:
            self.tuning.abort(f"{self.aim.target:g} °C are wanted now")
        if self.tuning and not self.tuning.progress.ended:
            pi.hold(celsius, at, now, relay_on=view.relay_on)
            demand = self.tuning.demand(celsius, at, now, relay_on=view.relay_on)
            if self.tuning.progress.gains:
                self.tune(self.tuning.progress.gains)
            return self._as_decision(demand, Reason.TUNING, Reason.TUNING)
        demand = pi.demand(celsius, at, self.aim.target, now, relay_on=view.relay_on, outside=view.outside)
        return self._as_decision(demand, Reason.PULSE, Reason.PAUSE)

    def _as_decision(self, demand: Demand, on: Reason, off: Reason) -> Decision:
        self.heating = demand.on
        text = f"{demand.text} ({self.aim.because})"
        return Decision(demand.on, on if demand.on else off, text, until=demand.until)

    def _look_on(self, view: View, now: float, why: Reason) -> None:
        """Something else decides: nothing is wound up, learnt or tuned meanwhile."""
        self.preheat.disturbed()
        if self.pi:
            self.pi.hold(view.seen.celsius, view.seen.at, now, relay_on=view.relay_on)
        if self.tuning:
            self.tuning.abort(why)

    def _against_frost(self, celsius: float | None, reason: Reason, text: str) -> Decision:
        """No heat, but against frost where that is not forbidden; never more than the zone's own target would have."""
        guarded = min(self.settings.frost, self.aim.target)
        limits = control.band(guarded, min(self.settings.hysteresis, aim.FROST_BAND))
        wanted = celsius is not None and control.wants_heat(celsius, limits, self.heating)
        self.heating = wanted and self.settings.frost_protection
        if self.heating:
            text = f"{celsius:.2f} °C, heating to {limits.off_above:g} °C although {text}"
            return Decision(True, Reason.FROST_PROTECTION, text)
        return Decision(False, reason, text)
