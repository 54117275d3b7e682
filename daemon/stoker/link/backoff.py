"""Which broker is tried next, and how long to wait before. Pure: time and chance are arguments.

Rule: the bound doubles with every second failure of a broker and the pause is a random part of it ("full jitter"), so
that a street of devices does not come back in one wave and a broker that was away for seconds is found within two.
Where haste is of no use, it doubles each time, and the pause is never less than half of it. Only a connection that
lasted starts the count anew: one that is cut at once is no success.
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Literal

Pace = Literal["soon", "busy", "person"]
"""What a failure asks for: another try soon, a rest for a broker that has too much to do, or a person's help."""

BASE = 1.0  # seconds; the bound after a first failure
BASES: dict[Pace, float] = {"soon": BASE, "busy": 5.0, "person": 10.0}  # a wrong password is not worth a hammer
PATIENT_CAP = 60.0  # seconds; the least that the longest pause is, where haste is of no use
LASTED = 30.0  # seconds after which a connection counts as good
MOST_DOUBLINGS = 16  # keeps 2 ** n a small number after years of failures


class Backoff:
    """Counts failures in a row. `cap` is the longest pause in seconds; `chance` gives 0 ≤ x < 1."""

    def __init__(self, cap: float, chance: Callable[[], float] = random.random) -> None:
        self._cap = cap
        self._chance = chance
        self._failures: Counter[Pace] = Counter()  # each by itself: one that was down for days may be busy for a second

    def pause(self, lasted: float, pace: Pace = "soon") -> float:
        """Seconds to wait after a connection that stood for `lasted` seconds; 0 where none was made."""
        if lasted >= LASTED:
            self._failures.clear()
        cap = self._cap if pace == "soon" else max(PATIENT_CAP, self._cap)
        doublings = self._failures[pace] // 2 if pace == "soon" else self._failures[pace]
        bound = min(cap, BASES[pace] * 2.0 ** min(doublings, MOST_DOUBLINGS))
        self._failures[pace] += 1
        return bound * (self._chance() if pace == "soon" else 0.5 + self._chance() / 2)


class Turns:
    """Several brokers, each with its own back-off. The one that works keeps its turn until it fails."""

    def __init__(self, number: int, cap: float, chance: Callable[[], float] = random.random) -> None:
        self.current = 0
        self._chance = chance
        self._backoffs = [Backoff(cap, chance) for _ in range(number)]
        self._due = [0.0] * number  # when each may be tried again

    def failed(self, now: float, lasted: float, pace: Pace, instead: int | None = None) -> float:
        """The current one failed: seconds to wait, and then `current` is to be tried.

        `instead`: the one that the broker itself sends us to. It is taken if nothing else speaks against it.
        """
        number = len(self._due)
        self._due[self.current] = now + self._backoffs[self.current].pause(lasted, pace)
        order = [(self.current + step) % number for step in range(1, number + 1)]
        following = min(order, key=self._due.__getitem__)
        if instead is not None and self._due[instead] <= now:
            following = instead
        spread = self._chance() * BASE if lasted and following != self.current else 0.0  # all devices lost it just now
        self.current = following
        return max(self._due[following] - now, spread)
