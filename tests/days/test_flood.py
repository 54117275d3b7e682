"""Somebody sends ten thousand orders a second: control goes on, the relay keeps its minimum times, and what is said of
it fits into a journal, an event topic and a small memory."""

import tracemalloc
from typing import Any

import pytest

from fakes import SimulatedHouse
from stoker.core.messages import Message, Notice
from stoker.core.repeats import MOST
from stoker.core.settings import Presence
from stoker_drivers.mock import Room

RATE = 10_000  # a second
SECONDS = 10


def house(**zone: Any) -> SimulatedHouse:
    made = SimulatedHouse(room=Room(start=20.0, outside=5.0, noise=0.0), **zone)
    made.connect()
    made.run(60)
    return made


def flood(made: SimulatedHouse, *payloads: bytes, subject: str = "target", seconds: int = SECONDS) -> None:
    """So many orders for so many seconds; deadlines are kept as the loop keeps them, after each pass."""
    topic, step = f"stoker/shed/room/{subject}/set", 1 / RATE
    for number in range(RATE * seconds):
        made.feed(Message(topic, payloads[number % len(payloads)], made.time))
        if number % 100 == 99:
            made.run(100 * step)


def written(made: SimulatedHouse, before: tuple[int, int]) -> tuple[int, int]:
    """Lines in the log, and events, since then."""
    return len(made.log) - before[0], len(made.events()) - before[1]


def so_far(made: SimulatedHouse) -> tuple[int, int]:
    return len(made.log), len(made.events())


def test_a_hundred_thousand_pieces_of_garbage_are_told_a_few_times_and_counted() -> None:
    made = house()
    before, readings = so_far(made), len(made.broker.payloads("TEMPERATURE"))
    flood(made, b"hot", b"nan", b"\xff\xfe", b"1e400", b"9" * 60_000, b"{" * 1000, b"99")
    made.run(1)
    lines, events = written(made, before)

    assert events <= 2 * MOST, "two reasons: not-understood and out-of-range"
    assert lines <= 2 * MOST + 5
    assert len(made.broker.payloads("TEMPERATURE")) - readings == 1, "readings come as ever"
    assert made.said("room/target") == "20.0"

    made.run(60)
    counted = {event["reason"]: event for event in made.events("order-refused") if "more" in event}
    assert counted["out-of-range"]["more"] + counted["not-understood"]["more"] == RATE * SECONDS - 2 * MOST
    assert counted["out-of-range"]["text"].endswith(" more like it in the last minute")
    assert any(line.text.endswith(" more like it in the last minute") for line in made.log)


def test_a_flood_that_goes_on_is_told_of_each_minute() -> None:
    made = house()
    for _ in range(10):
        for _ in range(100):
            made.order("room/target/set", "hot")
        made.run(60)

    told = made.events("order-refused")
    assert sum("more" not in event for event in told) <= 10 * MOST
    assert sum(event.get("more", 1) for event in told) == 1000


def test_another_topic_and_another_reason_are_told_all_the_same() -> None:
    made = house()
    flood(made, b"hot", seconds=1)
    made.order("room/mode/set", "hot")
    made.order("room/target/set", "99")

    assert [event["topic"] for event in made.events("order-refused")[-2:]] == [
        "stoker/shed/room/mode/set",
        "stoker/shed/room/target/set",
    ]
    assert made.events("order-refused")[-1]["reason"] == "out-of-range"


@pytest.mark.parametrize(
    ("subject", "payloads"), [("target", (b"5", b"30")), ("heater", (b"ON", b"OFF")), ("mode", (b"off", b"heat"))]
)
def test_a_flood_of_orders_that_are_obeyed_keeps_the_relays_times(subject: str, payloads: tuple[bytes, ...]) -> None:
    made = house(min_on=10.0, min_off=10.0)
    before = so_far(made)
    flood(made, *payloads, subject=subject, seconds=4)
    made.run(60)
    lines, events = written(made, before)

    spans = [
        later - earlier for (earlier, _), (later, _) in zip(made.relay.history, made.relay.history[1:], strict=False)
    ]
    assert all(span >= 10 for span in spans)
    assert lines <= 10 * MOST
    assert events <= MOST
    assert made.said(f"room/{subject}") != "", "the last word counts"
    assert sum("ordered" in line.text for line in made.log) <= 2 * (MOST + 1), "two minutes' worth"


def test_a_fault_that_is_reset_ten_thousand_times_fills_nothing() -> None:
    made = house()
    made.sensor = lambda: 60.0
    made.run(600)
    before = so_far(made)
    flood(made, b"reset", subject="fault", seconds=1)
    made.run(60)

    lines, events = written(made, before)
    assert lines <= 10 * MOST
    assert events <= 5 * MOST
    assert not made.relay.on


def test_notices_of_the_link_are_bounded_too() -> None:
    made = house()
    before = so_far(made)
    for number in range(RATE):
        made.feed(Notice("too-large", f"a message of {70_000 + number} bytes came on some/topic/{number}: dropped"))

    assert written(made, before) == (MOST, MOST)


def test_a_person_who_says_garbage_all_day_is_heard_a_few_times_a_minute() -> None:
    made = house(presence=Presence(people={"phone": "Position"}))
    before = so_far(made)
    for _ in range(RATE):
        made.feed(Message("Position", b'{"lat": "somewhere"', made.time))

    assert written(made, before)[0] <= MOST


def test_memory_does_not_grow_with_a_flood() -> None:
    made = house()
    flood(made, b"hot", b"99", b"20", seconds=1)
    tracemalloc.start()
    try:
        core = made.core
        before = tracemalloc.take_snapshot()
        for number in range(RATE):
            core.handle(Message("stoker/shed/room/target/set", b"garbage %d" % number, made.time), made.now())
        grown = sum(stat.size_diff for stat in tracemalloc.take_snapshot().compare_to(before, "filename"))
    finally:
        tracemalloc.stop()
    assert grown < 50_000, "what the core keeps of ten thousand different orders, bytes"
