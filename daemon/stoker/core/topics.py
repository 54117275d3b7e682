"""MQTT topics and bytes <-> messages. What is said is built here, and what arrives is understood here or refused."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from stoker.core import schedule
from stoker.core.aim import PRESETS
from stoker.core.messages import (
    Message,
    Now,
    Order,
    ResetFault,
    SetHeater,
    SetMode,
    SetPreset,
    SetSchedule,
    SetTarget,
    Tune,
)
from stoker.core.settings import Settings, Zone

ORDERED = ("/set", "/reset")  # how the topics of orders end, here and elsewhere
AHEAD = 60.0  # seconds that a sender's clock may be ahead of ours

Subject = Literal["mode", "target", "preset", "schedule", "tune", "heater", "fault"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)

Refusal = Literal[
    "retained", "duplicate", "overtaken", "expired", "time-ahead", "not-understood", "out-of-range", "not-possible"
]
"""Why an order changes nothing."""

_DECIMAL = re.compile(r"[+-]?\d{1,6}(?:\.\d{1,12})?", re.ASCII)


class OrderError(Exception):
    """An order that changes nothing: `reason` is a code, the text says what would have been right."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Routes:
    """Every topic of one device, filled in: what it says where, and which order comes in where."""

    def __init__(self, settings: Settings) -> None:
        self.availability = _fill(settings, settings.topics.availability)
        self.alive = _fill(settings, settings.topics.alive)
        self.state = _fill(settings, settings.topics.state)
        self.event = _fill(settings, settings.topics.event)
        self.backlog = _fill(settings, settings.topics.backlog)
        self.zones = {name: zone_topics(settings, name) for name in settings.zones}
        self.orders: dict[str, tuple[str, Subject]] = {
            self.zones[name][f"{subject}_set"]: (name, subject) for name in settings.zones for subject in SUBJECTS
        }
        readings = [table.publish for table in settings.thermometers.values()]
        heard = [*self.orders, *settings.presence.people.values()]
        self._no_answers = frozenset([*self.said(), self.event, self.backlog, *readings, *heard])

    def said(self) -> list[str]:
        """Every topic on which states are said, so retained."""
        zones = [topic for topics in self.zones.values() for key, topic in topics.items() if not key.endswith("_set")]
        return [self.availability, self.alive, self.state, *zones]

    def may_answer(self, topic: str) -> bool:
        """Whether an order may be answered there: its sender has no right to speak through us where others listen.

        So never where this device says or hears something itself, nor where another one hears orders.
        """
        wild = "+" in topic or "#" in topic or topic.startswith("$")
        return not (wild or topic in self._no_answers or topic.endswith(ORDERED))


def zone_topics(settings: Settings, zone: str) -> dict[str, str]:
    """A zone's topics, by the names of their templates."""
    states = [(subject, f"{subject}_set") for subject in SUBJECTS]
    keys = [key for pair in states for key in pair]
    return {key: _fill(settings, getattr(settings.topics, key), zone) for key in (*keys, "action", "reason")}


def _fill(settings: Settings, template: str, zone: str = "") -> str:
    names = {"{base}": settings.base, "{device}": settings.device, "{zone}": zone}
    return re.sub(r"\{(?:base|device|zone)\}", lambda found: names[found[0]], template)


def understand(payload: bytes, zone: str, subject: Subject, limits: Zone) -> Order:  # noqa: PLR0911 - one a subject
    """Turn an order's bytes into what is ordered. Raises OrderError with the reason for its sender."""
    if subject == "schedule":
        return SetSchedule(zone, _schedule(payload, limits))
    text = _text(payload)
    match subject:
        case "mode":
            return SetMode(zone, _mode(text))
        case "target":
            return SetTarget(zone, _target(text, limits))
        case "preset":
            return SetPreset(zone, _preset(text))
        case "tune":
            return Tune(zone, _tune(text, limits))
        case "heater":
            return SetHeater(zone, _heater(text))
        case "fault":
            return _reset(zone, text)


def living(message: Message, lifetime: float, now: Now) -> tuple[bytes, float | None]:
    """The order itself, and the Unix time of its stamp if it has one.

    Raises OrderError where it is dead: what was meant then may do harm now.
    """
    if message.retained:
        raise OrderError("retained", "a retained order is not obeyed: send it without the retain flag")
    if message.duplicate:
        raise OrderError("duplicate", "the broker delivered this order before, and it was taken then")
    allowed = lifetime if message.expires_in is None else min(lifetime, message.expires_in)
    if (waited := now.mono - message.at) > allowed:
        raise OrderError("expired", f"the order waited {waited:.0f} s, {allowed:g} s are allowed")
    return _unstamped(message.payload, lifetime, now)


