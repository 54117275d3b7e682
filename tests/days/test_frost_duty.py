"""Stale: no heat without a reading; where the configuration wants it, a little heat against frost all the same."""

import itertools
from typing import Any

import pytest

from fakes import SimulatedHouse
from neighbours import Neighbours
from stoker_drivers.mock import Room

HOUR = 3600.0


def silent(start: float = 6.0, **details: Any) -> Neighbours:
    """A house whose sensor has died after a minute."""
    house = Neighbours(room=Room(start=start, noise=0.0), **details)
    house.run(60)
    house.room.stage("sensor-dead")
    house.run(60)
    assert house.reason == "stale-temperature"
    assert not house.relay.on
    return house


def test_by_default_there_is_none() -> None:
    house = silent()
    house.run(24 * HOUR)

    assert house.seconds_on() < 120
    assert house.cellar_is_well()
    assert [event["reason"] for event in house.events("fault")] == ["stale-temperature"]


def test_a_fifth_of_the_time_for_a_day_and_then_no_more() -> None:
    house = silent(stale_duty=0.2)
    before = house.seconds_on()
    house.run(10 * HOUR)
    assert "heats 20% of the time against frost, for at most 14.0 h more" in house.core.zones["room"].wish.text
    assert house.reason == "stale-temperature"
    house.run(40 * HOUR)

    spans = [later - earlier for (earlier, on), (later, _) in itertools.pairwise(house.relay.history[2:]) if on]
    assert spans == pytest.approx([360.0] * 48)
    assert house.seconds_on() - before == pytest.approx(0.2 * 24 * HOUR)


def test_it_ends_with_the_first_reading() -> None:
    house = silent(start=25.0, stale_duty=0.3, target=28.0)
    house.run_until(lambda: house.relay.on, within=HOUR)
    house.room.settle(29.5)
    house.room.stage("")
    house.run(15)

    assert not house.relay.on
    assert house.reason == "target-reached"


@pytest.mark.parametrize(
    ("details", "orders"),
    [
        ({"start": 22.0}, []),
        ({}, [("mode", "off")]),
        ({}, [("heater", "OFF")]),
        ({}, [("heater", "ON"), ("mode", "off")]),
    ],
    ids=["it was warm", "mode off", "off by hand", "the last word is off"],
)
def test_not_where_anything_speaks_against_it(details: dict[str, Any], orders: list[tuple[str, str]]) -> None:
    house = silent(stale_duty=0.3, order_hold=7 * 24 * HOUR, **details)
    for subject, payload in orders:
        house.order(f"room/{subject}/set", payload)
    before = house.seconds_on()
    house.run(24 * HOUR)

    assert house.seconds_on() == before


def test_by_hand_on_does_not_stand_in_its_way() -> None:
    house = silent(stale_duty=0.3, order_hold=7 * 24 * HOUR)
    house.order("room/heater/set", "ON")
    assert not house.relay.on, "no reading, no heat"
    before = house.seconds_on()
    house.run(24 * HOUR)

    assert house.seconds_on() - before == pytest.approx(0.3 * 24 * HOUR, rel=0.05)


def test_not_while_this_run_has_to_be_stable_first() -> None:
    house = Neighbours(
        room=Room(start=6.0), stale_duty=0.3, remembered={"restarts": "9"}, device={"stable_after": 6 * HOUR}
    )
    house.run(60)
    house.room.stage("sensor-dead")
    house.run(6 * HOUR - 70)
    assert house.relay.history == []
    house.run(2 * HOUR)
    assert house.relay.history


def test_not_after_readings_that_could_not_be() -> None:
    house = Neighbours(room=Room(start=6.0), stale_duty=0.3)
    house.run(60)
    house.sensor = lambda: 400.0
    house.run(60)
    before = house.seconds_on()
    house.run(24 * HOUR)

    assert house.seconds_on() == before


def test_not_after_a_restart_that_never_read() -> None:
    room = Room(start=6.0)
    room.stage("sensor-dead")
    house = SimulatedHouse(room=room, stale_duty=0.3)
    house.run(24 * HOUR)

    assert house.relay.history == []


def test_not_while_a_fault_is_latched() -> None:
    fault = '{"reason": "runaway", "text": "it did", "time": "2026-01-04T00:00:00Z"}'
    house = SimulatedHouse(remembered={"room/fault": fault}, room=Room(start=6.0), stale_duty=0.3)
    house.run(60)
    house.room.stage("sensor-dead")
    house.run(24 * HOUR)

    assert house.relay.history == []
