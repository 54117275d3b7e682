"""Losing the broker: noticed in time, nothing stale is said, and all stands again. What is past: `test_backlog.py`."""

import time

import pytest

from broker.mosquitto import Mosquitto
from broker.proxy import Proxy
from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkDown, LinkUp, Message, Publish
from stoker.link import outbox, subscriptions

WILL = ("stoker/shed/availability", b"offline")


def test_a_killed_broker_comes_back_without_memory_and_everything_stands_again(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    line, heard = link(broker.settings(), "orders", will=WILL)
    heard.next(LinkUp)
    broker.kill()
    down = heard.down("closed")
    assert down.tries == 1
    assert down.text.startswith(f"127.0.0.1:{broker.port} closed the connection")
    broker.start()
    heard.next(LinkUp)
    others = observer(broker, WILL[0])
    others.say("orders", "21")
    assert heard.next(Message).payload == b"21"
    line.publish(Publish(WILL[0], b"online", "state"))
    others.wait(WILL[0], b"online")
    thief, _ = link(broker.settings())  # the same client id: the broker throws the first out, and says its will
    others.wait(WILL[0], b"online", b"offline")
    thief.close(2)


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (0x8B, "broker-stopped", "is shutting down"),
        (0x8E, "taken-over", "another client uses our client id 'stoker-shed': give each its own mqtt.client_id"),
        (0x98, "closed", "ended the connection: its administrator did"),
        (0xFF, "malformed", "sent no proper MQTT"),
    ],
)
def test_a_broker_that_says_goodbye(link: MakeLink, code: int, reason: str, text: str) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port))
        heard.next(LinkUp)
        tiny.send(bytes([0xE0, 8, code, 6]) + b"\x1f\x00\x03why")
        assert text in heard.down(reason).text


def test_another_client_with_the_same_id_is_suspected(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings())
    heard.next(LinkUp)
    thief, _ = link(broker.settings())
    down = heard.next(LinkDown)
    assert down.reason in ("closed", "taken-over")  # Mosquitto 2.0 goes without a word, 2.1 says why
    assert "client id 'stoker-shed'" in down.text
    thief.close(2)


def test_a_frozen_broker_is_noticed_within_one_and_a_half_keepalives(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings(keepalive=5.0), "orders")
    heard.next(LinkUp)
    broker.freeze()
    frozen = time.monotonic()
    assert "has fallen silent: no answer to a ping" in heard.down("keepalive").text
    assert time.monotonic() - frozen < 7.5
    broker.thaw()
    heard.next(LinkUp)


def test_a_broker_that_does_not_acknowledge_is_given_up_after_one_keepalive(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        line, heard = link(plain(tiny.port, keepalive=2.0))
        heard.next(LinkUp)
        said = time.monotonic()
        line.publish(Publish("event", b"{}", "event"))
        assert heard.down("no-acknowledgement").text.endswith("no acknowledgement for 2 s")
        assert 2 <= time.monotonic() - said < 3
        heard.next(LinkUp)


@pytest.mark.parametrize(("keepalive", "sooner"), [(1, 0.7), (0, 1.4)], ids=["it wants 1 s", "it wants none"])
def test_the_line_is_tested_as_often_as_the_broker_wants_and_never_less_than_configured(
    link: MakeLink, keepalive: int, sooner: float
) -> None:
    with TinyBroker({5: connack(0, 5, b"\x13" + keepalive.to_bytes(2))}) as tiny:
        _, heard = link(plain(tiny.port, keepalive=2.0))
        heard.next(LinkUp)
        up = time.monotonic()
        assert tiny.wait_for(12) - up == pytest.approx(sooner, abs=0.3)


def test_a_subscription_that_is_never_answered_ends_the_connection(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "SUBACK_WITHIN", 0.3)
    with TinyBroker({5: connack(0, 5)}, silent={8}) as tiny:
        _, heard = link(plain(tiny.port), "orders")
        assert "does not answer a subscription" in heard.down("no-answer").text
        assert LinkUp not in map(type, heard.all)


def test_nothing_is_said_late(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    others = observer(broker, "#")
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port))
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        line.publish(Publish("state", b"stale", "state"))
        for number in (1, 2, 3):
            line.publish(Publish("TEMPERATURE", b"%d" % number, "reading"))
            line.publish(Publish("event", b"%d" % number, "event"))
        line.publish(Publish("answers", b"{}", "answer"))
        proxy.restore()
        heard.next(LinkUp)
        text = heard.notice("dropped").text
        assert text == "3 readings, 1 answer and 3 events could not be said while offline"
        line.publish(Publish("state", b"fresh", "state"))
        line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
        others.wait("state", b"fresh")
        others.wait("TEMPERATURE", b"20.15")
        assert others.payloads("answers") == others.payloads("event") == []


