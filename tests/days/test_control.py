"""PI control in the simulated house: steadier than two-point control, tuned by command, early by what it has learnt."""

import math
import statistics
from typing import Any

import msgspec
import pytest

from fakes import SimulatedHouse
from stoker_drivers.mock import Room

HOUR = 3600.0
DAY = 24 * HOUR


def errors(house: SimulatedHouse, after: float) -> float:
    """RMS error around 20 °C, K."""
    kept = [celsius for time, celsius in house.temperatures if time > after]
    return math.sqrt(statistics.fmean((celsius - 20.0) ** 2 for celsius in kept))


def kept_house(**zone: Any) -> SimulatedHouse:
    house = SimulatedHouse(room=Room(start=15.0, outside=2.0, power=1500.0), target=20.0, **zone)
    house.connect()
    house.run(DAY / 2)
    return house


def test_pi_holds_the_target_closer_than_two_point_control() -> None:
    two_point, pi = kept_house(), kept_house(control="pi", cycle=600.0)
    for house in (two_point, pi):
        house.run(DAY)

    assert errors(pi, DAY / 2) < 0.8 * errors(two_point, DAY / 2)
    assert len(pi.relay.history) / 36 < 12.5, "on and off once in each cycle"
    assert {line.fields.get("reason") for line in pi.log[-20:]} <= {"pulse", "pause"}


def test_pi_after_hours_of_mode_off_is_not_wound_up() -> None:
    house = kept_house(control="pi")
    house.order("room/mode/set", "off")
    house.run(10 * HOUR)
    house.order("room/mode/set", "heat")
    house.run_until(lambda: house.room.air > 19.8, within=6 * HOUR)
    house.run(3 * HOUR)

    assert max(celsius for time, celsius in house.temperatures if time > house.time - 3 * HOUR) < 20.6


def test_a_tuning_by_command_ends_by_itself_and_its_result_is_kept() -> None:
    house = kept_house(control="pi")
    house.order("room/tune/set", "start")
    house.run(60)
    assert house.said("room/reason") == "tuning"
    house.run_until(lambda: "room/gains" in house.memory, within=DAY)

    assert house.said("room/tune").startswith("100%: ")
    assert house.events("tuning")[-1]["ended"] is True
    house.run(60)
    assert house.reason in ("pulse", "pause")
    again = SimulatedHouse(remembered=house.memory, control="pi")
    again.connect()
    assert again.core.zones["room"].gains == house.core.zones["room"].gains
    assert again.said("room/tune").startswith("tuned: kp ")


def test_a_tuning_gives_way_to_an_order_and_to_a_fault() -> None:
    house = kept_house(control="pi")
    house.order("room/tune/set", "start")
    house.run(60)
    house.order("room/mode/set", "off")
    assert house.said("room/tune") == "100%: autotune failed: mode-off"
    assert "room/gains" not in house.memory

    house.order("room/mode/set", "heat")
    house.order("room/tune/set", "start")
    house.room.stage("sensor-dead")
    house.run(60)
    assert house.said("room/tune") == "100%: autotune failed: stale-temperature"
    assert not house.relay.on


def test_a_tuning_without_pi_is_refused() -> None:
    house = kept_house()
    house.order("room/tune/set", "start")

    assert house.events("order-refused")[0]["reason"] == "not-possible"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (("mode", "off"), "the zone's mode is off"),
        (("heater", "OFF"), "an order by hand is in force"),
        (None, "stale-temperature forbids heat"),
    ],
)
def test_a_tuning_that_could_not_begin_is_refused(before: tuple[str, str] | None, said: str) -> None:
    house = kept_house(control="pi")
    if before:
        house.order(f"room/{before[0]}/set", before[1])
    else:
        house.room.stage("sensor-dead")
    house.run(60)
    house.order("room/tune/set", "start")

    (refusal,) = house.events("order-refused")
    assert (refusal["reason"], refusal["text"]) == ("not-possible", said)
    assert house.said("room/tune") == "idle"


@pytest.mark.parametrize("control", ["hysteresis", "pi"])
def test_after_some_mornings_the_room_is_warm_when_the_schedule_says_so(control: str) -> None:
    house = SimulatedHouse(
        room=Room(start=17.0, outside=3.0, power=1500.0),
        mode="auto",
        schedule={"daily": ("06:30 comfort", "22:00 eco")},
        control=control,
    )
    house.connect()
    house.run(4 * DAY + 6.5 * HOUR)

    assert house.temperatures[-1][1] == pytest.approx(19.9, abs=0.5), "at half past six on the fifth day"
    begun = [line.text for line in house.log if "early for schedule: comfort" in line.text]
    assert begun
    kept = msgspec.json.decode(house.memory["room/rises"])
    assert len(kept) >= 3
    at_five = [celsius for time, celsius in house.temperatures if abs(time - 1000 - 4 * DAY - 4 * HOUR) < 6]
    assert at_five[0] < 18.0, "and not warmed half the night"
