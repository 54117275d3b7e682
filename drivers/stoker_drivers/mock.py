"""One simulated room: its heater warms what its thermometer reads. For the demo, for tests and for laptops.

Rule: the physics is pure and its time is passed in (`Room`); the clock and the lock stand around it (`SharedRoom`).
A mock thermometer and a mock heater meet in the room that both name: `room("...")`, one registry for the process.
"""

import contextlib
import math
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from stoker_drivers.interfaces import HeaterError, SensorError

# A room of some 20 m². Heat capacities in J/K (air stands for furniture too), conductances in W/K.
AIR_CAPACITY = 600e3
WALL_CAPACITY = 6e6
AIR_TO_WALLS = 100.0
AIR_TO_OUTSIDE = 20.0
WALLS_TO_OUTSIDE = 20.0

OUTSIDE_SWING = 4.0  # K above and below the day's mean
COLDEST_HOUR = 5
STEP = 60.0  # s, longest step of the integration; the air settles in over an hour
RESOLUTION = 0.0625  # K, as a DS18B20 at 12 bit
NOISY = 2.0  # K, standard deviation of a noisy sensor
SETTLES = 300.0  # s in which a sensor that slipped out of the room takes most of the way to the temperature outside

Fault = Literal["sensor-dead", "sensor-stuck", "sensor-noisy", "sensor-slipped", "relay-stuck-on", "relay-stuck-off"]
FAULTS: tuple[str, ...] = get_args(Fault)


class Room:
    """Air and walls, a heater, a sensor, and weather. Its first day begins at midnight. Temperatures in °C."""

    def __init__(
        self, *, start: float = 15.0, outside: float = 5.0, power: float = 1000.0, noise: float = 0.02, seed: int = 1
    ) -> None:
        self.settle(start)
        self.outside_mean = outside
        self.power = power
        self.noise = noise
        self.delay = 0.0  # s from the heater to the air, as of a heated floor
        self.gain = 0.0  # W that come from elsewhere: sun, an oven, a fire
        self.draught = 0.0  # W/K more to the outside: an open door
        self.relay = False
        self.faults: set[str] = set()
        self._seconds = 0.0
        self._outside_for = 0.0  # s since the sensor slipped out of the room
        self._on_its_way: deque[tuple[float, bool]] = deque()  # when what the relay did reaches the air
        self._arrived = False
        self._random = random.Random(seed)  # noqa: S311 -- noise, not a secret

    def settle(self, celsius: float) -> None:
        """Put everything in the room at one temperature, as after a long time without change."""
        self.air = self.walls = self._measured = celsius

    @property
    def outside(self) -> float:
        """What it is outside at this hour."""
        day = math.tau * (self._seconds / 3600 - COLDEST_HOUR) / 24
        return self.outside_mean - OUTSIDE_SWING * math.cos(day)

    @property
    def heating(self) -> bool:
        """Whether heat flows: what the relay was told, unless it sticks."""
        return (self.relay or "relay-stuck-on" in self.faults) and "relay-stuck-off" not in self.faults

    def advance(self, seconds: float) -> None:
        """Let this much time pass."""
        steps = max(1, math.ceil(seconds / STEP))
        for _ in range(steps):
            self._step(seconds / steps)

    def _step(self, seconds: float) -> None:
        self._on_its_way.append((self._seconds + self.delay, self.heating))
        while self._on_its_way and self._on_its_way[0][0] <= self._seconds:
            self._arrived = self._on_its_way.popleft()[1]
        warmed = self.power * self._arrived + self.gain
        into_walls = AIR_TO_WALLS * (self.air - self.walls)
        lost = (AIR_TO_OUTSIDE + self.draught) * (self.air - self.outside)
        lost_through_walls = WALLS_TO_OUTSIDE * (self.walls - self.outside)
        self.air += seconds * (warmed - into_walls - lost) / AIR_CAPACITY
        self.walls += seconds * (into_walls - lost_through_walls) / WALL_CAPACITY
        self._seconds += seconds
        self._outside_for = self._outside_for + seconds if "sensor-slipped" in self.faults else 0.0

    def measure(self) -> float:
        """Return what the sensor makes of the air's temperature, or raise SensorError `no-answer`."""
        if "sensor-dead" in self.faults:
            raise SensorError("no-answer", "the simulated sensor does not answer (staged fault sensor-dead)")
        if "sensor-stuck" not in self.faults:
            noise = NOISY if "sensor-noisy" in self.faults else self.noise
            there = self.outside + (self.air - self.outside) * math.exp(-self._outside_for / SETTLES)
            self._measured = round(self._random.gauss(there, noise) / RESOLUTION) * RESOLUTION
        return self._measured

    def stage(self, fault: str) -> None:
        """Begin one of `FAULTS`; empty ends them all. Raise ValueError for another word."""
        if not fault:
            self.faults.clear()
        elif fault in FAULTS:
            self.faults.add(fault)
        else:
            raise ValueError(f"there is no fault {fault!r}; there are: {', '.join(FAULTS)}")


