"""Daemons that end when their test ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from broker.mosquitto import Mosquitto
from daemon.running import Daemon, mqtt

MakeDaemon = Callable[..., Daemon]

ROOM = """
[thermometers.inside]
driver = "mock"
interval = "200ms"
start = 15.0
[heaters.radiator]
driver = "mock"
log = "{relay}"
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
stale_after = "2s"
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    """Make daemons, not yet started."""
    with ExitStack() as stack:

        def make(configuration: str, device: str = "shed") -> Daemon:
            made = Daemon(tmp_path, configuration, device)
            stack.callback(made.kill)
            return made

        yield make


@pytest.fixture
def heating(daemon: MakeDaemon, broker: Mosquitto) -> Daemon:
    """A daemon in a cold room, connected, with its heater on."""
    made = daemon(mqtt(broker) + ROOM).start("--verbose")
    made.wait_for_log("connected to")
    made.wait_for_log("heater on, below-target")
    return made
