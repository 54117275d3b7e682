"""How warm a zone shall be at this moment, and why. What was ordered last stands above what the clock says.

Rule: the first of these that has something to say decides: boost, mode off, away, a preset, a target that was ordered,
the schedule, the configuration. Nothing here looks at a temperature, and nothing here may forbid heat.

A boost heats in mode off too: who orders it wants warmth now, and its end brings mode off back by itself.
"""

import math
from datetime import tzinfo
from typing import Literal, NamedTuple, get_args

from stoker.core.messages import Now
from stoker.core.schedule import Entry, Schedule
from stoker.core.settings import Zone as Settings

Preset = Literal["none", "comfort", "eco", "away", "boost"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
ABSENCE = "nobody is at home"
FROST_BAND = 1.0  # K, the widest band in which frost is fought


class Aim(NamedTuple):
    """`target` in °C; `because` for a person. `until`: the monotonic time at which it may be another."""

    target: float
    because: str
    preset: Preset = "none"
    until: float = math.inf
    entry: Entry | None = None  # of the schedule, where that decides


class Orders:
    """What was ordered of one zone. All but `boost_until` survives a restart."""

    def __init__(self) -> None:
        self.mode: str | None = None
        self.target: float | None = None
        self.target_until = math.inf  # Unix time; in mode auto a target holds until the schedule's next change
        self.preset: Preset = "none"
        self.boost_until = -math.inf  # monotonic
        self.schedule: Schedule | None = None


def aim(settings: Settings, orders: Orders, planned: Aim | None, away: bool, now: Now) -> Aim:
    """What holds now. `planned`: by the schedule. `away`: everybody is known to be away, and this zone follows that."""
    otherwise = _chosen(settings, orders, planned, now)
    if now.mono < orders.boost_until:
        return Aim(max(_preset(settings, "boost"), otherwise.target), "boost", "boost", orders.boost_until)
    if away:
        return Aim(min(_preset(settings, "away"), otherwise.target), ABSENCE, "away")
    return otherwise


def _chosen(settings: Settings, orders: Orders, planned: Aim | None, now: Now) -> Aim:
    """Without boost and absence."""
    otherwise = _base(settings, orders, planned, now)
    if orders.preset == "none":
        return otherwise
    target = _preset(settings, orders.preset)
    if orders.preset == "away":  # which never is a reason to heat more
        target = min(target, otherwise.target)
    return Aim(target, f"preset {orders.preset}", orders.preset, otherwise.until)


def _base(settings: Settings, orders: Orders, planned: Aim | None, now: Now) -> Aim:
    """Without boost, preset and absence."""
    if orders.target is not None and now.wall < orders.target_until:
        return Aim(orders.target, "as ordered", until=now.mono + orders.target_until - now.wall)
    if planned and planned.entry:
        return planned._replace(until=now.mono + planned.entry.until - now.wall)
    if mode(settings, orders) == "auto" and not now.synchronised:
        return Aim(settings.target, "the clock is not synchronised, so the schedule rests")
    return Aim(settings.target, "as configured")


def scheduled(settings: Settings, entry: Entry, zone: tzinfo) -> Aim:
    """What an entry of the schedule aims at."""
    target = _preset(settings, entry.what) if isinstance(entry.what, str) else _within(settings, entry.what)
    return Aim(target, f"schedule: {entry.text(zone)}", entry=entry)


def _preset(settings: Settings, name: str) -> float:
    """A preset's target, within the zone's limits."""
    target: float = getattr(settings.presets, name)
    return _within(settings, target)


def _within(settings: Settings, target: float) -> float:
    return min(max(target, settings.target_min), settings.target_max)


def mode(settings: Settings, orders: Orders) -> str:
    """What was ordered, or else what the configuration says."""
    return orders.mode or settings.mode
