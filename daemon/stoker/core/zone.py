"""One place to keep warm: demand, then interlocks, then a decision with its reason.

Rule: `decide` is the only way to a decision. It may be asked at any time and as often as one likes.
"""

import math
from typing import NamedTuple

from stoker.core import control, frost, interlocks
from stoker.core.evidence import Evidence, Mean
from stoker.core.messages import Order, Reason, ResetFault, SetHeater, SetMode, SetTarget
from stoker.core.settings import Zone as Settings
from stoker.core.thermometer import Thermometer


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

    def __init__(self, name: str, settings: Settings, stale_after: float) -> None:
        self.name = name
        self.settings = settings
        self.stale_after = stale_after
        self.ordered_mode: str | None = None
        self.ordered_target: float | None = None
        self.by_hand: ByHand | None = None
        self.heating = False  # what control wanted last: inside the band it goes on wanting
        self.forbidding: interlocks.Interlock | None = None
        self.fault: interlocks.Latched | None = None
        self.evidence = Evidence(settings)
        self._seen_at = -math.inf  # the newest reading that `evidence` knows
        self.wish = self.decision = Decision(False, Reason.NO_TEMPERATURE_YET, "just started")

    @property
    def mode(self) -> str:
        """What was ordered, or else what the configuration says."""
        return self.ordered_mode or self.settings.mode

    @property
    def target(self) -> float:
        """What was ordered, or else what the configuration says, °C."""
        return self.settings.target if self.ordered_target is None else self.ordered_target

    def obey(self, order: Order, now: float) -> None:
        """Take an order. A mode ordered ends an order by hand: the last word counts."""
        match order:
            case SetMode(mode=mode):
                self.ordered_mode = mode
                self.by_hand = None
            case SetTarget(target=target):
                self.ordered_target = target
            case SetHeater(on=on):
                self.by_hand = None if on is None else ByHand(on, now + self.settings.order_hold)

            case ResetFault():
                self.fault = self.forbidding = None
                self.evidence = Evidence(self.settings)

    def adopt(self, old: "Zone") -> None:
        """Go on where the same zone stood before its settings were read anew. (Orders that last come by themselves.)"""
        self.by_hand, self.heating, self.forbidding = old.by_hand, old.heating, old.forbidding
        self.wish, self.decision = old.wish, old.decision

    def adopt_evidence(self, old: "Zone") -> None:
        """Go on with what the readings said, where thermometer, heater and limits are the same as before."""
        if old.settings == self.settings:
            self.evidence, self._seen_at = old.evidence, old._seen_at

    def decide(self, thermometer: Thermometer, now: float, around: interlocks.Around) -> Decision:
        """What this zone asks of its heater now; kept as `wish`."""
        demand = self._demand(thermometer.celsius, now)
        self._look(thermometer, around.relay.on, demand.on)
        situation = interlocks.Situation(
            now=now,
            celsius=thermometer.celsius,
            before=thermometer.before,
            at=thermometer.at,
            trouble=thermometer.trouble,
            stale_after=self.stale_after,
            max_temperature=self.settings.max_temperature,
            around=around,
            findings=self.evidence.findings,
            latched=self.fault,
            forbidding=self.forbidding.reason if self.forbidding else None,
        )
        verdict = interlocks.verdict(situation)
        self.forbidding = verdict.interlock if verdict else None
        until = min(demand.until, interlocks.next_look(situation))
        if verdict:
            demand = self._forbidden(verdict, situation)
        self.wish = demand._replace(until=min(until, demand.until))
        return self.wish

    def _look(self, thermometer: Thermometer, on: bool, wanted: bool) -> None:
        if thermometer.celsius is not None and thermometer.at > self._seen_at:
            self._seen_at = thermometer.at
            self.evidence.see(Mean(thermometer.at, thermometer.celsius), on, wanted)

    def _forbidden(self, verdict: interlocks.Verdict, situation: interlocks.Situation) -> Decision:
        reason = verdict.interlock.reason
        if verdict.latch:
            self.fault = interlocks.Latched(reason, verdict.text)
        off = Decision(False, reason, verdict.text, fault=True)
        return (reason is Reason.STALE_TEMPERATURE and self._against_frost(situation, off)) or off

    def _against_frost(self, situation: interlocks.Situation, off: Decision) -> Decision | None:
        """A little heat although nobody knows how warm it is, where that is configured and nothing else is wrong."""
        settings, warm = self.settings, control.band(self.target, self.settings.hysteresis).off_above
        forbidden = self.mode == "off" or (self.by_hand and not self.by_hand.on)
        doubtful = interlocks.forbidden_otherwise(situation)
        if forbidden or doubtful or not frost.harmless(situation.celsius, warm, situation.trouble):
            return None
        now, stale_at = situation.now, situation.stale_at
        duty = frost.duty(settings.stale_duty, settings.stale_duty_for, stale_at=stale_at, now=now)
        if duty is None:
            return None
        return Decision(duty.on, off.reason, f"{off.text}; {duty.text}", fault=not duty.on, until=duty.until)

    def _demand(self, celsius: float | None, now: float) -> Decision:
        if self.by_hand and now >= self.by_hand.until:
            self.by_hand = None
        limits = control.band(self.target, self.settings.hysteresis)
        self.heating = celsius is not None and self.mode != "off" and control.wants_heat(celsius, limits, self.heating)
        if self.by_hand:
            text = f"ordered {'on' if self.by_hand.on else 'off'} by hand"
            return Decision(self.by_hand.on, Reason.BY_HAND, text, until=self.by_hand.until)
        if self.mode == "off":
            return Decision(False, Reason.MODE_OFF, "the zone's mode is off")
        if self.heating:
            return Decision(True, Reason.BELOW_TARGET, f"{celsius:.2f} °C, heating to {limits.off_above:g} °C")
        seen = "no temperature" if celsius is None else f"{celsius:.2f} °C"
        return Decision(False, Reason.TARGET_REACHED, f"{seen}, heating again below {limits.on_below:g} °C")
