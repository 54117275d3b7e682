"""Houses that end when their test ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.mosquitto import Mosquitto
from broker.proxy import Proxy
from daemon.house import ROOM, House
from daemon.running import mqtt


@pytest.fixture
def proxy(broker: Mosquitto) -> Iterator[Proxy]:
    with Proxy(broker) as made:
        yield made


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Make houses, not yet started."""
    with ExitStack() as stack:

        def make(configuration: str, device: str = "shed") -> House:
            made = House(tmp_path, configuration, device)
            stack.callback(made.kill)
            return made

        yield make


@pytest.fixture
def house(make_house: Callable[..., House], broker: Mosquitto, proxy: Proxy) -> House:
    """A house whose daemon is connected through the proxy, with a keepalive of 5 s."""
    made = make_house(mqtt(broker, port=proxy.port, keepalive="5s") + ROOM)
    made.start("--verbose")
    made.wait_for_log("connected to")
    return made
