"""How long to wait before the next try. Pure: chance is an argument.

Rule: the bound doubles with every failure and the pause is a random part of it ("full jitter"), so that a street of
devices does not come back to its broker in one wave. Only a connection that lasted starts the count anew: one that is
cut at once, over and over, is no success.
"""

import random
from collections.abc import Callable

BASE = 1.0  # seconds; the bound after a first failure
PATIENT_BASE = 10.0  # seconds; the same where only a person can help: a wrong password is not worth a hammer
PATIENT_CAP = 60.0  # seconds
LASTED = 30.0  # seconds after which a connection counts as good
MOST_DOUBLINGS = 16  # keeps 2 ** n a small number after years of failures


class Backoff:
    """Counts failures in a row. `cap` is the longest pause in seconds; `chance` gives 0 ≤ x < 1."""

    def __init__(self, cap: float, chance: Callable[[], float] = random.random) -> None:
        self._cap = cap
        self._chance = chance
        self._failures = 0

    def pause(self, lasted: float, patient: bool = False) -> float:
        """Seconds to wait after a connection that stood for `lasted` seconds; 0 where none was made."""
        if lasted >= LASTED:
            self._failures = 0
        base, cap = (PATIENT_BASE, max(PATIENT_CAP, self._cap)) if patient else (BASE, self._cap)
        bound = min(cap, base * 2.0 ** min(self._failures, MOST_DOUBLINGS))
        self._failures += 1
        return self._chance() * bound
