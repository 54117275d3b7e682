"""Several brokers, tried in turn: the one that works is kept, one that fails is left, and nobody sends us elsewhere."""

import socket
from typing import Any

import pytest

from broker.mosquitto import MakeBroker, free_port
from broker.tiny import TinyBroker, close, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkDown, LinkUp, Message
from stoker.link import backoff


def place(port: int) -> str:
    return f"127.0.0.1:{port}"


def reference(text: str) -> bytes:
    """MQTT 5's property that names another server."""
    return b"\x1c" + len(text).to_bytes(2) + text.encode()


def test_the_second_is_found_at_once_where_the_first_is_dead(link: MakeLink) -> None:
    dead = free_port()
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(1, host=[place(dead), place(tiny.port)], reconnect_max=60.0))
        assert heard.next(LinkUp, timeout=5).broker == place(tiny.port)
        assert [event.text for event in heard.all if isinstance(event, LinkDown)] == [
            f"nothing listens at {place(dead)}: does the broker run there?"
        ]


def test_the_other_takes_over_when_one_is_killed_and_the_orders_are_heard_there(
    mosquitto: MakeBroker, link: MakeLink, observer: MakeObserver
) -> None:
    one, two = mosquitto(users=None).start(), mosquitto(users=None).start()
    _, heard = link(plain(1, host=[place(one.port), place(two.port)]), "orders")
    assert heard.next(LinkUp).broker == place(one.port)
    one.kill()
    heard.down("closed")
    assert heard.next(LinkUp).broker == place(two.port)
    observer(two).say("orders", "21")
    assert heard.next(Message).payload == b"21"
    one.start()
    two.kill()
    heard.down("closed")
    assert heard.next(LinkUp).broker == place(one.port)


def test_one_that_refuses_the_password_does_not_keep_us_from_the_other(link: MakeLink) -> None:
    with TinyBroker({5: connack(0x86, 5)}) as strict, TinyBroker({5: connack(0, 5)}) as open_:
        _, heard = link(plain(1, host=[place(strict.port), place(open_.port)]))
        assert heard.down("bad-login").text.startswith(f"{place(strict.port)} refused a client without a user name")
        assert heard.next(LinkUp, timeout=5).broker == place(open_.port)


def test_each_remembers_for_itself_which_version_it_speaks(link: MakeLink) -> None:
    with TinyBroker({5: connack(1), 4: connack(0)}) as old, TinyBroker({5: connack(0, 5)}) as new:
        _, heard = link(plain(1, host=[place(old.port), place(new.port)]))
        assert heard.next(LinkUp).protocol == "3.1.1"
        old.hang_up()
        assert heard.next(LinkUp).protocol == "5"
        new.answers = {5: close, 4: close}
        new.hang_up()
        assert heard.next(LinkUp).protocol == "3.1.1"
        assert old.levels == [5, 4, 4]


@pytest.mark.parametrize(("code", "reason"), [(0x9C, "elsewhere"), (0x9D, "moved")])
def test_a_broker_that_sends_us_to_one_of_our_own_is_followed(link: MakeLink, code: int, reason: str) -> None:
    with TinyBroker({5: connack(0, 5)}) as third:
        unused = free_port()
        referring = connack(code, 5, reference(f"other.example:1883 {place(third.port)}"))
        with TinyBroker({5: referring}) as first:
            _, heard = link(plain(1, host=[place(first.port), place(unused), place(third.port)]))
            heard.down(reason)
            assert heard.next(LinkUp, timeout=5).broker == place(third.port)
            assert len([event for event in heard.all if isinstance(event, LinkDown)]) == 1


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (0x9C, "elsewhere", "asks for another server to be used for now"),
        (0x9D, "moved", "says that it has moved for good"),
    ],
)
def test_nobody_sends_us_and_our_password_to_a_stranger(link: MakeLink, code: int, reason: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        where = place(stranger.getsockname()[1])
        with TinyBroker({5: connack(code, 5, reference(f"{where} evil\x07.example"))}) as tiny:
            _, heard = link(plain(tiny.port))
            assert heard.down(reason).text == (
                f"{place(tiny.port)} {said}, to {where}, evil\\x07.example: "
                "only hosts that stand in mqtt.host are followed, since they get the password"
            )
            with pytest.raises(BlockingIOError):
                stranger.accept()


def test_a_connected_client_can_be_sent_elsewhere_too(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}) as one, TinyBroker({5: connack(0, 5)}) as two:
        _, heard = link(plain(1, host=[place(one.port), place(free_port()), place(two.port)]))
        heard.next(LinkUp)
        body = b"\x9c" + bytes([len(reference(place(two.port)))]) + reference(place(two.port))
        one.send(bytes([0xE0, len(body)]) + body)
        assert "ended the connection: another server is to be used for now" in heard.down("elsewhere").text
        assert heard.next(LinkUp, timeout=5).broker == place(two.port)


@pytest.mark.parametrize(
    ("level", "code", "reason", "text"),
    [
        (5, 0x88, "broker-unavailable", "says that it is unavailable now"),
        (4, 3, "broker-unavailable", "says that it is unavailable now"),
        (5, 0x89, "broker-busy", "says that it is busy"),
        (5, 0x97, "broker-busy", "has more clients than it is allowed"),
        (5, 0x9F, "broker-busy", "says that connections come too often"),
        (5, 0x86, "bad-login", "refused a client without a user name"),
        (5, 0x9D, "moved", "says that it has moved for good"),
    ],
)
def test_haste_is_of_no_use_where_a_broker_says_no(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch, level: int, code: int, reason: str, text: str
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    pauses: list[float] = []
    pause = backoff.Backoff.pause

    def noted(self: backoff.Backoff, *arguments: Any) -> float:
        pauses.append(pause(self, *arguments))
        return 0.01

    monkeypatch.setattr(backoff.Backoff, "pause", noted)
    with TinyBroker({level: connack(code, level)}) as tiny:
        _, heard = link(plain(tiny.port, protocol="5" if level == 5 else "3.1.1"))
        assert f"{place(tiny.port)} {text}" in heard.down(reason).text
        heard.down(reason)
        heard.down(reason)
    assert pauses[0] >= 2.5
    assert pauses[1] >= 5


@pytest.mark.parametrize("addresses", [["::1", "127.0.0.1"], ["127.0.0.1", "::1"]])
def test_every_address_of_a_name_is_tried_and_looked_up_anew_each_time(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    known = {"broker.example": list[str]()}
    ask = socket.getaddrinfo

    def answer(host: bytes, *arguments: Any, **more: Any) -> list[Any]:
        found = [each for name in known.get(host.decode(), [host.decode()]) for each in ask(name, *arguments, **more)]
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return found

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with TinyBroker({5: connack(0, 5)}) as tiny:
        _, heard = link(plain(tiny.port, host="broker.example"))
        heard.down("no-name-server")
        known["broker.example"] = addresses
        assert heard.next(LinkUp).broker == f"broker.example:{tiny.port}"
