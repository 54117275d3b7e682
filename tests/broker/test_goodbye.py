"""The end: what is left is said, the will stays silent, and no name server, broker or handshake holds the daemon up."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.tiny import TinyBroker, connack, plain
from broker.watching import Heard, MakeLink, MakeObserver
from stoker.core.messages import LinkUp, Publish
from stoker.link.link import Link
from stoker.link.settings import Mqtt

AVAILABILITY = "stoker/shed/availability"
WILL = (AVAILABILITY, b"offline")


def test_close_says_what_is_left(broker: Mosquitto, link: MakeLink, observer: MakeObserver) -> None:
    others = observer(broker, "#")
    line, heard = link(broker.settings(), will=WILL)
    heard.next(LinkUp)
    for number in range(100):  # more than may be under way at once
        line.publish(Publish("event", b"%d" % number, "event"))
    line.publish(Publish(AVAILABILITY, b"goodbye", "state"))
    started = time.monotonic()
    assert line.close(5)
    assert time.monotonic() - started < 2
    others.wait("event", *(b"%d" % number for number in range(100)))
    others.say("after", "the link is gone")
    others.wait("after", b"the link is gone")
    assert others.payloads(AVAILABILITY) == [b"goodbye"]  # and no will
    assert isinstance(heard.all[-1], LinkUp)  # a wanted end is no loss


DAEMON = """
import sys, threading
from msgspec.json import decode
from stoker.core.messages import LinkUp
from stoker.link.link import Link
from stoker.link.settings import Mqtt

up = threading.Event()
link = Link(
    decode(sys.argv[1], type=Mqtt),
    lambda event: isinstance(event, LinkUp) and up.set(),
    client_id="stoker-shed",
    subscriptions=["orders"],
    will=("stoker/shed/availability", b"offline"),
)
link.start()
up.wait()
print("up", flush=True)
sys.stdin.read()
link.close(5)
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "closed"])
def test_the_will_speaks_for_a_daemon_that_dies_and_only_then(
    broker: Mosquitto, observer: MakeObserver, killed: bool
) -> None:
    from msgspec.json import encode

    others = observer(broker, AVAILABILITY)
    command = [sys.executable, "-c", DAEMON, encode(broker.settings()).decode()]
    folders = {"PYTHONPATH": str(Path(__file__).parents[2] / "daemon")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=folders) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"up\n"
        if killed:
            daemon.send_signal(signal.SIGKILL)
    if killed:
        others.wait(AVAILABILITY, b"offline")
    else:
        others.say(AVAILABILITY, "nobody spoke before")
        others.wait(AVAILABILITY, b"nobody spoke before")


def closes_within(line: Link, timeout: float) -> bool:
    started = time.monotonic()
    assert not line.close(timeout)  # nothing was there to acknowledge anything
    return time.monotonic() - started < timeout + 0.2


def test_close_while_the_broker_is_absent(mosquitto: MakeBroker, authority: Authority, link: MakeLink) -> None:
    absent = mosquitto(authority=authority)
    line, heard = link(absent.settings(reconnect_max=3600.0))
    heard.down("connection-refused")
    heard.down("connection-refused")
    assert closes_within(line, 0.5)


def test_close_while_the_handshake_hangs(link: MakeLink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line, _ = link(Mqtt(host="127.0.0.1", port=silent.getsockname()[1]))
        peer, _ = silent.accept()
        with peer:
            peer.recv(1)
            assert closes_within(line, 0.3)


def test_close_while_the_broker_says_nothing(link: MakeLink) -> None:
    with TinyBroker({5: connack(0, 5)}, silent={1}) as tiny:
        line, _ = link(plain(tiny.port))
        tiny.wait_for(1)
        assert closes_within(line, 0.5)
        tiny.wait_for(14)


def test_close_while_the_broker_is_frozen(broker: Mosquitto, link: MakeLink) -> None:
    line, heard = link(broker.settings())
    heard.next(LinkUp)
    broker.freeze()
    line.publish(Publish("event", b"{}", "event"))
    assert closes_within(line, 0.5)


def test_close_twice_and_before_the_start(broker: Mosquitto) -> None:
    heard = Heard()
    line = Link(broker.settings(), heard.put, client_id="stoker-shed", subscriptions=[])
    line.close(1)
    line.publish(Publish("event", b"{}", "event"))
    line.start()
    line.close(1)
    line.close(1)
    assert heard.all == []
