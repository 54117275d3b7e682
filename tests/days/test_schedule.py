"""Weeks by the clock: mode auto, presets, boost, a target in between, DST, and a clock that is not right yet."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fakes import MIDNIGHT, SimulatedHouse
from stoker_drivers.mock import Room

HOUR = 3600.0
DAY = 24 * HOUR
WEEK = {"weekdays": ("06:30 comfort", "22:00 eco"), "weekend": ("08:00 21.5", "23:00 eco")}


def house(**zone: Any) -> SimulatedHouse:
    """Monday, midnight, in the temperature of the night."""
    made = SimulatedHouse(
        room=Room(start=17.0, outside=3.0, power=1500.0), mode="auto", optimum_start=False, schedule=WEEK, **zone
    )
    made.connect()
    made.run(15)
    return made


def until(made: SimulatedHouse, hours: float) -> None:
    """Run until so many hours after Monday's midnight."""
    made.run(hours * HOUR - (made.time - 1000.0))


def test_a_day_follows_the_schedule() -> None:
    made = house()
    assert (made.said("room/target"), made.said("room/preset")) == ("17.0", "none")
    until(made, 6.49)
    assert made.said("room/target") == "17.0"
    until(made, 6.51)
    assert made.said("room/target") == "20.0"
    assert made.relay.on
    state = msgspec.json.decode(made.broker.retained["stoker/shed/state"])
    assert state["zones"]["room"]["because"] == "schedule: comfort until Monday 22:00"

    until(made, 22.01)
    assert made.said("room/target") == "17.0"
    assert not made.relay.on
    until(made, 5 * 24 + 8.01)
    assert made.said("room/target") == "21.5", "Saturday"


def test_why_is_told_anew_although_the_target_is_the_same() -> None:
    made = SimulatedHouse(
        room=Room(start=20.0, noise=0.0), mode="auto", optimum_start=False, schedule={"daily": ("06:30 20", "22:00 20")}
    )
    made.synchronised = False
    made.connect()
    made.run(20)
    assert made.state()["because"] == "the clock is not synchronised, so the schedule rests"
    made.synchronised = True
    made.run(20)
    assert made.state()["because"] == "schedule: 20 °C until Monday 06:30"
    until(made, 6.51)
    assert made.state()["because"] == "schedule: 20 °C until Monday 22:00"


def test_a_target_ordered_in_between_holds_until_the_next_change_also_over_a_restart() -> None:
    made = house()
    until(made, 10)
    made.order("room/target/set", "23")
    until(made, 21.9)
    assert made.said("room/target") == "23.0"

    again = SimulatedHouse(remembered=made.memory, begin=made.time, mode="auto", optimum_start=False, schedule=WEEK)
    again.connect()
    again.run(15)
    assert again.said("room/target") == "23.0"
    until(again, 22.1)
    assert again.said("room/target") == "17.0"


@pytest.mark.parametrize("hour", [1.0, 5.6], ids=["before the early start", "in the midst of it"])
def test_a_target_ordered_by_night_is_not_lost_to_an_early_start(hour: float) -> None:
    made = SimulatedHouse(mode="auto", room=Room(start=17.0), schedule={"daily": ("06:30 comfort", "22:00 eco")})
    made.connect()
    until(made, hour)
    assert made.state()["because"].startswith("early for") is (hour > 5)
    made.order("room/target/set", "15")
    for step in range(1, 21):
        until(made, hour + (6.49 - hour) * step / 20)
        assert (made.said("room/target"), made.state()["because"]) == ("15.0", "as ordered")
    assert not made.relay.on
    until(made, 6.51)
    assert made.said("room/target") == "20.0", "and it ends with the schedule's change"


def test_a_clock_that_is_not_right_yet_rests_the_schedule_and_says_so() -> None:
    made = SimulatedHouse(room=Room(start=15.0), mode="auto", optimum_start=False, schedule=WEEK, target=16.0)
    made.synchronised = False
    made.connect()
    made.run(15)
    assert made.said("room/target") == "16.0"
    assert "the clock is not synchronised" in made.core.zones["room"].decision.text

    made.synchronised = True
    made.run(15)
    assert made.said("room/target") == "17.0"


