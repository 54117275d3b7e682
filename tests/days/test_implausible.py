"""Readings that cannot be: leaps and frozen values are not taken, and heat goes with the last that was good."""

import pytest

from fakes import SimulatedHouse
from neighbours import Neighbours
from stoker_drivers.mock import Room

HOUR = 3600.0


def heating(**details: float) -> Neighbours:
    house = Neighbours(room=Room(start=15.0), **details)
    house.run(60)
    assert house.relay.on
    return house


def test_a_leap_is_not_believed_and_heat_is_gone_when_the_last_good_reading_is_stale() -> None:
    """A wire that comes loose reads anything; here each time something else."""
    house = heating()
    nonsense = iter([-20.0, 5.0, 60.0, -30.0] * 1000)
    house.sensor = lambda: next(nonsense)
    last = house.temperatures[-1][0]
    house.run(HOUR)

    assert house.relay.history[-1] == (last + 30.0, False)
    assert house.reason == "stale-temperature"
    assert {event["reason"] for event in house.events("thermometer-failed")} == {"implausible-temperature"}
    assert " to -20.00 °C within 10 s, 10 K a minute is allowed" in house.events("thermometer-failed")[0]["text"]
    assert float(house.broker.payloads("TEMPERATURE")[-1]) > 14.0
    assert house.cellar_is_well()


def test_a_leap_to_the_cold_asks_for_heat_only_after_the_old_reading_would_be_stale() -> None:
    house = SimulatedHouse(room=Room(start=21.0, noise=0.0))
    house.connect()
    house.run(60)
    house.sensor = lambda: 2.0
    leapt = house.time
    house.run(29)
    assert not house.relay.on
    house.run(60)

    assert house.relay.on, "three readings agree: somebody has put the sensor elsewhere"
    assert house.relay.history[0][0] - leapt >= 20.0
    assert [event["reason"] for event in house.events("fault")] == ["stale-temperature"]


def test_one_leap_and_back_does_nothing() -> None:
    house = heating()
    honest = house.sensor
    for wrong in (0.0, 40.0, -39.0):
        house.sensor = iter([wrong]).__next__
        house.run(10)
        house.sensor = honest
        house.run(300)

    assert len(house.relay.history) == 1
    assert house.events("fault") == []


def test_a_frozen_value_is_not_taken_where_noise_is_expected() -> None:
    house = heating(frozen_after=1800.0)
    house.room.stage("sensor-stuck")
    house.run(HOUR)

    assert house.reason == "stale-temperature"
    assert "without the slightest change" in house.events("thermometer-failed")[0]["text"]
    assert house.relay.history[-1][0] == pytest.approx(1060 + 1800 + 30, abs=25)
    house.room.stage("")
    house.run(60)
    assert house.relay.on
    assert house.cellar_is_well()


# --- days on which it must not trip -----------------------------------------------------------------------------------


def test_a_door_that_opens_in_frost_is_no_leap() -> None:
    house = SimulatedHouse(room=Room(start=20.0, outside=-15.0, power=1500.0))
    house.connect()
    house.run(HOUR)
    house.room.draught = 1000.0
    house.run(HOUR)
    house.room.draught = 0.0
    house.run(2 * HOUR)

    assert house.events("thermometer-failed") == []
    assert house.events("fault") == []


def test_a_noisy_sensor_keeps_its_zone_warm() -> None:
    house = SimulatedHouse(room=Room(start=20.0, outside=0.0, power=1500.0))
    house.room.stage("sensor-noisy")
    house.connect()
    house.run(24 * HOUR)

    assert house.room.air == pytest.approx(20.0, abs=1.5)
    assert len(house.events("fault")) < 10


def test_a_sensor_that_reads_each_five_minutes_may_change_a_lot_between() -> None:
    house = SimulatedHouse(room=Room(start=20.0, outside=-15.0, power=1500.0, noise=0.0), interval=300.0)
    house.connect()
    house.run(HOUR)
    house.room.draught = 1000.0
    house.run(HOUR)

    assert house.temperatures[-1][1] < 0.0
    assert house.events("thermometer-failed") == []


def test_a_quiet_room_may_read_the_same_for_a_day() -> None:
    house = SimulatedHouse(room=Room(noise=0.0))
    house.sensor = lambda: 20.0
    house.connect()
    house.run(24 * HOUR)

    assert house.events("fault") == []
    assert len(house.broker.payloads("TEMPERATURE")) == 8641
