"""A daemon in a room whose temperature the story sets, with a relay that writes down when it was switched.

So every story can ask at any time: is heating controlled? And, once its fault is over: does everything stand again?
"""

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from broker.mosquitto import Mosquitto
from broker.watching import MakeObserver, Observer
from daemon.running import PATIENCE, ROOT, Daemon

ROOM = """
[thermometers.inside]
driver = "file"
path = "{air}"
interval = "100ms"
max_rate = 0
[heaters.radiator]
driver = "clocked"
log = "{relay}"
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
hysteresis = 0.5
stale_after = "5s"
"""
TARGET = 20.0
COLD, WARM = 19.7, 20.3  # °C just outside of the band

INSTRUMENTS = str(ROOT / "tests" / "instruments")
STATES = {"mode": b"heat", "heater": b"OFF", "action": b"idle", "reason": b"target-reached", "fault": b"none"}


class House(Daemon):
    """`stoker run` in this room. `air` is its temperature, `switches` its relay's history."""

    def __init__(self, directory: Path, configuration: str, device: str = "shed") -> None:
        super().__init__(directory, configuration, device)
        self.environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "daemon"), str(ROOT / "drivers"), INSTRUMENTS])
        self._targets = count(1)
        self.air(WARM)

    def configure(self, configuration: str) -> None:
        super().configure(configuration.replace("{air}", str(self.directory / "air")))

    def air(self, celsius: float) -> None:
        """Let the thermometer say this from now on."""
        new = self.directory / "air.new"
        new.write_text(str(celsius))
        new.rename(self.directory / "air")

    @property
    def switches(self) -> list[tuple[float, bool]]:
        """When the relay was switched, and whether on; the first is off, from the start."""
        if not self.relay.exists():
            return []
        lines = self.relay.read_text().splitlines()
        return [(float(when), on == "1") for when, on in map(str.split, lines)]

    def until(self, condition: Callable[[], bool], what: str, pause: float = 0.01) -> None:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not {what}; log:\n{self.log}"
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            time.sleep(pause)

    def memory(self) -> int:
        """Bytes that the process holds in memory now."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def heats(self, on: bool) -> bool:
        """Whether the relay is in this position."""
        return bool(self.switches) and self.switches[-1][1] is on

    def controls(self) -> float:
        """Check that heat comes where it is a little too cold and goes where it is a little too warm.

        The longer of the two times that it took, in seconds.
        """
        longest = 0.0
        for celsius, on in ((WARM, False), (COLD, True), (WARM, False)):
            self.air(celsius)
            begin = time.monotonic()
            self.until(lambda on=on: self.heats(on), f"{'on' if on else 'off'} at {celsius} °C")  # type: ignore[misc]
            longest = max(longest, time.monotonic() - begin)
        return longest

    def wait_for_topic(self, phone: Observer, topic: str, payload: bytes) -> None:
        """Until this is the newest on a topic."""
        self.until(lambda: phone.payloads(topic)[-1:] == [payload], f"{payload!r} on {topic}")

    def stands(self, broker: Mosquitto, observer: MakeObserver) -> None:
        """Check what somebody who comes now sees: online, every state, live readings, and orders are obeyed."""
        phone = observer(broker, "stoker/shed/+", "stoker/shed/room/+", "TEMPERATURE")  # and not what floods others
        self.until(lambda: self.log.rfind("connected to") > self.log.rfind("no broker"), "connected")
        self.wait_for_topic(phone, "stoker/shed/availability", b"online")
        for state, payload in STATES.items():
            self.wait_for_topic(phone, f"stoker/shed/room/{state}", payload)
        readings = len(phone.payloads("TEMPERATURE"))
        self.until(lambda: len(phone.payloads("TEMPERATURE")) >= readings + 2, "live readings")
        target = TARGET + next(self._targets) / 100

        def obeyed() -> bool:
            phone.say("stoker/shed/room/target/set", f"{target:.2f}")
            return phone.payloads("stoker/shed/room/target")[-1:] == [repr(round(target, 4)).encode()]

        self.until(obeyed, "an order obeyed", pause=0.2)
