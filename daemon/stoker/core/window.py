"""An open window, seen by its fall of temperature. While it is thought to be open, heat would only go out of it.

Rule: only a fall is seen here, by what a thermometer says; the pause has an end whatever happens, and frost protection
stands above it. Each level is the median of five readings: two outliers move nothing.
"""

import math
from collections import deque
from typing import NamedTuple

from stoker.core.average import median

STEPS = 60  # readings in the time that a fall may take; what comes faster is left out, so memory is bounded
MEDIAN = 5  # readings, odd: with noise of 0.1 K, a fall of 0.5 K is then no chance
RISE = 0.5  # of the fall: risen by as much from the lowest, the window is thought to be closed again


class _Point(NamedTuple):
    celsius: float
    at: float


class OpenWindow:
    """A fall of `fall` K in `within` seconds or less suspends heating for `suspend` seconds.

    Times are monotonic. It ends early when the temperature rises clearly. If it still falls as steeply at the end, the
    next pause begins.
    """

    def __init__(self, fall: float, within: float, suspend: float) -> None:
        self.fall = fall
        self.within = within
        self.suspend = suspend
        self.until: float | None = None  # heating is suspended until then; None or past: it is not
        self._text = ""
        self._by: tuple[str, ...] = ()
        self._lowest = math.inf
        self._readings: deque[_Point] = deque(maxlen=MEDIAN)
        self._levels: deque[_Point] = deque()  # of the last `within` seconds

    def suspends(self, now: float) -> str:
        """Why heating is suspended, for a person; nothing where it is not."""
        if self.until is None or now >= self.until:
            return ""
        return f"{self._text}, so a window is open; heating again in {self.until - now:.0f} s, or when it gets warmer"

    def take(self, celsius: float, at: float, by: tuple[str, ...] = ()) -> None:
        """Take an accepted reading. One that is no number, or older than one taken before, is left out.

        `by`: the thermometers that it comes from. What others said before is not compared with it.
        """
        if not (math.isfinite(celsius) and math.isfinite(at)):
            return
        if by and by != self._by:
            self._by, self._lowest = by, math.inf
            self._readings.clear()
            self._levels.clear()
        gap = at - self._readings[-1].at if self._readings else math.inf
        if gap < self.within / STEPS:
            return
        if gap > self.within:
            self._readings.clear()  # nobody knows how fast it fell meanwhile
        self._readings.append(_Point(celsius, at))
        if len(self._readings) < MEDIAN:
            return
        # A steady fall passes through its median in the middle, so that is the time of it.
        level = _Point(median(reading.celsius for reading in self._readings), self._readings[MEDIAN // 2].at)
        self._watch_for_the_end(level, at)
        self._watch_for_a_fall(level, at)

    def _watch_for_the_end(self, level: _Point, at: float) -> None:
        self._lowest = min(self._lowest, level.celsius)
        if self.until is None:
            return
        if level.celsius - self._lowest >= RISE * self.fall:
            self.until = None
            self._levels.clear()  # from before the window was opened, much warmer
        elif at >= self.until:
            self.until = None

    def _watch_for_a_fall(self, level: _Point, at: float) -> None:
        while self._levels and level.at - self._levels[0].at > self.within:
            self._levels.popleft()
        self._levels.append(level)
        warmest = max(self._levels)
        if self.until is not None or warmest.celsius - level.celsius < self.fall:
            return
        self.until = at + self.suspend
        self._lowest = level.celsius
        fallen = warmest.celsius - level.celsius
        self._text = f"fell by {fallen:.1f} K in {level.at - warmest.at:.0f} s to {level.celsius:.1f} °C"
        self._levels.clear()  # the same fall is not seen twice
