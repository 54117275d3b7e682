"""What waits to be said: bounded, states at their newest, events in order, and everything that is dropped counted."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.core.messages import Kind, Publish
from stoker.link.outbox import LIMITS, Outbox

kinds = st.sampled_from(list(LIMITS))


def online() -> Outbox:
    outbox = Outbox()
    outbox.online()
    return outbox


def say(outbox: Outbox, kind: Kind, *payloads: str, topic: str = "t") -> None:
    for payload in payloads:
        outbox.add(Publish(topic, payload.encode(), kind))


def taken(outbox: Outbox) -> list[str]:
    return [publish.payload.decode() for publish in iter(outbox.take, None)]


def test_a_state_is_said_at_its_newest_in_its_first_place() -> None:
    outbox = online()
    say(outbox, "state", "old", topic="one")
    say(outbox, "event", "event")
    say(outbox, "state", "other", topic="two")
    say(outbox, "state", "new", topic="one")
    assert taken(outbox) == ["new", "event", "other"]


def test_the_oldest_event_goes_first_where_too_many_wait() -> None:
    outbox = Outbox()
    say(outbox, "event", *map(str, range(203)))
    outbox.online()
    assert taken(outbox) == list(map(str, range(3, 203)))
    assert outbox.dropped() == "3 events"
    assert outbox.dropped() == ""


def test_without_a_line_readings_and_answers_are_counted_and_states_forgotten() -> None:
    outbox = Outbox()
    say(outbox, "reading", "1", "2", "3")
    say(outbox, "answer", "a")
    say(outbox, "state", "s")
    assert outbox.empty
    assert outbox.dropped() == "3 readings and 1 answer"


def test_names_everything_that_was_dropped() -> None:
    outbox = Outbox()
    say(outbox, "reading", "1", "2")
    say(outbox, "answer", "a")
    say(outbox, "event", *map(str, range(201)))
    assert outbox.dropped() == "2 readings, 1 answer and 1 event"


def test_a_lost_line_puts_unacknowledged_events_in_front_and_drops_the_rest() -> None:
    outbox = online()
    say(outbox, "event", "first", "second", "third")
    say(outbox, "reading", "20.15")
    say(outbox, "state", "s")
    for packet in (1, 2, 3, 4):
        publish = outbox.take()
        assert publish is not None
        outbox.sent(packet, publish, packet * 10.0)
    outbox.acknowledged(1)
    assert (outbox.unacknowledged, outbox.oldest_sent) == (3, 20.0)
    say(outbox, "event", "fourth")
    outbox.offline()
    assert (outbox.unacknowledged, outbox.oldest_sent) == (0, None)
    assert outbox.dropped() == "1 reading"
    assert taken(outbox) == ["second", "third", "fourth"]


def test_an_acknowledgement_of_nothing_is_nothing() -> None:
    assert online().acknowledged(7) is None


@given(st.lists(st.tuples(kinds, st.text(max_size=3))), st.integers(1, 60))
def test_never_holds_more_than_its_bounds(story: list[tuple[Kind, str]], repeat: int) -> None:
    outbox = online()
    for number in range(repeat):
        for kind, topic in story:
            outbox.add(Publish(f"{topic}{number}", b"", kind))
    held = [publish.kind for publish in iter(outbox.take, None)]
    assert all(held.count(kind) <= limit for kind, limit in LIMITS.items())
