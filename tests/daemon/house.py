"""A daemon in a room whose temperature the story sets, with a relay that writes down when it was switched.

So every story can ask at any time: is heating controlled? And, once its fault is over: does everything stand again?
"""

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from broker.mosquitto import Mosquitto
from broker.watching import MakeObserver
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
STATES = ("mode", "target", "preset", "heater", "action", "reason", "fault")


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

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait until something is so."""
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"not {what}; log:\n{self.log}"
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            time.sleep(0.01)

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

    def stands(self, broker: Mosquitto, observer: MakeObserver) -> None:
        """Check what somebody who comes now sees: online, every state, live readings, and orders are obeyed."""
        self.until(lambda: self.log.rfind("connected to") > self.log.rfind("no broker"), "connected")
        phone = observer(broker, "#")
        phone.wait_for(lambda: phone.payloads("stoker/shed/availability")[-1:] == [b"online"], "online")
        for state in STATES:
            phone.wait_for(lambda state=state: phone.payloads(f"stoker/shed/room/{state}") != [], state)  # type: ignore[misc]
        assert phone.payloads("stoker/shed/room/heater")[-1] == b"OFF"
        assert phone.payloads("stoker/shed/room/mode")[-1] == b"heat"
        phone.wait_for(lambda: len(phone.payloads("TEMPERATURE")) >= 2, "live readings")
        target = f"{TARGET + next(self._targets) / 100:.2f}"
        phone.say("stoker/shed/room/target/set", target)
        confirmed = str(float(target)).encode()
        phone.wait_for(lambda: phone.payloads("stoker/shed/room/target")[-1:] == [confirmed], "an order obeyed")
