"""Old orders are dead: retained, repeated, expired, held up anywhere, or old by their own word. Each is told of."""

from typing import Any

import msgspec
import pytest

from fakes import SimulatedHouse
from stoker.core.messages import Message
from stoker.core.stoker import Kept
from stoker.core.taken import MOST
from stoker.core.topics import stamp, stamped
from stoker_drivers.mock import Room


def house(**zone: Any) -> SimulatedHouse:
    """21 °C, no heat needed, connected."""
    made = SimulatedHouse(room=Room(start=21.0, noise=0.0), **zone)
    made.connect()
    made.run(15)
    return made


def by_hand(made: SimulatedHouse, *, ago: float = 0.0, value: str = "ON") -> None:
    """`heater ON` with the time at which its sender gave it."""
    made.order("room/heater/set", stamped(value, made.now().wall - ago).decode())


def refusal(made: SimulatedHouse) -> tuple[str, str]:
    (event,) = made.events("order-refused")
    return event["reason"], event["text"]


def test_an_order_that_the_broker_sends_twice_is_obeyed_once() -> None:
    made = house()
    made.order("room/heater/set", "ON")
    made.order("room/heater/set", "OFF")
    made.run(30)
    made.order("room/heater/set", "ON", duplicate=True)
    made.run(30)

    assert not made.relay.on
    assert refusal(made) == ("duplicate", "the broker delivered this order before, and it was taken then")


@pytest.mark.parametrize(("lifetime", "waited", "obeyed"), [(60, 59, True), (60, 61, False), (5, 6, False)])
def test_an_order_lives_as_long_as_the_zone_says(lifetime: float, waited: float, obeyed: bool) -> None:
    made = house(order_lifetime=lifetime)
    made.feed(Message("stoker/shed/room/heater/set", b"ON", made.time - waited))
    made.run(1)

    assert made.relay.on is obeyed
    if not obeyed:
        assert refusal(made) == ("expired", f"the order waited {waited} s, {lifetime} s are allowed")


def test_an_expiry_of_its_sender_can_only_shorten_its_life() -> None:
    made = house()
    made.feed(Message("stoker/shed/room/heater/set", b"ON", made.time - 61, expires_in=3600.0))
    made.run(1)

    assert not made.relay.on
    assert refusal(made)[0] == "expired"


def test_an_order_with_its_own_time_is_obeyed_while_it_is_fresh() -> None:
    made = house()
    by_hand(made, ago=30)
    made.run(1)

    assert made.relay.on
    assert made.log[-1].text.startswith("room: heater on, by-hand")
    assert any(line.text == "room: ordered heater ON" for line in made.log)


def test_an_order_that_a_bridge_held_for_hours_is_dead_by_its_own_word() -> None:
    made = house()
    by_hand(made, ago=4 * 3600)
    made.run(1)

    assert not made.relay.on
    assert refusal(made) == ("expired", "by its own time the order is 14400 s old, 60 s are allowed")


def test_an_order_from_the_future_is_refused_and_a_clock_a_little_ahead_is_not() -> None:
    made = house()
    by_hand(made, ago=-55)
    made.run(1)
    assert made.relay.on

    by_hand(made, ago=-125, value="OFF")
    made.run(15)
    assert made.relay.on
    reason, text = refusal(made)
    assert (reason, text) == ("time-ahead", "its time is 125 s ahead of the clock here: which of them is wrong?")


def test_an_order_that_its_sender_sends_again_does_not_undo_a_later_one() -> None:
    """A phone that saw no acknowledgement sends it again over a new connection: to the broker it is a new one."""
    made = house()
    order = stamped("ON", made.now().wall).decode()
    made.order("room/heater/set", order)
    made.run(5)
    assert made.relay.on

    made.order("room/heater/set", "OFF")
    made.run(20)
    made.order("room/heater/set", order)
    made.run(5)
    assert not made.relay.on
    assert refusal(made)[0] == "duplicate"

    by_hand(made)
    made.run(5)
    assert made.relay.on


@pytest.mark.parametrize("last", ["with a stamp", "without one"])
def test_an_order_that_was_held_up_does_not_undo_one_that_was_given_after_it(last: str) -> None:
    made = house()
    by_hand(made, value="ON")
    if last == "with a stamp":
        by_hand(made, value="OFF")
    else:
        made.order("room/heater/set", "OFF")
    made.run(30)
    assert not made.relay.on
    by_hand(made, ago=45, value="ON")
    made.run(5)

    assert not made.relay.on
    reason, text = refusal(made)
    assert reason == "overtaken"
    assert text.startswith("by its own time it was given 15.0 s before the last order obeyed here")
    made.order("room/target/set", f'{{"value": 19, "time": "{stamp(made.now().wall - 45)}"}}')
    assert made.said("room/target") == "19.0"  # another subject is another matter