def test_no_reading_follows_others_into_a_line_that_stands_still(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "PROMPT", 1.0)
    others = observer(broker, "TEMPERATURE")
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port))
        heard.next(LinkUp)
        proxy.freeze()
        line.publish(Publish("TEMPERATURE", b"20.1", "reading"))
        time.sleep(1.5)  # the story is that nothing is answered for so long
        line.publish(Publish("TEMPERATURE", b"20.2", "reading"))
        proxy.restore()
        others.wait("TEMPERATURE", b"20.1")
        assert heard.notice("dropped").text == "1 reading could not be said in time"  # a daemon has a backlog for it
        assert others.messages[0].properties.MessageExpiryInterval <= 60  # type: ignore[union-attr]


def test_no_order_is_delivered_late(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    others = observer(broker)
    with Proxy(broker) as proxy:
        _, heard = link(broker.settings(port=proxy.port), "orders")
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        others.say("orders", "too late")
        proxy.restore()
        heard.next(LinkUp)
        others.say("orders", "in time")
        assert heard.next(Message).payload == b"in time"


def test_the_first_loss_is_mended_quickly(broker: Mosquitto, link: MakeLink) -> None:
    with Proxy(broker) as proxy:
        _, heard = link(broker.settings(port=proxy.port, reconnect_max=60.0))
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        proxy.restore()
        heard.next(LinkUp, timeout=3)


# --- how old what comes can be ----------------------------------------------------------------------------------------


def test_an_order_that_lay_on_the_way_counts_as_old_as_it_can_be(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    """Though nobody noticed that the line stood still, and it brings the order before anything else."""
    others = observer(broker, "event")
    with Proxy(broker) as proxy:
        line, heard = link(broker.settings(port=proxy.port, keepalive=3600.0), "orders", order_lifetime=6.0)
        heard.next(LinkUp)
        proxy.freeze()
        line.publish(Publish("event", b"", "event"))
        others.say("orders", "late")
        said = time.monotonic()
        time.sleep(3.5)  # the story is that nothing is answered for longer than the link believes in the line
        proxy.restore()
        assert heard.next(Message).at <= said
        others.wait("event", b"")
        others.say("orders", "soon")
        said = time.monotonic()
        assert heard.next(Message).at > said - 1
        assert LinkDown not in map(type, heard.all)


def test_no_keepalive_lets_an_order_lie_for_longer_than_it_lives(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    others = observer(broker)
    with Proxy(broker) as proxy:
        _, heard = link(broker.settings(port=proxy.port, keepalive=3600.0), "orders", order_lifetime=4.0)
        heard.next(LinkUp)
        proxy.freeze()
        frozen = time.monotonic()
        others.say("orders", "late")
        assert "no answer to a ping" in heard.down("keepalive").text
        assert time.monotonic() - frozen < 4.5
        proxy.restore()
        heard.next(LinkUp)
        assert Message not in map(type, heard.all)


def test_what_comes_in_is_no_proof_of_when_it_left(link: MakeLink) -> None:
    """A thermometer that talks all the time, which we acknowledge, must not keep us from asking."""
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port, keepalive=2.0), "orders")
        heard.next(LinkUp)
        for number in range(1, 13):
            tiny.send(b"\x32\x0b\x00\x06orders\x00" + bytes([number]) + b"\x00")
            heard.next(Message)
            time.sleep(0.2)
        assert tiny.received(12)
