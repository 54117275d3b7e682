"""`etc/stoker.toml` against the code: every key with its default, limits and choices, nothing that is not there."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import Struct, inspect, structs

from stoker.config import Base, Config, ConfigError, Device, Drivers, load, parse_seconds, show_seconds
from stoker.config.model import Metrics, Wall
from stoker.core import settings as core
from stoker.link.settings import Backlog, Mqtt, Tls, WebSocket
from stoker_drivers import catalogue

EXAMPLE = Path(__file__).parents[2] / "etc" / "stoker.toml"

KEY = re.compile(r"(# )?((\w+) = .+)")
TABLE = re.compile(r"(# )?(\[([\w.]+)\])")
MORE_WORDS = re.compile(r" +# (.+)")

OPTIONS = {
    "thermometers": {name: catalogue.thermometer(name).Options for name in catalogue.thermometers()},
    "heaters": {name: catalogue.heater(name).Options for name in catalogue.heaters()},
}
DRIVERS = Drivers(OPTIONS["thermometers"].__getitem__, OPTIONS["heaters"].__getitem__)

EFFECTIVE = {("thermometers.inside", "publish"): "TEMPERATURE"}
"""What a key left out amounts to, where the struct's own default says otherwise."""


DEFAULT_TABLES = {
    "device",
    "mqtt.tls",
    "mqtt.websocket",
    "backlog",
    "topics",
    "presence",
    "metrics",
    "zones.room.presets",
    "zones.room.window",
}
FREE = ("zones.room.schedule", "presence.people", "mqtt.websocket.headers")  # tables whose keys are the user's


class Entry(NamedTuple):
    """One key of the file, set or only shown."""

    line: int
    table: str
    key: str
    value: Any
    is_set: bool
    words: str


def entries() -> list[Entry]:
    found: list[Entry] = []
    table = ""
    for number, line in enumerate(EXAMPLE.read_text().splitlines(), 1):
        if table in FREE and not TABLE.fullmatch(line):
            continue
        if match := TABLE.fullmatch(line):
            table = match[3]
        elif match := KEY.fullmatch(line):
            value = tomllib.loads(match[2])[match[3]]
            _, mark, words = match[2].rpartition(" # ")
            found.append(Entry(number, table, match[3], value, not match[1], words if mark else ""))
        elif match := MORE_WORDS.fullmatch(line):
            found[-1] = found[-1]._replace(words=f"{found[-1].words} {match[1]}")
    return found


ENTRIES = entries()
DRIVER_OF = {entry.table: entry.value for entry in ENTRIES if entry.key == "driver"}


def kinds(table: str) -> list[type[Struct]]:
    """The structs whose fields a table shows. What all thermometers have in common is told once, in the first."""
    section, _, _name = table.partition(".")
    common: dict[str, type[Struct]] = {"thermometers": core.Thermometer, "heaters": core.Heater}
    if section in common:
        first = next(other for other in DRIVER_OF if other.startswith(section))
        own = OPTIONS[section][DRIVER_OF[table]]
        return [common[section], own] if table == first else [own]
    if section == "zones":
        nested: dict[str, type[Struct]] = {"presets": core.Presets, "window": core.Window}
        kind: type[Struct] = nested.get(table.rpartition(".")[2], core.Zone)
        return [kind]
    single: dict[str, list[type[Struct]]] = {
        "device": [Device, Wall],
        "mqtt": [Mqtt, Base],
        "mqtt.tls": [Tls],
        "mqtt.websocket": [WebSocket],
        "backlog": [Backlog],
        "presence": [core.Presence],
        "metrics": [Metrics],
        "topics": [core.Topics],
    }
    return single[table]


def known_fields(table: str) -> dict[str, structs.FieldInfo]:
    fields = [field for kind in kinds(table) for field in structs.fields(kind)]
    return {field.name: field for field in fields if not is_table(field.type)}


def is_table(kind: Any) -> bool:
    """Whether a field of this type stands in the file as a table of its own."""
    info: Any = inspect.type_info(kind)
    return isinstance(getattr(info, "type", info), inspect.StructType | inspect.DictType)


def attempt(folder: Path, text: str) -> Config | ConfigError:
    file = folder / "stoker.toml"
    file.write_text(text)
    try:
        return load(file, DRIVERS)
    except ConfigError as error:
        return error


