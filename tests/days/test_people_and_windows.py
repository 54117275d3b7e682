"""Who is at home, an open window, several thermometers in one place, several places on one boiler."""

import math

import msgspec
from msgspec.structs import replace

from fakes import SimulatedHouse
from stoker.core.messages import Message, Reading
from stoker.core.settings import Presence, Thermometer, Window, Zone
from stoker.core.stoker import Kept
from stoker_drivers.mock import Room

DAY = 86400.0
HOME = Presence(latitude=52.5, longitude=13.4, people={"phone": "Position", "tablet": "tablet/position"})


def at(house: SimulatedHouse, topic: str, payload: str, retained: bool = False) -> None:
    house.feed(Message(topic, payload.encode(), house.time, retained=retained))


def test_when_everybody_has_left_the_heating_goes_down_and_comes_back_with_the_first() -> None:
    house = SimulatedHouse(room=Room(start=19.0), presence=HOME)
    house.connect()
    at(house, "Position", '{"lat": 52.6, "lon": 13.4}')
    assert house.said("room/target") == "20.0", "of the tablet nothing is known, and that changes nothing"
    at(house, "tablet/position", "not_home")
    assert (house.said("room/preset"), house.said("room/target")) == ("away", "12.0")
    house.run(60)
    assert not house.relay.on

    at(house, "Position", "this is no position")
    assert house.said("room/preset") == "away"
    at(house, "Position", '{"_type": "location", "lat": 52.5001, "lon": 13.4001, "tst": 1767571300}')
    assert (house.said("room/preset"), house.said("room/target")) == ("none", "20.0")
    state = msgspec.json.decode(house.broker.retained["stoker/shed/state"])
    assert state["presence"] == {"phone": "home", "tablet": "away"}
    assert "52.5" not in house.broker.retained["stoker/shed/state"].decode(), "where somebody is, is not said"


def test_somebody_who_is_taken_out_of_the_files_and_put_back_is_where_they_were() -> None:
    house = SimulatedHouse(presence=HOME)
    house.connect()
    at(house, "Position", "not_home")
    at(house, "tablet/position", "not_home")
    without = replace(house.settings, presence=replace(HOME, people={"tablet": "tablet/position"}))
    for settings in (without, house.settings):
        house.core, _, _ = house.core.replace(settings, Kept({"inside"}, {"radiator"}), house.now())
        house.run(60)
        house.feed(Message("tablet/position", b"not_home", house.time))

    assert house.core.presence.state(house.time) == {"phone": "away", "tablet": "away"}
    assert house.core.zones["room"].aim.preset == "away"


def test_whatever_else_a_phone_says_moves_nobody() -> None:
    """OwnTracks sends more than places; the log tells once of what it cannot read, however often that comes."""
    house = SimulatedHouse(presence=replace(HOME, people={"phone": "Position"}))
    house.connect()
    at(house, "Position", '{"_type":"location","lat":53.0,"lon":13.4,"acc":12,"tst":1767571200}')
    assert house.said("room/preset") == "away"
    told = len(house.log)
    for payload in (
        '{"_type":"lwt","tst":1767571300}',
        '{"_type":"waypoint","desc":"home","lat":52.5,"lon":13.4,"rad":50,"tst":1767571300}',
        '{"_type":"waypoints","waypoints":[]}',
        '{"_type":"transition","event":"leave","desc":"work","lat":53.0,"lon":13.4,"tst":1767571301}',
        '{"_type":"location","lat":52.5,"lon":13.4,"tst":1767571100}',
        '{"_type":"status","iOS":{}}',
        '{"_type":"card","name":"Ann"}',
        "",
    ):
        at(house, "Position", payload)
        assert house.said("room/preset") == "away", payload
    assert len(house.log) == told
    for _ in range(100):
        at(house, "Position", "unavailable")
    assert [line.level for line in house.log[told:]] == ["warning"]
    at(house, "Position", '{"_type":"transition","event":"enter","desc":"home","tst":1767571400}')
    assert house.said("room/preset") == "none"


def test_absence_survives_a_restart_and_never_raises_a_target() -> None:
    house = SimulatedHouse(presence=HOME)
    house.connect()
    at(house, "Position", "not_home")
    at(house, "tablet/position", "not_home")

    again = SimulatedHouse(presence=HOME, remembered=house.memory, target=8.0)
    again.connect()
    again.run(15)
    assert (again.said("room/preset"), again.said("room/target")) == ("away", "8.0")


