"""Stuck-on: the relay is off and the room only ever gets warmer. Sun, slow floors and ovens do that for hours only."""

import pytest

from fakes import SimulatedHouse
from neighbours import Neighbours
from stoker_drivers.mock import Room

HOUR, DAY = 3600.0, 86400.0


def sticking() -> Neighbours:
    house = Neighbours(room=Room(start=19.0, outside=3.0), target=20.0)
    house.run_until(lambda: house.relay.on, within=HOUR)
    house.room.stage("relay-stuck-on")
    return house


def test_the_relay_sticks_and_every_other_output_goes_off() -> None:
    house = sticking()
    house.run_until(lambda: not house.relay.on, within=6 * HOUR)
    off_at = house.time
    house.run(2 * HOUR)
    assert house.cellar_is_well()
    house.run_until(lambda: house.said("room/fault") == "stuck-on", within=DAY)

    assert 16 * HOUR <= house.time - off_at < 16.2 * HOUR
    assert not house.stove.on
    assert (house.said("cellar/reason"), house.said("cellar/fault")) == ("stuck-on", "none")
    fault = house.events("fault")[0]
    assert (fault["zone"], fault["reason"], fault["latched"]) == ("room", "stuck-on", True)
    assert "the relay seems to stick" in fault["text"]
    house.run(DAY)
    assert not house.stove.on
    assert not house.relay.on

    house.room.stage("")
    house.order("room/fault/reset", "reset")
    house.run(15)
    assert house.said("cellar/reason") == "below-target"
    assert house.stove.on


def alarmed() -> Neighbours:
    house = sticking()
    house.run_until(lambda: house.said("room/fault") == "stuck-on", within=2 * DAY)
    return house


