"""The one queue and the one clock. The only place that waits.

Rule: threads and callbacks do nothing but `put`.
"""

import contextlib
import math
import queue
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from stoker import clock
from stoker.core.messages import Now, Stop

LIMIT = 1000  # events; beyond, what arrives is dropped and counted. The link stops reading long before.
LONGEST_WAIT = 86400.0  # seconds; a lock's time-out has a limit, and a pass more a day costs nothing
CROWDED = 100  # events; from here on the link leaves what comes in the socket
ASK_AGAIN = 10.0  # seconds until the system is asked again whether its clock is right

Event = TypeVar("Event")

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds that never jump, and that count through suspend where the system offers such a clock (Linux)."""
    return time.clock_gettime(_BOOTTIME)


class Inbox(Generic[Event]):
    """Everything that happens, in order."""

    def __init__(
        self, clock_trusted: bool = True, ask: Callable[[], bool] = clock.synchronised, ask_again: float = ASK_AGAIN
    ) -> None:
        self._synchronised = clock_trusted  # once right, the clock stays right enough: it is not asked again
        self._ask = ask
        self._ask_again, self._asked = ask_again, -math.inf
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stop: Event | None = None
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event. Never blocks. A Stop overtakes all others; beyond LIMIT what arrives is dropped and counted."""
        if isinstance(event, Stop):
            self._stop = self._stop or event
        if self._queue.qsize() < LIMIT or isinstance(event, Stop):
            self._queue.put(event)
        else:
            self.dropped += 1

    def crowded(self) -> bool:
        """Whether those who can should hold back what they have."""
        return self._queue.qsize() >= CROWDED

    def get(self, until: float = math.inf) -> Event | None:
        """The next event, or None once the monotonic clock reaches `until`."""
        timeout = None if math.isinf(until) else min(max(0.0, until - monotonic()), LONGEST_WAIT)
        event = None
        with contextlib.suppress(queue.Empty):
            event = self._queue.get(timeout=timeout)
        stop, self._stop = self._stop, None
        return stop or event

    def now(self) -> Now:
        """The time, once for a whole pass."""
        mono = monotonic()
        if not self._synchronised and mono >= self._asked + self._ask_again:
            self._asked, self._synchronised = mono, self._ask()
        return Now(mono, time.time(), self._synchronised)
