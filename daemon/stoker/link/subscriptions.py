"""Which topic filters stand at the broker, during one connection. Pure: packets and time are arguments.

Rule: only the broker's SUBACK makes a subscription stand. What it refuses is asked for again, for as long as it is
wanted.
"""

import math
from collections.abc import Iterable, Sequence

RETRY_AFTER = 30.0  # seconds between two requests for a subscription that is refused
REFUSED = 0x80  # and every code above
SUBACK_WITHIN = 10.0  # seconds


class Subscriptions:
    """Begins empty, as every session of ours does."""

    def __init__(self) -> None:
        self._standing: set[str] = set()
        self._asked: dict[int, tuple[Sequence[str], float]] = {}  # packet id -> filters, when
        self._retry: dict[str, float] = {}  # refused filter -> when to ask again

    def missing(self, wanted: Iterable[str], now: float) -> list[str]:
        """What to ask the broker for now."""
        asked = {name for names, _ in self._asked.values() for name in names}
        return [
            name
            for name in wanted
            if name not in self._standing and name not in asked and self._retry.get(name, -math.inf) <= now
        ]

    def surplus(self, wanted: Iterable[str]) -> list[str]:
        """What to unsubscribe from now."""
        gone = sorted(self._standing.difference(wanted))
        self._standing.difference_update(gone)
        return gone

    def asked(self, packet: int, names: Sequence[str], now: float) -> None:
        """A SUBSCRIBE went out for these."""
        self._asked[packet] = names, now
        self._retry.update((name, math.inf) for name in names if name in self._retry)

    def answered(self, packet: int, codes: Sequence[int], now: float) -> list[tuple[str, int]]:
        """The SUBACK came. Names what was refused for the first time, with the broker's code."""
        news: list[tuple[str, int]] = []
        names, _ = self._asked.pop(packet, ((), now))
        for index, name in enumerate(names):
            code = codes[index] if index < len(codes) else REFUSED
            if code < REFUSED:
                self._standing.add(name)
                self._retry.pop(name, None)
            elif self.refused(name, now + RETRY_AFTER):
                news.append((name, code))
        return news

    def refused(self, name: str, retry: float = math.inf) -> bool:
        """It cannot stand before `retry`. Whether that is news."""
        known, self._retry[name] = name in self._retry, retry
        return not known

    @property
    def waiting(self) -> bool:
        """Whether a SUBACK is still to come."""
        return bool(self._asked)

    @property
    def suback_due(self) -> float:
        """When the oldest SUBACK has to be here."""
        return min((since for _, since in self._asked.values()), default=math.inf) + SUBACK_WITHIN

    def next_retry(self, wanted: Iterable[str]) -> float:
        """When the next refused filter is to be asked for again."""
        return min((self._retry[name] for name in wanted if name in self._retry), default=math.inf)
