"""The configuration is read anew while the house is being heated: what did not change goes on untouched."""

import pytest
from msgspec.structs import replace

from fakes import SimulatedHouse
from stoker.core.messages import Message
from stoker.core.settings import Presence, Settings
from stoker.core.stoker import Kept
from stoker_drivers.mock import Room

ALL = Kept({"inside"}, {"radiator"})


def heating_house() -> SimulatedHouse:
    house = SimulatedHouse(room=Room(start=15.0, noise=0.0))
    house.connect()
    house.run(120)
    assert house.relay.on
    return house


def reload(house: SimulatedHouse, settings: Settings, kept: Kept = ALL) -> None:
    house.settings = settings
    house.core, last_words, effects = house.core.replace(settings, kept, house.now())
    house._carry_out([*last_words, *effects])


def test_the_relay_does_not_blink() -> None:
    house = heating_house()
    switches = len(house.relay.history)
    reload(house, house.settings)
    house.run(120)

    assert len(house.relay.history) == switches
    assert house.relay.on


def test_a_new_target_counts_at_once_and_an_order_stands_above_it() -> None:
    house = heating_house()
    zone = replace(house.settings.zones["room"], target=10.0)
    reload(house, replace(house.settings, zones={"room": zone}))
    assert house.said("room/target") == "10.0"
    assert not house.relay.on

    house.order("room/target/set", "18")
    reload(house, replace(house.settings, zones={"room": replace(zone, target=11.0)}))
    assert house.said("room/target") == "18.0"


def test_a_target_ordered_that_new_limits_forbid_no_longer_counts() -> None:
    house = heating_house()
    house.order("room/target/set", "29")
    reload(house, replace(house.settings, zones={"room": replace(house.settings.zones["room"], target_max=25.0)}))

    assert house.said("room/target") == "20.0"


def test_an_order_by_hand_goes_on() -> None:
    house = heating_house()
    house.order("room/heater/set", "OFF")
    reload(house, house.settings)
    house.run(60)

    assert not house.relay.on
    assert house.reason == "by-hand"


def test_a_boost_goes_on_and_ends_in_its_time() -> None:
    house = SimulatedHouse(room=Room(start=15.0, noise=0.0), mode="off")
    house.connect()
    house.run(20)
    house.order("room/preset/set", "boost")
    house.run(1800)
    reload(house, replace(house.settings, zones={"room": replace(house.settings.zones["room"], target=19.0)}))
    assert (house.said("room/preset"), house.relay.on) == ("boost", True)
    house.run(1800)
    assert (house.said("room/preset"), house.relay.on) == ("none", False)


def test_an_open_window_stays_open_unless_another_thermometer_has_to_say_so() -> None:
    house = SimulatedHouse(room=Room(start=18.0, noise=0.02), window={"fall": 1.0})
    house.connect()
    house.run(600)
    house.room.air -= 1.5
    house.run_until(lambda: house.reason == "open-window", within=180)
    reload(house, replace(house.settings, zones={"room": replace(house.settings.zones["room"], target=21.0)}))
    house.run(30)
    assert house.reason == "open-window"
    reload(house, house.settings, Kept(set(), {"radiator"}))
    house.run(30)
    assert house.relay.on


def test_another_thermometer_under_the_same_name_must_read_before_there_is_heat() -> None:
    house = heating_house()
    house._next_reading = house.time + 8
    reload(house, house.settings, Kept(set(), {"radiator"}))
    assert not house.relay.on
    assert house.reason == "no-temperature-yet"

    house.run(20)
    assert house.relay.on


def test_a_zone_that_is_gone_leaves_nothing_behind() -> None:
    house = heating_house()
    cellar = house.settings.zones["room"]
    reload(house, replace(house.settings, zones={"cellar": cellar}))

    assert not [topic for topic in house.broker.retained if topic.startswith("stoker/shed/room/")]
    assert house.said("cellar/heater") == "ON"


