"""The soak's judge sees what is wrong: one story for each thing that may not be."""

import pytest
from msgspec.json import encode

from soak.model import BACKLOG, TEMPERATURE, Order, Span, Weight, growth, orders, readings

MADE = [(1.0, "0.01"), (2.0, "0.02"), (3.0, "0.03"), (4.0, "0.04")]


def live(payload: str) -> tuple[str, bytes]:
    return TEMPERATURE, payload.encode()


def past(*records: tuple[int, str], repeated: bool = False, topic: str = TEMPERATURE) -> tuple[str, bytes]:
    mark = {"repeated": True} if repeated else {}
    return BACKLOG, encode([{"id": id, "topic": topic, "payload": payload, **mark} for id, payload in records])


def test_live_and_later_is_all_that_there_is() -> None:
    heard = [live("0.01"), past((7, "0.02"), repeated=True), live("0.04"), past((8, "0.03"))]
    assert readings(MADE, heard) == (2, 2, 0, [], [])


def test_a_reading_that_was_in_flight_may_come_again_when_it_is_marked() -> None:
    heard = [*map(live, ("0.01", "0.02")), past((7, "0.02"), repeated=True), past((8, "0.03")), live("0.04")]
    assert readings(MADE, heard) == (3, 1, 1, [], [])


def test_other_things_in_the_backlog_are_no_readings() -> None:
    heard = [*map(live, ("0.01", "0.02", "0.03", "0.04")), past((1, "{}"), topic="stoker/shed/event")]
    assert readings(MADE, heard) == (4, 0, 0, [], [])


def test_what_is_missing() -> None:
    heard = [live("0.01"), live("0.04")]
    assert readings(MADE, heard).missing == ["0.02", "0.03"]
    assert readings(MADE, heard, [Span(1.5, 2.5)]).missing == ["0.03"]


@pytest.mark.parametrize(
    ("heard", "complaint"),
    [
        ([live("0.02"), live("0.01")], "0.01 came on TEMPERATURE after 0.02"),
        ([live("0.01"), live("0.01")], "0.01 came on TEMPERATURE after it came on TEMPERATURE"),
        ([past((7, "0.01")), live("0.01")], "0.01 came on TEMPERATURE after it came on stoker/shed/backlog"),
        ([past((7, "0.02"), (8, "0.01"))], "0.01, record 8, came after 0.02, 7"),
        ([past((8, "0.01"), (7, "0.02"))], "0.02, record 7, came after 0.01, 8"),
        ([live("0.01"), past((7, "0.01"))], "0.01 came again in the backlog, unmarked, after TEMPERATURE"),
        ([live("0.05")], "0.05 was heard and never made"),
    ],
)
def test_what_is_wrong(heard: list[tuple[str, bytes]], complaint: str) -> None:
    assert readings(MADE, heard).complaints == [complaint]


def test_orders_that_are_obeyed_in_time_or_never() -> None:
    assert orders([Order(1.0, "5.01", 8.0), Order(2.0, "5.02", 8.0, away=True)], [(1.5, "5.01")]) == []


@pytest.mark.parametrize(
    ("order", "obeyed", "complaint"),
    [
        (Order(1.0, "5.01", 8.0), [(9.5, "5.01")], "5.01 was obeyed 8.5 s late"),
        (
            Order(1.0, "5.01", 8.0, away=True),
            [(2.0, "5.01")],
            "5.01 was ordered while the line was cut, and obeyed 1.0 s later",
        ),
        (Order(1.0, "5.01", 8.0), [(2.0, "5.01"), (3.0, "5.01")], "5.01 was obeyed 2 times"),
        (Order(1.0, "5.01", 8.0), [(2.0, "5.02")], "5.02 was obeyed and never ordered"),
    ],
)
def test_orders_that_are_not(order: Order, obeyed: list[tuple[float, str]], complaint: str) -> None:
    assert orders([order], obeyed) == [complaint]


def test_growth() -> None:
    assert growth(Weight(30_000_000, 8, 8), Weight(32_000_000, 8, 7), 3_000_000) == []
    assert growth(Weight(30_000_000, 8, 8), Weight(34_000_000, 9, 10), 3_000_000) == [
        "memory grew from 30.0 to 34.0 MB",
        "threads grew from 8 to 9",
        "open files grew from 8 to 10",
    ]
