"""How often in a row the daemon died young while heating. Counted in runs, not in hours: a Pi's clock may be wrong.

Rule: a run counts from its first heat on, until it has lasted `stable_after` or ends in order. What is remembered is
the count alone, so a run writes it once, and once more to forget it.
"""

import math
from typing import NamedTuple

KEY = "restarts"
MOST = 1000  # more are not counted


class Write(NamedTuple):
    """What is to be remembered; None forgets."""

    value: str | None


class Restarts:
    """The count, and until when this run stays without heat because of it."""

    def __init__(self, remembered: str | None, most: int, stable_after: float, now: float) -> None:
        self.count = _number(remembered)
        self._began = now
        self.settle(most, stable_after)
        self._kept = remembered
        self._counted = False

    def settle(self, most: int, stable_after: float) -> None:
        """What is allowed from now on. A run that was stable stays so."""
        self.too_many = 0 < most <= self.count
        self.stable_at = self._began + stable_after

    @property
    def held_until(self) -> float:
        """No heat before this monotonic time."""
        return self.stable_at if self.too_many else -math.inf

    def text(self, now: float) -> str:
        """Why there is no heat, or nothing."""
        if now >= self.held_until:
            return ""
        left = self.stable_at - now
        return f"ended {self.count} times in a row soon after it had begun to heat; heats in {left:.0f} s if it lives"

    def heating(self, now: float) -> Write | None:
        """A heater is about to be switched on."""
        if self._counted or now >= self.stable_at:
            return None
        self._counted = True
        return self._write(str(min(self.count + 1, MOST)))

    def stable(self, now: float) -> Write | None:
        """Some time has passed."""
        if now < self.stable_at:
            return None
        self.count, self._counted = 0, True
        return self._write(None)

    def stopping(self) -> Write | None:
        """This run ends in order."""
        return self._write(None)

    def _write(self, value: str | None) -> Write | None:
        if value == self._kept:
            return None
        self._kept = value
        return Write(value)


def _number(text: str | None) -> int:
    return min(int(text), MOST) if text and text.isascii() and text.isdigit() and len(text) < 9 else 0
