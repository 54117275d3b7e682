"""What the link counts, on a real broker: connections, failures by reason, round trips, and what was never said."""

from broker.mosquitto import Mosquitto
from broker.tiny import plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkUp, Message, Publish
from stoker.link.counters import Counters


def test_connections_failures_and_round_trips(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    others = observer(broker, "said")
    line.publish(Publish("said", b"1", "event"))
    others.wait("said", b"1")
    broker.kill()
    heard.down("closed")
    line.publish(Publish("lost", b"20.15", "reading"))
    heard.down("connection-refused")
    broker.start()
    heard.next(LinkUp)

    figures = line.figures()
    assert figures.connects == 2
    assert figures.failures["closed"] == 1
    assert figures.failures["connection-refused"] >= 1
    assert figures.dropped == {"reading": 1, "state": 0, "event": 0, "answer": 0, "backlog": 0}
    assert (figures.waiting, figures.redelivered) == (0, 0)


def test_each_acknowledgement_is_a_round_trip_of_its_period(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    line, heard = link(broker.settings(), "back")
    heard.next(LinkUp)
    assert line.figures().round_trip is None
    for number in range(5):
        line.publish(Publish("back", b"%d" % number, "event"))
    for _ in range(5):
        heard.next(Message)
    others = observer(broker, "last")
    line.publish(Publish("last", b"", "event"))
    others.wait("last", b"")

    figures = line.figures(new_period=True)  # the last one may still be under way
    assert figures.round_trips >= 5
    assert figures.round_trip
    assert 0 < figures.round_trip.median <= figures.round_trip.max <= figures.round_trip_seconds
    line.publish(Publish("last", b"", "event"))
    others.wait("last", b"", b"")
    later = line.figures()
    assert later.round_trips >= figures.round_trips


def test_what_was_dropped_is_counted_on_by_the_link_after_a_reload(link: MakeLink) -> None:
    counters = Counters()
    for reloads in range(3):
        line, _ = link(plain(9), counters=counters)
        line.publish(Publish("lost", b"20.15", "reading"))
        line.close(1.0)
        assert line.figures().dropped["reading"] == 1 + reloads


def test_a_period_is_over_when_it_was_told_of() -> None:
    counters = Counters()
    for took in (0.1, 0.4, 0.2):
        counters.acknowledged(took)

    first = counters.figures(0, new_period=True).round_trip
    assert first
    assert (first.last, first.median, first.max) == (0.2, 0.2, 0.4)
    assert counters.figures(0).round_trip is None
    assert counters.figures(0).round_trips == 3