def test_an_open_window_suspends_heating_but_not_frost_protection() -> None:
    house = SimulatedHouse(room=Room(start=18.0, noise=0.02), window={"fall": 1.0})
    house.connect()
    house.run(600)
    assert house.relay.on
    house.room.air -= 1.5
    house.run_until(lambda: house.said("room/reason") == "open-window", within=180)
    assert not house.relay.on
    house.sensor = lambda: 4.0
    house.run_until(lambda: house.said("room/reason") == "frost-protection", within=60)
    assert house.relay.on


THREE = {name: Thermometer(max_rate=0.0) for name in ("a", "b", "c")}


def window_with_three() -> SimulatedHouse:
    made = SimulatedHouse(
        thermometers=THREE, zone=Zone(thermometer=tuple(THREE), heater="radiator", window=Window(fall=1.0))
    )
    made.connect()
    return made


def read_for(house: SimulatedHouse, seconds: float, **celsius: float) -> None:
    for _ in range(round(seconds / 10)):
        house.run(10)
        for name, value in celsius.items():
            house.feed(Reading(name, value, house.time))


def test_an_open_window_is_seen_although_the_first_thermometer_is_dead() -> None:
    house = window_with_three()
    read_for(house, 300, b=18.0, c=18.4)
    assert house.relay.on
    read_for(house, 90, b=16.0, c=16.4)
    assert house.said("room/reason") == "open-window"
    assert not house.relay.on


def test_a_liar_or_a_death_among_several_is_no_open_window() -> None:
    house = window_with_three()
    read_for(house, 300, a=18.0, b=18.2, c=18.4)
    read_for(house, 300, a=2.0, b=18.2, c=18.4)  # the first one lies
    assert house.said("room/reason") == "below-target"
    read_for(house, 300, a=15.0, c=18.4)  # the one in the middle dies, and the mean of the others is colder
    assert house.said("room/reason") == "below-target"
    assert house.relay.on


def test_what_is_known_of_people_expires_to_the_second_and_says_so() -> None:
    house = SimulatedHouse(
        room=Room(start=19.0, noise=0.0),
        presence=Presence(people={"phone": "Position"}, expire_after=3600.0),
        interval=86400.0,
    )
    house._next_reading = math.inf
    house.connect()
    house.feed(Reading("inside", 19.0, house.time))
    at(house, "Position", "not_home")
    assert not house.relay.on
    left = house.time
    house.run_until(lambda: house.said("room/preset") == "none", within=3700)
    assert house.time - left == 3600.0
    assert house.relay.on
    assert [event["where"] for event in house.events("presence")] == ["away", "unknown"]
    assert msgspec.json.decode(house.said("state"))["presence"] == {"phone": "unknown"}
    house.run(DAY / 2)
    assert len(house.events("presence")) == 2, "said once"


def test_who_is_heard_again_and_again_is_as_fresh_after_a_restart_without_wearing_out_the_card() -> None:
    people = Presence(people={"phone": "Position"}, expire_after=DAY)
    house = SimulatedHouse(presence=people)
    house.connect()
    writes: list[str] = []
    for _ in range(24 * 12):  # each five minutes for a day
        at(house, "Position", "not_home")
        house.run(300)
        writes += [house.memory["presence"]] if house.memory["presence"] not in writes else []
    assert len(writes) <= 11

    again = SimulatedHouse(presence=people, remembered=house.memory, begin=house.time)
    again.connect()
    again.run(0.85 * DAY)
    assert again.said("room/preset") == "away"
    again.run(0.2 * DAY)
    assert again.said("room/preset") == "none"


def test_who_never_expires_is_written_down_when_there_is_news_alone() -> None:
    house = SimulatedHouse(presence=HOME)
    at(house, "Position", "home")
    kept = dict(house.memory)
    for _ in range(48):
        house.run(1800)
        at(house, "Position", "home")
    assert house.memory["presence"] == kept["presence"]


def test_the_median_of_three_thermometers_counts_and_a_liar_is_reported() -> None:
    inside = Thermometer()
    house = SimulatedHouse(
        thermometers={"a": inside, "b": inside, "c": inside},
        zone=Zone(thermometer=("a", "b", "c"), heater="radiator"),
    )
    house.connect()
    for _ in range(3):
        house.run(10)
        for name, celsius in {"a": 18.0, "b": 18.4, "c": 60.0}.items():
            house.feed(Reading(name, celsius, house.time))
    assert house.relay.on
    assert house.events("fault") == []
    (liar,) = house.events("thermometer-failed")
    assert (liar["thermometer"], liar["reason"]) == ("c", "outlier")

    for _ in range(6):
        house.run(10)
        house.feed(Reading("b", 18.4, house.time))
    assert house.relay.on, "one that lives is enough"
    house.run(31)
    assert not house.relay.on
    assert house.reason == "stale-temperature"


