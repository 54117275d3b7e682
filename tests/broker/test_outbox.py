"""What waits to be said: bounded, states at their newest, all in order; what is past is handed on, or counted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.messages import Kind, Publish
from stoker.link.outbox import LIMITS, Outbox

kinds = st.sampled_from([*LIMITS, "state"])


def online() -> Outbox:
    outbox = Outbox()
    outbox.online()
    return outbox


def say(outbox: Outbox, kind: Kind, *payloads: str, topic: str = "t") -> None:
    for payload in payloads:
        outbox.add(Publish(topic, payload.encode(), kind), 0.0)


def taken(outbox: Outbox) -> list[str]:
    return [publish.payload.decode() for publish in iter(lambda: outbox.take(0.0), None)]


def test_a_state_is_said_at_its_newest_in_its_first_place() -> None:
    outbox = online()
    say(outbox, "state", "old", topic="one")
    say(outbox, "event", "event")
    say(outbox, "state", "other", topic="two")
    say(outbox, "state", "new", topic="one")
    assert taken(outbox) == ["new", "event", "other"]


def test_the_states_of_a_hundred_zones_are_all_said() -> None:
    outbox = online()
    for number in range(1000):
        say(outbox, "state", f"{number}", topic=f"stoker/mill/{number}")
    assert taken(outbox) == [f"{number}" for number in range(1000)]
    assert outbox.dropped() == ""


def test_each_order_is_confirmed_in_its_order_and_what_is_newest_comes_last() -> None:
    outbox = online()

    def confirm(payload: str) -> None:
        outbox.add(Publish("heater", payload.encode(), "state", confirms=True), 0.0)

    say(outbox, "state", "before", topic="heater")
    confirm("ON")
    say(outbox, "state", "between", topic="heater")
    confirm("OFF")
    confirm("ON")
    say(outbox, "state", "after", topic="heater")
    assert taken(outbox) == ["ON", "OFF", "ON", "after"]
    for number in range(1000):
        confirm(str(number))
    assert taken(outbox) == [str(number) for number in range(900, 1000)]


class Past:
    """Keeps what an outbox hands on."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bool]] = []  # payload, whether it was tried

    def keep(self, publish: Publish, repeated: bool) -> bool:
        self.kept.append((publish.payload.decode(), repeated))
        return True


def test_the_oldest_goes_first_where_too_many_wait() -> None:
    outbox = online()
    say(outbox, "event", *map(str, range(203)))
    assert taken(outbox) == list(map(str, range(3, 203)))
    assert outbox.dropped() == "3 events"
    assert outbox.dropped() == ""


def test_the_oldest_reading_becomes_the_past_where_too_many_wait() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    outbox.online()
    say(outbox, "reading", *map(str, range(203)))
    assert past.kept == [("0", False), ("1", False), ("2", False)]
    assert (len(taken(outbox)), outbox.dropped()) == (200, "")


def test_without_a_line_and_a_past_everything_is_counted_and_states_are_forgotten() -> None:
    outbox = Outbox()
    say(outbox, "reading", "1", "2", "3")
    say(outbox, "answer", "a")
    say(outbox, "state", "s")
    say(outbox, "event", "1")
    outbox.offline()  # it could not be made
    assert outbox.empty
    assert outbox.dropped() == "3 readings, 1 answer and 1 event"


def test_without_a_line_readings_and_events_are_past_and_never_tried() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    say(outbox, "reading", "1")
    say(outbox, "event", "2")
    say(outbox, "answer", "a")
    outbox.offline()  # it could not be made
    assert past.kept == [("1", False), ("2", False)]
    assert outbox.empty
    assert outbox.dropped() == "1 answer"


def test_the_newest_reading_made_without_a_line_is_said_on_one_that_stands_within_moments() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    for second in range(3):
        assert not outbox.add(Publish("TEMPERATURE", b"%d" % second, "reading"), float(second))
    outbox.online()
    newest = outbox.take(7.0)
    assert newest
    assert (newest.payload, outbox.take(7.0)) == (b"2", None)
    assert past.kept == [("0", False), ("1", False)]


def test_the_newest_reading_made_without_a_line_is_past_after_5_seconds() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    outbox.add(Publish("TEMPERATURE", b"20.15", "reading"), 0.0)
    outbox.online()
    assert outbox.take(5.1) is None
    assert past.kept == [("20.15", False)]


def test_a_lost_line_makes_a_past_of_what_nobody_acknowledged_in_its_order() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    outbox.online()
    say(outbox, "event", "first", "second", "third")
    say(outbox, "reading", "20.15")
    say(outbox, "state", "s")
    for packet in (1, 2, 3, 4):
        publish = outbox.take(0.0)
        assert publish is not None
        outbox.sent(packet, publish, packet * 10.0)
    outbox.acknowledged(1)
    assert (outbox.unacknowledged, outbox.oldest_sent) == (3, 20.0)
    say(outbox, "event", "fourth")
    outbox.offline()
    assert (outbox.unacknowledged, outbox.oldest_sent) == (0, None)
    assert outbox.dropped() == ""
    assert past.kept == [("second", True), ("third", True), ("20.15", True), ("fourth", False)]
    assert taken(outbox) == []


def test_a_reading_that_waited_is_past_and_an_event_is_not() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    outbox.online()
    outbox.add(Publish("TEMPERATURE", b"20.1", "reading"), 0.0)
    outbox.add(Publish("event", b"{}", "event"), 0.0)
    outbox.add(Publish("TEMPERATURE", b"20.2", "reading"), 4.0)
    said = [outbox.take(6.0), outbox.take(6.0), outbox.take(6.0)]
    assert [publish and publish.payload for publish in said] == [b"{}", b"20.2", None]
    assert past.kept == [("20.1", False)]


def test_no_reading_goes_into_a_line_that_does_not_answer() -> None:
    past = Past()
    outbox = Outbox(past.keep)
    outbox.online()
    say(outbox, "event", "{}")
    event = outbox.take(0.0)
    assert event is not None
    outbox.sent(1, event, 0.0)
    for number in range(1, 10):
        outbox.add(Publish("TEMPERATURE", b"%d" % number, "reading"), float(number))
        if publish := outbox.take(float(number)):
            outbox.sent(1 + number, publish, float(number))
    assert outbox.unacknowledged == 6
    assert past.kept == [("6", False), ("7", False), ("8", False), ("9", False)]
    for packet in range(1, 7):
        outbox.acknowledged(packet)
    outbox.add(Publish("TEMPERATURE", b"10", "reading"), 10.0)
    assert outbox.take(10.0)


def test_an_acknowledgement_of_nothing_is_nothing() -> None:
    assert online().acknowledged(7) is None


def test_an_acknowledgement_of_an_earlier_connection_is_none() -> None:
    outbox = online()
    outbox.sent(7, Publish("event", b"{}", "event"), 0.0)
    outbox.offline()
    outbox.online()
    assert outbox.acknowledged(7) is None


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(kinds, st.text(max_size=3))), st.integers(1, 60))
def test_never_holds_more_than_its_bounds(story: list[tuple[Kind, str]], repeat: int) -> None:
    outbox = online()
    for number in range(repeat):
        for kind, topic in story:
            outbox.add(Publish(f"{topic}{number}", b"", kind), 0.0)
    held = [publish.kind for publish in iter(lambda: outbox.take(0.0), None)]
    assert all(held.count(kind) <= limit for kind, limit in LIMITS.items())
