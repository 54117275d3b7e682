"""The past at a real broker: what could not be said in its time comes after the newest state, in order, at a bounded
rate, on its own topic, with its times; nothing is lost, and whatever comes twice is marked."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.mosquitto import MakeBroker, Mosquitto, free_port
from broker.proxy import Proxy
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink, MakeObserver, Observer
from stoker.archive import Archive
from stoker.backlog import Backlog
from stoker.cli.client import Heard
from stoker.core.messages import Kind, LinkDown, LinkUp, Now, Publish
from stoker.inbox import Inbox
from stoker.link import link as module
from stoker.link.link import Link

TOPIC = "stoker/shed/backlog"
NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC

MakeBacklog = Callable[[], Backlog]


def now() -> Now:
    return Now(time.monotonic(), time.time(), True)


@pytest.fixture
def backlog(tmp_path: Path) -> Iterator[MakeBacklog]:
    """Make backlogs in one folder, one after the other."""
    with ExitStack() as stack:

        def make() -> Backlog:
            made = Backlog(Archive(tmp_path), now)
            made.configure(TOPIC, 1000)
            made.open()
            made.start()
            stack.callback(made.close, 5.0)
            return made

        yield make


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAST_PAUSE", 0.05)


def say(line: Link, kind: Kind, *payloads: object, at: float = NOON) -> None:
    for payload in payloads:
        line.publish(measured(kind, payload, at))


def keep(past: Backlog, *payloads: object) -> None:
    """Readings from before there was a link."""
    for payload in payloads:
        past.keep(measured("reading", payload, NOON), repeated=False)


def measured(kind: Kind, payload: object, at: float) -> Publish:
    topic = {"reading": "TEMPERATURE", "event": "event", "state": "state"}[kind]
    return Publish(topic, str(payload).encode(), kind, measured=Now(time.monotonic(), at))


def records(others: Observer) -> list[dict[str, Any]]:
    return [record for payload in others.payloads(TOPIC) for record in msgspec.json.decode(payload)]


def wait_for_records(others: Observer, number: int) -> list[dict[str, Any]]:
    others.wait_for(lambda: len(records(others)) >= number, f"{number} records")
    return records(others)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_a_loss_the_newest_state_comes_first_and_then_the_past_while_the_present_goes_on(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog
) -> None:
    others = observer(broker, "#")
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port), backlog=backlog())
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        say(line, "reading", *range(60))
        say(line, "event", '{"event":"disconnected"}', at=NOON + 0.5)
        proxy.restore()
        heard.next(LinkUp)
        say(line, "event", "connected")
        say(line, "reading", "20.15")
        others.wait("TEMPERATURE", b"20.15")
        assert records(others) == [], "nobody has said the state yet"
        say(line, "state", "online")
        past = wait_for_records(others, 61)
        say(line, "reading", "20.25")
        others.wait("TEMPERATURE", b"20.15", b"20.25")
    others.wait("event", b"connected")
    assert [record["payload"] for record in past] == [*map(str, range(60)), '{"event":"disconnected"}']
    assert [record["topic"] for record in past] == ["TEMPERATURE"] * 60 + ["event"]
    assert {record["time"] for record in past[:60]} == {"2026-11-21T12:00:00.000Z"}
    assert past[60]["time"] == "2026-11-21T12:00:00.500Z"
    assert not any("repeated" in record or "synchronised" in record for record in past)
    ids = [record["id"] for record in past]
    assert ids == list(range(ids[0], ids[0] + 61))
    assert [len(msgspec.json.decode(payload)) for payload in others.payloads(TOPIC)] == [50, 11]
    topics = [message.topic for message in others.messages]
    assert topics.index("state") < topics.index(TOPIC)
    messages = [message for message in others.messages if message.topic == TOPIC]
    assert {(message.qos, message.retain) for message in messages} == {(1, False)}


def test_what_was_under_way_when_the_line_was_lost_is_marked(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog
) -> None:
    others = observer(broker, "#")
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port), backlog=backlog())
        heard.next(LinkUp)
        say(line, "reading", "acknowledged")
        wait_until(lambda: line._outbox.empty)
        proxy.swallow_answers()
        say(line, "reading", "20.15")
        say(line, "event", "first")
        others.wait("event", b"first")
        proxy.cut()
        heard.down("closed")
        say(line, "event", "second")
        proxy.restore()
        heard.next(LinkUp)
        say(line, "state", "online")
        past = wait_for_records(others, 3)
    assert [(record["payload"], record.get("repeated", False)) for record in past] == [
        ("20.15", True),
        ("first", True),
        ("second", False),
    ]
    assert others.payloads("event") == [b"first"]


def test_a_message_of_the_past_that_was_not_acknowledged_comes_again_marked(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog
) -> None:
    others = observer(broker, "#")
    past = backlog()
    with Proxy(broker) as proxy:
        keep(past, 1, 2)
        line, heard = link(broker.settings(port=proxy.port), backlog=past)
        heard.next(LinkUp)
        say(line, "state", "online")
        others.wait("state", b"online")
        wait_until(lambda: line._greeted)
        proxy.swallow_answers()
        wait_for_records(others, 2)
        proxy.cut()
        heard.down("closed")
        proxy.restore()
        heard.next(LinkUp)
        say(line, "state", "online")
        both = wait_for_records(others, 4)
        wait_until(lambda: past.waiting == 0)
    assert [record.get("repeated", False) for record in both] == [False, False, True, True]
    assert [record["id"] for record in both[:2]] == [record["id"] for record in both[2:]]


def test_a_daemon_that_ends_without_a_broker_says_it_after_the_next_start(
    mosquitto: MakeBroker, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog
) -> None:
    broker = mosquitto(users=None)
    past = backlog()
    line, heard = link(broker.settings(), backlog=past)
    heard.down("connection-refused")
    say(line, "reading", 1, 2, 3)
    line.close(1)
    say(line, "event", "the last word")
    past.close(5)
    broker.start()
    others = observer(broker, "#")
    line, heard = link(broker.settings(), backlog=backlog())
    heard.next(LinkUp)
    say(line, "state", "online")
    assert [record["payload"] for record in wait_for_records(others, 4)] == ["1", "2", "3", "the last word"]


def test_the_newest_reading_outlives_an_end_between_two_tries(backlog: MakeBacklog) -> None:
    past, inbox = backlog(), Inbox[Heard]()
    line = Link(plain(free_port()), inbox.put, client_id="shed", subscriptions=[], backlog=past)
    inbox.attend(line)
    while not isinstance(inbox.get(), LinkDown):
        pass
    say(line, "reading", "the newest")  # which waits for a line that is made at once
    inbox.see_off(5.0)
    assert past.waiting == 1


def test_a_new_link_goes_on_where_the_old_one_had_to_stop(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog
) -> None:
    others = observer(broker, "#")
    past = backlog()
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port), backlog=past)
        heard.next(LinkUp)
        proxy.swallow_answers()
        say(line, "reading", *range(30))
        others.wait_for(lambda: len(others.payloads("TEMPERATURE")) == 20, "as many as may be under way")
        assert not line.close(0.5)
    line, heard = link(broker.settings(), backlog=past)
    heard.next(LinkUp)
    say(line, "state", "online")
    past_ones = wait_for_records(others, 30)
    assert [record["payload"] for record in past_ones] == [str(number) for number in range(30)]
    assert [record.get("repeated", False) for record in past_ones] == [True] * 20 + [False] * 10


def test_a_link_that_is_closed_in_a_hurry_has_handed_over_its_past(link: MakeLink, backlog: MakeBacklog) -> None:
    past = backlog()
    with TinyBroker({5: connack(0, 5)}) as tiny:
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "reading", *range(30))
        line.close(0)
        assert past.waiting >= 29, "one may be on its way out at this very moment"


def test_a_broker_that_refuses_the_topic_is_told_once_and_asked_again(
    link: MakeLink, backlog: MakeBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAST_REFUSED_PAUSE", 0.1)
    past = backlog()
    with TinyBroker({5: connack(0, 5)}, puback=0x87) as tiny:
        keep(past, 1)
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "state", "online")
        assert heard.notice("publish-refused").text.startswith("the state on topic 'state'")
        text = "the backlog on topic 'stoker/shed/backlog' was not said: not authorised; grant it at the broker"
        assert heard.notice("publish-refused").text == text
        wait_until(lambda: sum(b"backlog" in body for _, body in tiny.received(3)) >= 3)
        assert past.waiting == 1


@pytest.mark.parametrize("code", [0x80, 0x97])
def test_readings_that_the_broker_does_not_take_for_now_wait_and_are_not_marked(
    link: MakeLink, backlog: MakeBacklog, code: int
) -> None:
    past = backlog()
    with TinyBroker({5: connack(0, 5)}, puback=code) as tiny:
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "reading", *range(5))
        heard.notice("publish-refused")
        wait_until(lambda: past.waiting == 5)
        assert line.figures().dropped["reading"] == 0
        tiny.puback = 0
        say(line, "state", "online")
        wait_until(lambda: past.waiting == 0)
        heard_late = [record for body in tiny.taken for record in past_of(body)]
    assert [(record["payload"], "repeated" in record) for record in heard_late] == [(str(n), False) for n in range(5)]


@pytest.mark.parametrize("code", [0x87, 0x90, 0x99])
def test_readings_that_the_broker_will_never_take_are_counted(link: MakeLink, backlog: MakeBacklog, code: int) -> None:
    past = backlog()
    with TinyBroker({5: connack(0, 5)}, puback=code) as tiny:
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "reading", *range(5))
        wait_until(lambda: line.figures().dropped["reading"] == 5)
        assert past.waiting == 0


def test_nothing_is_missing_where_the_broker_refuses_every_third_publication(
    link: MakeLink, backlog: MakeBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAST_REFUSED_PAUSE", 0.1)
    past = backlog()
    with TinyBroker({5: connack(0, 5)}, puback=0) as tiny:
        tiny.quota = 3
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "state", "online")
        say(line, "reading", *range(100))
        wait_until(lambda: line._outbox.empty and past.waiting == 0)
        at_once = [b"".join(re.findall(rb"\d+$", body)).decode() for body in tiny.taken if b"TEMPERATURE" in body[:20]]
        late = [record["payload"] for body in tiny.taken for record in past_of(body)]
        assert sum(line.figures().dropped.values()) == 0
    assert len(at_once) < 70
    assert sorted(map(int, at_once + late)) == list(range(100))


def past_of(body: bytes) -> list[dict[str, Any]]:
    """The records in a PUBLISH."""
    return msgspec.json.decode(body[body.index(b"[") :]) if TOPIC.encode() in body else []


def test_messages_are_as_large_as_the_broker_takes(link: MakeLink, backlog: MakeBacklog) -> None:
    past = backlog()
    with TinyBroker({5: connack(0, 5, b"\x27\x00\x00\x01\x00")}, puback=0) as tiny:  # Maximum Packet Size 256
        keep(past, *range(5), "x" * 300, 5)
        line, heard = link(plain(tiny.port), backlog=past)
        heard.next(LinkUp)
        say(line, "state", "online")
        text = "the backlog on topic 'stoker/shed/backlog' was not said: the broker takes no packet above 256 bytes"
        assert heard.notice("too-large").text == text
        wait_until(lambda: past.waiting == 0)
        assert line.figures().dropped["backlog"] == 1
        sizes = [len(body) for _, body in tiny.received(3)]
        assert len(sizes) > 3
        assert max(sizes) + len("type, size") <= 256


def test_the_past_keeps_to_what_may_be_under_way_at_once(
    link: MakeLink, backlog: MakeBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAST_PAUSE", 0.5)
    with TinyBroker({5: connack(0, 5, b"\x21\x00\x01")}, puback=0) as tiny:  # Receive Maximum 1
        past = backlog()
        keep(past, 1)
        line, heard = link(plain(tiny.port, keepalive=1.0), backlog=past)
        heard.next(LinkUp)
        say(line, "state", "online")
        wait_until(lambda: line._greeted)
        tiny.puback = None
        say(line, "reading", "never acknowledged")
        heard.down("no-acknowledgement")
        assert not any(b"backlog" in body for _, body in tiny.received(3))


def test_what_there_was_no_room_for_is_told_with_its_number(
    broker: Mosquitto, link: MakeLink, backlog: MakeBacklog
) -> None:
    past = backlog()
    past.configure(TOPIC, 10)
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port), backlog=past)
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        say(line, "reading", *range(29))
        say(line, "event", "so that the newest reading waits for no line")
        proxy.restore()
        heard.next(LinkUp)
        text = "20 readings and events that waited longest for the broker were dropped"
        assert heard.notice("dropped").text == f"{text}: 10 are kept, of 256 bytes on average"


def test_the_rate_is_bounded_and_the_line_sleeps_when_all_is_said(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, backlog: MakeBacklog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAST_PAUSE", 0.3)
    turns = itertools.count()
    minded = Link._mind
    monkeypatch.setattr(Link, "_mind", lambda self, line: (next(turns), minded(self, line))[1])
    others = observer(broker, "#")
    past = backlog()
    keep(past, *range(150))
    line, heard = link(broker.settings(), backlog=past)
    heard.next(LinkUp)
    said = time.monotonic()
    say(line, "state", "online")
    wait_for_records(others, 150)
    assert time.monotonic() - said >= 3 * 0.3
    wait_until(lambda: past.waiting == 0)
    before = next(turns)
    time.sleep(1.0)  # the story is that nothing happens in it
    assert next(turns) - before <= 5
