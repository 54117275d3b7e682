"""SimulatedHouse: the whole core with real simulated rooms, in simulated time. A day runs in milliseconds."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from stoker.core.messages import (
    Effect,
    Input,
    LinkDown,
    LinkUp,
    Message,
    Now,
    Publish,
    Reading,
    ReadingFailed,
    Remember,
    Say,
    SayAlive,
    Stop,
    Switched,
    SwitchFailed,
    SwitchHeater,
    Tick,
)
from stoker.core.settings import Heater, Settings, Thermometer, Zone
from stoker.core.stoker import Stoker
from stoker_drivers.interfaces import SensorError
from stoker_drivers.mock import Room

MIDNIGHT = 1_767_571_200.0  # 2026-01-05 00:00 UTC, a Monday


class FakeRelay:
    """A relay that remembers when it was switched, and that can be broken."""

    def __init__(self) -> None:
        self.on = False
        self.history: list[tuple[float, bool]] = []
        self.broken = ""  # what it says instead of switching

    def switch(self, name: str, on: bool, now: float) -> Switched | SwitchFailed:
        if self.broken:
            return SwitchFailed(name, self.broken)
        if on is not self.on:
            self.history.append((now, on))
        self.on = on
        return Switched(name, on)


class FakeBroker:
    """What a broker would know: the newest of each retained topic, and everything said while connected."""

    def __init__(self) -> None:
        self.connected = False
        self.retained: dict[str, bytes] = {}
        self.said: list[tuple[float, str, bytes]] = []

    def publish(self, effect: Publish, now: float) -> None:
        if not self.connected:
            return
        self.said.append((now, effect.topic, effect.payload))
        if effect.kind == "state" and effect.payload:
            self.retained[effect.topic] = effect.payload
        elif effect.kind == "state":
            self.retained.pop(effect.topic, None)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for _, said, payload in self.said if said == topic]


class SimulatedHouse:
    """One device `shed` with one zone `room` unless told otherwise; `tick` is the step of simulated time in seconds."""

    def __init__(
        self,
        *,
        remembered: Mapping[str, str] | None = None,
        room: Room | None = None,
        begin: float = 1000.0,
        **zone: Any,
    ) -> None:
        heater = {key: zone.pop(key) for key in list(zone) if key in Heater.__struct_fields__}
        thermometer = {key: zone.pop(key) for key in list(zone) if key in Thermometer.__struct_fields__}
        device = zone.pop("device", {})
        more = {key: zone.pop(key) for key in ("presence", "timezone", "alive_every") if key in zone}
        thermometers = zone.pop("thermometers", {"inside": Thermometer(publish="TEMPERATURE", **thermometer)})
        zones = zone.pop("zones", None) or {"room": zone.pop("zone", None) or self._zone(zone)}
        self.settings = Settings(
            **device,
            device="shed",
            base="stoker/shed",
            thermometers=thermometers,
            heaters={"radiator": Heater(**heater)},
            zones=zones,
            **more,
        )
        self.time = begin
        self.wall_ahead = 0.0
        self.synchronised = True
        self.room = room or Room()
        self.relay = FakeRelay()
        self.relays = {"radiator": self.relay}
        self.broker = FakeBroker()
        self.memory: dict[str, str] = dict(remembered or {})
        self.log: list[Say] = []
        self.temperatures: list[tuple[float, float]] = []
        self.sensor: Callable[[], float] = self.room.measure
        self._next_reading = self.time
        self.core = Stoker(self.settings, self.memory, self.now())
        for name in self.settings.heaters:
            self.feed(Switched(name, False))  # every heater is driven off before anything else

    def now(self) -> Now:
        return Now(self.time, MIDNIGHT + self.wall_ahead + self.time - 1000.0, self.synchronised)

    @staticmethod
    def _zone(table: dict[str, Any]) -> Zone:
        return msgspec.convert({"thermometer": "inside", "heater": "radiator", **table}, Zone)

    # --- what happens -------------------------------------------------------------------------------------------------

    def feed(self, event: Input) -> None:
        self._carry_out(self.core.handle(event, self.now()))

    def connect(self) -> None:
        self.broker.connected = True
        self.feed(LinkUp("broker:8883"))

    def disconnect(self, reason: str = "closed") -> None:
        self.broker.connected = False
        self.feed(LinkDown(reason, "the broker closed the connection", 1))

    def order(self, topic: str, payload: str, **details: Any) -> None:
        self.feed(Message(f"stoker/shed/{topic}", payload.encode(), self.time, **details))

    def stop(self) -> None:
        self.feed(Stop("SIGTERM"))

    def read(self) -> None:
        """What the sampler does at each interval."""
        try:
            celsius = self.sensor()
        except SensorError as error:
            self.feed(ReadingFailed("inside", error.reason, str(error), self.time))
        else:
            self.temperatures.append((self.time, celsius))
            self.feed(Reading("inside", celsius, self.time))

    def run(self, seconds: float) -> None:
        """Let time pass: the room warms and cools, the sensor is read, deadlines come."""
        end = self.time + seconds
        while self.time < end:
            step = min(self._next_reading, self.core.next_deadline(), end) - self.time
            self._advance(max(step, 0.0))
            if self.time >= self.core.next_deadline():
                self.feed(Tick())
            if self.time >= self._next_reading:
                self._next_reading += 10.0
                if "inside" in self.settings.thermometers:
                    self.read()

    def run_until(self, reached: Callable[[], bool], within: float) -> float:
        """Let time pass second by second until something is so; how long it took. Fails after `within` seconds."""
        start = self.time
        while not reached():
            assert self.time - start < within, f"not so after {within} s; last: {self.log[-1:]}"
            self.run(1.0)
        return self.time - start

    # --- what a user sees ---------------------------------------------------------------------------------------------

    @property
    def reason(self) -> str:
        return str(self.core.zones["room"].decision.reason)

    def said(self, topic: str) -> str:
        return self.broker.retained[f"stoker/shed/{topic}"].decode()

    def state(self, zone: str = "room") -> dict[str, Any]:
        state: dict[str, Any] = msgspec.json.decode(self.broker.retained["stoker/shed/state"])["zones"][zone]
        return state

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        events = [msgspec.json.decode(payload) for payload in self.broker.payloads("stoker/shed/event")]
        return [event for event in events if event["event"] == kind or not kind]

    def seconds_on(self) -> float:
        total, since = 0.0, math.nan
        for time, on in [*self.relay.history, (self.time, False)]:
            if on:
                since = time
            elif not math.isnan(since):
                total += time - since
                since = math.nan
        return total

    # --- how it works -------------------------------------------------------------------------------------------------

    def _advance(self, seconds: float) -> None:
        self.room.relay = self.relay.on
        self.room.advance(seconds)
        self.time += seconds

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SwitchHeater(name, on):
                    self._carry_out(self.core.handle(self.relays[name].switch(name, on, self.time), self.now()))
                case Publish():
                    self.broker.publish(effect, self.time)
                case SayAlive(topic, figures):
                    self.broker.publish(Publish(topic, msgspec.json.encode(figures), "state"), self.time)
                case Remember(key, None):
                    self.memory.pop(key, None)
                case Remember(key, str(value)):
                    self.memory[key] = value
                case Say():
                    self.log.append(effect)
