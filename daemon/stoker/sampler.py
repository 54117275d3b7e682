"""A thread per thermometer: read, stamp, put.

Rule: no failure ends it. A read that hangs leaves this thread hanging and nobody else: the zone's reading grows stale.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import cast

from stoker.core.messages import Reading, ReadingFailed
from stoker.inbox import monotonic
from stoker_drivers.interfaces import SensorError, Thermometer

log = logging.getLogger(__name__)


class Sampler:
    """Reads one thermometer every `interval` seconds, from the moment of `start`."""

    def __init__(
        self, name: str, driver: Thermometer, interval: float, put: Callable[[Reading | ReadingFailed], None]
    ) -> None:
        self.name = name
        self._driver = driver
        self._interval = interval
        self._put = put
        self._ended = False
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()  # whose wait is short work, unlike an Event's
        # daemon: a read that never returns must not keep the process alive
        self._thread = threading.Thread(target=self._run, name=f"thermometer-{name}", daemon=True)

    def start(self) -> None:
        """Begin at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading and let the driver go, without waiting for a read under way."""
        self._ended = True
        self._end.put(None)
        try:
            self._driver.close()
        except Exception as error:
            log.warning("thermometer %s could not be let go: %s: %s", self.name, type(error).__name__, error)

    def _run(self) -> None:
        due = monotonic()
        while not self._ended:
            outcome = self._sample()
            if self._ended:
                return
            now = monotonic()
            due = max(due + self._interval, now)  # a slow read delays the next, and is not made up for
            self._put(outcome)  # and to sleep at once: who wakes for it needs what we hold
            with contextlib.suppress(queue.Empty):
                self._end.get(timeout=due - now)

    def _sample(self) -> Reading | ReadingFailed:
        at = monotonic()  # before the read: a reading is never younger than it says
        try:
            celsius = cast(object, self._driver.read())  # who knows what another's driver returns
            if isinstance(celsius, int | float) and not isinstance(celsius, bool):
                return Reading(self.name, float(celsius), at)
            return ReadingFailed(self.name, "driver-error", f"{celsius!r:.60} is no temperature", at)
        except SensorError as error:
            return ReadingFailed(self.name, error.reason, str(error), at)
        except (Exception, SystemExit) as error:  # a driver's bug is a failed reading, not the end of reading
            log.debug("thermometer %s", self.name, exc_info=True)
            return ReadingFailed(self.name, "driver-error", f"{type(error).__name__}: {error}", at)
