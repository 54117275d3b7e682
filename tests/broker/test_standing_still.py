"""What hangs, stands still or dies: the link goes on with another try, gives the line up, or the program ends, cold.

A name server that never answers hangs the thread that asks it. A suspended machine finds old orders in its socket.
"""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.mosquitto import Authority, MakeBroker
from broker.tiny import TinyBroker, connack, plain
from broker.watching import PATIENCE, MakeLink, MakeObserver
from stoker.cli.client import Heard
from stoker.core.messages import LinkUp, Message, Publish
from stoker.inbox import Inbox, monotonic
from stoker.link import backoff
from stoker.link import link as link_module
from stoker.link.link import Link
from stoker.link.settings import Tls


class Resolver:
    """A name server that never answers, until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.mended = threading.Event()
        self._ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, *arguments: Any, **more: Any) -> Any:
        self.asked += 1
        self.mended.wait()
        return self._ask(*arguments, **more)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    found = Resolver(monkeypatch)
    yield found
    found.mended.set()


def dials() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dial"]


def test_a_name_server_that_hangs_is_left_behind_and_a_few_times_only(
    link: MakeLink, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "DIAL_WITHIN", 0.1)
    monkeypatch.setitem(backoff.BASES, "busy", 0.1)
    with TinyBroker({5: connack(0, 5)}) as tiny:
        line, heard = link(plain(tiny.port))
        assert heard.down("hangs").text == (f"no way to 127.0.0.1:{tiny.port}: looking up 127.0.0.1 hangs for 0.1 s")
        heard.down("hangs")
        heard.down("hangs")
        text = heard.down("hangs").text
        assert text == "3 tries hang still (looking up 127.0.0.1): no other before one of them ends"
        heard.down("hangs")
        assert resolver.asked == 3 == len(dials())
        heard.down("hangs")
        now = time.monotonic()
        assert not line.hangs(now + 3500)
        assert line.hangs(now + 3600), "a fresh process is all that is left to try"
        resolver.mended.set()
        heard.next(LinkUp)
        assert not line.hangs(now + 7200)
        for thread in dials():
            thread.join(PATIENCE)
        assert tiny.levels == [5], "what the others reached late is closed"


def test_what_is_reached_too_late_is_closed_without_a_word(
    link: MakeLink, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "DIAL_WITHIN", 0.5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tls = Tls(ca_file=str(authority.ca_file))
        _, heard = link(plain(listener.getsockname()[1], tls=tls))
        late, _ = listener.accept()
        assert "the TLS handshake with 127.0.0.1 hangs for 0.5 s" in heard.down("hangs").text
        late.settimeout(PATIENCE)
        with context.wrap_socket(late, server_side=True) as answered:
            assert answered.recv(1) == b""


def test_an_end_does_not_wait_for_a_name_server(resolver: Resolver) -> None:
    line = Link(plain(1), lambda _: None, client_id="shed", subscriptions=[])
    line.start()
    while not resolver.asked:
        time.sleep(0.01)
    begin = time.monotonic()
    assert not line.close(5.0)
    assert time.monotonic() - begin < 1


def test_a_link_that_dies_takes_the_program_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_line: Link) -> None:
        raise SystemExit  # what no bug of ours is, and what nobody catches by the way

    monkeypatch.setattr(Link, "_try", die)
    with pytest.raises(SystemExit):
        Inbox[Heard]().attend(Link(plain(9), lambda _: None, client_id="shed", subscriptions=[]))


# --- our own standing still -------------------------------------------------------------------------------------------


def test_a_broker_that_answered_while_a_driver_took_its_time_has_not_fallen_silent(mosquitto: MakeBroker) -> None:
    broker, inbox = mosquitto(users=None).start(), Inbox[Heard]()
    line = Link(broker.settings(keepalive=1.0), inbox.put, client_id="shed", subscriptions=[])
    inbox.attend(line)
    assert isinstance(inbox.get(monotonic() + PATIENCE), LinkUp)
    line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
    assert inbox.get(until=0.0) is None, "it goes out, and its answer is not waited for"
    time.sleep(1.2)  # the story is that nobody reads that answer in time
    line.publish(Publish("TEMPERATURE", b"20.16", "reading"))
    assert inbox.get(monotonic() + 0.5) is None
    inbox.see_off(5.0)
    assert line.all_said


@pytest.mark.parametrize("websockets", [False, True])
def test_orders_that_came_while_the_machine_slept_are_not_obeyed(
    mosquitto: MakeBroker, link: MakeLink, websockets: bool
) -> None:
    broker = mosquitto(users=None, websockets=websockets).start()
    slept = [0.0]
    settings = broker.settings(transport="websockets" if websockets else "tcp")
    _, heard = link(settings, "orders", now=lambda: time.monotonic() + slept[0])
    giver, up = link(broker.settings(transport=settings.transport), client_id="giver")
    heard.next(LinkUp)
    up.next(LinkUp)
    slept[0] = 46.0
    giver.publish(Publish("orders", b"late", "event"))
    text = heard.down("stood-still").text
    assert text.startswith("this program stood still for ")
    assert text.endswith(" s: what came meanwhile is too old to be obeyed")
    heard.next(LinkUp)
    assert Message not in map(type, heard.all)


CHILD = """
import sys, time
from broker.tiny import plain
from stoker.inbox import monotonic
from stoker.link.link import Link
from stoker.link.settings import Tls
line = Link(plain(int(sys.argv[1]), keepalive=2.0), lambda event: print(event, flush=True),
            client_id="child", subscriptions=["orders"], now=monotonic)
line.start()
sys.stdin.read()
line.close(2)
"""


def test_a_program_that_was_stopped_obeys_nothing_that_came_meanwhile(
    mosquitto: MakeBroker, observer: MakeObserver
) -> None:
    broker = mosquitto(users=None).start()
    others = observer(broker)
    root = Path(__file__).parents[2]
    path = os.pathsep.join(str(root / name) for name in ("daemon", "drivers", "tests"))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(broker.port)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout
        assert "LinkUp" in child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        others.say("orders", "late")
        time.sleep(3.5)  # the story is that nothing happens for longer than 1.5 keepalives
        child.send_signal(signal.SIGCONT)
        said = [child.stdout.readline() for _ in range(2)]
        others.say("orders", "in time")
        said.append(child.stdout.readline())
        assert child.stdin
        child.stdin.close()
        said += child.stdout.readlines()
    assert "stood-still" in said[0]
    assert "LinkUp" in said[1]
    assert "in time" in said[2]
    assert "late" not in "".join(said)


def test_a_broker_that_is_slow_to_answer_is_not_our_own_standing_still(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CONNACK_WITHIN", 1.0)
    with TinyBroker({5: b"\x20"}) as tiny:  # the first byte of an answer
        _, heard = link(plain(tiny.port, keepalive=0.5))
        heard.down("no-answer")
