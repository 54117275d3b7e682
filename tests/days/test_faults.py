"""Whole failures: what goes wrong, when the heater goes off, what is said, and how heat comes back by itself."""

import itertools
from typing import Any

import pytest

from fakes import SimulatedHouse
from stoker.core.messages import Switched, SwitchFailed
from stoker_drivers.interfaces import SensorError
from stoker_drivers.mock import Room


def cold_house(**zone: Any) -> SimulatedHouse:
    """A house that is heating."""
    house = SimulatedHouse(room=Room(start=15.0, noise=0.0), **zone)
    house.connect()
    house.run(15)
    assert house.relay.on
    return house


def test_the_sensor_dies_and_the_heater_goes_off_in_time() -> None:
    house = cold_house()
    house.room.stage("sensor-dead")
    last_reading = house.temperatures[-1][0]
    house.run(60)

    off_at, on = house.relay.history[-1]
    assert (off_at - last_reading, on) == (30.0, False)
    assert (house.said("room/heater"), house.said("room/reason")) == ("OFF", "stale-temperature")
    (failed,) = house.events("thermometer-failed")
    assert failed["reason"] == "no-answer"
    (fault,) = house.events("fault")
    assert fault["zone"] == "room"
    assert "last reading 15" in fault["text"]
    assert "no-answer" in fault["text"]


def test_the_sensor_comes_back_and_so_does_heat() -> None:
    house = cold_house()
    house.room.stage("sensor-dead")
    house.run(300)
    house.room.stage("")
    house.run(15)

    assert house.relay.on
    assert house.reason == "below-target"
    assert [event["reason"] for event in house.events("fault-cleared")] == ["stale-temperature"]
    assert len(house.events("thermometer-recovered")) == 1


def test_a_sensor_that_hangs_says_nothing_and_the_heater_goes_off_all_the_same() -> None:
    house = cold_house()
    house._next_reading = float("inf")
    house.run(40)

    assert not house.relay.on
    assert house.reason == "stale-temperature"


def test_a_sensor_that_never_read_gives_no_heat_and_is_a_fault_only_when_it_is_late() -> None:
    house = SimulatedHouse(room=Room(start=5.0))
    house.room.stage("sensor-dead")
    house.connect()
    house.run(20)
    assert house.said("room/reason") == "no-temperature-yet"
    assert house.events("fault") == []

    house.run(20)
    assert house.said("room/reason") == "stale-temperature"
    assert len(house.events("fault")) == 1
    assert house.relay.history == []


@pytest.mark.parametrize("nonsense", [127.94, -127.0, float("nan"), float("inf"), -float("inf"), 85.01])
def test_a_reading_that_cannot_be_is_not_taken_and_not_published(nonsense: float) -> None:
    house = cold_house()
    before = len(house.broker.payloads("TEMPERATURE"))
    house.sensor = lambda: nonsense
    house.run(60)

    assert len(house.broker.payloads("TEMPERATURE")) == before
    assert not house.relay.on
    (failed,) = house.events("thermometer-failed")
    assert failed["reason"] == "implausible-temperature"
    assert house.reason == "stale-temperature"


def test_one_bad_reading_does_no_harm() -> None:
    house = cold_house()
    good = house.sensor
    house.sensor = lambda: 400.0
    house.run(10)
    house.sensor = good
    house.run(60)

    assert house.relay.on
    assert house.relay.history == house.relay.history[:1]
    assert house.events("fault") == []


def test_a_fault_does_not_wait_for_the_minimum_on_time() -> None:
    house = cold_house(min_on=3600.0, stale_after=12.0)
    house.room.stage("sensor-dead")
    house.run(20)

    assert not house.relay.on


def test_a_relay_that_does_not_switch_is_driven_off_again_and_again() -> None:
    house = cold_house()
    house.relay.broken = "GPIO17 does not answer"
    house.order("room/mode/set", "off")
    house.run(15)
    assert house.said("room/heater") == "ON", "nobody has confirmed that it is off"
    assert house.said("room/reason") == "switch-failed"
    assert [event["text"] for event in house.events("fault")] == ["GPIO17 does not answer"]

    house.relay.broken = ""
    house.run(60)
    assert house.said("room/heater") == "OFF"
    assert house.said("room/reason") == "mode-off"
    assert house.relay.history[-1][1] is False


def test_a_relay_that_fails_for_hours_is_driven_off_until_it_obeys_and_told_once() -> None:
    house = cold_house()
    house.relay.broken = "no such line"
    house.order("room/mode/set", "off")
    house.run(6 * 3600)
    assert len(house.events("fault")) == 1

    house.relay.broken = ""
    house.run(10)
    assert not house.relay.on


def test_a_relay_that_cannot_be_switched_on_is_tried_less_and_less_often() -> None:
    house = cold_house()
    house.order("room/mode/set", "off")
    house.run(15)
    tries: list[float] = []

    def off_only(name: str, on: bool, now: float) -> Switched | SwitchFailed:
        if on:
            tries.append(now)
            return SwitchFailed(name, "it stays open")
        return Switched(name, on)

    house.relay.switch = off_only  # type: ignore[method-assign]
    house.order("room/mode/set", "heat")
    house.run(6 * 3600)

    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert pauses[0] < 15
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(600, abs=15)


def test_a_flapping_sensor_does_not_fill_the_log() -> None:
    house = cold_house()
    answers = iter(range(10**6))

    def every_other() -> float:
        if next(answers) % 2:
            raise SensorError("crc-error", "checksum wrong")
        return house.room.measure()

    house.sensor = every_other
    house.run(3600)

    assert len([line for line in house.log if "crc-error" in line.text]) <= 13
    assert house.events("fault") == []


def test_stop_switches_off_first_and_says_so_last() -> None:
    house = cold_house(min_on=600.0)
    house.stop()

    assert not house.relay.on
    assert house.said("room/heater") == "OFF"
    assert house.said("room/action") in ("idle", "off")
    assert house.said("room/reason") == "stopping"
    assert house.broker.said[-1][1:] == ("stoker/shed/availability", b"offline")
    house.run(600)
    assert not house.relay.on, "nothing switches it on again"
