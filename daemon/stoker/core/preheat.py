"""Optimum start: how long before its time heating has to begin, learnt from the room's own rises.

Rule: only a rise that went from its order to its target undisturbed counts, and of those the median.
"""

import math
from collections import deque
from typing import NamedTuple

from stoker.core.average import median

UNLEARNT = 1800.0  # s per K, while no rise was seen
LEAST, MOST = 60.0, 28800.0  # s per K that are believed
LONGEST = 21600.0  # s, earliest start
SMALLEST = 0.5  # K; a smaller rise tells nothing and is not begun earlier for
NEAR = 0.25  # K below the target that count as there
KEPT = 15  # rises
ALIKE = 5  # of those, as many with the outside temperature most like today's count
GAP = 600.0  # s without a look: a rise is not undisturbed


class Rise(NamedTuple):
    """One that arrived. `outside` is None where nobody knows it."""

    seconds_per_kelvin: float
    outside: float | None = None


class Preheat:
    """Give `watch` every reading; ask `start_before`. `rises` is what has been learnt, to be kept and given back."""

    def __init__(self, rises: list[Rise] | None = None) -> None:
        self.rises: deque[Rise] = deque(rises or (), maxlen=KEPT)
        self._target = math.inf
        self._from: tuple[float, float] | None = None  # temperature and time at which the present rise began
        self._then = -math.inf

    def watch(self, celsius: float, target: float, now: float, *, outside: float | None = None) -> None:
        """Take a reading while this controller decides; `disturbed` when it does not."""
        if now - self._then > GAP:
            self.disturbed()
        self._then = now
        if target != self._target:
            self._from = (celsius, now) if target > self._target and target - celsius >= SMALLEST else None
            self._target = target
        elif self._from and celsius >= target - NEAR:
            began_at, began = self._from
            self._from = None
            speed = (now - began) / (celsius - began_at)
            if LEAST <= speed <= MOST:
                self.rises.append(Rise(speed, outside))

    def disturbed(self) -> None:
        """Mode off, an order by hand, an interlock, an open window: the present rise tells nothing."""
        self._from = None
        self._target = math.inf

    def start_before(self, celsius: float, target: float, outside: float | None = None) -> float:
        """Seconds before its time at which a higher target has to hold for the room to be there in time; 0: none."""
        if target - celsius < SMALLEST:
            return 0.0
        return min((target - celsius) * self._seconds_per_kelvin(outside), LONGEST)

    def _seconds_per_kelvin(self, outside: float | None) -> float:
        if not self.rises:
            return UNLEARNT
        recent = list(self.rises)[-ALIKE:]
        if outside is not None:
            recent = sorted(
                self.rises, key=lambda rise: abs(rise.outside - outside) if rise.outside is not None else 99
            )[:ALIKE]
        return median(rise.seconds_per_kelvin for rise in recent)
