"""Brokers that lack what we ask of them - retained messages, QoS 1, a will - are used all the same, and it is told."""

import pytest

from broker.mosquitto import MakeBroker
from broker.tiny import TinyBroker, close, connack, plain
from broker.watching import MakeLink, MakeObserver
from stoker.core.messages import LinkDown, LinkUp, Publish

NO_RETAIN = "keeps no retained messages: who comes later hears a state when it changes, or in 15 minutes"
NO_QUALITY = "takes QoS 0 alone: what is on its way when the line is lost is lost"
NO_WILL = "accepts us without a will alone: when this device is cut off, the broker tells nobody"


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["retain_available false"], NO_RETAIN),
        (["max_qos 0"], NO_QUALITY),
        (["retain_available false", "max_qos 0"], f"{NO_RETAIN}; it {NO_QUALITY}"),
    ],
)
def test_a_mosquitto_that_lacks_something_hears_everything_else(
    mosquitto: MakeBroker, link: MakeLink, observer: MakeObserver, protocol: str, lines: list[str], told: str
) -> None:
    small = mosquitto(users=None, lines=lines).start()
    others = observer(small, "#")
    line, heard = link(small.settings(protocol=protocol), "orders", will=("availability", b"offline"))
    heard.next(LinkUp)
    assert heard.notice("broker-lacks").text == f"127.0.0.1:{small.port} {told}"
    line.publish(Publish("availability", b"online", "state"))
    line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
    others.wait("availability", b"online")
    others.wait("TEMPERATURE", b"20.15")
    assert not [event for event in heard.all if isinstance(event, LinkDown)]
    assert line.close(5.0), "what is said with QoS 0 counts as said"


def test_a_will_that_is_hung_up_on_whatever_it_is_is_left_away(link: MakeLink) -> None:
    """As where AWS IoT Core's policy does not allow it."""
    with Picky() as tiny:
        _, heard = link(plain(tiny.port), will=("availability", b"offline"))
        heard.next(LinkUp)
        assert heard.notice("broker-lacks").text == f"127.0.0.1:{tiny.port} {NO_WILL}"
        assert not [event for event in heard.all if isinstance(event, LinkDown)]


def test_what_hangs_up_without_a_will_too_is_guessed_about(link: MakeLink) -> None:
    with TinyBroker({5: close, 4: close}) as tiny:
        _, heard = link(plain(tiny.port), will=("availability", b"offline"))
        assert "is that its TLS port?" in heard.down("closed-early").text
        assert tiny.levels == [5, 4, 4, 4, 4, 4]
        heard.down("closed-early")
        assert tiny.levels[6:] == [5, 4], "it is not hammered at"


@pytest.mark.parametrize("code", [0x9A, 0x9B])
def test_a_broker_that_refuses_every_will_so_is_not_asked_for_ever(link: MakeLink, code: int) -> None:
    with TinyBroker({5: connack(code, 5)}) as tiny:
        _, heard = link(plain(tiny.port), will=("availability", b"offline"))
        down = heard.next(LinkDown)
        assert down.text.startswith(f"127.0.0.1:{tiny.port} refused our will, since it ")
        assert tiny.levels == [5, 5, 5], "as it is, less, and without"


def test_it_is_told_once_and_again_when_the_broker_has_more(mosquitto: MakeBroker, link: MakeLink) -> None:
    small = mosquitto(users=None, lines=["retain_available false"]).start()
    _, heard = link(small.settings(), will=("availability", b"offline"))
    heard.notice("broker-lacks")
    small.kill()
    small.start()
    heard.next(LinkUp)
    small.kill()
    configuration = small.directory / "mosquitto.conf"
    configuration.write_text(configuration.read_text().replace("retain_available false", ""))
    small.start()
    text = heard.notice("broker-lacks").text
    assert text == f"127.0.0.1:{small.port} takes a will, retained messages and QoS 1 again"


class Picky(TinyBroker):
    """Hangs up on CONNECT with a will."""

    def __init__(self) -> None:
        super().__init__({5: connack(0, 5), 4: connack(0)})

    def answer(self, connect: bytes) -> bytes:
        """Connect flags follow the protocol's name and level; bit 2 is the will."""
        return close if connect[7] & 4 else super().answer(connect)
