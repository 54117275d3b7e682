"""What is known of one thermometer. Only a reading that every rule in `READING_RULES` lets pass is taken.

A reading that is refused changes nothing but the trouble told; with time what is known becomes stale.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from stoker.core.messages import Reading, ReadingFailed, Reason
from stoker.core.settings import Thermometer as Settings

OUTLIER = 5.0  # K from the median of its zone
REPEAT = 300.0  # seconds; the same trouble is told again at most this often


class ReadingRule(NamedTuple):
    """A row of the table: when is a reading not taken?"""

    reason: Reason
    sees: str
    refuses: Callable[[float, Settings], str]  # the text that says why, or nothing


def _implausible(celsius: float, limits: Settings) -> str:
    if not math.isfinite(celsius):
        return f"{celsius} is no temperature"
    if not limits.minimum <= celsius <= limits.maximum:
        return f"{celsius:.2f} °C is outside {limits.minimum:g} to {limits.maximum:g} °C"
    return ""


READING_RULES = (ReadingRule(Reason.IMPLAUSIBLE_TEMPERATURE, "a reading out of the thermometer's range", _implausible),)


class Trouble(NamedTuple):
    """Why the last reading is missing."""

    reason: str
    text: str


class Seen(NamedTuple):
    """What a zone knows of its temperature."""

    celsius: float | None
    at: float  # when the oldest reading that counts was measured; before the first, when the waiting began
    trouble: Trouble | None  # why there is none newer


class Thermometer:
    """The last reading that was taken, and what has been wrong since."""

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self.celsius: float | None = None
        self.at = now  # of the last reading taken; before the first, when the waiting began
        self.trouble: Trouble | None = None
        self._told: dict[str, float] = {}  # reason -> when it was last told
        self.telling = False  # the present trouble was told, so its end will be

    def take(self, reading: Reading) -> Trouble | None:
        """Take a reading, or return why not."""
        for rule in READING_RULES:
            if text := rule.refuses(reading.celsius, self.settings):
                self.trouble = Trouble(rule.reason, text)
                return self.trouble
        if self.celsius is None or reading.at >= self.at:
            self.celsius, self.at = reading.celsius, reading.at
        self.trouble = None
        return None

    def fail(self, failure: ReadingFailed) -> Trouble:
        """Note that there was no reading, and why."""
        self.trouble = Trouble(failure.reason, failure.text)
        return self.trouble

    def seen(self) -> Seen:
        """What is known."""
        return Seen(self.celsius, self.at, self.trouble)

    def worth_telling(self, reason: str, now: float) -> bool:
        """Tell the same trouble at most once in `REPEAT` seconds, however often it comes and goes."""
        if now - self._told.get(reason, -math.inf) < REPEAT:
            return False
        self._told[reason] = now
        self.telling = True
        return True


def together(several: Sequence[Thermometer], stale_after: float, now: float) -> Seen:
    """The median of those that have a fresh reading; the dead ones are left out, and an outlier moves nothing.

    Where none is fresh, the freshest of the stale.
    """
    fresh = [one for one in several if one.celsius is not None and now < one.at + stale_after]
    if len(fresh) < 2:
        return max(fresh or several, key=lambda one: (one.celsius is not None, one.at)).seen()
    values = [one.celsius for one in fresh if one.celsius is not None]
    return Seen(statistics.median(values), min(one.at for one in fresh), None)


def outliers(several: Mapping[str, Thermometer], celsius: float) -> list[str]:
    """Those that differ from the median by more than `OUTLIER`, where three or more measure one place."""
    if len(several) < 3:
        return []
    return [name for name, one in several.items() if one.celsius is not None and abs(one.celsius - celsius) > OUTLIER]
