"""Orders over MQTT: what they do, how they are answered, and which of them change nothing."""

from typing import Any

import msgspec
import pytest

from fakes import SimulatedHouse
from stoker.core.messages import Message, Publish
from stoker.core.settings import Presence
from stoker_drivers.mock import Room


def warm_house(**zone: Any) -> SimulatedHouse:
    """A house at 21 °C that needs no heat."""
    house = SimulatedHouse(room=Room(start=21.0, noise=0.0), **zone)
    house.connect()
    house.run(15)
    assert not house.relay.on
    return house


def test_a_mode_ordered_survives_a_restart_and_default_forgets_it() -> None:
    house = warm_house()
    house.order("room/mode/set", "off")
    house.order("room/target/set", "17.5")
    assert (house.said("room/mode"), house.said("room/target")) == ("off", "17.5")

    again = SimulatedHouse(remembered=house.memory)
    again.connect()
    assert (again.said("room/mode"), again.said("room/target")) == ("off", "17.5")
    again.order("room/mode/set", "default")
    again.order("room/target/set", "default")
    assert (again.said("room/mode"), again.said("room/target")) == ("heat", "20.0")
    assert again.memory == {}


def test_a_remembered_target_that_the_configuration_now_forbids_is_forgotten() -> None:
    house = SimulatedHouse(remembered={"room/target": "29.0", "room/mode": "heat", "gone/mode": "off"}, target_max=25.0)
    house.connect()

    assert house.said("room/target") == "20.0"
    assert house.memory == {"room/mode": "heat", "gone/mode": "off"}
    assert any("29.0 no longer holds" in line.text for line in house.log)


def test_by_hand_on_heats_for_its_time_and_then_auto_returns() -> None:
    house = warm_house(order_hold=1800.0)
    house.order("room/heater/set", "ON")
    house.run(1)
    assert house.said("room/heater") == "ON"
    assert house.said("room/reason") == "by-hand"

    house.run(1795)
    assert house.relay.on
    house.run(10)
    assert not house.relay.on
    assert house.said("room/reason") == "target-reached"


def test_by_hand_ends_in_its_time_during_a_fault_too_and_state_says_so() -> None:
    house = warm_house(order_hold=100.0)
    house.room.stage("sensor-dead")
    house.run(60)
    house.order("room/heater/set", "ON")
    assert (house.state()["by_hand"], house.state()["heater"]) == ("ON", "OFF")
    house.run(100)
    assert house.state()["by_hand"] is None


def test_by_hand_off_holds_against_the_cold_and_auto_ends_it() -> None:
    house = SimulatedHouse(room=Room(start=12.0))
    house.connect()
    house.order("room/heater/set", "OFF")
    house.run(600)
    assert house.relay.history == []

    house.order("room/heater/set", "AUTO")
    house.run(1)
    assert house.relay.on


def test_mode_off_ends_an_order_by_hand() -> None:
    house = warm_house()
    house.order("room/heater/set", "ON")
    house.run(15)
    house.order("room/mode/set", "off")
    house.run(15)

    assert not house.relay.on
    assert house.said("room/action") == "off"


def test_an_order_by_hand_does_not_outlive_the_program() -> None:
    house = warm_house()
    house.order("room/heater/set", "ON")

    assert house.memory.keys() == {"restarts", "room/heated", "heater:radiator"}, "only that it heated"


