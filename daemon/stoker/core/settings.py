"""What the core is told: frozen tables, already validated. Their defaults are the defaults.

`config.py` fills them from the files; each field's `Meta` is its unit, its limits and its line in the manual.
Spans are seconds, temperatures °C, differences of temperature K.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(extra={"unit": "s"})]
"""A span. The configuration takes a number of seconds or text such as "10s", "5min", "4h"."""

Mode = Literal["off", "heat"]


class Thermometer(Struct, frozen=True, kw_only=True):
    """One source of temperatures. `publish` is its topic; empty says nothing."""

    interval: Annotated[Seconds, Meta(ge=0.001, le=86400, description="time between two readings")] = 10.0
    publish: Annotated[
        str,
        Meta(description="topic for its readings; left out: TEMPERATURE, of several TEMPERATURE/<name>; empty: none"),
    ] = ""
    minimum: Annotated[float, Meta(ge=-100, le=1000, description="a reading below is implausible, °C")] = -40.0
    maximum: Annotated[float, Meta(ge=-100, le=1000, description="a reading above is implausible, °C")] = 85.0


class Heater(Struct, frozen=True, kw_only=True):
    """One relay and how often it may be switched."""

    min_on: Annotated[Seconds, Meta(ge=0, le=86400, description="once on, it stays on for this long")] = 10.0
    min_off: Annotated[Seconds, Meta(ge=0, le=86400, description="once off, it stays off for this long")] = 10.0


class Zone(Struct, frozen=True, kw_only=True):
    """One place: whose temperature, which heater, and how warm."""

    thermometer: Annotated[str, Meta(description="name of a table in [thermometers]")]
    heater: Annotated[str, Meta(description="name of a table in [heaters]")]
    mode: Annotated[Mode, Meta(description="what it does until somebody orders otherwise")] = "heat"
    target: Annotated[float, Meta(ge=-50, le=300, description="setpoint until somebody orders otherwise, °C")] = 20.0
    target_min: Annotated[float, Meta(ge=-50, le=300, description="lowest target that is accepted, °C")] = 5.0
    target_max: Annotated[float, Meta(ge=-50, le=300, description="highest target that is accepted, °C")] = 30.0
    hysteresis: Annotated[float, Meta(ge=0, le=20, description="width of the band around the target, K")] = 0.5
    max_temperature: Annotated[float, Meta(ge=-50, le=350, description="never heats above this, °C")] = 35.0
    stale_after: Annotated[
        Seconds,
        Meta(ge=0, le=86400, description="age at which a reading counts no more; 0: 3 intervals, at least 30s"),
    ] = 0.0
    order_hold: Annotated[
        Seconds, Meta(ge=1, le=604800, description="how long an order by hand (heater ON, OFF) holds")
    ] = 3600.0


class Topics(Struct, frozen=True, kw_only=True):
    """Topic templates: `{base}`, `{device}` and, for a zone's, `{zone}` are filled in."""

    availability: str = "{base}/availability"
    state: str = "{base}/state"
    event: str = "{base}/event"
    mode: str = "{base}/{zone}/mode"
    mode_set: str = "{base}/{zone}/mode/set"
    target: str = "{base}/{zone}/target"
    target_set: str = "{base}/{zone}/target/set"
    heater: str = "{base}/{zone}/heater"
    heater_set: str = "{base}/{zone}/heater/set"
    action: str = "{base}/{zone}/action"
    reason: str = "{base}/{zone}/reason"


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that the core needs to know of the configuration."""

    device: str
    base: str
    thermometers: dict[str, Thermometer]
    heaters: dict[str, Heater]
    zones: dict[str, Zone]
    topics: Topics = Topics()

    def stale_after(self, zone: str) -> float:
        """Seconds after which a reading no longer counts in this zone: three intervals and at least 30 s by default."""
        settings = self.zones[zone]
        return settings.stale_after or max(30.0, 3 * self.thermometers[settings.thermometer].interval)
