"""How warm a zone shall be at this moment, and why. What was ordered last stands above what the clock says.

Rule: the first of these that has something to say decides: mode off, boost, away, a preset, a target that was ordered,
the schedule, the configuration. Nothing here looks at a temperature, and nothing here may forbid heat.
"""

import math
from datetime import tzinfo
from typing import Literal, NamedTuple, get_args

from stoker.core.messages import Now
from stoker.core.schedule import Entry, Schedule
from stoker.core.settings import Zone as Settings

Preset = Literal["none", "comfort", "eco", "away", "boost"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
FROST_BAND = 1.0  # K above the frost limit at which protection ends


class Aim(NamedTuple):
    """`target` in °C; `because` for a person. `until`: the monotonic time at which it may be another."""

    target: float
    because: str
    preset: Preset = "none"
    until: float = math.inf


class Orders:
    """What was ordered of one zone. All but `boost_until` survives a restart."""

    def __init__(self) -> None:
        self.mode: str | None = None
        self.target: float | None = None
        self.target_until = math.inf  # Unix time; in mode auto a target holds until the schedule's next change
        self.preset: Preset = "none"
        self.boost_until = -math.inf  # monotonic
        self.schedule: Schedule | None = None


def aim(  # noqa: PLR0913, PLR0917 - all that may have something to say
    settings: Settings, orders: Orders, schedule: Schedule | None, away: bool, now: Now, zone: tzinfo
) -> Aim:
    """What holds now. `away`: everybody is known to be away, and this zone follows that."""
    if now.mono < orders.boost_until:
        return Aim(_preset(settings, "boost"), "boost", "boost", orders.boost_until)
    if away:
        least = min(_preset(settings, "away"), _base(settings, orders, schedule, now, zone).target)
        return Aim(least, "nobody is at home", "away")
    if orders.preset != "none":
        return Aim(_preset(settings, orders.preset), f"preset {orders.preset}", orders.preset)
    return _base(settings, orders, schedule, now, zone)


def _base(settings: Settings, orders: Orders, schedule: Schedule | None, now: Now, zone: tzinfo) -> Aim:
    """Without boost, preset and absence."""
    entry = schedule.at(now.wall, zone) if schedule and now.synchronised and mode(settings, orders) == "auto" else None
    if orders.target is not None and now.wall < orders.target_until:
        until = now.mono + orders.target_until - now.wall
        return Aim(orders.target, "as ordered", until=until)
    if entry:
        return _scheduled(settings, entry, now, zone)
    if mode(settings, orders) == "auto":
        why = "the clock is not synchronised, so the schedule rests" if schedule else "there is no schedule"
        return Aim(settings.target, why)
    return Aim(settings.target, "as configured")


def _scheduled(settings: Settings, entry: Entry, now: Now, zone: tzinfo) -> Aim:
    until = now.mono + entry.until - now.wall
    because = f"schedule: {entry.text(zone)}"
    if isinstance(entry.what, str):
        return Aim(_preset(settings, entry.what), because, until=until)
    return Aim(entry.what, because, until=until)


def _preset(settings: Settings, name: str) -> float:
    """A preset's target, within the zone's limits."""
    target: float = getattr(settings.presets, name)
    return min(max(target, settings.target_min), settings.target_max)


def mode(settings: Settings, orders: Orders) -> str:
    """What was ordered, or else what the configuration says."""
    return orders.mode or settings.mode
