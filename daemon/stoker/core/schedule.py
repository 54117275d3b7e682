"""A week by the clock on the wall: which preset or target holds at a moment, since when and until when.

Rule: an entry takes effect at the first moment at which local clocks show its time or a later one. So an entry inside
the hour that spring skips takes effect at the jump, and one inside the hour that autumn repeats does so once, at the
first. The time zone is an argument: whoever knows the system makes it.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct

PRESETS = ("comfort", "eco", "away")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GROUPS = {"daily": DAYS, "weekdays": DAYS[:5], "weekend": DAYS[5:]}  # a later one overrides; a single day, all of them
KEYS = (*GROUPS, *DAYS)

MOST_ENTRIES = 48  # in one list
LARGEST = 8192  # bytes of a schedule that arrives as JSON
COLDEST, HOTTEST = -50.0, 300.0  # °C, where nobody sets narrower limits
EARLIEST, LATEST = 0.0, 250e9  # Unix time: 1970, and some years before Python's calendar ends

_ENTRY = re.compile(r"([0-9]{1,2}):([0-9]{2})\s+(\S+)")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,4})?")
_FORM = f'"HH:MM WHAT", WHAT being {", ".join(PRESETS)} or a target in °C, such as "06:30 comfort" or "22:00 17.5"'

What = str | float
"""One of PRESETS, or a target in °C."""


class Change(NamedTuple):
    """An entry of one day: from this minute of the day on, this."""

    minute: int
    what: What

    def __str__(self) -> str:
        return f"{self.minute // 60:02}:{self.minute % 60:02} {_show(self.what)}"


class Entry(NamedTuple):
    """What holds now. `since` <= now < `until`, in Unix time; what holds from then on is `schedule.at(until, zone)`."""

    what: What
    since: float
    until: float

    def text(self, zone: tzinfo) -> str:
        """For a person: `comfort until Monday 22:00`."""
        end = _local(self.until, zone)
        unit = "" if isinstance(self.what, str) else " °C"
        return f"{_show(self.what)}{unit} until {DAYS[end.weekday()].capitalize()} {end:%H:%M}"


class Schedule(Struct, frozen=True):
    """The changes of each day, Monday first, each day's in order. On a day without any, what held goes on."""

    days: tuple[tuple[Change, ...], ...]

    def at(self, wall: float, zone: tzinfo) -> Entry:
        """What holds at this Unix time. A clock outside EARLIEST to LATEST is taken for the nearest moment inside."""
        now = max(EARLIEST, min(wall, LATEST))
        today = _local(now, zone).date()
        near = self._between(today, 1, zone)
        # Eight days hold a change on either side: clocks were put back by up to a day.
        moments = near if near and near[0].since <= now < near[-1].since else self._between(today, 8, zone)
        index = bisect_right(moments, now, key=lambda moment: moment.since)
        return Entry(moments[index - 1].what, moments[index - 1].since, moments[index].since)

    def _between(self, today: date, reach: int, zone: tzinfo) -> list["_Moment"]:
        """Every change from `reach` days ago to `reach` days ahead, in the order in which they take effect."""
        days = [today + timedelta(days=offset) for offset in range(-reach, reach + 1)]
        return [
            _Moment(_takes_effect(day, change.minute, zone), change.what)
            for day in days
            for change in self.days[day.weekday()]
        ]

    def table(self) -> dict[str, list[str]]:
        """What `parse` reads, the same for every schedule that means the same: as few lists as say it."""
        if len(set(self.days)) == 1:
            return {"daily": _lines(self.days[0])}
        table: dict[str, list[str]] = {}
        for group in ("weekdays", "weekend"):
            lists = {day: _lines(self.days[DAYS.index(day)]) for day in GROUPS[group]}
            first, *others = lists.values()
            table |= lists if any(other != first for other in others) else {group: first}
        return table

    def to_json(self) -> bytes:
        """`table` as JSON: to publish, and to keep. `decode` reads it."""
        return msgspec.json.encode(self.table())


class _Moment(NamedTuple):
    since: float
    what: What


