"""What must be true whatever the line did. Pure: what happened in, complaints out.

A reading is known by its payload, which no other has. All times are of one monotonic clock.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

TEMPERATURE = "TEMPERATURE"
BACKLOG = "stoker/shed/backlog"


class Span(NamedTuple):
    """A time in which other rules hold."""

    begin: float
    end: float


class Order(NamedTuple):
    """A target that was ordered; no other order has it. `away`: while the daemon had no line at all."""

    at: float
    target: str
    allowed: float  # seconds that it may take
    away: bool = False


class Readings(NamedTuple):
    """What became of the readings. `repeated`: records that came more than once, marked as such."""

    live: int
    past: int
    repeated: int
    missing: list[str]
    complaints: list[str]


def readings(
    made: Iterable[tuple[float, str]], heard: Iterable[tuple[str, bytes]], excused: Sequence[Span] = ()
) -> Readings:
    """Every reading that was made is heard, live or later; in order; once, or marked as repeated."""
    ear = _Ear()
    for topic, payload in heard:
        if topic == TEMPERATURE:
            ear.live(payload.decode())
        elif topic == BACKLOG:
            for record in msgspec.json.decode(payload):
                ear.past(record)
    made = list(made)
    missing = [
        payload
        for at, payload in made
        if payload not in ear.heard and not any(span.begin <= at <= span.end for span in excused)
    ]
    ear.complaints += [f"{payload} was heard and never made" for payload in ear.heard.keys() - {p for _, p in made}]
    return Readings(ear.numbers["live"], ear.numbers["past"], ear.numbers["repeated"], missing, ear.complaints)


class _Ear:
    """Listens to the readings and the records of readings, one after the other."""

    def __init__(self) -> None:
        self.heard: dict[str, str] = {}  # payload -> where first
        self.numbers: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._newest_live = self._newest_past = -math.inf
        self._last_id = 0

    def live(self, payload: str) -> None:
        """It came on its own topic."""
        self.numbers["live"] += 1
        if payload in self.heard:
            self.complaints.append(f"{payload} came on {TEMPERATURE} after it came on {self.heard[payload]}")
        elif float(payload) <= self._newest_live:
            self.complaints.append(f"{payload} came on {TEMPERATURE} after {self._newest_live:.2f}")
        self._newest_live = max(self._newest_live, float(payload))
        self.heard.setdefault(payload, TEMPERATURE)

    def past(self, record: Mapping[str, Any]) -> None:
        """It came in the backlog."""
        if record["topic"] != TEMPERATURE:
            return
        payload, number = record["payload"], record["id"]
        if payload in self.heard:
            self.numbers["repeated"] += 1
            if not record.get("repeated"):
                self.complaints.append(f"{payload} came again in the backlog, unmarked, after {self.heard[payload]}")
            return
        self.numbers["past"] += 1
        if number <= self._last_id or float(payload) <= self._newest_past:
            self.complaints.append(f"{payload}, record {number}, came after {self._newest_past:.2f}, {self._last_id}")
        self._last_id, self._newest_past = max(self._last_id, number), max(self._newest_past, float(payload))
        self.heard[payload] = BACKLOG


def orders(sent: Iterable[Order], obeyed: Iterable[tuple[float, str]]) -> list[str]:
    """No order is obeyed late, twice, or at all where it was given while the line was cut."""
    complaints, given, count = [], {order.target: order for order in sent}, Counter[str]()
    for at, target in obeyed:
        count[target] += 1
        if (order := given.get(target)) is None:
            complaints.append(f"{target} was obeyed and never ordered")
        elif order.away:
            complaints.append(f"{target} was ordered while the line was cut, and obeyed {at - order.at:.1f} s later")
        elif at - order.at > order.allowed:
            complaints.append(f"{target} was obeyed {at - order.at:.1f} s late")
        if count[target] > 1:
            complaints.append(f"{target} was obeyed {count[target]} times")
    return complaints


class Weight(NamedTuple):
    """What a process holds."""

    memory: int  # bytes
    threads: int
    files: int


def growth(before: Weight, after: Weight, memory: int) -> list[str]:
    """A process holds no more threads and files than before, and no more than so many bytes of memory more."""
    complaints = []
    if after.memory - before.memory > memory:
        complaints.append(f"memory grew from {before.memory / 1e6:.1f} to {after.memory / 1e6:.1f} MB")
    if after.threads > before.threads:
        complaints.append(f"threads grew from {before.threads} to {after.threads}")
    if after.files > before.files:
        complaints.append(f"open files grew from {before.files} to {after.files}")
    return complaints