@pytest.mark.parametrize("days", [0, 3], ids=["at once", "days later, when it gets no warmer"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_reset_while_it_still_sticks(days: int, restarted: bool) -> None:
    """What was learnt of the room says how soon it would have cooled; after a restart that is unknown."""
    house = alarmed()
    house.run(days * DAY)
    if restarted:
        house = Neighbours(room=house.room, remembered=house.memory, target=20.0)
        house.run(60)
        assert house.said("room/fault") == "stuck-on"
    house.order("room/fault/reset", "reset")
    assert house.said("room/fault") == "none"
    house.run(60)
    assert house.stove.on
    house.run_until(lambda: house.said("room/fault") == "stuck-on", within=(20 if restarted else 12) * HOUR)

    assert house.room.air > 25.0
    assert any("although reset" in event["text"] for event in house.events("fault") if event["zone"] == "room")
    assert not house.stove.on


@pytest.mark.parametrize(("hours", "outside", "restarted"), [(0, 15.0, True), (24, 3.0, False)])
def test_a_reset_once_it_is_mended(hours: int, outside: float, restarted: bool) -> None:
    house = alarmed()
    house.room.stage("")
    house.room.outside_mean = outside
    house.run(hours * HOUR)
    if restarted:
        house = Neighbours(room=house.room, remembered=house.memory, target=20.0)
        house.run(60)
    house.order("room/fault/reset", "reset")
    house.run(3 * DAY)

    assert house.said("room/fault") == "none"
    assert house.cellar_is_well()


def test_an_evening_after_a_sunny_day_does_not_hide_it() -> None:
    """It welds at noon: the room falls by a kelvin or two in the evening, and is far too warm all the same."""
    house = SimulatedHouse(room=Room(start=19.0, outside=5.0), target=20.0)
    house.connect()
    house.run(36 * HOUR)
    house.room.stage("relay-stuck-on")
    house.room.gain = 200.0
    house.run(5 * HOUR)
    house.room.gain = 0.0
    house.run(22 * HOUR)

    assert house.said("room/fault") == "stuck-on"
    assert any("hardly a fall" in event["text"] for event in house.events("fault"))


@pytest.mark.parametrize(("hour", "watts"), [(30, 1500.0), (36, 1000.0), (42, 1500.0)])
def test_it_welds_after_a_nights_fall(hour: int, watts: float) -> None:
    """What the room lost before says nothing of what warms it now: the watch begins anew from there."""
    house = SimulatedHouse(room=Room(start=19.0, outside=5.0, power=watts), target=20.0)
    house.connect()
    house.run(hour * HOUR)
    house.room.stage("relay-stuck-on")
    house.run(2 * DAY)

    assert house.said("room/fault") == "stuck-on"


def test_a_restart_after_it_welded() -> None:
    """A heater starts as if just switched off: where the run before heated, the watch begins at the start."""
    house = sticking()
    house.run(5 * HOUR)
    again = Neighbours(room=house.room, remembered=house.memory, begin=house.time, target=20.0)
    again.run(17 * HOUR)

    assert again.relay.history == []
    assert again.said("room/fault") == "stuck-on"
    assert not again.stove.on


def test_a_restart_in_a_house_that_others_warm() -> None:
    """Nothing was heated here of late, so what warms the room for days is not this relay."""
    house = SimulatedHouse(room=Room(start=8.0, outside=4.0), mode="off")
    house.connect()
    house.room.gain = 900.0
    house.run(2 * DAY)

    assert house.room.air > 20.0
    assert house.said("room/fault") == "none"


def test_another_fault_that_was_latched_first_hides_nothing() -> None:
    house = Neighbours(room=Room(start=19.0, outside=3.0, power=2000.0), target=20.0, max_temperature=22.0)
    house.run_until(lambda: house.relay.on, within=HOUR)
    house.room.stage("relay-stuck-on")
    house.run(2 * HOUR)
    assert house.said("room/fault") == "over-temperature"
    house.run(8 * HOUR)
    house.order("room/fault/reset", "reset")
    assert house.said("room/fault") == "none", "and the relay is watched on"
    house.run(8 * HOUR)

    assert house.said("room/fault") == "stuck-on"
    assert not house.stove.on


def winter_sun(house: SimulatedHouse, watts: float, days: int) -> None:
    """From nine to five each day."""
    for _ in range(days):
        house.run(9 * HOUR)
        house.room.gain = watts
        house.run(8 * HOUR)
        house.room.gain = 0.0
        house.run(7 * HOUR)


@pytest.mark.parametrize("delay", [0.0, 2 * HOUR])
def test_sunny_days(delay: float) -> None:
    room = Room(start=19.5, outside=5.0)
    room.delay = delay
    house = SimulatedHouse(room=room, target=20.0)
    house.connect()
    winter_sun(house, 1500.0, 4)

    assert max(celsius for _, celsius in house.temperatures) > 23.0
    assert house.core.zones["room"].fault is None


def test_days_of_spring_on_which_the_sun_alone_keeps_it_warm() -> None:
    house = SimulatedHouse(room=Room(start=19.0, outside=12.0), target=20.0)
    house.connect()
    winter_sun(house, 1500.0, 4)

    assert house.room.air > 22.0, "at midnight, and nothing was heated"
    assert house.core.zones["room"].fault is None


def test_an_oven_for_an_evening() -> None:
    house = SimulatedHouse(room=Room(start=19.5, outside=5.0), target=20.0)
    house.connect()
    house.run_until(lambda: bool(house.relay.history) and not house.relay.on, within=DAY)
    house.room.gain = 1500.0
    house.run(5 * HOUR)
    house.room.gain = 0.0
    house.run(DAY)

    assert max(celsius for _, celsius in house.temperatures) > 23.0
    assert house.core.zones["room"].fault is None


def test_weeks_of_spring_without_any_heat() -> None:
    house = SimulatedHouse(room=Room(start=19.0, outside=12.0), target=20.0)
    house.connect()
    house.run(DAY)
    for week in range(3):
        house.room.outside_mean = 18.0 + 4 * week
        house.run(4 * DAY)

    assert house.room.air > 23.0
    assert house.core.zones["room"].fault is None
