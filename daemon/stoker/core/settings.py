"""What the core is told: frozen tables, already validated. Their defaults are the defaults.

`config.py` fills them from the files; each field's `Meta` is its unit, its limits and its line in the manual.
Spans are seconds, temperatures °C, differences of temperature K.
"""

from datetime import UTC
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(extra={"unit": "s"})]
"""A span. The configuration takes a number of seconds or text such as "10s", "5min", "4h"."""

ORDER_LIFETIME = 60.0  # seconds, where a zone says nothing else

Mode = Literal["off", "heat", "auto"]

Celsius = Annotated[float, Meta(ge=-50, le=300)]


class Thermometer(Struct, frozen=True, kw_only=True):
    """One source of temperatures. `publish` is its topic; empty says nothing."""

    interval: Annotated[Seconds, Meta(ge=0.001, le=86400, description="time between two readings")] = 10.0
    publish: Annotated[
        str,
        Meta(description="topic for its readings; left out: TEMPERATURE, of several TEMPERATURE/<name>; empty: none"),
    ] = ""
    minimum: Annotated[float, Meta(ge=-100, le=1000, description="a reading below is implausible, °C")] = -40.0
    maximum: Annotated[float, Meta(ge=-100, le=1000, description="a reading above is implausible, °C")] = 85.0
    max_rate: Annotated[
        float, Meta(ge=0, le=1000, description="a reading that changes faster is implausible, K a minute; 0: none is")
    ] = 10.0
    frozen_after: Annotated[
        Seconds,
        Meta(ge=0, le=604800, description="the same to the last bit for this long is implausible; 0: never"),
    ] = 0.0


class Heater(Struct, frozen=True, kw_only=True):
    """One relay and how often it may be switched."""

    min_on: Annotated[Seconds, Meta(ge=0, le=86400, description="once on, it stays on for this long")] = 10.0
    min_off: Annotated[Seconds, Meta(ge=0, le=86400, description="once off, it stays off for this long")] = 10.0
    max_on: Annotated[Seconds, Meta(ge=0, le=604800, description="longest time on at a stretch; 0: any")] = 43200.0
    max_on_rest: Annotated[Seconds, Meta(ge=0, le=86400, description="rest after max_on")] = 1800.0
    max_on_latch: Annotated[bool, Meta(description="true: after max_on it stays off until a reset")] = False


class Presets(Struct, frozen=True, kw_only=True):
    """Targets by name, for orders and for the schedule, °C."""

    comfort: Annotated[Celsius, Meta(description="when somebody is there, °C")] = 20.0
    eco: Annotated[Celsius, Meta(description="by night, °C")] = 17.0
    away: Annotated[Celsius, Meta(description="when nobody is at home, °C")] = 12.0
    boost: Annotated[Celsius, Meta(description="for a while, °C")] = 22.0


class Window(Struct, frozen=True, kw_only=True):
    """When a fall of temperature is taken for an open window."""

    fall: Annotated[float, Meta(ge=0, le=20, description="a fall by this much suspends heating, K; 0: never")] = 0.0
    within: Annotated[Seconds, Meta(ge=10, le=3600, description="in this time or less")] = 180.0
    suspend: Annotated[Seconds, Meta(ge=10, le=86400, description="for this long")] = 900.0


class Zone(Struct, frozen=True, kw_only=True):
    """One place: whose temperature, which heater, and how warm."""

    thermometer: Annotated[
        str | tuple[str, ...],
        Meta(description="name of a table in [thermometers], or a list of them: their median counts"),
    ]
    heater: Annotated[str, Meta(description="name of a table in [heaters]")]
    mode: Annotated[Mode, Meta(description="what it does until somebody orders otherwise")] = "heat"
    target: Annotated[float, Meta(ge=-50, le=300, description="setpoint until somebody orders otherwise, °C")] = 20.0
    target_min: Annotated[float, Meta(ge=-50, le=300, description="lowest target that is accepted, °C")] = 5.0
    target_max: Annotated[float, Meta(ge=-50, le=300, description="highest target that is accepted, °C")] = 30.0
    control: Annotated[
        Literal["hysteresis", "pi"], Meta(description="two-point, or PI that gives the heater its share of each cycle")
    ] = "hysteresis"
    hysteresis: Annotated[float, Meta(ge=0, le=20, description="width of the band around the target, K")] = 0.5
    max_temperature: Annotated[float, Meta(ge=-50, le=350, description="never heats above this, °C")] = 35.0
    runaway_after: Annotated[
        Seconds,
        Meta(ge=0, le=172800, description="heating for this long without a clear climb puts it to the test; 0: no"),
    ] = 14400.0
    runaway_test: Annotated[
        Seconds,
        Meta(ge=60, le=172800, description="longest pulse of the test: off for half of it, then on for as long"),
    ] = 21600.0
    stuck_on_after: Annotated[
        Seconds,
        Meta(ge=0, le=172800, description="off for this long and warmer all the time: the relay sticks; 0: never"),
    ] = 57600.0
    stuck_on_rise: Annotated[float, Meta(ge=0.5, le=100, description="how much warmer, K")] = 2.0
    stale_duty: Annotated[
        float, Meta(ge=0, le=0.3, description="against frost: share of time on while the temperature is stale")
    ] = 0.0
    stale_duty_for: Annotated[Seconds, Meta(ge=0, le=604800, description="how long stale_duty goes on at most")] = (
        86400.0
    )
    stale_after: Annotated[
        Seconds,
        Meta(ge=0, le=86400, description="age at which a reading counts no more; 0: 3 intervals, at least 30s"),
    ] = 0.0
    cycle: Annotated[Seconds, Meta(ge=60, le=14400, description="of control pi: one pulse of heat in each")] = 1200.0
    outside: Annotated[str, Meta(description="a thermometer outside, for heating_curve and optimum_start")] = ""
    heating_curve: Annotated[
        float, Meta(ge=0, le=1, description="of control pi: share of full heat for each K between target and outside")
    ] = 0.0
    optimum_start: Annotated[
        bool, Meta(description="begin early enough to be warm when the schedule says so, as learnt from earlier rises")
    ] = True
    presets: Presets = Presets()
    boost_for: Annotated[Seconds, Meta(ge=60, le=86400, description="how long a boost holds, in mode off too")] = 3600.0
    schedule: Annotated[
        dict[str, tuple[str, ...]], Meta(description='the week of mode auto: weekdays = ["06:30 comfort", "22:00 eco"]')
    ] = {}
    frost_protection: Annotated[
        bool, Meta(description="mode off still heats against frost; false: off is off, and pipes may freeze")
    ] = True
    frost: Annotated[
        Celsius, Meta(description="in mode off and with a window open, keeps this (or its target, if lower), °C")
    ] = 5.0
    follows_presence: Annotated[bool, Meta(description="preset away while everybody of [presence] is away")] = True
    window: Window = Window()
    order_hold: Annotated[
        Seconds, Meta(ge=1, le=604800, description="how long an order by hand (heater ON, OFF) holds")
    ] = 3600.0
    order_lifetime: Annotated[
        Seconds, Meta(ge=1, le=86400, description="any order that took longer to arrive is refused")
    ] = ORDER_LIFETIME


