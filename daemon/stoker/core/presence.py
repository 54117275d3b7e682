"""Who is at home, from what their phones or trackers say over MQTT. Nobody there is a reason to heat less, no more.

Rule: what is unknown changes nothing. A person counts as away only when something said so; a message that is old,
inaccurate or not understood leaves everything as it was. Where somebody is, is not published: only home or away.

A retained message is taken here, other than an order: OwnTracks and most trackers tell that way where somebody is to
whoever asks later. Its own time (`tst`) says how old it is. Without one it counts as the sender's last word, but what
it merely repeats becomes no younger. What is older than what is known changes nothing: phones send their backlog late.
"""

import math
import re
from collections.abc import Iterable, Set
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from stoker.core.messages import Now

EARTH = 6_371_008.8  # m, mean radius (IUGG)
LARGEST = 8192  # bytes; what OwnTracks sends of a place is a few hundred

Where = Literal["home", "away", "unknown"]

_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")
_FORMS = 'home, not_home, JSON such as {"lat": 52.5, "lon": 13.4}, or what OwnTracks publishes'


class Position(Struct, frozen=True):
    """A place in degrees. `accuracy`: it may be wrong by so many metres. `stamp`: Unix time at which it was true."""

    lat: float
    lon: float
    accuracy: float = 0.0
    stamp: float | None = None


class AtHome(Struct, frozen=True):
    """Somebody is at home, or is not. `stamp`: Unix time at which it was true."""

    home: bool
    stamp: float | None = None


# --- what arrives -----------------------------------------------------------------------------------------------------


def decode(payload: bytes) -> Position | AtHome | None:
    """Understand one message; None where it is fine and says nothing of a place. Raises ValueError with one line."""
    if len(payload) > LARGEST:
        raise ValueError(f"{len(payload)} bytes are no place; allowed: at most {LARGEST}")
    text = payload.decode("utf-8", "replace").strip()
    if not text:
        return None  # somebody cleared a retained message
    if text.lower() in ("home", "not_home"):
        return AtHome(text.lower() == "home")
    try:
        table: object = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ValueError(f"not understood; allowed: {_FORMS}")
    return _understand(cast("dict[str, Any]", table))


def _understand(table: dict[str, Any]) -> Position | AtHome | None:
    match table.get("_type", "location"):
        case "location":
            return _position(table)
        case "transition":
            return _transition(table)
        case "encrypted":
            raise ValueError("an encrypted OwnTracks message cannot be read; remove the encryption key in the app")
        case _:
            return None


def _transition(table: dict[str, Any]) -> Position | AtHome | None:
    """OwnTracks: a region was entered or left. The one called home speaks for itself; of others, the place counts."""
    region, event = table.get("desc"), table.get("event")
    if isinstance(region, str) and region.strip().lower() == "home" and event in ("enter", "leave"):
        return AtHome(event == "enter", _number(table.get("tst")))
    return _position(table) if "lat" in table else None


def _position(table: dict[str, Any]) -> Position:
    lat = _degrees(table, "lat", "latitude", 90.0)
    lon = _degrees(table, "lon", "longitude", 180.0)
    if lat == 0 and lon == 0:
        raise ValueError("latitude 0, longitude 0 is what trackers send when they don't know where they are")
    return Position(lat, lon, max(0.0, _number(table.get("acc")) or 0.0), _number(table.get("tst")))


def _degrees(table: dict[str, Any], short: str, long: str, most: float) -> float:
    given = table.get(short, table.get(long))
    if given is None:
        raise ValueError(f"no {long}; allowed: {_FORMS}")
    degrees = _number(given)
    if degrees is None or not -most <= degrees <= most:
        raise ValueError(f"the {long} is not a number from {-most:g} to {most:g}")
    return degrees


