"""The signal of life: when it is due, and when its silence means that a device is gone.

Rule: it costs no wake-up of its own where anything else wakes the loop in the last quarter of its period. It is
retained and carries its time, so whoever comes later sees how old it is, on a broker that has lost the will too. With
each goes a share of the retained states, since a broker may have forgotten them.
"""

import math
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from stoker.core.messages import Now

EARLY = 0.25  # of a period: a pass that comes this much too soon is taken for it
GONE_AFTER = 2.5  # periods of silence
ANEW_WITHIN = 900.0  # seconds in which every retained state is said anew
PERIOD = 60.0  # seconds; of the states where there is no signal


class Pulse:
    """When something is to be said although nothing happened. It rests while nobody would hear it."""

    def __init__(self, every: float) -> None:
        self.every = every
        self._last = math.inf

    @property
    def deadline(self) -> float:
        """When the loop has to wake up for it."""
        return self._last + self.every if self.every else math.inf

    @property
    def share(self) -> float:
        """Of all states: how many go with each beat."""
        return (self.every or PERIOD) / ANEW_WITHIN

    def start(self, now: float) -> None:
        """From now on somebody hears, and everything was just said."""
        self._last = now

    def rest(self) -> None:
        """Nobody hears any more."""
        self._last = math.inf

    def beat(self, now: float) -> bool:
        """Whether it is due, and if so it is done."""
        if now < self._last + (self.every or PERIOD) * (1 - EARLY):
            return False
        self._last = now
        return True


class Signal(Struct, frozen=True):
    """What everybody may rely on in a signal of life; `every`: seconds until the next one."""

    time: Annotated[datetime, Meta(tz=True)]
    every: Annotated[float, Meta(gt=0)]
    synchronised: bool = True  # the device trusts its clock

    @property
    def patience(self) -> float:
        """Seconds of silence after which the device is gone."""
        return GONE_AFTER * self.every

    def age(self, wall: float) -> float:
        """Seconds since it was said; at least 0, since clocks differ a little."""
        return max(0.0, wall - self.time.timestamp())

    def late(self, now: Now) -> bool:
        """Whether the device is gone, as far as two clocks that are known to be right can tell."""
        return self.synchronised and now.synchronised and self.age(now.wall) > self.patience