def test_the_file_shows_every_table_and_every_driver() -> None:
    tables = {entry.table.partition(".")[0] for entry in ENTRIES} | {entry.table for entry in ENTRIES}
    assert tables >= {"device", "mqtt", "mqtt.tls", "thermometers", "heaters", "zones", "topics"}
    for section, options in OPTIONS.items():
        assert sorted(driver for table, driver in DRIVER_OF.items() if table.startswith(section)) == sorted(options)


@pytest.mark.parametrize("table", dict.fromkeys(entry.table for entry in ENTRIES))
def test_a_table_shows_every_key_in_order_and_no_other(table: str) -> None:
    shown = [entry.key for entry in ENTRIES if entry.table == table]
    assert shown == ["driver"] * (table in DRIVER_OF) + list(known_fields(table))


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.key != "driver"], ids=lambda e: f"{e.table}.{e.key}"
)
def test_a_key_shows_its_default_its_limits_and_its_choices(entry: Entry) -> None:
    field = known_fields(entry.table)[entry.key]
    kind: Any = inspect.type_info(field.type)
    is_span = (getattr(kind, "extra", None) or {}).get("unit") == "s"
    kind = getattr(kind, "type", kind)
    if field.required:
        assert entry.is_set or "must be said" in entry.words
    else:
        default = EFFECTIVE.get((entry.table, entry.key), field.default)
        value = parse_seconds(entry.value) if is_span else entry.value
        assert (type(value), value) == (type(default), default)
        assert not entry.is_set
    if getattr(kind, "le", None) is not None:
        show = show_seconds if is_span else "{:g}".format
        assert f"{show(kind.ge)} to {show(kind.le)}" in entry.words
    for choice in getattr(kind, "values", ()):
        assert f'"{choice}"' in f'"{entry.value}" {entry.words}'
    assert re.search("[a-z]{2}", entry.words), "what is it?"


def test_the_file_as_it_stands_makes_a_thermostat(tmp_path: Path) -> None:
    config = attempt(tmp_path, EXAMPLE.read_text())
    assert isinstance(config, Config), config
    assert config.warnings == ()
    assert config.thermometers["inside"].name == "ds18b20"
    assert config.heaters["radiator"].options == OPTIONS["heaters"]["gpio"](pin=17)
    assert config.core.zones == {"room": core.Zone(thermometer="inside", heater="radiator")}


def test_a_default_that_is_taken_out_of_its_comment_changes_nothing(tmp_path: Path) -> None:
    tables_set = {entry.table for entry in ENTRIES if entry.is_set} | DEFAULT_TABLES
    lines = EXAMPLE.read_text().splitlines()
    for entry in ENTRIES:
        if entry.table in tables_set:
            lines[entry.line - 1] = lines[entry.line - 1].removeprefix("# ")
    assert attempt(tmp_path, "\n".join(lines)) == attempt(tmp_path, EXAMPLE.read_text())


def everything() -> list[str]:
    """The lines of the file with every key and table taken out of its comment."""
    lines = EXAMPLE.read_text().splitlines()
    return [match[2] if (match := TABLE.fullmatch(line) or KEY.fullmatch(line)) else line for line in lines]


def test_the_file_with_everything_taken_out_of_its_comments_is_right_too(tmp_path: Path) -> None:
    config = attempt(tmp_path, "\n".join(everything()))
    assert isinstance(config, Config), config
    spare = [line for line in config.warnings if "no zone has this heater" in line]
    websocket, presence = [line for line in config.warnings if line not in spare]
    assert 'means nothing without transport = "websockets"' in websocket, "which is not the default"
    assert "without latitude and longitude" in presence, "which the defaults don't give"
    assert {choice.name for choice in config.thermometers.values()} == set(OPTIONS["thermometers"])
    assert {choice.name for choice in config.heaters.values()} == set(OPTIONS["heaters"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.table}.{entry.key}")
def test_a_mistake_in_any_key_is_found_in_its_line(tmp_path: Path, entry: Entry) -> None:
    lines = everything()
    lines[entry.line - 1] = f"{entry.key} = nan"
    error = attempt(tmp_path, "\n".join(lines))
    assert isinstance(error, ConfigError)
    assert (entry.line, f"{entry.table}.{entry.key}") in [(problem.line, problem.key) for problem in error.problems]


def test_the_file_fits_a_terminal() -> None:
    assert max(map(len, EXAMPLE.read_text().splitlines())) <= 100
