"""A week by local clocks: what a person writes and what holds when, also on the days on which clocks jump.

The properties compare `at` with a walk through the minutes that knows nothing of offsets or transitions.
"""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.core.schedule import DAYS, EARLIEST, KEYS, LARGEST, LATEST, PRESETS, Entry, Schedule, decode, parse

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")

WORK_WEEK = parse({"weekdays": ["06:30 comfort", "22:00 eco"], "weekend": ["08:00 comfort", "23:30 eco"]})


def unix(text: str, zone: tzinfo = UTC, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def held(schedule: Schedule, text: str, zone: tzinfo = BERLIN, fold: int = 0) -> str | float:
    return schedule.at(unix(text, zone, fold), zone).what


# --- an ordinary week


def test_a_working_week() -> None:
    assert held(WORK_WEEK, "2026-01-07T06:29:59") == "eco"
    assert held(WORK_WEEK, "2026-01-07T06:30") == "comfort"
    assert held(WORK_WEEK, "2026-01-07T21:59:59") == "comfort"
    assert held(WORK_WEEK, "2026-01-07T22:00") == "eco"
    assert held(WORK_WEEK, "2026-01-10T07:59") == "eco", "Saturday: nobody gets up"
    assert held(WORK_WEEK, "2026-01-10T08:00") == "comfort"


def test_before_mondays_first_entry_sundays_last_still_holds() -> None:
    entry = WORK_WEEK.at(unix("2026-01-05T03:00", BERLIN), BERLIN)
    assert tuple(entry) == ("eco", unix("2026-01-04T23:30", BERLIN), unix("2026-01-05T06:30", BERLIN))
    assert entry.text(BERLIN) == "eco until Monday 06:30"


def test_the_end_of_one_entry_is_the_beginning_of_the_next() -> None:
    entry = WORK_WEEK.at(unix("2026-01-09T12:00", BERLIN), BERLIN)
    following = WORK_WEEK.at(entry.until, BERLIN)
    assert (following.what, following.since) == ("eco", entry.until)


def test_a_single_day_overrides_its_group_and_a_group_overrides_daily() -> None:
    schedule = parse({"friday": ["12:00 comfort"], "daily": ["07:00 20"], "weekend": ["09:00 21.5"]})
    assert held(schedule, "2026-01-08T10:00") == 20.0
    assert held(schedule, "2026-01-09T10:00") == 20.0, "Friday: Thursday's, until noon"
    assert held(schedule, "2026-01-09T12:00") == "comfort"
    assert held(schedule, "2026-01-10T10:00") == 21.5
    assert schedule.at(unix("2026-01-10T10:00", BERLIN), BERLIN).text(BERLIN) == "21.5 °C until Sunday 09:00"


def test_an_empty_day_goes_on_as_the_day_before_ended() -> None:
    schedule = parse({"weekdays": ["06:00 comfort", "20:00 away"], "weekend": []})
    entry = schedule.at(unix("2026-01-11T12:00", BERLIN), BERLIN)
    assert entry == ("away", unix("2026-01-09T20:00", BERLIN), unix("2026-01-12T06:00", BERLIN))


def test_one_entry_a_week_holds_for_the_whole_week() -> None:
    schedule = parse({"wednesday": ["12:00 18"]})
    entry = schedule.at(unix("2026-01-07T11:59:59", BERLIN), BERLIN)
    assert entry == (18.0, unix("2025-12-31T12:00", BERLIN), unix("2026-01-07T12:00", BERLIN))


# --- the days on which clocks jump


def test_an_entry_inside_the_hour_that_is_skipped_takes_effect_at_the_jump() -> None:
    schedule = parse({"daily": ["02:30 comfort", "12:00 eco"]})
    jump = unix("2026-03-29T01:00")  # 02:00 becomes 03:00
    assert schedule.at(jump - 1, BERLIN) == ("eco", unix("2026-03-28T12:00", BERLIN), jump)
    assert schedule.at(jump, BERLIN) == ("comfort", jump, unix("2026-03-29T12:00", BERLIN))


def test_of_several_entries_inside_the_skipped_hour_the_last_holds() -> None:
    schedule = parse({"daily": ["02:10 comfort", "02:20 17", "02:50 away", "03:00 eco", "12:00 18"]})
    assert held(schedule, "2026-03-29T01:59") == 18.0
    assert schedule.at(unix("2026-03-29T01:00"), BERLIN).what == "eco"
    assert held(schedule, "2026-03-30T02:30") == 17.0, "the day after is as ever"


def test_an_entry_inside_the_hour_that_comes_twice_takes_effect_once() -> None:
    schedule = parse({"daily": ["02:30 comfort", "02:45 eco", "12:00 away"]})
    first = unix("2026-10-25T00:30")  # 02:30, still summer time
    assert schedule.at(first - 1, BERLIN).what == "away"
    assert schedule.at(first, BERLIN) == ("comfort", first, first + 15 * 60)
    again = unix("2026-10-25T02:31", BERLIN, fold=1)
    assert schedule.at(again, BERLIN) == ("eco", first + 15 * 60, unix("2026-10-25T12:00", BERLIN))


def test_a_day_of_23_hours_and_one_of_25() -> None:
    schedule = parse({"daily": ["00:00 comfort"]})
    spring = schedule.at(unix("2026-03-08T12:00", NEW_YORK), NEW_YORK)
    autumn = schedule.at(unix("2026-11-01T12:00", NEW_YORK), NEW_YORK)
    assert (spring.until - spring.since, autumn.until - autumn.since) == (23 * 3600, 25 * 3600)


def test_half_an_hour_of_summer_time() -> None:
    schedule = parse({"daily": ["02:15 comfort", "12:00 eco"]})
    jump = unix("2026-10-04T02:00", LORD_HOWE)  # becomes 02:30
    assert (schedule.at(jump - 1, LORD_HOWE).what, schedule.at(jump, LORD_HOWE).since) == ("eco", jump)
    assert schedule.at(unix("2026-04-05T01:50", LORD_HOWE, fold=1), LORD_HOWE).what == "eco", "01:30 to 02:00 twice"


def test_a_whole_day_that_never_was() -> None:
    schedule = parse({"daily": ["12:00 eco"], "friday": ["08:00 comfort", "20:00 away"], "saturday": ["09:00 19"]})
    jump = unix("2011-12-30T10:00")  # Samoa went from Thursday to Saturday
    assert schedule.at(jump - 1, APIA).what == "eco"
    assert schedule.at(jump, APIA) == ("away", jump, unix("2011-12-31T09:00", APIA))


# --- against a walk through the minutes

TRANSITIONS = [
    (BERLIN, "2026-03-29T01:00"),
    (BERLIN, "2026-10-25T01:00"),
    (NEW_YORK, "2026-03-08T07:00"),
    (NEW_YORK, "2026-11-01T06:00"),
    (LORD_HOWE, "2026-04-04T15:00"),
    (LORD_HOWE, "2026-10-03T15:30"),
    (APIA, "2011-12-30T10:00"),
    (APIA, "2012-03-31T14:00"),
    (ZoneInfo("Africa/Casablanca"), "2026-03-22T02:00"),
    (ZoneInfo("Antarctica/Troll"), "2026-03-29T01:00"),  # by two hours
    (ZoneInfo("Asia/Pyongyang"), "2018-05-04T15:00"),  # at 23:30, over midnight
    (ZoneInfo("America/Asuncion"), "2023-10-01T04:00"),  # at midnight
    (ZoneInfo("Pacific/Kwajalein"), "1993-08-21T12:00"),  # another day that never was
    (UTC, "2026-01-01T00:00"),
    (timezone(timedelta(hours=5, minutes=45)), "2026-01-01T00:00"),
]

whats = st.one_of(st.sampled_from(PRESETS), st.decimals(5, 30, places=2).map(lambda number: f"{number}"))
minutes = st.one_of(st.integers(0, 1439), st.sampled_from([0, 119, 120, 121, 149, 150, 179, 180, 1439]))
lists = st.dictionaries(minutes, whats, max_size=4).map(
    lambda day: [f"{minute // 60:02}:{minute % 60:02} {what}" for minute, what in day.items()]
)
tables = st.dictionaries(st.sampled_from(KEYS), lists, max_size=5).filter(lambda table: not is_empty(table))


def is_empty(table: dict[str, list[str]]) -> bool:
    groups = {day: ("weekend" if day in DAYS[5:] else "weekdays") for day in DAYS}
    return not any(table.get(day, table.get(groups[day], table.get("daily", []))) for day in DAYS)


def entries_of(table: dict[str, list[str]], day: date) -> list[tuple[str, str]]:
    """Time and what of each entry of this day, in order."""
    name = DAYS[day.weekday()]
    group = "weekend" if name in ("saturday", "sunday") else "weekdays"
    lines = table.get(name, table.get(group, table.get("daily", [])))
    return sorted((line.split()[0], line.split()[1]) for line in lines)


def walk(
    table: dict[str, list[str]], zone: tzinfo, start: float, minutes: int
) -> Iterator[tuple[float, str, str | float]]:
    """Each minute's time, which entry (its date and time) holds then, and what it says, by the clock's highest yet."""
    first = datetime.fromtimestamp(start, zone).date()
    week = [first + timedelta(days=offset) for offset in range(-9, minutes // 1440 + 12)]
    entries = [(f"{day}T{at}", what) for day in week for at, what in entries_of(table, day)]
    highest, index = "", 0
    for minute in range(minutes):
        wall = start + 60 * minute
        highest = max(highest, datetime.fromtimestamp(wall, zone).isoformat()[:16])
        while entries[index + 1][0] <= highest:
            index += 1
        stamp, what = entries[index]
        yield wall, stamp, what if what in PRESETS else float(what)


@settings(max_examples=25, deadline=None)
@given(table=tables, place=st.sampled_from(TRANSITIONS), days=st.sampled_from([-2, -1]))
@example(table={"daily": ["02:30 comfort", "02:45 eco"]}, place=TRANSITIONS[1], days=-1)
@example(table={"friday": ["02:30 comfort"]}, place=TRANSITIONS[6], days=-1)
def test_the_schedule_is_what_a_walk_through_the_minutes_finds(
    table: dict[str, list[str]], place: tuple[tzinfo, str], days: int
) -> None:
    zone, transition = place
    schedule = parse(table)
    start = unix(transition) + days * 86400 - 43200  # the first day is walked alone, so that `highest` is known
    before = ""
    for minute, (wall, stamp, what) in enumerate(walk(table, zone, start, 3 * 1440)):
        if minute > 1440:
            entry = schedule.at(wall, zone)
            assert entry.what == what
            assert entry.since <= wall < entry.until
            assert (entry.since == wall) is (stamp != before), "it is as old as this minute only if it changed now"
        before = stamp


walls = st.one_of(
    st.floats(EARLIEST, 4e9), st.floats(EARLIEST, LATEST - 8 * 86400), st.integers(0, 4_000_000_000).map(float)
)
zones = st.sampled_from([zone for zone, _ in TRANSITIONS])


@settings(deadline=None)
@given(table=tables, wall=walls, zone=zones)
def test_exactly_one_entry_holds_at_any_time(table: dict[str, list[str]], wall: float, zone: tzinfo) -> None:
    schedule = parse(table)
    entry = schedule.at(wall, zone)
    assert entry.since <= wall < entry.until
    assert schedule.at(entry.since, zone) == entry
    assert schedule.at(math.nextafter(entry.until, 0), zone) == entry
    following = schedule.at(entry.until, zone)
    assert following.since == entry.until
    assert entry.text(zone)


@settings(deadline=None)
@given(wall=st.floats(), zone=zones)
@example(wall=math.nan, zone=BERLIN)
@example(wall=math.inf, zone=BERLIN)
@example(wall=-1e300, zone=APIA)
def test_no_clock_is_too_wrong_to_ask(wall: float, zone: tzinfo) -> None:
    assert WORK_WEEK.at(wall, zone).what in PRESETS


# --- what people write


@settings(deadline=None)
@given(table=tables)
def test_what_is_published_is_read_back_as_the_same(table: dict[str, list[str]]) -> None:
    schedule = parse(table)
    assert decode(schedule.to_json()) == schedule
    assert parse(schedule.table()).to_json() == schedule.to_json()
    assert len(schedule.to_json()) <= LARGEST


def test_the_same_week_written_in_two_ways_is_the_same_schedule() -> None:
    by_day = parse({day: ["22:00 eco", " 6:30  Comfort", "12:00 20.50"] for day in DAYS})
    daily = parse({"daily": ["06:30 comfort", "12:00 20.5", "22:00 eco"]})
    assert by_day == daily
    assert daily.to_json() == b'{"daily":["06:30 comfort","12:00 20.5","22:00 eco"]}'
    assert WORK_WEEK.to_json() == (
        b'{"weekdays":["06:30 comfort","22:00 eco"],"weekend":["08:00 comfort","23:30 eco"]}'
    )


def test_the_largest_schedule_fits_through_mqtt() -> None:
    full = [f"{minute // 60:02}:{minute % 60:02} -12.1234" for minute in range(1390, 1438)]
    different = {day: [*full[1:], f"23:59 {number}"] for number, day in enumerate(DAYS)}
    schedule = parse(different)
    assert decode(schedule.to_json()) == schedule


FORM = 'allowed: "HH:MM WHAT", WHAT being comfort, eco, away or a target in °C, such as "06:30 comfort" or "22:00 17.5"'


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, 'a schedule without any entry; allowed: at least one, such as daily = ["06:30 comfort"]'),
        (
            {"daily": ["06:30 eco"], "weekdays": [], "weekend": []},
            'a schedule without any entry; allowed: at least one, such as daily = ["06:30 comfort"]',
        ),
        ({"mondays": []}, f'"mondays" is no part of a schedule; allowed: {", ".join(KEYS)}'),
        (
            {"weekdays": "06:30 comfort"},
            f"weekdays is not a list; allowed: a list, each {FORM.removeprefix('allowed: ')}",
        ),
        ({"weekdays": [6.5]}, f"weekdays has an entry that is not text; {FORM}"),
        ({"weekdays": ["06:30 cosy"]}, f'weekdays has "06:30 cosy"; {FORM}'),
        ({"weekdays": ["06:30"]}, f'weekdays has "06:30"; {FORM}'),
        ({"weekdays": ["06:30 nan"]}, f'weekdays has "06:30 nan"; {FORM}'),
        ({"weekdays": ["06:30 ١٢"]}, f'weekdays has "06:30 ١٢"; {FORM}'),
        ({"weekdays": ["x\n" * 99]}, f'weekdays has "{"x�" * 20}…"; {FORM}'),
        ({"friday": ["24:00 eco"]}, 'friday has "24:00 eco"; allowed: times from 00:00 to 23:59'),
        ({"friday": ["06:60 eco"]}, 'friday has "06:60 eco"; allowed: times from 00:00 to 23:59'),
        ({"friday": ["06:30 eco", "6:30 20"]}, "friday has 06:30 twice; allowed: one entry for each time"),
        ({"friday": ["06:30 35"]}, "friday has 35 °C; allowed: 5 to 30 °C"),
        ({"friday": ["06:30 -6"]}, "friday has -6 °C; allowed: 5 to 30 °C"),
        ({"friday": ["06:30 eco"] * 49}, "friday has 49 entries; allowed: at most 48"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_allowed(table: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match="allowed") as refused:
        parse(table, low=5.0, high=30.0)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "not JSON: Input data was truncated; allowed: a JSON object such as"),
        (b"comfort", "not JSON: "),
        (b'"\xff"', "not JSON: "),
        (b"[" * 3000, "not JSON: "),
        (b'["06:30 comfort"]', "no schedule; allowed: a JSON object such as"),
        (b'{"weekdays": {"06:30": "comfort"}}', "weekdays is not a list; allowed"),
        (b" " * 8193, "a schedule of 8193 bytes; allowed: at most 8192"),
    ],
)
def test_an_order_that_is_no_schedule_is_refused_with_what_would_be_one(payload: bytes, text: str) -> None:
    with pytest.raises(ValueError, match="allowed") as refused:
        decode(payload)
    assert str(refused.value).startswith(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner, max_size=4),
)


@settings(deadline=None)
@given(payload=st.one_of(st.binary(), st.dictionaries(st.sampled_from(KEYS), anything).map(msgspec.json.encode)))
def test_whatever_arrives_is_a_schedule_or_one_line(payload: bytes) -> None:
    refusal = ""
    try:
        assert isinstance(decode(payload).at(0.0, UTC), Entry)
    except ValueError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert len(refusal) < 400
