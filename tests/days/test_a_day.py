"""Whole days of heating, each in a fraction of a second: the room is kept warm, and the relay is not worn out."""

import itertools
import statistics

import pytest

from fakes import SimulatedHouse
from stoker_drivers.mock import Room

DAY = 86400.0


def test_a_day_in_a_cold_room() -> None:
    house = SimulatedHouse(room=Room(start=12.0, outside=2.0, power=1500.0), target=20.0, hysteresis=0.5)
    house.connect()
    warm_after = house.run_until(lambda: house.room.air > 19.75, within=DAY / 4)
    start = house.time
    house.run(DAY)

    kept = [celsius for time, celsius in house.temperatures if time > start]
    assert len(kept) == DAY / 10
    assert min(kept) > 19.5
    assert max(kept) < 20.75
    assert statistics.fmean(kept) == pytest.approx(20.0, abs=0.15)
    assert warm_after < DAY / 4
    assert 6 < len(house.relay.history) / 2 < 6 * 24, "switched, and no more than six times an hour"


def test_every_reading_is_published_and_none_is_retained() -> None:
    house = SimulatedHouse()
    house.connect()
    house.run(3600)

    published = [float(payload) for payload in house.broker.payloads("TEMPERATURE")]
    assert published == [pytest.approx(celsius, abs=0.0051) for _, celsius in house.temperatures]
    assert len(published) == 361, "one each ten seconds, and one at the start"
    assert "TEMPERATURE" not in house.broker.retained


def test_heat_follows_the_target_within_the_band() -> None:
    house = SimulatedHouse(room=Room(start=19.9, noise=0.0), target=20.0, hysteresis=0.5)
    house.connect()
    house.run(60)
    assert (house.said("room/heater"), house.said("room/reason")) == ("OFF", "target-reached")

    house.order("room/target/set", "21")
    house.run(1)
    assert (house.said("room/heater"), house.said("room/reason")) == ("ON", "below-target")
    house.run_until(lambda: house.said("room/heater") == "OFF", within=4 * 3600)
    assert house.temperatures[-1][1] > 21.25
    assert house.said("room/action") == "idle"


def test_a_day_without_any_broker_is_a_warm_day() -> None:
    house = SimulatedHouse(room=Room(start=15.0, outside=0.0, power=1500.0), target=20.0)
    for _ in range(24):
        house.disconnect("refused")
        house.run(3600)

    assert house.room.air == pytest.approx(20.0, abs=0.5)
    down = [line for line in house.log if line.text.startswith("no broker")]
    assert len(down) <= 24, "the log says so at most once an hour"


def test_what_the_day_costs_in_relay_switches_is_bounded_by_the_minimum_times() -> None:
    house = SimulatedHouse(room=Room(start=20.0, noise=1.0), hysteresis=0.0, min_on=120.0, min_off=180.0)
    house.run(DAY)

    times = [(on, later - earlier) for (earlier, on), (later, _) in itertools.pairwise(house.relay.history)]
    assert len(times) > 24
    assert min(span for on, span in times if on) >= 120.0
    assert min(span for on, span in times if not on) >= 180.0
