"""Over-temperature and max-on: what a thermometer's or a clock's limit takes away, and what gives it back.

A restart gives nothing back: what had to rest before it still has to.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fakes import MIDNIGHT, SimulatedHouse
from neighbours import Neighbours
from stoker.core.messages import Now
from stoker_drivers.mock import Room

HOUR, DAY = 3600.0, 86400.0


def hot_house(**zone: float) -> Neighbours:
    """A house that heats towards 30 °C, and may not get warmer than 25."""
    house = Neighbours(room=Room(start=22.0, outside=10.0, power=3000.0, noise=0.0), max_temperature=25.0, **zone)
    house.order("room/heater/set", "ON")
    house.run(15)
    assert house.relay.on
    return house


def test_above_the_limit_the_heater_goes_off_and_stays_off_until_somebody_resets_it() -> None:
    house = hot_house(min_on=3600.0)
    house.run_until(lambda: not house.relay.on, within=3 * HOUR)
    over = next(time for time, celsius in house.temperatures if celsius > 25.0)
    assert house.relay.history[-1] == (over, False), "at once, and not even min_on holds against it"
    house.run(15)

    assert (house.said("room/reason"), house.said("room/fault")) == ("over-temperature", "over-temperature")
    latched = house.events("fault")[-1]
    assert latched["latched"] is True
    assert latched["celsius"] > 25.0
    assert latched["time"].startswith("2026-01-05T0")
    house.run(DAY)
    assert house.room.air < 19.0
    assert not house.relay.on
    assert house.cellar_is_well()
    assert [event["reason"] for event in house.events("fault")] == ["over-temperature"] * 2

    house.order("room/fault/reset", "reset")
    house.run(15)
    assert house.relay.on
    assert house.said("room/fault") == "none"


def test_while_it_is_still_too_warm_a_reset_gives_nothing_back() -> None:
    house = hot_house()
    house.run_until(lambda: house.said("room/fault") == "over-temperature", within=3 * HOUR)
    house.sensor = lambda: 26.0
    house.run(60)
    house.order("room/fault/reset", "reset")

    assert (house.said("room/fault"), house.relay.on) == ("over-temperature", False)


def test_the_sun_makes_it_too_warm_and_heat_returns_by_itself() -> None:
    """A greenhouse in March: nobody comes to reset a fault before the night's frost."""
    house = SimulatedHouse(room=Room(start=12.0, outside=6.0), target=12.0, max_temperature=35.0)
    house.connect()
    house.run(9 * HOUR)
    house.room.gain = 4500.0
    house.run_until(lambda: house.said("room/reason") == "over-temperature", within=8 * HOUR)
    house.room.gain = 0.0
    house.run(2 * DAY)

    assert house.said("room/fault") == "none"
    assert house.room.air == pytest.approx(12.0, abs=1.0)


def test_one_reading_above_the_limit_takes_heat_away_for_a_moment_only() -> None:
    house = SimulatedHouse(room=Room(start=28.0, noise=0.0), target=30.0, max_temperature=31.0)
    house.connect()
    house.run(15)
    honest = house.sensor
    house.sensor = lambda: 31.5
    house.run(10)
    assert not house.relay.on
    house.sensor = honest
    house.run(30)

    assert house.relay.on
    assert house.said("room/fault") == "none"


def endless_house(**details: float | bool) -> Neighbours:
    """A house that cannot get as warm as it should."""
    return Neighbours(room=Room(start=15.0, outside=-10.0, power=700.0), target=25.0, **details)


def test_after_twelve_hours_the_heater_rests_for_half_an_hour() -> None:
    house = endless_house(runaway_after=0.0)
    house.run(40 * HOUR)

    spans = [(on, later - earlier) for (earlier, on), (later, _) in itertools.pairwise(house.relay.history)]
    assert {span for on, span in spans if on} == {12 * HOUR}
    assert {span for on, span in spans if not on} == {1800.0}
    assert [event["reason"] for event in house.events("fault")] == ["max-on"] * 3
    assert len(house.events("fault-cleared")) == 3
    assert house.cellar_is_well()


