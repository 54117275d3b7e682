"""/etc files -> frozen structs, or every problem in one clear line.

Rule: what one key may hold stands in its struct (`core/settings.py`, `link/settings.py`, a driver's `Options`) and
nowhere else. Here stand the files, the rules between keys, and the words. Nothing unknown passes.
"""

import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeGuard, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.inspect import type_info
from msgspec.structs import fields, replace

from stoker.core import settings as core
from stoker.core.topics import Routes
from stoker.link.settings import Mqtt
from stoker.link.wellformed import TOPIC_BYTES, is_topic

HOT = 60.0  # °C; a zone that may get warmer than this is worth a warning
LONG_STALE = 1800.0  # seconds; so is one that trusts a reading for longer than this
NAME_LENGTH = 64
DEEPEST = 8  # tables in tables; TOML has no limit, Python's stack has
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
SECRET = ("password", "secret", "token")  # a key with such a word in its name: its value is never shown
SPANS = 'a number of seconds or text such as "500ms", "10s", "5min", "4h", "2d"'
MILLISECONDS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}

Key = tuple[str, ...]
"""A key's path: ("zones", "room", "target")."""

OptionsOf = Callable[[str], type[Struct]]
"""A driver's name -> its Options. What it raises says why not; an attribute `known` lists the names that there are."""

S = TypeVar("S", bound=Struct)


class Drivers(Struct, frozen=True):
    """What the configuration must know of the drivers: which options each takes."""

    thermometer: OptionsOf
    heater: OptionsOf


class Device(Struct, frozen=True, kw_only=True):
    """The table [device]."""

    id: Annotated[str, Meta(description="this device's name in topics; empty: the host's name")] = ""
    state_dir: Annotated[
        str,
        Meta(description="folder for what survives a restart; empty: the one that systemd gives, /var/lib/stoker ..."),
    ] = ""


class Base(Struct, frozen=True, kw_only=True):
    """What [mqtt] holds beside the link's settings."""

    base: Annotated[str, Meta(description="what its topics begin with; empty: stoker/<device.id>")] = ""