class SharedRoom:
    """A room that lives on the monotonic clock times `speed`, for a thermometer's thread and a heater's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed = 1.0
        self._room = Room()
        self._clock = clock
        self._then = clock()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def now(self) -> Generator[Room]:
        """Hold the room alone, brought up to this moment. Everything goes through here, staged faults too."""
        with self._lock:
            then, self._then = self._then, self._clock()
            self._room.advance((self._then - then) * self.speed)
            yield self._room


_rooms: dict[str, SharedRoom] = {}
_rooms_lock = threading.Lock()


def room(name: str) -> SharedRoom:
    """Return the room of this name; the first to ask makes it."""
    with _rooms_lock:
        return _rooms.setdefault(name, SharedRoom())


class MockThermometer:
    """The room's sensor. Making it settles the room: its start, its weather, its speed."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """The room, apart from its heater."""

        room: Annotated[str, Meta(description="the room that a mock heater warms: the same name there")] = "room"
        speed: Annotated[float, Meta(ge=0, le=100_000, description="simulated seconds in a second")] = 1.0
        start: Annotated[float, Meta(ge=-50, le=100, description="the room's temperature at first, °C")] = 15.0
        outside: Annotated[float, Meta(ge=-50, le=60, description="the day's mean temperature outside, °C")] = 5.0
        noise: Annotated[float, Meta(ge=0, le=10, description="the sensor's standard deviation, K")] = 0.02
        fault: Annotated[Literal["", Fault], Meta(description="a fault that is there from the beginning")] = ""

    def __init__(self, options: Options) -> None:
        self._room = room(options.room)
        with self._room.now() as here:
            here.settle(options.start)
            here.outside_mean = options.outside
            here.noise = options.noise
            here.stage(options.fault)
            self._room.speed = options.speed

    def read(self) -> float:
        """Return °C, at once. SensorError: `no-answer` while the sensor is dead."""
        with self._room.now() as here:
            return here.measure()

    def close(self) -> None:
        """The room stays, and cools."""


class MockHeater:
    """The room's relay."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Which room, and how strongly."""

        room: Annotated[str, Meta(description="the room that it warms: the same name as its mock thermometer's")] = (
            "room"
        )
        power: Annotated[float, Meta(ge=0, le=100_000, description="heat while it is on, W")] = 1000.0
        log: Annotated[str, Meta(description="file to which each switch appends 1 or 0; empty: none")] = ""

    def __init__(self, options: Options) -> None:
        self._log = _open_log(options.log) if options.log else -1
        self._room = room(options.room)
        with self._room.now() as here:
            here.power = options.power
            here.relay = False

    def switch(self, on: bool) -> None:
        """Tell the relay, which may stick (staged fault). HeaterError: the log cannot be written."""
        with self._room.now() as here:
            here.relay = on
        if self._log >= 0:
            try:
                os.write(self._log, b"1" if on else b"0")
            except OSError as error:
                raise HeaterError(f"the mock heater's log cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Off (logged where it was on), and let the log go."""
        with self._room.now() as here:
            was_on = here.relay
        if was_on:
            with contextlib.suppress(HeaterError):
                self.switch(False)
        if self._log >= 0:
            os.close(self._log)
            self._log = -1


def _open_log(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HeaterError(f"the mock heater's log {path} cannot be opened: {error.strerror}") from error