@pytest.mark.parametrize(
    ("day", "wakes_after"),
    [
        ("2026-03-29", 5.5),  # one hour is skipped: 06:30 comes five and a half hours after midnight
        ("2026-10-25", 7.5),  # one hour comes twice
        ("2026-01-05", 6.5),
    ],
)
def test_mornings_come_on_time_when_clocks_change(day: str, wakes_after: float) -> None:
    from datetime import datetime

    berlin = ZoneInfo("Europe/Berlin")
    midnight = datetime.fromisoformat(day).replace(tzinfo=berlin).timestamp()
    made = SimulatedHouse(
        room=Room(start=17.0),
        mode="auto",
        optimum_start=False,
        schedule={"daily": ("06:30 comfort", "22:00 eco")},
        timezone=berlin,
    )
    made.wall_ahead = midnight - MIDNIGHT
    made.connect()
    until(made, wakes_after - 0.01)
    assert made.said("room/target") == "17.0"
    until(made, wakes_after + 0.01)
    assert made.said("room/target") == "20.0"


def test_presets_and_boost() -> None:
    made = house()
    until(made, 12)
    made.order("room/preset/set", "eco")
    assert (made.said("room/preset"), made.said("room/target")) == ("eco", "17.0")
    made.order("room/preset/set", "boost")
    assert (made.said("room/preset"), made.said("room/target")) == ("boost", "22.0")
    until(made, 12.99)
    assert made.said("room/preset") == "boost"
    until(made, 13.01)
    assert (made.said("room/preset"), made.said("room/target")) == ("eco", "17.0"), "boost has an end"
    assert made.memory["room/preset"] == "eco"
    made.order("room/preset/set", "none")
    assert made.said("room/target") == "20.0"
    made.order("room/preset/set", "party")
    assert made.events("order-refused")[0]["reason"] == "not-understood"


def test_a_boost_heats_in_mode_off_too_and_goes_back_by_itself() -> None:
    made = SimulatedHouse(room=Room(start=17.0, outside=3.0, power=1500.0, noise=0.0), mode="off")
    made.connect()
    made.run(20)
    made.order("room/preset/set", "boost", reply_to="phone")
    assert made.relay.on
    assert (made.said("room/mode"), made.said("room/preset"), made.said("room/target")) == ("off", "boost", "22.0")
    assert (made.said("room/reason"), made.said("room/action")) == ("below-target", "heating")
    made.run(3590)
    assert made.relay.on
    made.run(20)
    assert not made.relay.on
    assert (made.said("room/preset"), made.said("room/action")) == ("none", "off")
    assert made.said("room/reason") == "mode-off"


@pytest.mark.parametrize("order", [("mode", "off"), ("mode", "default"), ("preset", "none"), ("target", "20")])
def test_a_boost_in_mode_off_ends_with_the_next_word(order: tuple[str, str]) -> None:
    made = SimulatedHouse(room=Room(start=17.0, noise=0.0), mode="off", min_on=0.0)
    made.connect()
    made.run(20)
    made.order("room/preset/set", "boost")
    made.run(60)
    assert made.relay.on
    made.order(f"room/{order[0]}/set", order[1])
    made.run(1)
    assert not made.relay.on
    assert made.reason == "mode-off"
    made.order("room/mode/set", "heat")
    assert made.said("room/preset") == "none", "nor does it come back"


def test_a_boost_in_mode_off_is_heat_like_any_other() -> None:
    made = SimulatedHouse(room=Room(start=17.0, noise=0.0), mode="off", stale_duty=0.3)
    made.connect()
    made.run(20)
    made.order("room/preset/set", "boost")
    made.room.stage("sensor-dead")
    made.run(31)
    assert not made.relay.on
    assert made.reason == "stale-temperature"
    since = made.seconds_on()
    made.run(DAY)
    assert made.seconds_on() == since, "nor is there heat against frost where the mode is off"

    again = SimulatedHouse(remembered=made.memory, room=Room(start=17.0), mode="off")
    again.run(60)
    assert again.relay.history == [], "it dies with the program that held its end"


def test_a_boost_survives_going_to_heat_and_ends_in_its_time() -> None:
    made = SimulatedHouse(room=Room(start=17.0, noise=0.0), mode="off")
    made.connect()
    made.run(20)
    made.order("room/preset/set", "boost")
    made.order("room/mode/set", "heat")
    assert made.said("room/preset") == "boost"
    made.run(3601)
    assert (made.said("room/preset"), made.said("room/target")) == ("none", "20.0")


def test_coming_to_auto_drops_a_target_over_a_restart_too() -> None:
    made = house(target=19.0)
    until(made, 12)
    made.order("room/mode/set", "heat")
    made.order("room/target/set", "25")
    made.order("room/mode/set", "auto")
    assert made.said("room/target") == "20.0"

    again = SimulatedHouse(remembered=made.memory, begin=made.time, optimum_start=False, schedule=WEEK)
    again.connect()
    assert (again.said("room/mode"), again.said("room/target")) == ("auto", "20.0")