@pytest.mark.parametrize(
    ("topic", "payload", "details", "reason"),
    [
        ("room/heater/set", "ON", {"retained": True}, "retained"),
        ("room/mode/set", "off", {"retained": True}, "retained"),
        ("room/target/set", "99", {}, "out-of-range"),
        ("room/target/set", "-4", {}, "out-of-range"),
        ("room/target/set", "nan", {}, "not-understood"),
        ("room/target/set", "inf", {}, "not-understood"),
        ("room/target/set", "1e1", {}, "not-understood"),
        ("room/target/set", "2_1", {}, "not-understood"),
        ("room/target/set", "٢١", {}, "not-understood"),
        ("room/target/set", "", {}, "not-understood"),
        ("room/mode/set", "cool", {}, "not-understood"),
        ("room/heater/set", "TOGGLE", {}, "not-understood"),
        ("room/heater/set", "ON" * 1000, {}, "not-understood"),
    ],
)
def test_what_is_not_an_order_changes_nothing_and_is_answered(
    topic: str, payload: str, details: dict[str, bool], reason: str
) -> None:
    house = warm_house()
    before = dict(house.broker.retained)
    house.order(topic, payload, **details)
    house.run(30)

    assert house.broker.retained == before
    assert house.memory == {}
    (refused,) = house.events("order-refused")
    assert (refused["reason"], refused["topic"]) == (reason, f"stoker/shed/{topic}")
    assert payload.startswith(refused["payload"].rstrip("…"))


def test_an_order_that_is_not_text_is_shown_readably() -> None:
    house = warm_house()
    house.feed(Message("stoker/shed/room/mode/set", b"\xff\x00\x1b[31m", house.time))

    (refused,) = house.events("order-refused")
    assert refused["payload"].isprintable()


def test_an_order_that_waited_too_long_is_dead() -> None:
    house = warm_house()
    sent = house.time
    house.run(61)
    house.feed(Message("stoker/shed/room/heater/set", b"ON", sent))
    assert [event["reason"] for event in house.events("order-refused")] == ["expired"]

    house.feed(Message("stoker/shed/room/heater/set", b"ON", house.time - 5, expires_in=4))
    assert [event["reason"] for event in house.events("order-refused")] == ["expired", "expired"]
    assert not house.relay.on


def test_an_order_with_a_response_topic_gets_its_answer_after_the_relay_has_followed() -> None:
    house = warm_house()
    house.order("room/heater/set", "ON", reply_to="phone/answers", correlation=b"42")

    answer = msgspec.json.decode(house.broker.payloads("phone/answers")[0])
    assert answer["ok"] is True
    assert (answer["heater"], answer["reason"], answer["action"]) == ("ON", "by-hand", "heating")


def test_a_refused_order_with_a_response_topic_is_told_why() -> None:
    house = warm_house()
    message = Message("stoker/shed/room/target/set", b"50", house.time, reply_to="phone/answers", correlation=b"7")
    effects = house.core.handle(message, house.now())

    (answer,) = [effect for effect in effects if isinstance(effect, Publish) and effect.kind == "answer"]
    assert answer.correlation == b"7"
    assert msgspec.json.decode(answer.payload) == {
        "ok": False,
        "zone": "room",
        "reason": "out-of-range",
        "text": "50 °C is outside 5 to 30 °C",
        "topic": "stoker/shed/room/target/set",
        "payload": "50",
    }


@pytest.mark.parametrize(
    "topic",
    [
        "TEMPERATURE",
        "Position",
        "stoker/shed/availability",
        "stoker/shed/alive",
        "stoker/shed/state",
        "stoker/shed/event",
        "stoker/shed/backlog",
        "stoker/shed/room/target",
        "stoker/shed/room/target/set",
        "stoker/barn/hall/heater/set",
        "stoker/barn/hall/fault/reset",
        "phone/#",
        "phone/+",
        "$SYS/broker",
    ],
)
@pytest.mark.parametrize("target", ["21.5", "99"])
def test_an_order_s_sender_cannot_speak_through_the_device(topic: str, target: str) -> None:
    house = warm_house(presence=Presence(people={"phone": "Position"}))
    message = Message("stoker/shed/room/target/set", target.encode(), house.time, reply_to=topic, correlation=b"7")
    house.feed(message)

    assert not [payload for _, _, payload in house.broker.said if b'"ok"' in payload]
    (told,) = [line.text for line in house.log if "no answer on" in line.text]
    assert repr(topic) in told
    assert house.core.zones["room"].aim.target == (21.5 if target == "21.5" else 20.0), "the order counts all the same"