@pytest.mark.parametrize(("topic", "on", "off"), [("heater", "ON", "OFF"), ("mode", "heat", "off")])
def test_off_is_obeyed_from_a_sender_whose_clock_is_behind(topic: str, on: str, off: str) -> None:
    made = house(target=25.0, min_on=0.0, min_off=0.0)
    made.order(f"room/{topic}/set", on)
    made.run(5)
    assert made.relay.on

    order = stamped(off, made.now().wall - 30).decode()
    for _ in range(2):  # the second time its sender had heard no acknowledgement, and somebody else was there before it
        made.order(f"room/{topic}/set", order, reply_to="answers")
        made.run(1)
        assert not made.relay.on
        answer = msgspec.json.decode(made.broker.payloads("answers")[-1])
        assert answer["ok"] is True
        assert answer["note"].startswith("obeyed, since it only takes heat away, although ")
        made.order(f"room/{topic}/set", on)
        made.run(5)
        assert made.relay.on
    made.order(f"room/{topic}/set", stamped(on, made.now().wall - 45).decode())
    assert refusal(made)[0] == "overtaken"


def test_a_sender_whose_clock_is_ahead_silences_nobody() -> None:
    made = house()
    by_hand(made, ago=-50, value="ON")
    made.run(5)
    by_hand(made, value="OFF")
    made.run(5)

    assert not made.relay.on
    assert made.events("order-refused") == []


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    made = house()
    by_hand(made)
    made.run(5)
    made.wall_ahead -= 3600
    by_hand(made, value="OFF")
    made.run(5)

    assert not made.relay.on


def test_a_reload_does_not_forget_what_was_taken() -> None:
    made = house()
    order = stamped("ON", made.now().wall).decode()
    made.order("room/heater/set", order)
    made.order("room/heater/set", "OFF")
    made.core, _, _ = made.core.replace(made.settings, Kept({"inside"}, {"radiator"}), made.now())
    made.order("room/heater/set", order)

    assert refusal(made)[0] == "duplicate"


def test_a_sender_that_never_tires_fills_no_memory() -> None:
    made = house()
    for number in range(300):
        made.order("room/target/set", f'{{"value": {15 + number / 100:.2f}, "time": "{stamp(made.now().wall)}"}}')

    assert made.said("room/target") == "17.99"
    assert len(made.core._taken["stoker/shed/room/target/set"]._lately) == MOST


def test_while_our_clock_is_a_guess_an_orders_time_proves_nothing() -> None:
    """Otherwise a house without network time would take no order at all. What was seen here still counts."""
    made = house()
    made.synchronised = False
    by_hand(made, ago=4 * 3600)
    made.run(1)
    assert made.relay.on

    made.order("room/heater/set", stamped("OFF", made.now().wall).decode(), retained=True)
    assert refusal(made)[0] == "retained"


@pytest.mark.parametrize(
    ("topic", "value", "said"),
    [
        ("target", "18.5", "18.5"),
        ("target", '"18.5"', "18.5"),
        ("mode", '"off"', "off"),
        ("preset", '"eco"', "eco"),
        ("schedule", '{"daily": ["06:30 comfort"]}', '{"daily":["06:30 comfort"]}'),
        ("schedule", msgspec.json.encode('{"daily": ["06:30 comfort"]}').decode(), '{"daily":["06:30 comfort"]}'),
    ],
)
def test_every_order_may_carry_its_time(topic: str, value: str, said: str) -> None:
    made = house()
    made.order(f"room/{topic}/set", f'{{"time": "{stamp(made.now().wall)}", "value": {value}}}')

    assert made.events("order-refused") == []
    assert made.said(f"room/{topic}") == said


DEEP = '{"value": ' + "[" * 50_000 + "]" * 50_000 + ', "time": "2026-01-05T00:00:00Z"}'


@pytest.mark.parametrize(
    "payload",
    [
        '{"value": 21}',
        '{"value": 21, "time": "yesterday"}',
        '{"value": 21, "time": 1767571200}',
        '{"value": 21, "time": "2026-01-05T00:00:15"}',
        '{"value": 21, "time": "2026-01-05T00:00:15Z", "mode": "heat"}',
        '{"value": NaN, "time": "2026-01-05T00:00:15Z"}',
        '{"value": "\\ud800", "time": "2026-01-05T00:00:15Z"}',
        '{"value": 21',
        DEEP,
    ],
)
def test_what_only_looks_like_an_order_with_its_time_changes_nothing(payload: str) -> None:
    made = house()
    made.order("room/target/set", payload)

    assert made.said("room/target") == "20.0"
    assert refusal(made)[0] == "not-understood"


@pytest.mark.parametrize("value", ["1e400", "true", "null", "[21]", '{"a": 1}', '"nan"', '"' + "9" * 10_000 + '"'])
def test_garbage_with_a_good_time_is_garbage(value: str) -> None:
    made = house()
    made.order("room/target/set", f'{{"value": {value}, "time": "{stamp(made.now().wall)}"}}')

    assert made.said("room/target") == "20.0"
    assert refusal(made)[0] == "not-understood"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_first_and_the_last_moment_are_dead_too(time: str) -> None:
    made = house()
    made.order("room/target/set", f'{{"value": 21, "time": "{time}"}}')

    assert refusal(made)[0] in ("expired", "time-ahead")
