"""The one queue and the one clock. The only place that waits.

Rule: threads and callbacks do nothing but `put`. A guest (the link) goes on here while nothing else is to be done, so
what comes in faster than it is handled stays with who sends it.
"""

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from stoker import clock
from stoker.core.messages import Now, Stop
from stoker.link.waker import Wait, Waker

LIMIT = 1000  # events; beyond, what arrives is dropped and counted
LONGEST_WAIT = 86400.0  # seconds; a lock's time-out has a limit, and a pass more a day costs nothing
ASK_AGAIN = 10.0  # seconds until the system is asked again whether its clock is right

Event = TypeVar("Event")

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds that never jump, and that count through suspend where the system offers such a clock (Linux)."""
    return time.clock_gettime(_BOOTTIME)


class Guest(Protocol):
    """Who works in this thread, step by step, and never waits."""

    @property
    def waits(self) -> Wait | None:
        """For what: till a time that is over, where there is something to do at once. None after the end."""
        ...

    def begin(self, wake: Callable[[], None]) -> None:
        """The first step. `wake` has `waits` looked at again, from any thread."""
        ...

    def go_on(self, events: int | None = 0) -> None:
        """The next one, since these events came or its time has come."""
        ...

    def leave(self, timeout: float) -> None:
        """From now on it comes to its end, within `timeout` seconds."""
        ...

    def abandon(self) -> None:
        """There is no next step."""
        ...


class Inbox(Generic[Event]):
    """Everything that happens, in order, for one thread."""

    def __init__(
        self, clock_trusted: bool = True, ask: Callable[[], bool] = clock.synchronised, ask_again: float = ASK_AGAIN
    ) -> None:
        self._synchronised = clock_trusted  # once right, the clock stays right enough: it is not asked again
        self._ask = ask
        self._ask_again, self._asked = ask_again, -math.inf
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stop: Event | None = None
        self._guests: deque[Guest] = deque()  # the first is at work
        self._waker = Waker()
        self._owner = threading.get_ident()  # the thread that waits here
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Add an event. Never blocks. A Stop overtakes all others; beyond LIMIT what arrives is dropped and counted."""
        if isinstance(event, Stop):
            self._stop = self._stop or event
        if self._queue.qsize() < LIMIT or isinstance(event, Stop):
            self._queue.put(event)
            self.wake()
        else:
            self.dropped += 1

    def wake(self) -> None:
        """Have the waiting thread look again."""
        if threading.get_ident() != self._owner:  # which does not wait now
            self._waker.set()

    def get(self, until: float = math.inf) -> Event | None:
        """The next event, or None once the monotonic clock reaches `until`."""
        self._owner = threading.get_ident()
        while self._queue.empty():
            left = until - monotonic()
            self._wait(min(max(0.0, left), LONGEST_WAIT))
            if left <= 0 and self._queue.empty():
                break
        event = None if self._queue.empty() else self._queue.get_nowait()
        stop, self._stop = self._stop, None
        return stop or event

    def attend(self, guest: Guest) -> None:
        """Have it go on here from now on; behind those who came before, when they have come to their end."""
        self._guests.append(guest)
        if self._guests[0] is guest:
            guest.begin(self.wake)

    def see_off(self, timeout: float) -> None:
        """Let the guests come to their end, for at most `timeout` seconds. What comes meanwhile is nobody's."""
        until = monotonic() + timeout
        for guest in self._guests:
            guest.leave(timeout)
        while self._guests and (left := until - monotonic()) > 0:
            self._wait(left)
        while self._guests:
            self._guests.popleft().abandon()

    def _wait(self, seconds: float) -> None:
        """Until something comes or the time is over, or until the guest has gone a step further."""
        until = time.monotonic() + seconds
        if not self._guests:
            self._waker.sleep(Wait(until))
            return
        guest = self._guests[0]
        waits = guest.waits or Wait(0.0)
        events = self._waker.sleep(waits._replace(until=min(until, waits.until)))
        if events or time.monotonic() >= (guest.waits or waits).until:
            guest.go_on(events)
            self._part()

    def _part(self) -> None:
        """From who has come to his end. The next one's turn comes."""
        while self._guests and self._guests[0].waits is None:
            self._guests.popleft()
            if self._guests:
                self._guests[0].begin(self.wake)

    def now(self) -> Now:
        """The time, once for a whole pass."""
        mono = monotonic()
        if not self._synchronised and mono >= self._asked + self._ask_again:
            self._asked, self._synchronised = mono, self._ask()
        return Now(mono, time.time(), self._synchronised)