@pytest.mark.parametrize("topic", ["phone/answers", "stoker/shed/answer/stoker-shed-1a2b3c4d", "homeassistant/reply"])
def test_topics_of_ones_own_are_answered_on(topic: str) -> None:
    house = warm_house()
    house.order("room/target/set", "21.5", reply_to=topic)
    assert len(house.broker.payloads(topic)) == 1


def test_an_order_that_changes_nothing_is_confirmed_all_the_same() -> None:
    house = warm_house()
    said = len(house.broker.payloads("stoker/shed/room/target"))
    house.order("room/target/set", "20")

    assert house.broker.payloads("stoker/shed/room/target")[said:] == [b"20.0"]


def test_after_each_connection_everything_is_said_anew() -> None:
    house = warm_house()
    house.disconnect()
    house.run(100)
    house.broker.retained.clear()
    house.connect()

    assert house.said("availability") == "online"
    state = msgspec.json.decode(house.broker.retained["stoker/shed/state"])
    assert state["zones"]["room"]["mode"] == house.said("room/mode") == "heat"
    assert {key.rpartition("/")[2] for key in house.broker.retained} == {
        "availability",
        "alive",
        "state",
        "mode",
        "target",
        "heater",
        "action",
        "reason",
        "fault",
        "preset",
    }
    assert house.events("connected")[-1]["offline_for"] == 100


def test_messages_on_other_topics_are_nobodys() -> None:
    house = warm_house()
    house.feed(Message("stoker/shed/room/mode", b"off", house.time))
    house.feed(Message("somebody/else", b"ON", house.time))

    assert house.said("room/mode") == "heat"
    assert house.events("order-refused") == []


def note(house: SimulatedHouse, subject: str, payload: str) -> str:
    """What the answer to this order says of its worth."""
    house.order(f"room/{subject}/set", payload, reply_to="phone")
    answer = msgspec.json.decode(house.broker.payloads("phone")[-1])
    assert answer["ok"]
    return str(answer.get("note", ""))


def test_an_order_that_does_nothing_yet_says_what_stands_above_it() -> None:
    house = warm_house(presence=Presence(people={"phone": "Position"}))
    assert (note(house, "target", "22"), note(house, "preset", "eco")) == ("", "")
    week = '{"daily": ["06:00 18"]}'
    assert note(house, "schedule", week) == "a schedule is followed in mode auto, and the mode is heat"

    house.feed(Message("Position", b"not_home", house.time))
    assert note(house, "target", "23") == "away until somebody is at home"
    assert note(house, "preset", "boost") == "", "which stands above an absence"
    house.order("room/preset/set", "none")
    house.order("room/mode/set", "off")
    assert note(house, "target", "23") == "the zone's mode is off"
    assert note(house, "preset", "boost") == "", "which heats in mode off too"
    house.order("room/heater/set", "OFF")
    house.run(600)
    assert note(house, "preset", "boost") == "OFF by hand stands above it for another 50 min"
    assert note(house, "target", "23") == "OFF by hand stands above it for another 50 min"
    house.order("room/heater/set", "AUTO")
    house.order("room/mode/set", "heat")
    house.feed(Message("Position", b"home", house.time))
    assert note(house, "target", "23") == ""


def test_the_whole_state_is_said_ten_times_a_second_however_many_orders_come_and_ends_with_the_newest() -> None:
    house = warm_house()
    before = len(house.broker.payloads("stoker/shed/state"))
    for number in range(100):
        house.order("room/target/set", f"{10 + number / 10:.1f}")
    assert len(house.broker.payloads("stoker/shed/room/target")) >= 100, "its parts at once"
    assert len(house.broker.payloads("stoker/shed/state")) == before + 1, "the first at once"
    house.run(0.2)
    assert len(house.broker.payloads("stoker/shed/state")) == before + 2
    assert house.state()["target"] == 19.9


def test_a_stop_says_the_state_that_would_have_waited() -> None:
    house = warm_house()
    house.order("room/heater/set", "ON")
    house.order("room/heater/set", "OFF")
    house.order("room/heater/set", "ON")
    house.stop()
    assert (house.state()["heater"], house.state()["reason"]) == ("OFF", "stopping")
