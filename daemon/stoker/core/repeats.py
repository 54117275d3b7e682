"""The same thing again and again is told a few times a minute, and after that counted.

Rule: whoever sends ten thousand orders a second fills neither the journal nor the event topic, and no memory: what is
kept is one count for each kind of thing, and that for a minute.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from msgspec import Struct

MOST = 10  # times in a minute
MINUTE = 60.0  # seconds

T = TypeVar("T")


class _Minute(Struct, Generic[T]):
    first: T
    end: float
    count: int = 0


class Repeats(Generic[T]):
    """`key` says what is the same; `first` is the first of its kind in a minute, and stands for those not told."""

    def __init__(self) -> None:
        self._minutes: dict[Hashable, _Minute[T]] = {}  # in the order in which they end

    def worth_telling(self, key: Hashable, first: T, now: float) -> bool:
        """Whether to tell it, or to let it be counted. Call `over` first, so that no minute is longer than one."""
        minute = self._minutes.get(key)
        if minute is None:
            minute = self._minutes[key] = _Minute(first, now + MINUTE)
        minute.count += 1
        return minute.count <= MOST

    def over(self, now: float) -> list[tuple[T, int]]:
        """Of each kind whose minute is over: its first, and how many more there were than were told."""
        more: list[tuple[T, int]] = []
        while self._minutes and (minute := self._minutes[key := next(iter(self._minutes))]).end <= now:
            del self._minutes[key]
            if minute.count > MOST:
                more.append((minute.first, minute.count - MOST))
        return more
