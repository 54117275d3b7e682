"""The heaters' drivers, opened when they can be. The first to be let go when the program ends.

Rule: every way out of here is off. A driver that failed is closed (off as far as it can) and claimed anew at its off
level at the next attempt, so a relay that comes back is driven again without a restart.
"""

import logging
from collections.abc import Callable

from stoker.core.messages import Switched, SwitchFailed
from stoker_drivers.interfaces import Heater, HeaterError

log = logging.getLogger(__name__)


class HeaterPort:
    """One heater by name. `claim` makes its driver, which is off when it is made."""

    def __init__(self, name: str, claim: Callable[[], Heater]) -> None:
        self.name = name
        self._claim = claim
        self._driver: Heater | None = None

    def switch(self, on: bool) -> Switched | SwitchFailed:
        """Drive it, claiming it first where that has not happened or failed before."""
        try:
            if self._driver is None:
                self._driver = self._claim()
            self._driver.switch(on)
        except HeaterError as error:
            self.close()
            return SwitchFailed(self.name, str(error))
        except Exception as error:  # a driver's bug is a failed switch, not the end of control
            log.debug("heater %s", self.name, exc_info=True)
            self.close()
            return SwitchFailed(self.name, f"{type(error).__name__}: {error}")
        return Switched(self.name, on)

    def close(self) -> None:
        """Off, and let go. Whatever the driver says to that, the others are let go too."""
        driver, self._driver = self._driver, None
        try:
            if driver is not None:
                driver.close()
        except Exception as error:
            log.error("heater %s could not be let go: %s", self.name, error)
