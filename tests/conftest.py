"""What the stories at the broker are made of: brokers, links and observers, all ended when the test ends."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.watching import Heard, MakeLink, MakeObserver, Observer
from stoker.link.link import Link
from stoker.link.settings import Mqtt

# What a shell starts in the background ignores Ctrl-C, and so would every daemon in the stories.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[MakeBroker]:
    """Make brokers, not yet started."""
    with ExitStack() as stack:

        def make(**options: object) -> Mosquitto:
            broker = Mosquitto(tmp_path, **options)  # type: ignore[arg-type]
            stack.callback(broker.kill)
            return broker

        yield make


@pytest.fixture
def broker(mosquitto: MakeBroker, authority: Authority) -> Mosquitto:
    """A broker with TLS and passwords, running."""
    return mosquitto(authority=authority).start()


@pytest.fixture
def strict(mosquitto: MakeBroker, authority: Authority) -> Mosquitto:
    """A broker that asks for a client certificate, running. It shows its CA's certificate with its own."""
    lines = ["require_certificate true", f"cafile {authority.ca_file}"]
    return mosquitto(authority=authority, lines=lines).start()


@pytest.fixture
def link() -> Iterator[MakeLink]:
    """Make links that have started, and what they put."""
    with ExitStack() as stack:

        def make(settings: Mqtt, *subscriptions: str, **options: object) -> tuple[Link, Heard]:
            heard = Heard()
            options.setdefault("client_id", "stoker-shed")
            made = Link(settings, heard.put, subscriptions=subscriptions, **options)  # type: ignore[arg-type]
            made.start()
            stack.callback(made.close, 2.0)
            return made, heard

        yield make


@pytest.fixture
def observer() -> Iterator[MakeObserver]:
    """Make clients that look on."""
    with ExitStack() as stack:

        def make(broker: Mosquitto, *filters: str) -> Observer:
            made = Observer(broker, *filters)
            stack.callback(made.close)
            return made

        yield make