def test_a_target_that_has_ended_never_comes_back() -> None:
    made = house(target=18.5)
    until(made, 10)
    made.order("room/target/set", "25")
    until(made, 23)
    assert made.said("room/target") == "17.0"
    assert "room/target" not in made.memory
    made.order("room/mode/set", "heat")
    assert made.said("room/target") == "18.5", "that of the configuration"


def test_a_target_that_holds_for_good_does_so_over_a_restart_too() -> None:
    made = house()
    until(made, 10)
    made.order("room/target/set", "23")
    made.order("room/mode/set", "heat")

    again = SimulatedHouse(remembered=made.memory, begin=made.time, optimum_start=False, schedule=WEEK)
    again.connect()
    until(again, 30)
    assert again.said("room/target") == "23.0"


def test_a_schedule_that_is_ordered_away_is_cleared_at_the_broker() -> None:
    made = SimulatedHouse(mode="auto")
    made.connect()
    assert "stoker/shed/room/schedule" not in made.broker.retained
    made.order("room/schedule/set", '{"daily": ["06:00 18"]}')
    assert made.said("room/schedule") == '{"daily":["06:00 18"]}'
    made.order("room/schedule/set", "default")
    assert "stoker/shed/room/schedule" not in made.broker.retained


def test_a_schedule_that_an_earlier_run_said_is_cleared_at_the_broker() -> None:
    made = SimulatedHouse(mode="auto")
    made.broker.retained["stoker/shed/room/schedule"] = b'{"daily": ["06:00 18"]}'
    made.connect()
    assert "stoker/shed/room/schedule" not in made.broker.retained


def test_a_schedule_over_mqtt_is_validated_kept_and_said() -> None:
    made = house()
    until(made, 12)
    made.order("room/schedule/set", '{"daily": ["25:00 comfort"]}')
    assert "times from 00:00 to 23:59" in made.events("order-refused")[0]["text"]
    made.order("room/schedule/set", '{"daily": ["07:00 99"]}')
    assert "5 to 30 °C" in made.events("order-refused")[1]["text"]
    assert made.said("room/target") == "20.0"

    made.order("room/schedule/set", '{"daily": ["06:00 18", "11:00 19"]}')
    assert made.said("room/target") == "19.0"
    again = SimulatedHouse(remembered=made.memory, begin=made.time, mode="auto", optimum_start=False, schedule=WEEK)
    again.connect()
    assert msgspec.json.decode(again.said("room/schedule")) == {"daily": ["06:00 18", "11:00 19"]}
    again.order("room/schedule/set", "default")
    again.run(1)
    assert again.said("room/target") == "20.0"


@pytest.mark.parametrize("lowest", [5.0, 3.0])
def test_mode_off_is_never_warmer_than_the_lowest_target(lowest: float) -> None:
    def cold_days(**zone: Any) -> SimulatedHouse:
        made = SimulatedHouse(room=Room(start=6.0, outside=-5.0, noise=0.0), target=lowest, target_min=0.0, **zone)
        made.connect()
        made.run(4 * DAY)
        return made

    off, heat = cold_days(mode="off"), cold_days(mode="heat")
    mean_off, mean_heat = (
        sum(celsius for _, celsius in made.temperatures) / len(made.temperatures) for made in (off, heat)
    )
    assert off.seconds_on() > DAY / 2
    assert mean_off <= mean_heat + 0.01


def test_a_wide_band_does_not_let_the_frost_in() -> None:
    made = SimulatedHouse(room=Room(start=8.0, outside=-10.0, power=2000.0, noise=0.0), mode="off", hysteresis=8.0)
    made.connect()
    made.run(2 * DAY)
    assert min(celsius for _, celsius in made.temperatures) > 4.4


def test_mode_off_still_guards_against_frost_unless_that_is_forbidden() -> None:
    guarded = SimulatedHouse(room=Room(start=8.0, outside=-10.0, power=2000.0), mode="off")
    forbidden = SimulatedHouse(room=Room(start=8.0, outside=-10.0), mode="off", frost_protection=False)
    for made in (guarded, forbidden):
        made.connect()
        made.run(2 * DAY)

    assert min(celsius for _, celsius in guarded.temperatures) > 4.5
    assert guarded.said("room/mode") == "off"
    guarded.run_until(lambda: guarded.said("room/reason") == "frost-protection", within=DAY)
    assert guarded.said("room/action") == "heating"
    assert forbidden.relay.history == []
    assert forbidden.temperatures[-1][1] < 0
