"""What goes out: at once and in order, never more than the broker takes, and whatever it refuses is told."""

import logging
import time
import tracemalloc

import pytest

from broker.mosquitto import MakeBroker, Mosquitto
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Publish
from stoker.link import backoff
from stoker.link.link import MOST_REFUSED
from stoker.link.wellformed import is_topic


def test_states_are_retained_and_nothing_else_is(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    for kind in ("state", "reading", "event", "answer"):
        line.publish(Publish(f"said/{kind}", b"x", kind))
    line.publish(Publish("said/last", b"x", "state"))
    early = observer(broker, "said/#")
    early.wait("said/last", b"x")
    assert {message.topic for message in early.messages if message.retain} == {"said/state", "said/last"}


def test_an_order_is_answered_without_waiting_for_tcp(
    mosquitto: MakeBroker, link: MakeLink, observer: MakeObserver
) -> None:
    """With Nagle's algorithm each answer waits for the acknowledgement of the PUBACK before it: 40 ms."""
    quick = mosquitto(users=None, lines=["set_tcp_nodelay true"]).start()
    line, heard = link(quick.settings(), "order")
    heard.next(LinkUp)
    others, spans = observer(quick, "state"), list[float]()
    for number in range(30):
        started = time.monotonic()
        others.say("order", str(number))
        line.publish(Publish("state", heard.next(Message).payload, "state"))
        others.wait("state", *(str(past).encode() for past in range(number + 1)))
        spans.append(time.monotonic() - started)
    assert min(spans[10:]) < 0.03


def test_a_thousand_publications_arrive_in_order(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    others = observer(broker, "event")
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    expected = [str(number).encode() for number in range(1000)]
    for start in range(0, 1000, 100):
        for payload in expected[start : start + 100]:
            line.publish(Publish("event", payload, "event"))
        others.wait("event", *expected[: start + 100])


def test_no_more_is_under_way_than_the_broker_takes(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5, b"\x21\x00\x03")}) as tiny:  # Receive Maximum 3
        line, heard = link(plain(tiny.port, keepalive=1.0))
        heard.next(LinkUp)
        for number in range(10):
            line.publish(Publish("event", b"%d" % number, "event"))
        heard.down("no-acknowledgement")
        assert len(tiny.received(3)) == 3


def test_what_is_larger_than_the_broker_takes_is_told_and_not_sent(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5, b"\x27\x00\x00\x04\x00")}, puback=0) as tiny:  # Maximum Packet Size 1024
        line, heard = link(plain(tiny.port))
        heard.next(LinkUp)
        line.publish(Publish("event", bytes(1000), "event"))
        text = "the event on topic 'event' was not said: the broker takes no packet above 1024 bytes"
        assert heard.notice("too-large").text == text
        assert line.figures().dropped["event"] == 1
        assert tiny.received(3) == []


def test_a_refused_publication_is_told_once_for_each_topic(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}, puback=0x87) as tiny:
        line, heard = link(plain(tiny.port))
        heard.next(LinkUp)
        for topic in ("one", "one", "two"):
            line.publish(Publish(topic, b"x", "reading"))
        texts = [heard.notice("publish-refused").text for _ in range(2)]
        assert texts == [
            f"the reading on topic '{topic}' was not said: not authorised; grant it at the broker"
            for topic in ("one", "two")
        ]


@pytest.mark.parametrize("topic", ["", "a/#", "+", "x" * 65536, "nul\0", "half a surrogate \ud800", "bell\a"])
def test_an_answer_to_an_impossible_topic_is_told_and_hurts_nothing_else(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, topic: str
) -> None:
    others = observer(broker, "event")
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    line.publish(Publish(topic, b"{}", "answer"))
    line.publish(Publish("event", b"{}", "event"))
    assert heard.notice("bad-topic").text.endswith("was not said: MQTT allows no such topic")
    others.wait("event", b"{}")


def test_a_reading_that_arrived_is_logged_in_the_words_of_the_demo(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, caplog: pytest.LogCaptureFixture
) -> None:
    others = observer(broker, "#")
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    with caplog.at_level(logging.DEBUG, "stoker.link"):
        line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
        line.publish(Publish("event", b"{}", "event"))
        others.wait("event", b"{}")
        line.close(2)
    assert caplog.messages == ["Just published 20.15 to topic TEMPERATURE"]


def test_a_link_that_fails_by_itself_says_so_and_goes_on_trying(
    broker: Mosquitto, link: MakeLink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backoff.BASES, "person", 0.5)

    def broken() -> float:
        raise RuntimeError("the clock is gone")

    _, heard = link(broker.settings(), now=broken)
    for tries in (1, 2):
        assert heard.next(LinkDown) == LinkDown("internal-error", "RuntimeError: the clock is gone", tries)
    assert "Traceback" in caplog.text


def test_where_others_want_their_answers_takes_no_memory() -> None:
    topics = [f"{number}/" + "\N{FIRE}" * 15_000 for number in range(200)]
    tracemalloc.start()
    assert all(is_topic(topic[:-1]) for topic in topics)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000, "each of them alone has 60 kB"


def test_answers_that_the_broker_refuses_are_told_of_a_hundred_times(
    mosquitto: MakeBroker, link: MakeLink, observer: MakeObserver
) -> None:
    broker = mosquitto(users=None, rights="topic read #\ntopic write said\n").start()
    others = observer(broker, "said")
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    for number in range(150):
        line.publish(Publish(f"answers/{number}", b"{}", "answer"))
    heard.notice("publish-refused")
    line.publish(Publish("said", b"{}", "event"))
    others.wait("said", b"{}")
    broker.kill()
    heard.next(LinkDown)
    told = [event for event in heard.all if isinstance(event, Notice) and event.reason == "publish-refused"]
    assert len(told) == MOST_REFUSED
