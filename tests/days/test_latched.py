"""A latched fault: it outlives restarts, power cuts and reloads, and goes by one order alone."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fakes import SimulatedHouse
from stoker.core.messages import Message
from stoker.core.stoker import Kept
from stoker_drivers.mock import Room


def latched_house() -> SimulatedHouse:
    house = SimulatedHouse(room=Room(start=18.0, noise=0.0), max_temperature=35.0, max_rate=0.0)
    house.connect()
    house.run(15)
    house.sensor = lambda: 36.0
    house.run(30)
    house.sensor = house.room.measure
    house.run(60)
    assert house.said("room/fault") == "over-temperature"
    assert not house.relay.on
    return house


def test_it_survives_a_power_cut() -> None:
    house = latched_house()
    assert msgspec.json.decode(house.memory["room/fault"]) == {
        "reason": "over-temperature",
        "text": "36.00 °C is above 35 °C",
        "time": "2026-01-05T00:00:30Z",
    }
    again = SimulatedHouse(remembered=house.memory, room=Room(start=10.0))
    again.connect()
    again.order("room/heater/set", "ON")
    again.run(3600)

    assert again.relay.history == []
    assert (again.said("room/fault"), again.said("room/reason")) == ("over-temperature", "over-temperature")
    state = msgspec.json.decode(again.said("state"))
    assert state["zones"]["room"]["fault"]["time"] == "2026-01-05T00:00:30Z"
    assert any("still latched" in line.text for line in again.log)


def test_a_reset_is_an_order_with_an_answer_and_an_event() -> None:
    house = latched_house()
    house.order("room/fault/reset", "reset", reply_to="phone", correlation=b"1")

    assert house.relay.on
    assert house.said("room/fault") == "none"
    assert "room/fault" not in house.memory
    answer = msgspec.json.decode(house.broker.payloads("phone")[0])
    assert (answer["ok"], answer["heater"], answer["fault"]) == (True, "ON", None)
    assert "note" not in answer
    (event,) = house.events("fault-reset")
    assert (event["zone"], event["reason"], event["since"]) == ("room", "over-temperature", "2026-01-05T00:00:30Z")
    assert event["time"] == "2026-01-05T00:01:45Z"
    again = SimulatedHouse(remembered=house.memory, room=Room(start=10.0))
    again.run(15)
    assert again.relay.on


@pytest.mark.parametrize(
    ("payload", "details", "reason"),
    [
        ("reset", {"retained": True}, "retained"),
        ("RESET please", {}, "not-understood"),
        ("default", {}, "not-understood"),
        ("", {}, "not-understood"),
    ],
)
def test_what_is_no_reset_is_refused(payload: str, details: dict[str, Any], reason: str) -> None:
    house = latched_house()
    house.order("room/fault/reset", payload, **details)
    house.feed(Message("stoker/shed/room/fault/reset", b"reset", house.time - 61))
    house.run(60)

    assert [event["reason"] for event in house.events("order-refused")] == [reason, "expired"]
    assert house.said("room/fault") == "over-temperature"
    assert not house.relay.on


def test_no_other_order_takes_it_away() -> None:
    house = latched_house()
    for topic, payload in (("mode", "off"), ("mode", "heat"), ("target", "25"), ("heater", "ON"), ("heater", "AUTO")):
        house.order(f"room/{topic}/set", payload)
        house.run(60)
        assert not house.relay.on
        assert house.reason == "over-temperature"


def test_a_reset_of_nothing_is_confirmed_and_does_nothing() -> None:
    house = SimulatedHouse(room=Room(start=15.0))
    house.connect()
    house.run(15)
    said = len(house.broker.payloads("stoker/shed/room/fault"))
    house.order("room/fault/reset", "reset", reply_to="phone")

    (answer,) = map(msgspec.json.decode, house.broker.payloads("phone"))
    assert (answer["ok"], answer["note"]) == (True, "nothing was latched")
    assert house.broker.payloads("stoker/shed/room/fault")[said:] == [b"none"]
    assert house.events("fault-reset") == []
    assert house.relay.on


def test_a_reset_of_nothing_leaves_a_test_of_the_heater_and_a_limit_as_they_are() -> None:
    """Somebody presses reset each hour: a dead heater is found out all the same."""
    found: list[float] = []
    for resets in (False, True):
        house = SimulatedHouse(room=Room(start=18.0, outside=5.0), target=20.0)
        house.connect()
        house.room.stage("relay-stuck-off")
        while house.said("room/fault") == "none" and house.time < 24 * 3600:
            if resets:
                house.order("room/fault/reset", "reset")
            house.run(3600)
        assert house.said("room/fault") == "runaway"
        found.append(house.time)
    assert found[0] == found[1]

    sunny = SimulatedHouse(room=Room(start=18.0, noise=0.0), max_rate=0.0)
    sunny.connect()
    for celsius in (36.0, 34.5):
        sunny.sensor = lambda celsius=celsius: celsius  # type: ignore[misc]
        sunny.run(10)
    assert sunny.reason == "over-temperature"
    sunny.order("room/fault/reset", "reset")
    assert sunny.reason == "over-temperature", "heat may return a kelvin below the limit, and not before"


def test_it_survives_reloads_even_one_without_its_zone() -> None:
    house = latched_house()
    room = house.settings.zones["room"]
    without, kept = replace(house.settings, zones={"attic": room}), Kept({"inside"}, {"radiator"})
    for settings in (house.settings, without, house.settings):
        house.core, last_words, effects = house.core.replace(settings, kept, house.now())
        house._carry_out([*last_words, *effects])
        if "room" in settings.zones:
            house.run(60)
            assert not house.relay.on
    assert "room/fault" in house.memory

    house.order("room/fault/reset", "reset")
    assert house.relay.on


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"reason": "below-target", "text": "?"}', "[" * 5000])
def test_a_remembered_fault_that_cannot_be_read_was_a_fault(damaged: str) -> None:
    house = SimulatedHouse(remembered={"room/fault": damaged}, room=Room(start=15.0))
    house.connect()
    house.run(60)
    assert house.relay.history == []
    assert house.said("room/fault") == "runaway"

    house.order("room/fault/reset", "reset")
    assert house.relay.on
