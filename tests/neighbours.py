"""Neighbours: a simulated house with a second zone, `cellar`, that has all of its own and no faults."""

from typing import Any

from msgspec.structs import replace

from fakes import FakeRelay, SimulatedHouse
from stoker.core.messages import Reading, Switched
from stoker.core.settings import Heater, Thermometer, Zone
from stoker.core.stoker import Stoker
from stoker_drivers.mock import Room


class Neighbours(SimulatedHouse):
    """Whatever is staged in `room`, the cellar is a cool room that needs its heat."""

    def __init__(self, *, room: Room | None = None, **zone: Any) -> None:
        super().__init__(room=room, **zone)
        cellar = Zone(thermometer="below", heater="stove", target=15.0)
        self.settings = replace(
            self.settings,
            thermometers=self.settings.thermometers | {"below": Thermometer()},
            heaters=self.settings.heaters | {"stove": Heater()},
            zones=self.settings.zones | {"cellar": cellar},
        )
        self.cellar = Room(start=10.0, outside=0.0, power=1500.0, noise=0.0)
        self.stove = FakeRelay()
        self.relays["stove"] = self.stove
        self.core = Stoker(self.settings, self.memory, self.now())
        for name in self.settings.heaters:
            self.feed(Switched(name, False))
        self.connect()

    def read(self) -> None:
        super().read()
        self.feed(Reading("below", self.cellar.measure(), self.time))

    def _advance(self, seconds: float) -> None:
        self.cellar.relay = self.stove.on
        self.cellar.advance(seconds)
        super()._advance(seconds)

    def cellar_is_well(self) -> bool:
        """Warm or on its way there, without any fault."""
        fault = self.core.zones["cellar"].fault
        return fault is None and (self.stove.on or self.cellar.air > 14.5)