def test_with_max_on_latch_it_stays_off() -> None:
    house = endless_house(max_on=2 * HOUR, max_on_latch=True)
    house.run(12 * HOUR)

    assert house.seconds_on() == 2 * HOUR
    assert (house.said("room/fault"), house.said("room/reason")) == ("max-on", "max-on")
    assert house.cellar_is_well()
    house.order("room/fault/reset", "reset")
    house.run(15)
    assert house.relay.on


def test_a_reset_within_the_rest_is_a_reset() -> None:
    house = endless_house(max_on=2 * HOUR, max_on_latch=True, max_on_rest=HOUR)
    house.run(2 * HOUR + 60)
    house.order("room/fault/reset", "reset")
    house.run(60)
    assert (house.said("room/fault"), house.said("room/reason")) == ("none", "max-on")
    house.run(HOUR)
    assert house.relay.on


def test_not_even_an_order_by_hand_stays_longer() -> None:
    house = SimulatedHouse(max_on=HOUR, order_hold=5 * HOUR, max_temperature=99.0, runaway_after=0.0)
    house.connect()
    house.order("room/heater/set", "ON")
    house.run(4 * HOUR)

    spans = [later - earlier for (earlier, on), (later, _) in itertools.pairwise(house.relay.history) if on]
    assert max(spans) == HOUR


def cold_chamber(
    before: SimulatedHouse | None = None,
    away: float = 5.0,
    kind: type[SimulatedHouse] = SimulatedHouse,
    **details: Any,
) -> SimulatedHouse:
    """A heater that never gets there and may be on for six hours. `before`: the run that ended `away` seconds ago."""
    known: dict[str, Any] = {}
    if before:
        known = {"remembered": before.memory, "room": before.room, "begin": before.time + away}
    room = Room(start=15.0, outside=-10.0, power=700.0)
    details = {"max_on": 6 * HOUR, "runaway_after": 0.0, "target": 25.0, **details}
    house = kind(**{"room": room, **known, **details})
    house.connect()
    return house


def crash(house: SimulatedHouse) -> None:
    """Nobody says goodbye."""


@pytest.mark.parametrize("end", [SimulatedHouse.stop, crash])
@pytest.mark.parametrize("minutes", [11, 50, 210])
def test_a_stretch_goes_on_over_restarts(minutes: int, end: Callable[[SimulatedHouse], None]) -> None:
    """A flaky supply, a nightly update: five seconds off are no rest."""
    assert 5.5 * HOUR < stretch(6 * HOUR, lasts=60.0 * minutes, end=end) <= 6 * HOUR


def stretch(
    most: float, *, lasts: float, end: Callable[[SimulatedHouse], None] = crash, away: float = 5.0, **details: Any
) -> float:
    """How long the heater was on until max-on, over runs of `lasts` seconds: at no moment longer than `most`."""
    details |= {"max_on": most}
    house, on = cold_chamber(**details), 0.0
    began = house.time
    while house.reason != "max-on":
        if house.time - began >= lasts:
            end(house)
            on += house.seconds_on()
            house = cold_chamber(house, away, **details)
            began = house.time
        house.run(10.0)
        assert on + house.seconds_on() <= most
    return on + house.seconds_on()


class WithoutNetwork(SimulatedHouse):
    """A Pi has no battery: at each boot its clock shows the same noon again, and nobody sets it right."""

    def now(self) -> Now:
        self.synchronised = False
        self.booted = getattr(self, "booted", self.time)
        return Now(self.time, MIDNIGHT + self.time - self.booted, self.synchronised)


@pytest.mark.parametrize("minutes", [15, 50, 120])
def test_a_stretch_goes_on_over_power_cuts_although_no_clock_tells_how_long_it_was(minutes: int) -> None:
    stretch(6 * HOUR, lasts=60.0 * minutes, away=40.0, kind=WithoutNetwork)


