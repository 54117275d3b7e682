"""Daemons that end when their test ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.mosquitto import Mosquitto
from daemon.running import ROOM, Daemon, MakeDaemon, mqtt


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
