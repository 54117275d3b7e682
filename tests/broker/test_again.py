"""A message that the broker sends again although we have taken it is marked, so that no order is obeyed twice."""

import pytest

from broker.tiny import TinyBroker, connack, plain
from broker.watching import MakeLink
from stoker.core.messages import LinkUp, Message
from stoker.link.connection import REMEMBERED

DUP = 8


def order(packet: int, payload: bytes = b"21", *, flags: int = 0, topic: bytes = b"orders", level: int = 5) -> bytes:
    """A PUBLISH with QoS 1 as a broker sends it."""
    empty = b"\0" if level == 5 else b""
    body = len(topic).to_bytes(2) + topic + packet.to_bytes(2) + empty + payload
    return bytes([0x32 | flags, len(body)]) + body


@pytest.mark.parametrize("level", [5, 4])
def test_the_same_again_is_a_duplicate_and_everything_else_is_not(link: MakeLink, level: int) -> None:
    with TinyBroker({level: connack(0, level)}) as tiny:
        _, heard = link(plain(tiny.port, protocol="5" if level == 5 else "3.1.1"), "orders")
        heard.next(LinkUp)
        story = [
            ("first, although its flag says that it was sent before", order(1, flags=DUP, level=level), False),
            ("sent again", order(1, flags=DUP, level=level), True),
            ("and again", order(1, flags=DUP, level=level), True),
            ("another order with an id that is free again", order(1, b"22", flags=DUP, level=level), False),
            ("the same order, newly given", order(2, level=level), False),
            ("newly given with an id that is free again", order(2, level=level), False),
            ("on another topic", order(2, flags=DUP, topic=b"else", level=level), False),
        ]
        for what, packet, duplicate in story:
            tiny.send(packet)
            assert heard.next(Message).duplicate is duplicate, what
        tiny.wait_for(4, len(story))  # each was acknowledged


def test_on_a_new_connection_nothing_was_taken_yet(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port), "orders")
        heard.next(LinkUp)
        tiny.send(order(1))
        heard.next(Message)
        tiny.hang_up()
        heard.down("closed")
        heard.next(LinkUp)
        tiny.send(order(1, flags=DUP))
        assert not heard.next(Message).duplicate, "there is no session: this one was not obeyed before"


def test_memory_is_bounded(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port), "orders")
        heard.next(LinkUp)
        for packet in range(1, REMEMBERED + 2):
            tiny.send(order(packet))
            assert not heard.next(Message).duplicate
        tiny.send(order(2, flags=DUP) + order(1, flags=DUP))
        assert [heard.next(Message).duplicate for _ in range(2)] == [True, False]
