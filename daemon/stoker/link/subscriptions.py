"""Which topic filters stand at the broker, during one connection. Pure: packets, time and chance are arguments.

Rule: only the broker's SUBACK makes a subscription stand. What it refuses is asked for again, soon and then more and
more seldom, for as long as it is wanted.
"""

import math
import random
from collections.abc import Callable, Collection, Iterable, Sequence

RETRY_AFTER = 1.0  # seconds until a subscription that was refused is asked for again; the bound doubles each time
RETRY_MOST = 30.0  # seconds
MOST_DOUBLINGS = 16
REFUSED = 0x80  # and every code above
FOR_GOOD = frozenset({0x87, 0x8F, 0x9E, 0xA1, 0xA2})
"""Codes of MQTT 5 by which a broker says that this is no passing trouble: no right, no such filter."""
SUBACK_WITHIN = 30.0  # seconds; a line that is dead is found sooner by its silence


class Subscriptions:
    """Begins empty, as every session of ours does. `chance` gives 0 ≤ x < 1."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._standing: set[str] = set()
        self._asked: dict[int, tuple[Sequence[str], float]] = {}  # packet id -> filters, when
        self._retry: dict[str, float] = {}  # refused filter -> when to ask again
        self._refusals: dict[str, int] = {}  # refused filter -> how often
        self._for_good: set[str] = set()

    def missing(self, wanted: Iterable[str], now: float) -> list[str]:
        """What to ask the broker for now."""
        asked = {name for names, _ in self._asked.values() for name in names}
        return [
            name
            for name in wanted
            if name not in self._standing and name not in asked and self._retry.get(name, -math.inf) <= now
        ]

    def awaited(self, wanted: Iterable[str]) -> set[str]:
        """What does not stand and still may, without anybody's help."""
        return set(wanted) - self._standing - self._for_good

    def surplus(self, wanted: Iterable[str]) -> list[str]:
        """What to unsubscribe from now."""
        gone = sorted(self._standing.difference(wanted))
        self._standing.difference_update(gone)
        return gone

    def settled(self, wanted: Collection[str]) -> bool:
        """Whether there is nothing to ask for, to wait for or to end."""
        return not self._asked and len(self._standing) == len(wanted) and self._standing.issuperset(wanted)

    def asked(self, packet: int, names: Sequence[str], now: float) -> None:
        """A SUBSCRIBE went out for these."""
        self._asked[packet] = names, now
        self._retry.update((name, math.inf) for name in names if name in self._retry)

    def answered(self, packet: int, codes: Sequence[int], now: float) -> list[tuple[str, int]]:
        """The SUBACK came. Names what is news, with the broker's code: refused for the first time, or granted after."""
        news: list[tuple[str, int]] = []
        names, _ = self._asked.pop(packet, ((), now))
        for index, name in enumerate(names):
            code = codes[index] if index < len(codes) else REFUSED
            if code < REFUSED:
                self._standing.add(name)
                if self._retry.pop(name, None) is not None:
                    news.append((name, code))
                self._refusals.pop(name, None)
                self._for_good.discard(name)
            elif self.refused(name, code, now + self._pause(name)):
                news.append((name, code))
        return news

    def _pause(self, name: str) -> float:
        count = self._refusals[name] = self._refusals.get(name, -1) + 1
        bound = min(RETRY_MOST, RETRY_AFTER * 2.0 ** min(count, MOST_DOUBLINGS))
        return bound * (0.5 + self._chance() / 2)

    def refused(self, name: str, code: int = 0x8F, retry: float = math.inf) -> bool:
        """It cannot stand before `retry`. Whether that is news."""
        if code in FOR_GOOD:
            self._for_good.add(name)
        known, self._retry[name] = name in self._retry, retry
        return not known

    @property
    def unanswered(self) -> bool:
        """Whether a SUBACK is still to come."""
        return bool(self._asked)

    @property
    def suback_due(self) -> float:
        """When the oldest SUBACK has to be here."""
        return min(since for _, since in self._asked.values()) + SUBACK_WITHIN if self._asked else math.inf

    def next_retry(self, wanted: Collection[str]) -> float:
        """When the next refused filter is to be asked for again; one question at a time."""
        if self._asked:
            return math.inf
        return min((at for name, at in self._retry.items() if name in wanted), default=math.inf)
