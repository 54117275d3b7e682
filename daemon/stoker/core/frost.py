"""Heat for a small share of the time while nobody knows how warm it is. Only where the configuration wants it.

Rule: it is off by default, bounded in share and in time, never begins with heat, and needs a last temperature that was
neither warm nor doubtful.
"""

import math
from typing import NamedTuple

from stoker.core.messages import Reason
from stoker.core.thermometer import Trouble

CYCLE = 1800.0  # s


class Duty(NamedTuple):
    """On or off, until then."""

    on: bool
    text: str
    until: float


def duty(share: float, most: float, *, stale_at: float, now: float) -> Duty | None:
    """Where in its cycle the zone is, or None where the time for it is over. Each cycle ends with its heat."""
    passed = now - stale_at
    if share <= 0 or not 0 <= passed < most:
        return None
    cycle = stale_at + math.floor(passed / CYCLE) * CYCLE
    on_at, end = cycle + CYCLE * (1 - share), cycle + CYCLE
    text = f"heats {share:.0%} of the time against frost, for at most {(most - passed) / 3600:.1f} h more"
    over = stale_at + most
    return Duty(True, text, min(end, over)) if now >= on_at else Duty(False, text, min(on_at, over))


def harmless(celsius: float | None, warm: float, trouble: Trouble | None) -> bool:
    """Whether the last temperature known allows it: one there was, it was not above `warm`, and it was not doubtful."""
    doubtful = trouble is not None and trouble.reason == Reason.IMPLAUSIBLE_TEMPERATURE
    return celsius is not None and celsius <= warm and not doubtful