class DriverChoice(Struct, frozen=True):
    """A driver's name and its options, validated."""

    name: str
    options: Struct


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration. `warnings`: lines about what is legal and dangerous."""

    core: core.Settings
    mqtt: Mqtt
    thermometers: dict[str, DriverChoice]
    heaters: dict[str, DriverChoice]
    state_dir: Path
    files: tuple[Path, ...]
    warnings: tuple[str, ...]


class Problem(Struct, frozen=True):
    """One line for the user. Line 0: the whole file. Key "": the file's text, not a key."""

    file: Path
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` in the order of the files, and of the lines in them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load(path: Path, drivers: Drivers, guest: bool = False) -> Config:
    """Read `path`, then `conf.d/*.toml` beside it in sorted order, where a later file overrides single keys.

    Raises ConfigError with everything that is wrong. A `guest` only talks with a device, so it needs no thermometer.
    """
    files: list[_File] = []
    unreadable: list[Problem] = []
    for name in (path, *_conf_d(path)):
        try:
            files.append(_read(name))
        except ConfigError as error:
            unreadable += error.problems
    if unreadable:
        raise ConfigError(tuple(unreadable))
    return _Check(files, guest).config(drivers)


def parse_seconds(text: str) -> float:
    """Seconds from "500ms", "10s", "5min", "4h", "2d" or a sum such as "1h30min". Raises ValueError."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a span")
    return sum(float(number) * MILLISECONDS[unit] for number, unit in parts) / 1000


def show_seconds(seconds: float) -> str:
    """The text that `parse_seconds` reads, to the millisecond."""
    rest, parts = round(seconds * 1000), ""
    for unit, size in MILLISECONDS.items():
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"


# --- files ------------------------------------------------------------------------------------------------------------


class _File(Struct, frozen=True):
    path: Path
    text: str
    tables: dict[str, Any]


def _conf_d(path: Path) -> list[Path]:
    folder = path.parent / "conf.d"
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError((Problem(folder, 0, "", f"cannot be read: {error.strerror}"),)) from None
    return [folder / name for name in names if name.endswith(".toml") and not name.startswith(".")]


def _read(path: Path) -> _File:
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "; another one is named with --config FILE" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError((Problem(path, 0, "", f"cannot be read: {error.strerror}{hint}"),)) from None
    try:
        text = data.decode("utf-8-sig")
        return _File(path, text, tomllib.loads(text))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(path, line, "", "not UTF-8 text; allowed: a text file saved as UTF-8")
    except (ValueError, RecursionError) as error:
        problem = _not_toml(path, data, error)
    raise ConfigError((problem,))


def _not_toml(path: Path, data: bytes, error: Exception) -> Problem:
    """`tomllib` says "Invalid value (at line 3, column 12)" or "... (at end of document)"."""
    if isinstance(error, RecursionError):
        return Problem(path, 0, "", "not TOML: nested too deeply")
    what, _, place = str(error).removesuffix(")").rpartition(" (at ")
    if place.startswith("line "):
        line, _, column = place.removeprefix("line ").partition(", ")
        return Problem(path, int(line), "", f"not TOML: {what}, {column}")
    if place:
        return Problem(path, data.count(b"\n") + 1, "", f"not TOML: {what}, {place}")
    return Problem(path, 0, "", f"not TOML: {error}")


def _is_table(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _keys(table: dict[str, Any], key: Key = ()) -> Iterator[Key]:
    """Every key in a table, a table's own before those in it."""
    for name, value in table.items():
        here = (*key, name)
        yield here
        if _is_table(value) and len(here) < DEEPEST:
            yield from _keys(value, here)


def _lines(text: str) -> dict[Key, int]:
    """In which line each key's statement begins. A statement is the fewest lines that are TOML by themselves."""
    lines: dict[Key, int] = {}
    table: Key = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except ValueError:
            continue  # it goes on in the next line
        header = statement.lstrip().startswith("[")
        keys = list(_keys(parsed, () if header else table))
        for key in keys:
            lines.setdefault(key, start)
        table = keys[-1] if header else table
        statement, start = "", number + 1
    return lines


# --- words ------------------------------------------------------------------------------------------------------------


def _quote(text: str) -> str:
    shown = text if len(text) <= 60 else text[:60] + "…"
    shown = shown.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + '"'


def _dotted(key: Key) -> str:
    return ".".join(name if name and LETTERS.issuperset(name) else _quote(name) for name in key)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a huge number"  # Python refuses to print one of more than 4300 digits
    if isinstance(value, int | float):
        return repr(value)
    names = {"list": "a list", "dict": "a table"}
    return names.get(type(value).__name__, "a date or time")


def _found(key: Key, value: Any) -> str:
    secret = any(word in key[-1].lower() for word in SECRET)
    return f"found {'a value that is not shown here' if secret else _shown(value)}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _did_you_mean(word: Any, names: Iterable[str]) -> str:
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(_shown(word).strip('"').lower(), list(names), 1)
    return f" (did you mean {_quote(close[0])}?)" if close else ""


def _is_span(kind: Any) -> bool:
    return any(isinstance(meta, Meta) and (meta.extra or {}).get("unit") == "s" for meta in get_args(kind)[1:])


def _allowed(kind: Any) -> str:
    """What a field of this type takes, and what it is for."""
    info: Any = type_info(kind)
    notes: dict[str, str] = getattr(info, "extra_json_schema", None) or {}
    purpose = notes.get("description", "")
    return _type_words(info, _is_span(kind)) + (f" ({purpose})" if purpose else "")


def _choices(kind: Any) -> list[str]:
    """The texts that a field takes, where only some are allowed."""
    info: Any = type_info(kind)
    return [str(value) for value in getattr(getattr(info, "type", info), "values", ())]


def _type_words(info: Any, span: bool = False) -> str:  # noqa: PLR0911 - one for each type
    match type(info).__name__:
        case "Metadata":
            return _type_words(info.type, span)
        case "BoolType":
            return "true or false"
        case "IntType":
            return "a whole number" + _limits(info, str)
        case "FloatType" if span:
            return f"a span{_limits(info, show_seconds)}, as {SPANS}"
        case "FloatType":
            return "a number" + _limits(info, "{:.15g}".format)
        case "StrType":
            return "text, not empty" if info.min_length else "text"
        case "LiteralType":
            return _list(_quote(str(value)) for value in info.values)
        case "UnionType":
            return " or ".join(_type_words(each) for each in info.types if type(each).__name__ != "NoneType")
        case "ListType":
            return f"a list, each {_type_words(info.item_type)}"
        case name:
            return "a " + name.removesuffix("Type").lower()


def _limits(info: Any, show: Callable[[Any], str]) -> str:
    if info.ge is not None and info.le is not None:
        return f" {show(info.ge)} to {show(info.le)}"
    limits = {"at least": info.ge, "above": info.gt, "at most": info.le, "below": info.lt}
    parts = [f"{word} {show(limit)}" for word, limit in limits.items() if limit is not None]
    return " " + " and ".join(parts) if parts else ""


# --- values -----------------------------------------------------------------------------------------------------------


def _convert(value: Any, kind: Any) -> Any:
    """The value as its field's type. Raises ValueError."""
    if isinstance(value, str) and _is_span(kind):
        value = parse_seconds(value)
    if not _is_finite(value):
        raise ValueError("TOML knows nan and inf; no key here does")
    return msgspec.convert(value, type=kind, strict=True)


def _is_finite(value: Any) -> bool:
    match value:
        case [*members]:
            return all(map(_is_finite, members))
        case float():
            return math.isfinite(value)
        case _:
            return True


def _is_name(name: str, letters: frozenset[str] = LETTERS) -> bool:
    return 0 < len(name) <= NAME_LENGTH and letters.issuperset(name)


def _host_name() -> str:
    name = os.uname().nodename.partition(".")[0][:NAME_LENGTH]
    return "".join(c if c in LETTERS else "-" for c in name) or "stoker"


def _state_dir() -> Path:
    """The folder that systemd made for us; without systemd the system's, or else the user's own."""
    if given := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    system, home = Path("/var/lib/stoker"), os.environ.get("HOME")
    if os.access(system, os.W_OK) or not home:
        return system
    return Path(os.environ.get("XDG_STATE_HOME") or Path(home, ".local/state"), "stoker")


# --- the whole --------------------------------------------------------------------------------------------------------


class _Check:
    """All files as one tree of tables, and everything that is wrong with it."""

    def __init__(self, files: list[_File], guest: bool) -> None:
        self._files = files
        self._guest = guest
        self._tables: dict[str, Any] = {}
        self._origin: dict[Key, int] = {}  # which file gives a value; for a table, the first that has it
        self._problems: list[tuple[Key, str]] = []
        self._warnings: list[tuple[Key, str]] = []
        for number, file in enumerate(files):
            self._merge(self._tables, file.tables, (), number)

    def _merge(self, into: dict[str, Any], tables: dict[str, Any], key: Key, file: int) -> None:
        for name, value in tables.items():
            here = (*key, name)
            deeper = _is_table(value) and len(here) < DEEPEST
            if not (deeper and _is_table(into.get(name))):
                into[name] = {} if deeper else value
                self._origin[here] = file
            if deeper:
                self._merge(into[name], value, here, file)

    def config(self, drivers: Drivers) -> Config:
        """Return the whole, or raise ConfigError."""
        self._only((), {"device", "mqtt", "thermometers", "heaters", "zones", "topics"})
        device = self._device()
        mqtt, base = self._mqtt(device.id)
        thermometers, thermometer_drivers = self._driven("thermometers", core.Thermometer, drivers.thermometer)
        heaters, heater_drivers = self._driven("heaters", core.Heater, drivers.heater)
        settings = core.Settings(
            device=device.id,
            base=base,
            thermometers=self._published(thermometers, thermometer_drivers),
            heaters=heaters,
            zones=self._zones(),
            topics=self._table_as(("topics",), core.Topics) or core.Topics(),
        )
        self._check_thermometers(settings)
        self._check_pins(heater_drivers)
        self._check_zones(settings)
        self._check_topics(settings, thermometer_drivers)
        if self._problems or mqtt is None:
            raise ConfigError(tuple(self._located(self._problems)))
        self._warn_of_mqtt(mqtt)
        self._warn_of_zones(settings)
        return Config(
            core=settings,
            mqtt=mqtt,
            thermometers=thermometer_drivers,
            heaters=heater_drivers,
            state_dir=Path(device.state_dir),
            files=tuple(file.path for file in self._files),
            warnings=tuple(map(str, self._located(self._warnings))),
        )

    # --- what is wrong, and where

    def _problem(self, text: str, *keys: Key) -> None:
        """Note a problem of the first of these keys that stands in a file; of the first, where none does."""
        self._note(self._problems, text, keys)

    def _warning(self, text: str, *keys: Key) -> None:
        self._note(self._warnings, text, keys)

    def _note(self, notes: list[tuple[Key, str]], text: str, keys: tuple[Key, ...]) -> None:
        note = (next((key for key in keys if key in self._origin), keys[0]), text)
        if note not in notes:
            notes.append(note)

    def _located(self, notes: list[tuple[Key, str]]) -> list[Problem]:
        """The same with file and line, in order. Something that is missing is missing in its table's first line."""
        if not notes:
            return []
        lines = [_lines(file.text) for file in self._files]
        places: list[tuple[int, int, Key, str]] = []
        for key, text in notes:
            stands = key
            while stands and stands not in self._origin:
                stands = stands[:-1]
            file = self._origin[stands] if stands else 0
            places.append((file, lines[file][stands] if stands else 0, key, text))
        places.sort(key=lambda place: place[:2])
        return [Problem(self._files[file].path, line, _dotted(key), text) for file, line, key, text in places]

    # --- tables

    def _value(self, key: Key) -> Any:
        value: Any = self._tables
        for name in key:
            value = value[name]
        return value

    def _table(self, key: Key) -> dict[str, Any]:
        """The table at `key`; an empty one where none stands."""
        value = self._value(key) if not key or key in self._origin else dict[str, Any]()
        if _is_table(value):
            return value
        self._problem(f"{_found(key, value)}; allowed: a table [{_dotted(key)}]", key)
        return {}

    def _only(self, key: Key, known: set[str]) -> None:
        """Refuse every key of this table that nobody knows."""
        for name in self._table(key):
            if name in known:
                continue
            text = f"unknown key; allowed: {_list(sorted(known))}{_did_you_mean(name, known)}"
            if "password" in name and "password_file" in known:
                text = "unknown key; allowed: the password in a file of its own, named by password_file"
            self._problem(text, (*key, name))

    def _table_as(self, key: Key, kind: type[S]) -> S | None:
        """A table that is this struct, and nothing else."""
        self._only(key, _names(kind))
        return self._struct(key, kind)

    def _struct(self, key: Key, kind: type[S]) -> S | None:
        """Fill one struct from those keys of a table that are its fields; None where one is wrong."""
        table, values, complete = self._table(key), dict[str, Any](), True
        for field in fields(kind):
            here = (*key, field.name)
            if field.name in table:
                values[field.name] = value = self._field(here, table[field.name], field.type)
                complete = complete and value is not None
            elif field.required:
                self._problem(f"missing; allowed: {_allowed(field.type)}", here)
                complete = False
        try:
            return kind(**values) if complete else None
        except ValueError as error:  # a rule between the options of one driver
            blamed = str(error).partition(" ")[0]
            self._problem(_one_line(error), (*key, blamed) if blamed in table else key)
            return None

    def _field(self, key: Key, value: Any, kind: Any) -> Any:
        """The value as its type; None where it is wrong (TOML has no null)."""
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._table_as(key, kind)
        try:
            return _convert(value, kind)
        except ValueError:
            guess = _did_you_mean(value, choices) if (choices := _choices(kind)) else ""
            self._problem(f"{_found(key, value)}; allowed: {_allowed(kind)}{guess}", key)
            return None

    def _named(self, section: str) -> list[str]:
        """The tables [section.NAME], their names checked."""
        names: list[str] = []
        for name, value in self._table((section,)).items():
            if not _is_name(name):
                rule = f"letters, digits, - and _, at most {NAME_LENGTH}"
                self._problem(f"found the name {_quote(name)}; allowed: {rule}", (section, name))
            elif _is_table(value):
                names.append(name)
            else:
                self._table((section, name))
        return names

    # --- sections

    def _device(self) -> Device:
        """[device], its defaults filled in."""
        device = self._table_as(("device",), Device) or Device()
        if device.id and not _is_name(device.id, LETTERS | {"."}):
            rule = f"letters, digits, -, _ and dots, at most {NAME_LENGTH}"
            self._problem(f"found {_quote(device.id)}; allowed: {rule}", ("device", "id"))
            device = Device(state_dir=device.state_dir)
        return Device(id=device.id or _host_name(), state_dir=device.state_dir or str(_state_dir()))

    def _mqtt(self, device: str) -> tuple[Mqtt | None, str]:
        """[mqtt] and what its topics begin with."""
        key = ("mqtt",)
        self._only(key, _names(Mqtt) | _names(Base))
        mqtt, base = self._struct(key, Mqtt), self._struct(key, Base)
        return mqtt, (base and base.base) or f"stoker/{device}"

    def _driven(
        self, section: str, kind: type[S], options_of: OptionsOf
    ) -> tuple[dict[str, S], dict[str, DriverChoice]]:
        """[thermometers] or [heaters]: what the core is told, and the drivers with their options."""
        settings: dict[str, S] = {}
        choices: dict[str, DriverChoice] = {}
        for name in self._named(section):
            key = (section, name)
            if setting := self._struct(key, kind):
                settings[name] = setting
            if (options_type := self._options_type(key, options_of)) is None:
                continue  # so nobody knows which keys it takes
            self._only(key, {"driver"} | _names(kind) | _names(options_type))
            if options := self._struct(key, options_type):
                choices[name] = DriverChoice(self._table(key)["driver"], options)
        return settings, choices

    def _options_type(self, key: Key, options_of: OptionsOf) -> type[Struct] | None:
        name = self._table(key).get("driver", "")
        try:
            return options_of(name if isinstance(name, str) else "")
        except Exception as error:  # whatever a driver of others raises is one line here
            here = (*key, "driver")
            known: list[str] | None = getattr(error, "known", None)
            if known is None:
                text = f"{_found(here, name)}: {_one_line(error)}"
            else:
                found = _found(here, name) if here in self._origin else "missing"
                text = f"{found}; allowed: {_list(map(_quote, known))}{_did_you_mean(name, known)}"
            self._problem(text, here)
            return None

    def _zones(self) -> dict[str, core.Zone]:
        zones = {name: self._table_as(("zones", name), core.Zone) for name in self._named("zones")}
        return {name: zone for name, zone in zones.items() if zone}

    def _published(
        self, thermometers: dict[str, core.Thermometer], choices: dict[str, DriverChoice]
    ) -> dict[str, core.Thermometer]:
        """The topics that nobody chose: TEMPERATURE for the only one. What another device said is not said again."""
        own = [name for name in thermometers if name in choices and not _listens_to(choices[name])]
        topics = {name: f"TEMPERATURE/{name}" for name in own} if len(own) > 1 else dict.fromkeys(own, "TEMPERATURE")
        chosen = {name for name in own if ("thermometers", name, "publish") in self._origin}
        for name in topics.keys() - chosen:
            thermometers[name] = replace(thermometers[name], publish=topics[name])
        return thermometers

    # --- rules between keys

    def _check_thermometers(self, settings: core.Settings) -> None:
        if not (self._guest or self._table(("thermometers",))):
            self._problem("missing; allowed: at least one table [thermometers.NAME]", ("thermometers",))
        for name, own in settings.thermometers.items():
            if own.minimum >= own.maximum:
                text = f"found minimum {own.minimum:g}; allowed: below maximum {own.maximum:g}"
                self._problem(text, ("thermometers", name, "minimum"), ("thermometers", name, "maximum"))

    def _check_pins(self, choices: dict[str, DriverChoice]) -> None:
        pins: dict[str, str] = {}
        for name, choice in choices.items():
            pin = getattr(choice.options, "pin", None)
            if pin is None:
                continue
            other = pins.setdefault(f"{choice.name} {pin} {getattr(choice.options, 'chip', '')}", name)
            if other != name:
                text = f"found {pin}, two heaters on one pin; allowed: another than that of heaters.{other}"
                self._problem(text, ("heaters", name, "pin"))

    def _check_zones(self, settings: core.Settings) -> None:
        heated: dict[str, str] = {}
        for name, zone in settings.zones.items():
            key = ("zones", name)
            self._check_reference((*key, "thermometer"), zone.thermometer, "thermometers")
            self._check_reference((*key, "heater"), zone.heater, "heaters")
            other = heated.setdefault(zone.heater, name)
            if other != name:
                text = f"found {_quote(zone.heater)}, which heats zones.{other} already; allowed: one zone for a heater"
                self._problem(text, (*key, "heater"))
            self._check_targets(key, zone)
            if thermometer := settings.thermometers.get(zone.thermometer):
                self._check_limit(key, zone, thermometer)

    def _check_reference(self, key: Key, name: str, section: str) -> None:
        known = self._table((section,))
        if name not in known:
            allowed = f"a table in [{section}]: {_list(map(_quote, known))}"
            self._problem(f"found {_quote(name)}; allowed: {allowed}{_did_you_mean(name, known)}", key)

    def _check_targets(self, key: Key, zone: core.Zone) -> None:
        target, low, high = (*key, "target"), (*key, "target_min"), (*key, "target_max")
        if zone.target_min > zone.target_max:
            text = f"found target_min {zone.target_min:g}; allowed: up to target_max {zone.target_max:g}"
            self._problem(text, low, high)
        elif not zone.target_min <= zone.target <= zone.target_max:
            limits = f"target_min {zone.target_min:g} to target_max {zone.target_max:g}"
            near = low if zone.target < zone.target_min else high
            self._problem(f"found target {zone.target:g}; allowed: {limits}", target, near)
        if zone.target_max >= zone.max_temperature:
            text = f"found target_max {zone.target_max:g}; allowed: below max_temperature {zone.max_temperature:g}"
            self._problem(text, high, (*key, "max_temperature"))

    def _check_limit(self, key: Key, zone: core.Zone, thermometer: core.Thermometer) -> None:
        """A temperature that the thermometer takes for implausible is never seen as too high."""
        if zone.max_temperature >= thermometer.maximum:
            whose = f"thermometers.{zone.thermometer}.maximum {thermometer.maximum:g}"
            text = f"found max_temperature {zone.max_temperature:g}; allowed: below {whose}, or it is never seen"
            self._problem(text, (*key, "max_temperature"), ("thermometers", zone.thermometer, "maximum"))

    # --- topics

    def _check_topics(self, settings: core.Settings, choices: dict[str, DriverChoice]) -> None:
        """Each topic by itself; then, where each is one, that no two are the same."""
        heard = [(("thermometers", name, "topic"), _listens_to(choice)) for name, choice in choices.items()]
        said = [(("thermometers", name, "publish"), own.publish) for name, own in settings.thermometers.items()]
        heard, said = [each for each in heard if each[1]], [each for each in said if each[1]]
        good = [self._check_template(key, topic) for key, topic in ((("mqtt", "base"), settings.base), *said)]
        good += [self._check_topic(topic, key) for key, topic in heard]
        for field in fields(core.Topics):
            names = ("base", "device", "zone") if "{zone}" in field.default else ("base", "device")
            good.append(self._check_template(("topics", field.name), getattr(settings.topics, field.name), names))
        if all(good):
            self._check_collisions([*_routes(settings), *said], heard)

    def _check_collisions(self, said: Iterable[tuple[Key, str]], heard: Iterable[tuple[Key, str]]) -> None:
        taken: dict[str, Key] = {}
        for key, topic in said:
            self._check_topic(topic, key, ("mqtt", "base"))  # filled in, it may be too long
            if topic in taken:
                self._check_collision(key, taken[topic], topic)
            taken.setdefault(topic, key)
        for key, topic in heard:  # two may follow one topic
            if topic in taken:
                self._check_collision(key, taken[topic], topic)

    def _check_template(self, key: Key, template: str, names: tuple[str, ...] = ()) -> bool:
        rest = template
        for name in names:
            rest = rest.replace(f"{{{name}}}", "x")
        if "{" not in rest and "}" not in rest:
            return self._check_topic(template, key)
        placeholders = _list(f"{{{name}}}" for name in names)
        self._problem(f"found {_quote(template)}; allowed in braces: {placeholders}", key)
        return False

    def _check_topic(self, topic: str, *keys: Key) -> bool:
        if is_topic(topic) and not topic.startswith("$"):
            return True
        rule = f"an MQTT topic: 1 to {TOPIC_BYTES} bytes, printable, without + and #, no $ in front"
        self._problem(f"found {_quote(topic)}; allowed: {rule}", *keys)
        return False

    def _check_collision(self, key: Key, other: Key, topic: str) -> None:
        if key == other:
            text = f"found {_quote(self._value(key))} for more than one zone; allowed: a topic with {{zone}}"
            self._problem(text, key)
        elif key in self._origin or other not in self._origin:
            self._problem(_same_topic(topic, other), key, ("mqtt", "base"))
        else:
            self._problem(_same_topic(topic, key), other)

    # --- legal, and dangerous

    def _warn_of_mqtt(self, mqtt: Mqtt) -> None:
        if not mqtt.tls.enabled and not _is_loopback(mqtt.host):
            text = "TLS is off: everybody on the way can read the password and give orders"
            self._warning(text, ("mqtt", "tls", "enabled"))
        self._warn_of_login(mqtt)
        if mqtt.tls.enabled:
            self._warn_of_file(("mqtt", "tls", "ca_file"), mqtt.tls.ca_file)
            self._warn_of_file(("mqtt", "tls", "cert_file"), mqtt.tls.cert_file)
            self._warn_of_file(("mqtt", "tls", "key_file"), mqtt.tls.key_file, private=True)

    def _warn_of_login(self, mqtt: Mqtt) -> None:
        key, credentials = ("mqtt", "password_file"), os.environ.get("CREDENTIALS_DIRECTORY", "")
        if not mqtt.username:
            if mqtt.password_file:
                self._warning("no password is sent without a username", key)
        elif mqtt.password_file.startswith("/") or (mqtt.password_file and credentials):
            self._warn_of_file(key, str(Path(credentials, mqtt.password_file)), private=True)
        elif mqtt.password_file:
            self._warning("not a whole path, so a systemd credential, and there are none here", key)
        elif not os.access(f"{credentials or '/nonexistent'}/mqtt.password", os.R_OK):
            text = "a user without a password: name its file with password_file, or give a credential mqtt.password"
            self._warning(text, ("mqtt", "username"))

    def _warn_of_file(self, key: Key, name: str, private: bool = False) -> None:
        """Its name is not shown: somebody may have written the password itself there."""
        if not name:
            return
        try:
            mode = Path(name).stat().st_mode
        except (OSError, ValueError) as error:  # ValueError: a NUL in it
            why = error.strerror if isinstance(error, OSError) else "no such file"
            self._warning(f"this file cannot be read now: {why}", key)
            return
        if not os.access(name, os.R_OK):
            self._warning("this file cannot be read now: not by this user", key)
        if private and mode & 0o004:
            self._warning("everybody on this computer can read this file: chmod o= FILE", key)

    def _warn_of_zones(self, settings: core.Settings) -> None:
        for name, zone in settings.zones.items():
            key, interval = ("zones", name), ("thermometers", zone.thermometer, "interval")
            if zone.max_temperature > HOT:
                text = f"{zone.max_temperature:g} °C lets this zone become dangerously hot; {HOT:g} or less is wise"
                self._warning(text, (*key, "max_temperature"))
            stale_after = settings.stale_after(name)
            if stale_after > LONG_STALE:
                text = f"heats for {show_seconds(stale_after)} without a reading; {show_seconds(LONG_STALE)} is much"
                self._warning(text, (*key, "stale_after"), interval)
            if stale_after <= settings.thermometers[zone.thermometer].interval:
                text = f"{show_seconds(stale_after)} is no longer than its thermometer's interval: hardly any heat"
                self._warning(text, (*key, "stale_after"), interval)


def _names(kind: type[Struct]) -> set[str]:
    return set(kind.__struct_fields__)


def _listens_to(choice: DriverChoice) -> str:
    """The topic on which this driver's temperatures arrive; empty where it measures for itself."""
    return getattr(choice.options, "topic", "")


def _routes(settings: core.Settings) -> Iterator[tuple[Key, str]]:
    """Every topic of the device with the key of its template."""
    routes = Routes(settings)
    for name in ("availability", "state", "event"):
        yield ("topics", name), getattr(routes, name)
    for topics in routes.zones.values():
        for name, topic in topics.items():
            yield ("topics", name), topic


def _same_topic(topic: str, other: Key) -> str:
    return f"found the topic {_quote(topic)}, which is that of {_dotted(other)} too; allowed: one of its own"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")
