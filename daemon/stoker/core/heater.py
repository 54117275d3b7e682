"""One relay: what its zones ask, how often it may switch, and what to do when it doesn't.

Rule: nothing here makes heat. A zone's wish may be delayed here, and it is lost where the relay cannot be trusted.
"""

import math
from collections.abc import Iterable

from stoker.core.interlocks import TOLERANCE, Relay
from stoker.core.messages import Now, Reason
from stoker.core.settings import Heater as Settings
from stoker.core.stretch import Stretch
from stoker.core.zone import Decision

RETRY_FIRST, RETRY_MOST = 1.0, 10.0  # seconds between attempts to drive off a relay that failed
DISTRUST_FIRST, DISTRUST_MOST = 10.0, 600.0  # seconds that a relay which failed to switch on stays off, growing


class Heater:
    """What the driver last confirmed, and since when. A heater starts off, and as if just switched off.

    `remembered`: what an earlier run had `to_remember`.
    """

    def __init__(self, settings: Settings, remembered: str | None, now: Now) -> None:
        self.settings = settings
        self.on: bool = False
        self.since = now.mono
        self._stretch = Stretch(remembered, now)
        self.failure = ""  # why the driver could not switch; empty while it can
        self.retry_at = math.inf
        self._pause = RETRY_FIRST
        self._distrust = 0.0
        self._asked_by: set[int] = set()  # the zones that asked when any did, by their place
        self._heated = 0.0  # s, until it was last switched
        self.decision = Decision(False, Reason.NO_TEMPERATURE_YET, "just started")

    def relay(self, now: float) -> Relay:
        """What its zones' interlocks may know of it."""
        settings, stretch = self.settings, self._stretch
        since, until = (stretch.began, now) if self.on else (stretch.ended, stretch.ended)
        limits = (settings.max_on, settings.max_on_rest, settings.max_on_latch)
        return Relay(self.on, since, until, *limits, stretch.length())

    def to_remember(self, now: Now, stopping: bool = False) -> str | None:
        """What the next run has to know for the sake of `max_on`, where that is not remembered yet."""
        max_on, stretch = self.settings.max_on, self._stretch
        if not max_on:
            return None
        if self.on:
            return stretch.lease(max_on, now)
        return stretch.end(now) if stopping or stretch.length() >= max_on - TOLERANCE else None

    def heated(self, now: float) -> float:
        """Seconds that it was on since the program began."""
        return self._heated + (now - self.since if self.on else 0.0)

    def new_zones(self) -> None:
        """Its zones may be others now: who asked before is not known by their place any more, so every fault counts."""
        self._asked_by = set()

    def decide(self, wishes: Iterable[Decision], now: float) -> Decision:
        """From what the zones ask to what the relay shall do now."""
        asked = list(wishes) or [Decision(False, Reason.NO_ZONE, "no zone has this heater", fault=True)]
        if asking := {number for number, wish in enumerate(asked) if wish.on}:
            self._asked_by = asking
        # Once nobody asks any more, those count who did: their fault ends heat at once, another zone's does not.
        heard = [wish for number, wish in enumerate(asked) if number in self._asked_by] or asked
        wish = next((wish for wish in heard if wish.on or wish.fault), heard[0])
        decision = self._settle(wish, now)
        renew_at = self._stretch.renew_at if self.on and self.settings.max_on else math.inf
        until = min(decision.until, renew_at, *(wish.until for wish in asked))
        self.decision = decision._replace(until=until)
        return self.decision

    def _settle(self, wish: Decision, now: float) -> Decision:
        if self.failure:
            return Decision(False, Reason.SWITCH_FAILED, self.failure, fault=True, until=self.retry_at)
        free_at = self.since + (self.settings.min_on if self.on else max(self.settings.min_off, self._distrust))
        if wish.on is self.on or wish.fault or now >= free_at:
            return wish
        state = "on" if self.on else "off"
        text = f"stays {state} for another {free_at - now:.0f} s, then {wish.reason}"
        return Decision(self.on, Reason.SHORT_CYCLE, text, until=free_at)

    def must_switch(self, now: float) -> bool:
        """The driver has work to do: the decision differs from what it confirmed, or an attempt is due again."""
        return now >= self.retry_at if self.failure else self.decision.on is not self.on

    def switched(self, on: bool, now: float) -> None:
        """The driver did it."""
        if self.on and not on:
            self._stretch.switched_off(now)
        if on and not self.on:
            self._stretch.switched_on(now, self.settings.max_on_rest)
        if on is not self.on or self.failure:
            self._heated = self.heated(now)
            self.since = now
        if on:
            self._distrust = 0.0
        self.on, self.failure, self.retry_at, self._pause = on, "", math.inf, RETRY_FIRST

    def failed(self, text: str, now: float) -> None:
        """The driver could not. Off is tried until it works; then on is, at growing intervals until that works too."""
        if not self.failure:
            self._distrust = min(max(DISTRUST_FIRST, self._distrust * 2), DISTRUST_MOST)
        self.failure = text
        self.retry_at = now + self._pause
        self._pause = min(self._pause * 2, RETRY_MOST)
