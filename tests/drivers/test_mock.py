"""The simulated room: it warms, cools, follows the weather, and fails in the ways that it is told to."""

import statistics
import threading
from pathlib import Path

import msgspec
import pytest

from stoker_drivers import mock
from stoker_drivers.interfaces import HeaterError, SensorError
from stoker_drivers.mock import FAULTS, RESOLUTION, MockHeater, MockThermometer, Room, SharedRoom, room

MINUTE, HOUR, DAY = 60, 3600, 86_400


# --- the room ---------------------------------------------------------------------------------------------------------


def test_the_heater_warms_a_cold_room_visibly() -> None:
    cold = Room(start=15, outside=5)
    cold.relay = True
    cold.advance(15 * MINUTE)
    assert 0.7 < cold.air - 15 < 1.5


def test_a_room_without_heat_cools_towards_the_outside_and_not_below() -> None:
    left = Room(start=20, outside=5)
    temperatures = []
    for _ in range(20):
        left.advance(DAY)
        temperatures.append(left.air)
    assert temperatures[0] < 19
    assert 4 < temperatures[-1] < 6


def test_a_thermostat_holds_the_room_for_a_day_with_on_and_off_in_turn() -> None:
    kept = Room(start=15, outside=5)
    cycles, held = 0, []
    for minute in range(24 * 60):
        measured = kept.measure()
        wanted = measured < 19.75 or (kept.relay and measured < 20.25)
        cycles += wanted and not kept.relay
        kept.relay = wanted
        kept.advance(MINUTE)
        if minute > 8 * 60:
            held.append(kept.air)
    assert 19.5 < min(held) < max(held) < 20.5
    assert 5 < cycles < 100


def test_the_day_is_coldest_at_five_and_warmest_at_seventeen() -> None:
    place = Room(outside=5)
    outside = []
    for _ in range(24):
        outside.append(place.outside)
        place.advance(HOUR)
    assert outside.index(min(outside)) == 5
    assert outside.index(max(outside)) == 17
    assert statistics.mean(outside) == pytest.approx(5)


def test_two_rooms_with_one_seed_live_the_same_day() -> None:
    def a_day(seed: int) -> list[float]:
        lived = Room(seed=seed)
        measured = []
        for hour in range(24):
            lived.relay = hour % 2 == 0
            lived.advance(HOUR)
            measured.append(lived.measure())
        return measured

    assert a_day(1) == a_day(1) != a_day(2)


def test_the_sensor_has_steps_and_a_little_noise() -> None:
    still = Room(start=20.03, noise=0.05)
    measured = [still.measure() for _ in range(200)]
    assert all(value % RESOLUTION == 0 for value in measured)
    assert 0.02 < statistics.stdev(measured) < 0.1
    assert statistics.mean(measured) == pytest.approx(20.03, abs=0.02)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_dead_sensor_gives_no_temperature_until_the_fault_is_cleared() -> None:
    faulty = Room()
    faulty.stage("sensor-dead")
    with pytest.raises(SensorError, match="sensor-dead") as caught:
        faulty.measure()
    assert caught.value.reason == "no-answer"
    faulty.stage("")
    assert faulty.measure() == pytest.approx(15, abs=0.2)


def test_a_stuck_sensor_goes_on_saying_what_it_said_last() -> None:
    faulty = Room(start=20)
    said = faulty.measure()
    faulty.stage("sensor-stuck")
    faulty.advance(5 * HOUR)
    assert faulty.air < 19
    assert faulty.measure() == said


def test_a_noisy_sensor_is_off_by_degrees() -> None:
    faulty = Room(start=20)
    faulty.stage("sensor-noisy")
    assert statistics.stdev(faulty.measure() for _ in range(200)) > 1


@pytest.mark.parametrize(
    ("fault", "told", "warmer"), [("relay-stuck-on", False, True), ("relay-stuck-off", True, False)]
)
def test_a_stuck_relay_does_as_it_likes(fault: str, told: bool, warmer: bool) -> None:
    faulty = Room(start=20, outside=5)
    faulty.stage(fault)
    faulty.relay = told
    faulty.advance(HOUR)
    assert (faulty.air > 20) == warmer


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=f"no fault 'fire'; there are: {', '.join(FAULTS)}"):
        Room().stage("fire")


# --- thermometer and heater -------------------------------------------------------------------------------------------


def thermometer(**options: object) -> MockThermometer:
    return MockThermometer(msgspec.convert(options, MockThermometer.Options))


def heater(**options: object) -> MockHeater:
    return MockHeater(msgspec.convert(options, MockHeater.Options))


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_heater_warms_what_the_thermometer_of_its_room_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setitem(mock._rooms, "shed", SharedRoom(clock))
    warm = heater(room="shed")
    reads, elsewhere = thermometer(room="shed", speed=60, start=15), thermometer(room="cellar", start=8)
    warm.switch(True)
    clock.seconds += 15  # a quarter of an hour there
    warmed = reads.read()
    assert 15.5 < warmed < 16.5
    assert elsewhere.read() == pytest.approx(8, abs=0.2)
    warm.close()
    clock.seconds += 120
    assert reads.read() < warmed


def test_a_fault_is_there_from_the_beginning_or_staged_later() -> None:
    stuck = thermometer(room="garage", start=20, fault="sensor-stuck")
    assert stuck.read() == 20
    with room("garage").now() as garage:
        garage.stage("sensor-dead")
    with pytest.raises(SensorError):
        stuck.read()


@pytest.mark.parametrize("wrong", [{"fault": "fire"}, {"speed": -1}, {"start": "warm"}, {"power": 5}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        thermometer(**wrong)


def test_each_switch_is_in_the_log_and_the_last_word_is_off(tmp_path: Path) -> None:
    log = tmp_path / "switches"
    logged = heater(room="log", log=str(log))
    assert log.read_bytes() == b""
    for on in (True, False, False, True):
        logged.switch(on)
    assert log.read_bytes() == b"1001"
    logged.close()
    logged.close()
    assert log.read_bytes() == b"10010"
    heater(room="log", log=str(log)).switch(False)
    assert log.read_bytes() == b"100100"


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(HeaterError, match=r"log .* cannot be opened: No such file or directory"):
        heater(room="log", log=str(tmp_path / "none" / "switches"))


def test_many_threads_may_use_one_room() -> None:
    reads, warm = thermometer(room="busy", speed=1000), heater(room="busy")
    failed: list[Exception] = []

    def sample() -> None:
        try:
            for _ in range(300):
                assert -50 < reads.read() < 60
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=sample) for _ in range(4)]
    for thread in threads:
        thread.start()
    for switch in range(300):
        warm.switch(switch % 2 == 0)
    for thread in threads:
        thread.join()
    assert not failed
    warm.close()