def _number(value: object) -> float | None:
    """A finite number, also as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _DECIMAL.fullmatch(value.strip()):
        return None
    try:
        number = float(value)
    except OverflowError:  # an int of 400 digits
        return None
    return number if math.isfinite(number) else None


def distance(a: Position, b: Position) -> float:
    """Metres along the ground, on a round earth (haversine): right to half a percent."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    north = math.sin((lat_b - lat_a) / 2) ** 2
    east = math.sin(math.radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH * math.asin(math.sqrt(min(1.0, north + math.cos(lat_a) * math.cos(lat_b) * east)))


# --- what is known ----------------------------------------------------------------------------------------------------


class Known(Struct, frozen=True):
    """What was last learnt of one person. `stamp`: Unix time at which it was true; `at`: the same, monotonic."""

    away: bool
    stamp: float
    at: float


class Presence:
    """Several people and one home.

    Within `radius` metres of `home` somebody is at home, beyond `radius + hysteresis` away, and between as before.
    `expire_after`: seconds after which what is known of somebody is unknown again; 0: never.
    """

    def __init__(
        self,
        people: Iterable[str],
        home: Position,
        *,
        radius: float = 200.0,
        hysteresis: float = 100.0,
        expire_after: float = 0.0,
    ) -> None:
        self.people = tuple(people)
        self.home = home
        self.radius = radius
        self.hysteresis = hysteresis
        self.expire_after = expire_after or math.inf
        self._known: dict[str, Known] = {}
        self._expired = set[str]()  # of those; what is only told again is no younger, so it isn't forgotten

    def hear(self, person: str, what: Position | AtHome, now: Now, retained: bool = False) -> str:
        """Learn from a message. Returns a line for a person where it is news, and nothing where it changes nothing."""
        known = self._known.get(person)
        # A clock that was put back makes nothing old.
        old = known and what.stamp is not None and what.stamp < known.stamp <= now.wall
        if person not in self.people or old:
            return ""
        away = not what.home if isinstance(what, AtHome) else self._away(what)
        repeated = retained and what.stamp is None and known and known.away is away
        if away is None or repeated:
            return ""
        before = self.where(person, now.mono)
        # A phone whose clock is ahead tells of now, not of the future.
        stamp = now.wall if what.stamp is None else min(what.stamp, now.wall)
        self._known[person] = Known(away, stamp, now.mono - (now.wall - stamp))
        self._expired.discard(person)
        if self.where(person, now.mono) == "unknown":
            self._expired.add(person)
        if self.where(person, now.mono) == before:
            return ""
        far = f", {distance(what, self.home):.0f} m from its middle" if isinstance(what, Position) else ""
        return f"{person} is {'away from home' if away else 'at home'}{far}"

    def _away(self, position: Position) -> bool | None:
        """Whether somebody there is away; None where that cannot be told."""
        metres = distance(position, self.home)
        if metres <= self.radius:
            return False
        if metres - position.accuracy > self.radius + self.hysteresis:
            return True
        return None

    def where(self, person: str, now: float) -> Where:
        """Where this person is, as far as is known at the monotonic time `now`."""
        known = self._known.get(person)
        if known is None or now >= known.at + self.expire_after:
            return "unknown"
        return "away" if known.away else "home"

    def everybody_away(self, now: float) -> bool:
        """Whether every person is known to be away. Nobody configured is nobody away."""
        return bool(self.people) and all(self.where(person, now) == "away" for person in self.people)

    def next_expiry(self) -> float:
        """The monotonic time at which something known expires next, and `expire` is due; infinity for never."""
        if not self._known:
            return math.inf
        return min((self._known[person].at + self.expire_after for person in self._current()), default=math.inf)

    def expire(self, now: float) -> list[str]:
        """Who became unknown since the last look."""
        if not self._known:
            return []
        expired = [person for person in self._current() if self.where(person, now) == "unknown"]
        self._expired.update(expired)
        return sorted(expired)

    def _current(self) -> Set[str]:
        """Of whom something is known that has not expired."""
        return self._known.keys() & set(self.people) - self._expired

    def state(self, now: float) -> dict[str, Where]:
        """Who is where, for the device's state: `{"ann": "home", "bob": "unknown"}`."""
        return {person: self.where(person, now) for person in self.people}

    # --- over a restart, and over a reload

    def adopt(self, old: "Presence", now: float) -> None:
        """Know what another one knew, also of those who do not count now: they may be put back."""
        self._known = dict(old._known)
        self._expired = {person for person in self._known if self.where(person, now) == "unknown"}

    def to_json(self) -> bytes:
        """What is known, to be kept over a restart: `{"ann": {"away": true, "stamp": 1767571200.0}}`."""
        kept = {person: {"away": known.away, "stamp": known.stamp} for person, known in self._known.items()}
        return msgspec.json.encode(kept)

    def recall(self, kept: bytes, now: Now) -> None:
        """Know again what was kept, of those who still count. Raises ValueError where it is not what `to_json` made."""
        try:
            people = msgspec.json.decode(kept, type=dict[str, _Kept])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"what was kept of presence cannot be read: {error}") from None
        for person, what in people.items():
            self.hear(person, AtHome(not what.away, what.stamp), now)


class _Kept(Struct):
    away: bool
    stamp: float