class Topics(Struct, frozen=True, kw_only=True):
    """Topic templates: `{base}`, `{device}` and, for a zone's, `{zone}` are filled in."""

    availability: str = "{base}/availability"
    alive: str = "{base}/alive"
    state: str = "{base}/state"
    event: str = "{base}/event"
    backlog: str = "{base}/backlog"
    mode: str = "{base}/{zone}/mode"
    mode_set: str = "{base}/{zone}/mode/set"
    target: str = "{base}/{zone}/target"
    target_set: str = "{base}/{zone}/target/set"
    heater: str = "{base}/{zone}/heater"
    heater_set: str = "{base}/{zone}/heater/set"
    preset: str = "{base}/{zone}/preset"
    preset_set: str = "{base}/{zone}/preset/set"
    schedule: str = "{base}/{zone}/schedule"
    schedule_set: str = "{base}/{zone}/schedule/set"
    tune: str = "{base}/{zone}/tune"
    tune_set: str = "{base}/{zone}/tune/set"
    action: str = "{base}/{zone}/action"
    reason: str = "{base}/{zone}/reason"
    fault: str = "{base}/{zone}/fault"
    fault_set: str = "{base}/{zone}/fault/reset"


class Presence(Struct, frozen=True, kw_only=True):
    """Where home is, and on which topics people say where they are."""

    latitude: Annotated[float, Meta(ge=-90, le=90, description="of home, degrees")] = 0.0
    longitude: Annotated[float, Meta(ge=-180, le=180, description="of home, degrees")] = 0.0
    radius: Annotated[float, Meta(ge=10, le=100000, description="within it somebody is at home, m")] = 200.0
    hysteresis: Annotated[
        float, Meta(ge=0, le=100000, description="further out than the radius by this, somebody is away, m")
    ] = 100.0
    expire_after: Annotated[
        Seconds, Meta(ge=0, le=31536000, description="what is known of somebody is unknown after this; 0: never")
    ] = 0.0
    people: Annotated[dict[str, str], Meta(description='a name and its topic for each: phone = "Position"')] = {}


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that the core needs to know of the configuration."""

    device: str
    base: str
    thermometers: dict[str, Thermometer]
    heaters: dict[str, Heater]
    zones: dict[str, Zone]
    topics: Topics = Topics()
    max_restarts: int = 5
    stable_after: float = 600.0
    alive_every: float = 60.0  # seconds between two signals of life; 0: none
    presence: Presence = Presence()
    timezone: Any = UTC  # a tzinfo

    @property
    def shortest_order_lifetime(self) -> float:
        """That of the zone with the shortest, in seconds."""
        return min((zone.order_lifetime for zone in self.zones.values()), default=ORDER_LIFETIME)

    def thermometers_of(self, zone: str) -> tuple[str, ...]:
        """The names of a zone's thermometers."""
        named = self.zones[zone].thermometer
        return (named,) if isinstance(named, str) else named

    def stale_after(self, zone: str) -> float:
        """Seconds after which a reading no longer counts in this zone: three intervals and at least 30 s by default."""
        slowest = max(self.thermometers[name].interval for name in self.thermometers_of(zone))
        return self.zones[zone].stale_after or stale_by_default(slowest)


def stale_by_default(interval: float) -> float:
    """Seconds after which a reading no longer counts where nothing else is configured."""
    return max(30.0, 3 * interval)
