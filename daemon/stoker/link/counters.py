"""What the link counts, for the signal of life and for a monitoring system. Numbers only; they go up since the start.

A round trip is the time from a PUBLISH to its PUBACK. The signal of life is one itself, so no ping has to be timed.
"""

import threading
from collections import Counter, deque
from typing import get_args

from msgspec import Struct

from stoker.core.average import median
from stoker.core.messages import Kind, LinkDown, LinkUp, Message, Notice, Stop

KEPT = 1000  # round trips of one period; more tell nothing new


class RoundTrip(Struct, frozen=True):
    """Seconds: the last one, and those of the period (from one signal of life to the next)."""

    last: float
    median: float
    max: float


class Figures(Struct, frozen=True):
    """A copy, for any thread. `waiting` is still to be said; `round_trips` took `round_trip_seconds` together.

    `backlog`: records of the past that are still to be said; `backlog_oldest`: Unix time of the first of them.
    """

    connects: int
    failures: dict[str, int]
    redelivered: int
    round_trips: int
    round_trip_seconds: float
    round_trip: RoundTrip | None
    waiting: int
    dropped: dict[str, int]
    backlog: int = 0
    backlog_oldest: float | None = None


class Counters:
    """For any thread. Give it to the next link too, and it goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connects = 0
        self._failures: Counter[str] = Counter()
        self._redelivered = 0
        self._dropped: Counter[str] = Counter(dict.fromkeys(get_args(Kind), 0))
        self._round_trips = 0
        self._round_trip_seconds = 0.0
        self._period: deque[float] = deque(maxlen=KEPT)

    def note(self, event: Message | LinkUp | LinkDown | Notice | Stop) -> None:
        """Count what happened."""
        with self._lock:
            match event:
                case LinkUp():
                    self._connects += 1
                case LinkDown(reason):
                    self._failures[reason] += 1
                case Message(duplicate=True):
                    self._redelivered += 1
                case _:
                    pass

    def acknowledged(self, seconds: float) -> None:
        """A PUBACK came, so many seconds after its PUBLISH."""
        with self._lock:
            self._round_trips += 1
            self._round_trip_seconds += seconds
            self._period.append(seconds)

    def dropped(self, kind: str) -> None:
        """Something of this kind will never be said."""
        with self._lock:
            self._dropped[kind] += 1

    def figures(self, waiting: int, new_period: bool = False) -> Figures:
        """All of it now. `new_period`: of round trips, those from now on are the next period's."""
        with self._lock:
            period = list(self._period)
            if new_period:
                self._period.clear()
            return Figures(
                connects=self._connects,
                failures=dict(self._failures),
                redelivered=self._redelivered,
                round_trips=self._round_trips,
                round_trip_seconds=self._round_trip_seconds,
                round_trip=RoundTrip(period[-1], median(period), max(period)) if period else None,
                waiting=waiting,
                dropped=dict(self._dropped),
            )
