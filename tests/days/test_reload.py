"""The configuration is read anew while the house is being heated: what did not change goes on untouched."""

from msgspec.structs import replace

from fakes import SimulatedHouse
from stoker.core.settings import Settings
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

    assert house.broker.retained["stoker/shed/room/heater"] == b""
    assert house.said("cellar/heater") == "ON"