def parse(table: Mapping[str, object], low: float = COLDEST, high: float = HOTTEST) -> Schedule:
    """Make a Schedule of lists such as `weekdays = ["06:30 comfort", "22:00 17.5"]`, its targets from `low` to `high`.

    `daily` holds where neither `weekdays` nor `weekend` is given, and these where the day itself is not. An empty list
    is a day without changes. Raises ValueError with one line, which begins with the key where one is to blame.
    """
    for key in table:
        if key not in KEYS:
            raise ValueError(f"{_quote(key)} is no part of a schedule; allowed: {', '.join(KEYS)}")
    days: dict[str, tuple[Change, ...]] = dict.fromkeys(DAYS, ())
    for key in KEYS:
        if key in table:
            days |= dict.fromkeys(GROUPS.get(key, (key,)), _changes(key, table[key], low, high))
    if not any(days.values()):
        raise ValueError('a schedule without any entry; allowed: at least one, such as daily = ["06:30 comfort"]')
    return Schedule(tuple(days[day] for day in DAYS))


def decode(payload: bytes, low: float = COLDEST, high: float = HOTTEST) -> Schedule:
    """The same from JSON: `{"weekdays": ["06:30 comfort", "22:00 eco"]}`. Raises ValueError with one line."""
    if len(payload) > LARGEST:
        raise ValueError(f"a schedule of {len(payload)} bytes; allowed: at most {LARGEST}")
    form = 'allowed: a JSON object such as {"weekdays": ["06:30 comfort", "22:00 eco"]}'
    try:
        table: object = msgspec.json.decode(payload)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"not JSON: {why}; {form}") from None
    if not isinstance(table, dict):
        raise ValueError(f"no schedule; {form}")
    return parse(cast("dict[str, object]", table), low, high)


# --- entries as text --------------------------------------------------------------------------------------------------


def _changes(key: str, entries: object, low: float, high: float) -> tuple[Change, ...]:
    """One list, in order of time."""
    if not isinstance(entries, list | tuple):
        raise ValueError(f"{key} is not a list; allowed: a list, each {_FORM}")
    texts = cast("list[object] | tuple[object, ...]", entries)
    if len(texts) > MOST_ENTRIES:
        raise ValueError(f"{key} has {len(texts)} entries; allowed: at most {MOST_ENTRIES}")
    changes: dict[int, Change] = {}
    for text in texts:
        change = _change(key, text)
        if isinstance(change.what, float) and not low <= change.what <= high:
            raise ValueError(f"{key} has {change.what:g} °C; allowed: {low:g} to {high:g} °C")
        if change.minute in changes:
            raise ValueError(f"{key} has {str(change)[:5]} twice; allowed: one entry for each time")
        changes[change.minute] = change
    return tuple(changes[minute] for minute in sorted(changes))


def _change(key: str, text: object) -> Change:
    if not isinstance(text, str):
        raise ValueError(f"{key} has an entry that is not text; allowed: {_FORM}")
    if not (found := _ENTRY.fullmatch(text.strip().lower())):
        raise ValueError(f"{key} has {_quote(text)}; allowed: {_FORM}")
    hour, minute, what = int(found[1]), int(found[2]), found[3]
    if hour > 23 or minute > 59:
        raise ValueError(f"{key} has {_quote(text)}; allowed: times from 00:00 to 23:59")
    if what in PRESETS:
        return Change(hour * 60 + minute, what)
    if _DECIMAL.fullmatch(what):
        return Change(hour * 60 + minute, float(what) + 0.0)  # + 0.0: no -0
    raise ValueError(f"{key} has {_quote(text)}; allowed: {_FORM}")


def _lines(changes: Iterable[Change]) -> list[str]:
    return [str(change) for change in changes]


def _show(what: What) -> str:
    return what if isinstance(what, str) else f"{what:.10g}"


def _quote(text: str) -> str:
    """Text as it may stand in a line: printable and short."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:40])
    return f'"{shown}…"' if text[40:] else f'"{shown}"'


# --- clocks -----------------------------------------------------------------------------------------------------------


def _local(wall: float, zone: tzinfo) -> datetime:
    """What clocks on the wall show, without a zone, so that it can be compared with what an entry says."""
    return datetime.fromtimestamp(math.floor(wall), zone).replace(tzinfo=None)


def _takes_effect(day: date, minute: int, zone: tzinfo) -> float:
    """The first moment, in Unix time, at which clocks show this minute of this day or a later one."""
    shown = datetime.combine(day, time(minute // 60, minute % 60))
    first, last = sorted(int(shown.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    if first == last or _local(first, zone) >= shown:
        return float(first)
    # No clock ever shows it: the jump over it lies between the two readings of it, before and after the jump.
    return float(first + bisect_left(range(first, last), True, key=lambda wall: _local(wall, zone) >= shown))
