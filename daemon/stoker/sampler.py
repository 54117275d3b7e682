"""A thread per thermometer: read, stamp, put.

Rule: no failure ends it. A read that hangs leaves this thread hanging and nobody else: the zone's reading grows stale.
"""

import logging
import threading
from collections.abc import Callable

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
        self._end = threading.Event()
        # daemon: a read that never returns must not keep the process alive
        self._thread = threading.Thread(target=self._run, name=f"thermometer-{name}", daemon=True)

    def start(self) -> None:
        """Begin at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading and let the driver go, without waiting for a read under way."""
        self._end.set()
        try:
            self._driver.close()
        except Exception as error:
            log.warning("thermometer %s could not be let go: %s: %s", self.name, type(error).__name__, error)

    def _run(self) -> None:
        due = monotonic()
        while not self._end.is_set():
            outcome = self._sample()
            if self._end.is_set():
                return
            self._put(outcome)
            now = monotonic()
            due = max(due + self._interval, now)  # a slow read delays the next, and is not made up for
            self._end.wait(due - now)

    def _sample(self) -> Reading | ReadingFailed:
        at = monotonic()  # before the read: a reading is never younger than it says
        try:
            celsius: object = self._driver.read()
            if isinstance(celsius, int | float) and not isinstance(celsius, bool):
                return Reading(self.name, float(celsius), at)
            return ReadingFailed(self.name, "driver-error", f"{celsius!r:.60} is no temperature", at)
        except SensorError as error:
            return ReadingFailed(self.name, error.reason, str(error), at)
        except (Exception, SystemExit) as error:  # a driver's bug is a failed reading, not the end of reading
            log.debug("thermometer %s", self.name, exc_info=True)
            return ReadingFailed(self.name, "driver-error", f"{type(error).__name__}: {error}", at)