def test_what_was_ordered_of_a_zone_is_known_again_when_the_zone_comes_back() -> None:
    """Somebody takes the room out of the file by mistake, and puts it back in the next reload."""
    house = heating_house()
    week = '{"daily": ["06:00 18", "22:00 16"]}'
    for topic, payload in (("mode", "auto"), ("target", "23"), ("preset", "eco"), ("schedule", week)):
        house.order(f"room/{topic}/set", payload)
    house.run(10)
    ordered = house.state()
    assert (ordered["mode"], ordered["preset"]) == ("auto", "eco")
    kept_before = dict(house.memory)

    with_room, without = house.settings, replace(house.settings, zones={"attic": house.settings.zones["room"]})
    for settings in (without, with_room):
        reload(house, settings)
        house.run(20)

    assert house.state() | {"text": ordered["text"]} == ordered
    assert house.said("room/schedule") == '{"daily":["06:00 18","22:00 16"]}'
    assert house.memory == kept_before | {"attic/heated": house.memory["attic/heated"]}
    house.order("room/preset/set", "none")
    assert house.said("room/target") == "23.0"


def test_what_limits_forbid_at_a_reload_is_forgotten_and_the_log_tells() -> None:
    house = heating_house()
    house.order("room/target/set", "29")
    house.order("room/schedule/set", '{"daily": ["06:00 29"]}')
    narrow = replace(house.settings.zones["room"], target_max=25.0)
    reload(house, replace(house.settings, zones={"room": narrow}))

    told = [line.text for line in house.log if line.level == "warning"]
    assert len(told) == 2
    assert "room: the remembered target 29.0 no longer holds: 29 °C is outside 5 to 25 °C" in told
    assert house.memory.keys() == {"restarts", "room/heated", "heater:radiator"}
    assert "stoker/shed/room/schedule" not in house.broker.retained


def test_a_schedule_and_a_tuning_that_the_files_no_longer_have_are_cleared_at_the_broker() -> None:
    house = SimulatedHouse(mode="auto", schedule={"daily": ("06:00 20",)}, control="pi")
    house.connect()
    house.run(20)
    assert house.said("room/schedule") == '{"daily":["06:00 20"]}'
    assert house.said("room/tune") == "idle"

    reload(house, replace(house.settings, zones={"room": replace(house.settings.zones["room"], schedule={})}))
    assert "stoker/shed/room/schedule" not in house.broker.retained
    reload(house, replace(house.settings, zones={"room": replace(house.settings.zones["room"], control="hysteresis")}))
    assert "stoker/shed/room/tune" not in house.broker.retained


def test_an_absence_is_as_old_after_a_reload_as_before_although_the_clock_was_set_meanwhile() -> None:
    house = SimulatedHouse(presence=Presence(people={"phone": "Position"}, expire_after=3600.0))
    house.connect()
    house.feed(Message("Position", b"not_home", house.time))
    house.run(1800)
    house.wall_ahead = 86400.0  # a Pi that has found out what time it is
    house.run(10)
    reload(house, house.settings)
    assert house.said("room/preset") == "away"

    house.run(1780)
    assert house.said("room/preset") == "away"
    house.run(20)
    assert house.said("room/preset") == "none"


@pytest.mark.parametrize(("device", "reason"), [({"max_restarts": 3}, "too-many-restarts"), ({}, "below-target")])
def test_how_many_restarts_are_too_many_is_read_anew(device: dict[str, int], reason: str) -> None:
    house = SimulatedHouse(remembered={"restarts": "4"}, room=Room(start=15.0))
    house.connect()
    house.run(20)
    assert house.relay.on
    reload(house, replace(house.settings, **device))

    house.run(10)
    assert house.said("room/reason") == reason


def test_whoever_is_held_for_its_restarts_is_let_go_by_a_reload_that_allows_them() -> None:
    house = SimulatedHouse(remembered={"restarts": "9"}, room=Room(start=15.0))
    house.connect()
    house.run(20)
    assert house.said("room/reason") == "too-many-restarts"
    reload(house, replace(house.settings, stable_after=60.0))
    house.run(35)
    assert not house.relay.on
    house.run(15)
    assert house.relay.on, "a minute after the start, not after the reload"


def test_a_run_that_was_stable_is_not_held_by_a_longer_time() -> None:
    house = SimulatedHouse(remembered={"restarts": "9"}, room=Room(start=15.0))
    house.connect()
    house.run(700)
    assert house.relay.on
    reload(house, replace(house.settings, stable_after=7200.0))
    house.run(60)
    assert house.relay.on
    assert "restarts" not in house.memory