class _Stamped(Struct, forbid_unknown_fields=True):
    """An order that tells when it was given. `value` is what it would be without that."""

    value: msgspec.Raw
    time: Annotated[datetime, Meta(tz=True)]


def stamped(value: str, wall: float) -> bytes:
    """Build an order that dies on the way, whichever way that is."""
    time = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")  # two in one second are two
    return json({"value": value, "time": time})


def _unstamped(payload: bytes, lifetime: float, now: Now) -> tuple[bytes, float | None]:
    """The order without its stamp, and that, which must be recent.

    While our own clock is not known to be right (no network time yet) a stamp proves nothing, and to refuse all of them
    would leave such a house without orders: then only what was seen here counts, so no retained one, no duplicate, and
    none that waited.
    """
    if not (payload.lstrip().startswith(b"{") and b'"value"' in payload):
        return payload, None
    try:
        order = msgspec.json.decode(payload, type=_Stamped)
        value = bytes(order.value)
        value = msgspec.json.decode(value, type=str).encode() if value.startswith(b'"') else value
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        example = '{"value": 21, "time": "2026-01-31T06:00:00Z"}'
        raise OrderError("not-understood", f"an order with its time looks like {example}") from None
    given = order.time.timestamp()
    age = now.wall - given
    if now.synchronised and age > lifetime:
        raise OrderError("expired", f"by its own time the order is {age:.0f} s old, {lifetime:g} s are allowed")
    if now.synchronised and age < -AHEAD:
        raise OrderError("time-ahead", f"its time is {-age:.0f} s ahead of the clock here: which of them is wrong?")
    return value, given


def _text(payload: bytes) -> str:
    if len(payload) > 100:
        raise OrderError("not-understood", f"{len(payload)} bytes are no order")
    return payload.decode("utf-8", "replace").strip().lower()


def _mode(text: str) -> str | None:
    if text == "default":
        return None
    if text in ("off", "heat", "auto"):
        return text
    raise OrderError("not-understood", "a mode is off, heat or auto (or default)")


def _target(text: str, limits: Zone) -> float | None:
    if text == "default":
        return None
    if not _DECIMAL.fullmatch(text):
        raise OrderError("not-understood", "a target is a number of °C, such as 20.5 (or default)")
    target = float(text)
    if not limits.target_min <= target <= limits.target_max:
        allowed = f"{limits.target_min:g} to {limits.target_max:g} °C"
        raise OrderError("out-of-range", f"{target:g} °C is outside {allowed}")
    return target


def _preset(text: str) -> str:
    if text in PRESETS:
        return text
    raise OrderError("not-understood", f"a preset is one of {', '.join(PRESETS)}")


def _schedule(payload: bytes, limits: Zone) -> schedule.Schedule | None:
    if payload.strip().lower() == b"default":
        return None
    try:
        return schedule.decode(payload, limits.target_min, limits.target_max)
    except ValueError as error:
        raise OrderError("not-understood", str(error)) from None


def _tune(text: str, limits: Zone) -> bool:
    if text not in ("start", "stop"):
        raise OrderError("not-understood", "an order to tune is start or stop")
    if limits.control != "pi":
        raise OrderError("not-possible", 'only control = "pi" has gains to be found')
    return text == "start"


def _heater(text: str) -> bool | None:
    known = {"on": True, "off": False, "auto": None}
    if text not in known:
        raise OrderError("not-understood", "an order by hand is ON, OFF or AUTO")
    return known[text]


def _reset(zone: str, text: str) -> ResetFault:
    if text != "reset":
        raise OrderError("not-understood", "a latched fault is reset by the word reset")
    return ResetFault(zone)


def celsius(value: float) -> bytes:
    """A temperature as it is published: `20.15`."""
    return b"%.2f" % value


def setpoint(value: float) -> bytes:
    """A target as it is published: as short as it is exact, `21.0`, `20.55`."""
    return repr(round(value, 4)).encode()


def stamp(wall: float) -> str:
    """Unix time as RFC 3339 in UTC, to the second: `2026-01-31T06:00:00Z`."""
    return datetime.fromtimestamp(int(wall), UTC).isoformat().replace("+00:00", "Z")


def json(table: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(table)


def readable(payload: bytes, most: int = 60) -> str:
    """A payload as it may stand in a log or an event: one line, and no longer than `most` bytes of it."""
    text = payload[:most].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text) + (
        "…" if payload[most:] else ""
    )