class Slow(SimulatedHouse):
    """Its thermometer is read every half hour."""

    due = 0.0

    def read(self) -> None:
        if self.time >= self.due:
            self.due = self.time + 1800.0
            super().read()


def test_a_stretch_goes_on_over_deaths_between_two_readings() -> None:
    """Whoever reads every half hour still has to say every quarter of an hour that the relay is on."""
    stretch(2 * HOUR, lasts=1790.0, kind=Slow, interval=1800.0)


def test_a_rest_goes_on_over_restarts_and_is_no_longer_for_them() -> None:
    house = cold_chamber(max_on_rest=1800.0)
    house.run_until(lambda: house.reason == "max-on", within=7 * HOUR)
    off_at = house.time
    for _ in range(5):
        house.run(300.0)
        assert not house.relay.on
        house = cold_chamber(house, away=0.0, max_on_rest=1800.0)
    house.run_until(lambda: house.relay.on, within=HOUR)

    assert house.time - off_at == pytest.approx(1800.0, abs=11.0)
    house.run(5.9 * HOUR)
    assert house.relay.on, "and a stretch begins anew"


def test_a_restart_in_order_costs_nothing_but_its_moment() -> None:
    house = cold_chamber()
    house.run(2 * HOUR)
    house.stop()
    house = cold_chamber(house, away=60.0)
    began = house.time
    house.run_until(lambda: house.reason == "max-on", within=5 * HOUR)

    assert house.time - began == pytest.approx(4 * HOUR, abs=30.0)


@pytest.mark.parametrize("end", [SimulatedHouse.stop, crash])
def test_after_a_long_power_cut_a_stretch_begins_anew(end: Callable[[SimulatedHouse], None]) -> None:
    house = cold_chamber()
    house.run(5.9 * HOUR)
    end(house)
    house = cold_chamber(house, away=2 * HOUR)
    house.run(5.9 * HOUR)

    assert house.relay.on
    assert house.events("fault") == []


def test_a_heater_that_rested_long_before_the_restart_begins_anew() -> None:
    house = cold_chamber()
    house.run(2 * HOUR)
    house.order("room/mode/set", "off")
    house.run(HOUR)
    house = cold_chamber(house)
    house.order("room/mode/set", "heat")
    house.run(5.9 * HOUR)

    assert house.relay.on


@pytest.mark.parametrize("remembered", ["", "x y", "nan nan", "0 1e300", "inf inf", "-inf inf", "1 2 3", "1e300 0"])
def test_a_stretch_that_was_remembered_and_makes_no_sense_costs_a_rest_at_most(remembered: str) -> None:
    house = SimulatedHouse(remembered={"heater:radiator": remembered}, room=Room(start=10.0), max_on=6 * HOUR)
    house.run(1800.0 + 60.0)

    assert house.relay.on


def test_a_clock_that_was_set_back_between_two_runs_gives_no_heat_back() -> None:
    """A Pi without a battery wakes up in the past."""
    house = cold_chamber()
    house.run(5.5 * HOUR)
    late = cold_chamber(house)
    late.wall_ahead = -10 * HOUR
    late = cold_chamber(house, away=5.0 - 10 * HOUR)
    began = late.time
    late.run_until(lambda: late.reason == "max-on", within=HOUR)

    assert late.time - began < 0.6 * HOUR


def test_what_is_remembered_of_a_stretch_is_written_once_an_hour() -> None:
    house, writes = SimulatedHouse(room=Room(start=19.0, outside=3.0), control="pi"), 0
    house.connect()
    for _ in range(24 * 360):
        before = house.memory.get("heater:radiator")
        house.run(10)
        writes += house.memory.get("heater:radiator") != before

    assert len(house.relay.history) > 100
    assert 0 < writes <= 24


def test_a_cold_day_with_a_good_heater_never_meets_the_limit() -> None:
    house = SimulatedHouse(room=Room(start=20.0, outside=-5.0, power=1500.0), target=20.0)
    house.connect()
    house.run(3 * DAY)

    assert house.events("fault") == []
