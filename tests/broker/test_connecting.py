"""Finding the broker: with TLS, a password and MQTT 5; with 3.1.1 where 5 is refused; when it appears only later."""

import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.tiny import TinyBroker, close, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkDown, LinkUp, Message, Publish
from stoker.link import backoff, dial
from stoker.link.settings import Tls


def test_connects_over_tls_with_user_and_password_and_mqtt_5(
    broker: Mosquitto, link: MakeLink, observer: MakeObserver
) -> None:
    others = observer(broker, "TEMPERATURE")
    line, heard = link(broker.settings(), "stoker/shed/room/target/set")
    assert heard.next(LinkUp) == LinkUp(f"127.0.0.1:{broker.port}", "5")
    line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
    others.wait("TEMPERATURE", b"20.15")
    others.say("stoker/shed/room/target/set", "21")
    order = heard.next(Message)
    assert (order.topic, order.payload, order.retained) == ("stoker/shed/room/target/set", b"21", False)
    assert "(p5, c1" in broker.log
    assert "u'shed'" in broker.log


def test_speaks_3_1_1_when_told(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    line, heard = link(broker.settings(protocol="3.1.1"), "orders")
    assert heard.next(LinkUp).protocol == "3.1.1"
    others = observer(broker, "room")
    line.publish(Publish("room", b"heat", "state"))
    others.wait("room", b"heat")
    others.say("orders", "21", ResponseTopic="answers")
    assert heard.next(Message).reply_to == ""
    assert "(p2, c1" in broker.log or "(p4, c1" in broker.log  # Mosquitto 2.0 and 2.1


@pytest.mark.parametrize("refusal", [connack(1), connack(0x84, 5), close], ids=["3.1.1's code", "5's code", "closes"])
def test_falls_back_to_3_1_1_at_once_where_5_is_refused(link: MakeLink, refusal: bytes) -> None:
    with TinyBroker({5: refusal, 4: connack(0)}) as tiny:
        _, heard = link(plain(tiny.port), "orders")
        assert heard.next(LinkUp).protocol == "3.1.1"
        assert not [event for event in heard.all if isinstance(event, LinkDown)]
        assert tiny.levels == [5, 4]


def test_remembers_that_5_is_refused_in_so_many_words(link: MakeLink) -> None:
    with TinyBroker({5: connack(1), 4: connack(0)}) as tiny:
        _, heard = link(plain(tiny.port))
        heard.next(LinkUp)
        tiny.hang_up()
        heard.down("closed")
        heard.next(LinkUp)
        assert tiny.levels == [5, 4, 4]


def test_a_broker_that_closes_on_5_once_is_asked_with_5_again(link: MakeLink) -> None:
    with TinyBroker({5: close, 4: connack(0)}) as tiny:
        _, heard = link(plain(tiny.port))
        heard.next(LinkUp)
        tiny.answers[5] = connack(0, 5)
        tiny.hang_up()
        heard.down("closed")
        assert heard.next(LinkUp).protocol == "5"


def test_says_so_where_only_5_is_allowed_and_the_broker_does_not_speak_it(link: MakeLink) -> None:
    with TinyBroker({5: connack(1), 4: connack(0)}) as tiny:
        _, heard = link(plain(tiny.port, protocol="5"))
        assert "set mqtt.protocol to auto" in heard.down("protocol").text
        assert 4 not in tiny.levels


def test_waits_for_a_broker_that_is_absent_at_first(
    mosquitto: MakeBroker, authority: Authority, link: MakeLink
) -> None:
    late = mosquitto(authority=authority)
    _, heard = link(late.settings(), "orders")
    down = heard.down("connection-refused")
    assert down.text == f"nothing listens at 127.0.0.1:{late.port}: does the broker run there?"
    assert [down.tries, heard.next(LinkDown).tries] == [1, 2]
    late.start()
    assert heard.next(LinkUp)


def test_reads_the_password_anew_for_every_try(
    broker: Mosquitto, link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backoff.BASES, "person", 0.5)
    password = broker.password_file("shed")
    right = password.read_text()
    password.write_text("wrong\n")
    _, heard = link(broker.settings())
    heard.down("bad-login")
    password.write_text(right)
    assert heard.next(LinkUp)


@pytest.mark.parametrize("name", ["", "mqtt.password", "another"])
def test_takes_the_password_from_a_systemd_credential(
    broker: Mosquitto, link: MakeLink, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = broker.directory / "credentials"
    folder.mkdir()
    (folder / (name or "mqtt.password")).write_text("s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    _, heard = link(broker.settings(password_file=name))
    assert heard.next(LinkUp)


def test_shows_a_client_certificate(strict: Mosquitto, authority: Authority, link: MakeLink) -> None:
    certificate, key = authority.issue("shed.example")
    tls = Tls(ca_file=str(strict.ca_file), cert_file=str(certificate), key_file=str(key))
    _, heard = link(strict.settings(tls=tls))
    assert heard.next(LinkUp)


def test_takes_a_name_where_the_certificate_has_it(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings(host="localhost"))
    assert heard.next(LinkUp).broker == f"localhost:{broker.port}"


def test_names_the_host_in_the_handshake(authority: Authority, link: MakeLink) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with TinyBroker({5: connack(0, 5)}, context=context) as tiny:
        tls = Tls(ca_file=str(authority.ca_file))
        _, heard = link(plain(tiny.port, host="localhost", tls=tls))
        heard.next(LinkUp)
    assert names == ["localhost"]


class Name:
    """A name server that knows `many.example`: all of these (host, port)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
        self._ask = socket.getaddrinfo
        self._places = places
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: bytes, port: int, *arguments: Any, **more: Any) -> Any:
        places = self._places if host == b"many.example" else [(host, port)]
        return [found for place in places for found in self._ask(*place, *arguments, **more)]


@pytest.fixture
def hole() -> Iterator[tuple[str, int]]:
    """Where SYNs vanish: a listener whose queue is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        yield full.getsockname()


def test_a_name_whose_first_addresses_are_dead_is_reached_in_one_try(
    link: MakeLink, hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "TCP_LEAST", 0.05)
    monkeypatch.setattr(dial, "TCP_WITHIN", 1.0)  # TCP_TIMEOUT stays 10 s
    with TinyBroker({5: connack(0, 5)}) as tiny:
        Name(monkeypatch, *[hole] * 7, ("127.0.0.1", tiny.port))
        _, heard = link(plain(tiny.port, host="many.example"))
        heard.next(LinkUp)
        assert not [event for event in heard.all if isinstance(event, LinkDown)]


def test_a_try_that_ran_out_of_time_is_gone_on_with_at_the_next_address(
    link: MakeLink, hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "TCP_LEAST", 0.1)
    monkeypatch.setattr(dial, "TCP_WITHIN", 0.25)
    with TinyBroker({5: connack(0, 5)}) as tiny:
        Name(monkeypatch, *[hole] * 8, ("127.0.0.1", tiny.port))
        _, heard = link(plain(tiny.port, host="many.example"))
        text = "does not answer: is it on, and does a firewall stand between?"
        assert heard.down("timed-out").text == f"many.example:{tiny.port} {text}"
        heard.next(LinkUp)
        tiny.hang_up()
        heard.down("closed")
        heard.next(LinkUp)
        assert getattr(heard.all[-2], "reason", "") == "closed", "it begins with the address that it was on"


def test_an_address_that_takes_tcp_and_is_no_broker_does_not_stand_before_the_next(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TinyBroker({5: close, 4: close}) as ruin, TinyBroker({5: connack(0, 5)}) as tiny:
        Name(monkeypatch, ("127.0.0.1", ruin.port), ("127.0.0.1", tiny.port))
        _, heard = link(plain(tiny.port, host="many.example"))
        heard.down("closed-early")
        heard.next(LinkUp)


def test_ipv4_and_ipv6_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    names = [(six, 1), (six, 2), (six, 3), (four, 4), (four, 5)]
    assert dial.alternating(names) == [(six, 1), (four, 4), (six, 2), (four, 5), (six, 3)]
    assert dial.alternating([]) == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts the thread's own wake-ups, in /proc")
def test_sleeps_while_there_is_nothing_to_do(broker: Mosquitto, link: MakeLink) -> None:
    _, heard = link(broker.settings(), "orders")
    heard.next(LinkUp)
    before = wake_ups()
    time.sleep(1)  # the story is that nothing happens in it
    assert wake_ups() - before <= 1


def wake_ups() -> int:
    """How often the link's thread, which these stories give it, went to sleep so far."""
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "link")
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])
