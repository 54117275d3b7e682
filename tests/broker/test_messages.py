"""What comes in: as bytes, with all that the core needs to refuse what is retained or expired; and never too much."""

import re
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.mosquitto import Authority, Mosquitto
from broker.tiny import TinyBroker, connack, plain, read_packet
from broker.watching import PATIENCE, MakeLink, MakeObserver
from stoker import inbox as inbox_module
from stoker.cli.client import Heard
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Publish
from stoker.inbox import Inbox, monotonic
from stoker.link.connection import LARGEST_CORRELATION, LARGEST_PAYLOAD
from stoker.link.link import Link
from stoker.link.settings import Tls


def test_a_retained_order_is_marked_and_a_live_one_is_not(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    others = observer(broker)
    others.say("orders", "kept", retain=True)
    _, heard = link(broker.settings(), "orders")
    kept = heard.next(Message)
    assert (kept.payload, kept.retained) == (b"kept", True)
    others.say("orders", "live", retain=True)
    live = heard.next(Message)
    assert (live.payload, live.retained) == (b"live", False)


def test_expiry_response_topic_and_correlation_arrive(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    others = observer(broker, "answers/1")
    clock = [41.5]
    line, heard = link(broker.settings(), "orders", now=lambda: clock[0])
    heard.next(LinkUp)
    others.say("orders", "21", MessageExpiryInterval=60, ResponseTopic="answers/1", CorrelationData=b"\0id")
    order = heard.next(Message)
    assert order == Message("orders", b"21", 41.5, expires_in=60.0, reply_to="answers/1", correlation=b"\0id")
    line.publish(Publish(order.reply_to, b"{}", "answer", order.correlation))
    others.wait("answers/1", b"{}")
    assert getattr(others.messages[0].properties, "CorrelationData", None) == b"\0id"
    clock[0] = 42.5
    others.say("orders", "22")
    assert heard.next(Message) == Message("orders", b"22", 42.5)


def test_an_order_can_be_given_with_its_own_expiry_and_response_topic(broker: Mosquitto, link: MakeLink) -> None:
    _, daemon = link(broker.settings(), "orders")
    daemon.next(LinkUp)
    line, heard = link(broker.settings(), client_id="stoker-set")
    heard.next(LinkUp)
    line.publish(Publish("orders", b"21", "answer", b"id", reply_to="answers/1", expires_in=5))
    order = daemon.next(Message)
    assert (order.reply_to, order.correlation, order.expires_in) == ("answers/1", b"id", 5.0)


def test_garbage_passes_as_bytes(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    _, heard = link(broker.settings(), "orders")
    heard.next(LinkUp)
    others = observer(broker)
    for garbage in (b"\xff\xfe\0", b"", "ÄÖ\U0001f525".encode(), bytes(LARGEST_PAYLOAD)):
        others.say("orders", garbage)
        assert heard.next(Message).payload == garbage


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_large_payload_is_dropped_and_told(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver, protocol: str
) -> None:
    _, heard = link(broker.settings(protocol=protocol), "orders")
    heard.next(LinkUp)
    others = observer(broker)
    others.say("orders", bytes(LARGEST_PAYLOAD + 1))
    assert heard.notice("too-large").text == "a message of 65537 bytes came on orders: dropped, the most is 65536"
    others.say("orders", bytes(1_000_000))
    others.say("orders", "21")
    assert heard.next(Message).payload == b"21"


def test_a_large_correlation_is_dropped_and_told(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    _, heard = link(broker.settings(), "orders")
    heard.next(LinkUp)
    observer(broker).say("orders", "21", CorrelationData=bytes(LARGEST_CORRELATION + 1))
    text = "a correlation of 1025 bytes came on orders: dropped, the most is 1024"
    assert heard.next(Notice).text == text


@pytest.mark.skipif(sys.platform != "linux", reason="reads how much memory it has, in /proc")
@pytest.mark.parametrize("encrypted", [False, True], ids=["tcp", "tls"])
def test_a_payload_of_256_megabytes_fills_no_memory(authority: Authority, link: MakeLink, encrypted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    most: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        tls = Tls(ca_file=str(authority.ca_file)) if encrypted else Tls(enabled=False)
        _, heard = link(plain(listener.getsockname()[1], protocol="3.1.1", tls=tls), "orders")
        tcp, _ = listener.accept()
        before = memory()
        told = pool.submit(tell_256_megabytes, tcp, context if encrypted else None, most)
        text = heard.notice("too-large").text
        assert re.fullmatch(r"a message of 2684354\d\d bytes came on orders: dropped, the most is 65536", text)
        assert heard.next(Message).payload == b"21"
        assert told.result(PATIENCE) >> 4 == 4, "it is acknowledged, so that it does not come again"
    assert max(most) - before < 16 * 1024 * 1024


def tell_256_megabytes(tcp: socket.socket, context: ssl.SSLContext | None, most: list[int]) -> int:
    """A broker of 3.1.1 that says the most that MQTT can announce, and then an order. What came back first."""
    left, piece = 256 * 1024 * 1024 - 1, bytes(65536)
    with context.wrap_socket(tcp, server_side=True) if context else tcp as sock:
        read_packet(sock)
        sock.sendall(connack(0))
        _, subscribe = read_packet(sock)
        sock.sendall(b"\x90\x03" + subscribe[:2] + b"\x01")
        beginning = b"\x00\x06orders\x00\x07"
        sock.sendall(b"\x32\xff\xff\xff\x7f" + beginning)
        left -= len(beginning)
        while left:
            sock.sendall(piece[:left])
            left -= min(left, len(piece))
            most.append(memory())
        sock.sendall(b"\x30\x0a\x00\x06orders21")
        return read_packet(sock)[0]


def memory() -> int:
    """Bytes of this process in memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def publish_packet(topic: bytes, payload: bytes, properties: bytes = b"") -> bytes:
    body = len(topic).to_bytes(2) + topic + bytes([len(properties)]) + properties + payload
    return bytes([0x30, len(body)]) + body


def test_what_no_proper_broker_would_send_ends_the_connection_and_nothing_else(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port), "orders")
        heard.next(LinkUp)
        tiny.send(publish_packet(b"\xff\xfe", b"21"))
        assert heard.notice("malformed").text == "a message came on a topic that is not UTF-8: dropped"
        for broken in (
            publish_packet(b"orders", b"21", b"\x7f\x00"),  # no such property
            publish_packet(b"orders", b"21", b"\x08\x00\xff"),  # a response topic longer than the packet
            b"\xf0\x00",  # AUTH, unasked
            b"\x30\xff\xff\xff\xff\xff",  # a length that never ends
            b"\x36\x02\x00\x00",  # QoS 3
        ):
            tiny.send(broken)
            assert heard.next(LinkDown).reason in {"malformed", "closed"}  # as paho 2.2 and 2.1 see it
            heard.next(LinkUp)


def test_a_flood_stays_in_the_socket_while_the_daemon_is_behind(
    broker: Mosquitto, observer: MakeObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "LIMIT", 30)
    inbox: Inbox[Heard] = Inbox()
    line = Link(broker.settings(), inbox.put, client_id="stoker-shed", subscriptions=["orders"])
    inbox.attend(line)
    assert isinstance(inbox.get(monotonic() + PATIENCE), LinkUp)
    others = observer(broker)
    for number in range(300):
        others.say("orders", str(number))
    events = [inbox.get(monotonic() + PATIENCE) for _ in range(300)]
    assert [event.payload for event in events if isinstance(event, Message)] == [b"%d" % n for n in range(300)]
    assert not inbox.dropped
    inbox.see_off(5.0)
    assert line.all_said
