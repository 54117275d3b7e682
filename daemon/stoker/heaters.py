"""The heaters' drivers, opened when they can be. The first to be driven when the program begins, and the first to be
let go when it ends.

Rule: every way out of here is off. A driver that failed is closed (off as far as it can) and claimed anew at its off
level at the next attempt, so a relay that comes back is driven again without a restart. Each driver works in a thread
of its own: one that hangs holds up nobody else's heater for longer than its time-out. Where it may have left its heater
on, only a new process can switch it off, so the loop ends this one.
"""

import logging
import queue
import threading
from collections.abc import Callable

from stoker.core.messages import Switched, SwitchFailed
from stoker.inbox import monotonic
from stoker_drivers.interfaces import Heater, HeaterError

log = logging.getLogger(__name__)

FIRST_CLAIM = 10.0  # seconds; on a small Pi the pin library alone takes some to import
PATIENCE = 2.0  # seconds for everything after that
HANGS_AFTER = 5.0  # seconds without an answer, and it will not come

Outcome = Switched | SwitchFailed


class HeaterPort:
    """One heater by name. `claim` makes its driver, which is off when it is made."""

    def __init__(self, name: str, claim: Callable[[], Heater]) -> None:
        self.name = name
        self._claim = claim
        self._driver: Heater | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[], Outcome], queue.SimpleQueue[Outcome]]] = queue.SimpleQueue()
        self._answer: queue.SimpleQueue[Outcome] | None = None  # of work that the driver hangs in
        self._asked = 0.0
        self._may_be_on = False
        self._patience = FIRST_CLAIM
        threading.Thread(target=self._run, name=f"heater-{name}", daemon=True).start()

    def switch(self, on: bool) -> Outcome:
        """Drive it, claiming it first where that has not happened or failed before."""
        self._may_be_on |= on
        outcome = self._do(lambda: self._switch(on))
        if outcome == Switched(self.name, False):
            self._may_be_on = False
        return outcome

    def hangs(self, now: float) -> bool:
        """Whether its driver has gone, and perhaps left it on."""
        waits = self._answer is not None and self._answer.empty()
        return waits and self._may_be_on and now >= self._asked + HANGS_AFTER

    def close(self) -> Outcome:
        """Off, and let go."""
        return self._do(self._close)

    def _do(self, work: Callable[[], Outcome]) -> Outcome:
        """Have it done in the driver's thread, and wait for it a little. What hangs is not asked again."""
        if self._answer is not None:
            try:
                self._answer.get_nowait()
            except queue.Empty:
                return SwitchFailed(self.name, "the driver still hangs")
        answer: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._asked = monotonic()
        self._work.put((work, answer))
        patience, self._patience = self._patience, PATIENCE
        try:
            outcome = answer.get(timeout=patience)
        except queue.Empty:
            self._answer = answer
            return SwitchFailed(self.name, f"the driver did not answer within {patience:g} s")
        self._answer = None
        return outcome

    # --- in the driver's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            work, answer = self._work.get()
            answer.put(work())

    def _switch(self, on: bool) -> Outcome:
        try:
            if self._driver is None:
                self._driver = self._claim()
            self._driver.switch(on)
        except (Exception, SystemExit) as error:  # a driver's bug is a failed switch, not the end of control
            log.debug("heater %s", self.name, exc_info=True)
            self._close()
            return SwitchFailed(self.name, _words(error))
        return Switched(self.name, on)

    def _close(self) -> Outcome:
        driver, self._driver = self._driver, None
        if driver is not None:
            try:
                driver.close()
            except (Exception, SystemExit) as error:
                log.debug("heater %s", self.name, exc_info=True)
                return SwitchFailed(self.name, f"could not be let go: {_words(error)}")
        return Switched(self.name, False)


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, HeaterError) else f"{type(error).__name__}: {error}"
