"""Flood and garbage against the real daemon: memory stays bounded, the relay keeps its minimum times, control and the
watchdog are on time. What a flood leaves in the buffers of broker and kernel holds up the acknowledgements too, so
the line is given up after a keepalive, and no order is obeyed later than that.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from broker.hose import Hose, packet, text
from broker.mosquitto import Mosquitto
from broker.tiny import TinyBroker, connack
from broker.watching import MakeObserver
from daemon.house import ROOM, House
from daemon.running import mqtt

MakeHouse = Callable[..., House]

FLOOD = 3.0  # seconds
REST = 1.0  # seconds: min_on and min_off of the pump
WATCHDOG = 4.0  # seconds
ON_TIME = 1.5  # seconds from the air's temperature to the relay; a reading comes each 0.1 s
BOUND = 10 * 1024 * 1024  # bytes that a daemon may grow by

CELLAR = """
[thermometers.cellar]
driver = "mock"
publish = ""
[heaters.pump]
driver = "clocked"
log = "{relay}-pump"
min_on = "1s"
min_off = "1s"
[zones.cellar]
thermometer = "cellar"
heater = "pump"
"""
"""A zone that is flooded, beside the room whose control is looked at."""
ORDERS = "stoker/shed/cellar"


class Watchdog:
    """Where systemd would listen: when the daemon fed it."""

    def __init__(self, path: Path) -> None:
        self.fed: list[float] = []
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while (said := self._socket.recv(4096).decode()) != "END":
            if "WATCHDOG=1" in said or "READY=1" in said:
                self.fed.append(time.monotonic())

    def longest_hunger(self) -> float:
        """The longest time between two meals, the last one until now."""
        return max(after - before for before, after in pairwise([*self.fed, time.monotonic()]))

    def close(self) -> None:
        self._socket.sendto(b"END", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@pytest.fixture
def watchdog(tmp_path: Path) -> Iterator[Watchdog]:
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed (it builds against libsystemd-dev)")
    made = Watchdog(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def flooded(make_house: MakeHouse, broker: Mosquitto, watchdog: Watchdog) -> House:
    """A house with a cellar, connected."""
    room = ROOM.replace('driver = "file"', 'driver = "file"\npublish = "TEMPERATURE"')
    house = make_house(mqtt(broker, keepalive="5s") + room + CELLAR)
    house.environment |= watchdog.environment
    house.start()
    house.wait_for_log("connected to")
    house.controls()
    return house


@pytest.fixture
def hose(broker: Mosquitto) -> Iterator[Hose]:
    made = Hose(broker)
    yield made
    made.close()


Mix = Sequence[tuple[str, bytes]]

BY_HAND: Mix = [(f"{ORDERS}/heater/set", payload) for payload in (b"ON", b"OFF")]
TARGETS: Mix = [(f"{ORDERS}/target/set", b"%d" % celsius) for celsius in range(10, 25)]
REFUSED: Mix = [(f"{ORDERS}/target/set", b"NaN"), (f"{ORDERS}/target/set", b"1e400"), (f"{ORDERS}/mode/set", b"\xff")]
LARGE: Mix = [(f"{ORDERS}/schedule/set", b"[" * 30_000)]
MEGABYTES: Mix = [(f"{ORDERS}/target/set", b"2" * 1_000_000)]


@pytest.mark.parametrize(
    ("mix", "least"),
    [(BY_HAND, 10_000), (TARGETS, 10_000), (REFUSED, 10_000), (LARGE, 100), (MEGABYTES, 10)],
    ids=["by hand", "targets", "refused orders", "deep JSON", "megabytes"],
)
def test_a_flood_changes_nothing_else(
    flooded: House, hose: Hose, watchdog: Watchdog, broker: Mosquitto, observer: MakeObserver, mix: Mix, least: int
) -> None:
    before = flooded.memory()
    poured: list[int] = []
    flood = threading.Thread(target=lambda: poured.append(hose.pour(mix, FLOOD)))
    flood.start()
    slowest = 0.0
    while flood.is_alive():
        slowest = max(slowest, flooded.controls())
    assert poured[0] / FLOOD > least
    assert slowest < ON_TIME
    assert watchdog.longest_hunger() < WATCHDOG
    assert flooded.memory() < before + BOUND
    assert all(after - before > REST - 0.05 for before, after in pairwise(pump(flooded)))
    flooded.stands(broker, observer)


def pump(house: House) -> list[float]:
    """When the flooded zone's relay was switched, but for the first time, which is the start."""
    return [float(line.split()[0]) for line in Path(f"{house.relay}-pump").read_text().splitlines()][1:]


def test_the_relay_that_is_flooded_by_hand_switches_as_often_as_it_may(flooded: House, hose: Hose) -> None:
    hose.pour(BY_HAND, FLOOD)
    assert len(pump(flooded)) >= 2


# --- what no real broker passes on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_packet_of_256_megabytes_that_comes_and_comes(make_house: MakeHouse, protocol: str) -> None:
    level, properties = (5, b"\0") if protocol == "5" else (4, b"")
    with TinyBroker({level: connack(0, level)}, puback=0 if level == 5 else None) as tiny:
        house = make_house(plain_mqtt(tiny, protocol) + ROOM.replace('"file"', '"file"\npublish = ""'))
        house.start()
        house.wait_for_log("connected to")
        before = house.memory()
        tiny.send(b"\x30\xff\xff\xff\x7f" + text(b"stoker/shed/room/target/set") + properties)
        for _ in range(100):
            tiny.send(b"2" * 2**20)
        assert house.controls() < ON_TIME
        assert house.memory() < before + BOUND
        assert "stoker/shed/room/target 2" not in house.log


def test_what_nobody_asked_for_and_nobody_can_read(make_house: MakeHouse) -> None:
    with TinyBroker({4: connack(0)}) as tiny:
        house = make_house(plain_mqtt(tiny, "3.1.1") + ROOM)
        house.start()
        house.wait_for_log("connected to")
        tiny.send(packet(0x30, text(b"never/subscribed") + b"21"))
        tiny.send(packet(0x30, text(b"not UTF-8 \xff\xfe") + b"21"))
        tiny.send(packet(0x30, text(b"stoker/shed/room/target/set") + b"20.01"))
        house.wait_for_log("a message came on a topic that is not UTF-8: dropped")
        house.wait_for_log("room: ordered target 20.01")
        house.controls()


def plain_mqtt(tiny: TinyBroker, protocol: str) -> str:
    return (
        f'[mqtt]\nhost = "127.0.0.1"\nport = {tiny.port}\ntls.enabled = false\nprotocol = "{protocol}"\n'
        'reconnect_max = "1s"\n'
    )