def test_who_was_outvoted_is_not_obeyed_when_the_others_die() -> None:
    inside = Thermometer(max_rate=0.0)
    house = SimulatedHouse(
        thermometers={"a": inside, "b": inside, "c": inside},
        zone=Zone(thermometer=("a", "b", "c"), heater="radiator"),
    )
    house.connect()

    def read(seconds: float, **celsius: float) -> None:
        for _ in range(int(seconds / 10)):
            house.run(10)
            for name, value in celsius.items():
                house.feed(Reading(name, value, house.time))

    read(60, a=20.5, b=20.5, c=8.0)
    read(60, a=20.5, b=20.5)  # c is silent, and nobody forgets what it said
    read(600, c=8.0)
    assert not house.relay.on
    assert house.reason == "stale-temperature"

    read(60, a=18.0, c=17.5)
    read(600, c=17.5)
    assert house.relay.on, "it has agreed again"


def test_a_boiler_runs_while_any_zone_asks() -> None:
    inside = Thermometer(max_rate=0.0)
    house = SimulatedHouse(
        thermometers={"a": inside, "b": inside},
        zones={name: Zone(thermometer=name, heater="radiator") for name in ("a", "b")},
        min_on=0.0,
        min_off=0.0,
    )
    house.connect()

    def read(a: float, b: float) -> bool:
        house.feed(Reading("a", a, house.time))
        house.feed(Reading("b", b, house.time))
        return house.relay.on

    assert read(15.0, 25.0)
    assert read(15.0, 15.0)
    assert read(25.0, 15.0)
    assert not read(25.0, 25.0)
    assert house.said("a/reason") == house.said("b/reason") == "target-reached"


def test_of_two_that_disagree_the_warmer_counts_and_a_known_liar_stays_out() -> None:
    inside = Thermometer(max_rate=0.0)
    house = SimulatedHouse(
        thermometers={"a": inside, "b": inside, "c": inside},
        zone=Zone(thermometer=("a", "b", "c"), heater="radiator"),
    )
    house.connect()

    def read(**celsius: float) -> bool:
        for _ in range(3):
            house.run(10)
            for name, value in celsius.items():
                house.feed(Reading(name, value, house.time))
        return house.relay.on

    assert not read(a=20.5, b=20.6, c=0.0)
    house.run(40)
    assert not read(b=20.6, c=0.0), "a is dead, and c was a liar before"
    assert not read(b=38.0, c=0.0)
    assert house.reason == "over-temperature"


def test_a_fault_of_the_zone_that_asked_ends_heat_and_another_zones_does_not() -> None:
    inside = Thermometer(max_rate=0.0)
    zones = {name: Zone(thermometer=name, heater="radiator") for name in ("a", "b")}
    house = SimulatedHouse(thermometers={"a": inside, "b": inside}, zones=zones, min_on=600.0, min_off=0.0)
    house.connect()

    def read(**celsius: float) -> bool:
        house.run(10)
        for name, value in celsius.items():
            house.feed(Reading(name, value, house.time))
        return house.relay.on

    assert read(b=15.0), "a never reads"
    assert read(b=25.0), "b has what it wants, and the minimum time holds although a is at fault"
    for _ in range(60):
        read(b=25.0)
    assert not house.relay.on
    assert read(b=15.0)
    house.run(31)
    assert not house.relay.on, "b's sensor died: nobody answers for this heat any more"


def test_a_slow_sensor_under_pi_control() -> None:
    slow = SimulatedHouse(
        thermometers={"slow": Thermometer(interval=300.0)},
        zone=Zone(thermometer="slow", heater="radiator", control="pi"),
    )
    slow.connect()
    for _ in range(200):
        slow.room.relay = slow.relay.on
        slow.feed(Reading("slow", slow.room.measure(), slow.time))
        slow.run(300)
    assert 18.0 < slow.room.air < 22.0


def test_after_a_reload_without_the_zone_that_asked_the_fault_of_any_other_ends_its_heat() -> None:
    inside = Thermometer(max_rate=0.0)
    names = {"a", "b", "c"}
    zones = {name: Zone(thermometer=name, heater="radiator") for name in sorted(names)}
    house = SimulatedHouse(thermometers=dict.fromkeys(names, inside), zones=zones, min_on=3600.0, min_off=0.0)
    house.connect()
    house.run(10)
    house.feed(Reading("b", 25.0, house.time))
    house.feed(Reading("a", 15.0, house.time))
    assert house.relay.on
    house.run(25)
    assert house.relay.on, "c never read, but it is a's heat"

    settings = replace(house.settings, zones={"b": zones["b"], "c": zones["c"]})
    house.core, _, effects = house.core.replace(settings, Kept(names, {"radiator"}), house.now())
    house._carry_out(effects)
    house.run(1)
    assert not house.relay.on, "nobody who asked for it is left"
