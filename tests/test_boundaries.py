"""Who may import what, read from the syntax tree of every source file: nothing has to be imported or run.

An import counts wherever it stands: at the top, in a function, relative, under `TYPE_CHECKING`, by
`importlib.import_module("name")`. To change a rule, change its row; each has its reason.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOTS = [Path(__file__).parents[1] / "daemon", Path(__file__).parents[1] / "drivers"]

COMPUTED = "<computed>"
"""The name of an import that only a run can tell."""


class Only(NamedTuple):
    """`what` is imported by `who` alone."""

    what: str
    who: tuple[str, ...]
    why: str


ONLY = [
    Only("paho", ("stoker.link",), "its callbacks run in its thread; whatever they need to know stays with them"),
    Only("gpiozero", ("stoker_drivers.relay",), "one place pins the pin factory and claims lines at their off level"),
    Only("lgpio", ("stoker_drivers.relay",), "it stands below gpiozero"),
    Only("w1thermsensor", ("stoker_drivers.ds18b20",), "its gaps are mended in one place"),
    Only("systemd", ("stoker.systemd",), "the daemon runs where there is none"),
    Only("sqlite3", ("stoker.store", "stoker.archive"), "what survives a restart is orders and the backlog"),
    Only("prometheus_client", ("stoker.metrics",), "it is imported where it is switched on, and only there"),
    Only("amqtt", ("stoker.demo",), "a daemon that heats has no broker in it"),
    Only("trustme", ("stoker.demo",), "certificates on the spot are for the demo"),
    Only("stoker", ("stoker",), "drivers serve any program"),
    Only("stoker_drivers.catalogue", ("stoker.devices", "stoker_drivers"), "the configuration knows no driver"),
    Only(COMPUTED, ("stoker_drivers.catalogue", "stoker.__main__"), "a driver and a command are chosen by their names"),
]

CORE = "stoker.core"
CORE_MAY_IMPORT = (
    CORE,
    "msgspec",
    "bisect",
    "collections",
    "contextlib",
    "datetime",
    "enum",
    "functools",
    "heapq",
    "itertools",
    "json",
    "math",
    "re",
    "statistics",
    "typing",
    "zoneinfo",
)
CORE_MAY_NOT_USE = {
    "datetime.datetime.now": "time is an argument",
    "datetime.datetime.today": "time is an argument",
    "datetime.datetime.utcnow": "time is an argument",
    "datetime.date.today": "time is an argument",
    "open": "no I/O",
    "print": "no I/O",
    "input": "no I/O",
    "breakpoint": "no I/O",
    "exec": "what a file needs must be seen in it",
    "eval": "what a file needs must be seen in it",
}


class Source(NamedTuple):
    """A file as the import system knows it."""

    module: str
    text: str
    is_package: bool = False


def sources() -> Iterator[Source]:
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            yield Source(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


def is_within(name: str, places: tuple[str, ...]) -> bool:
    """`a.b` is within `a`, and so is `a`; `ab` is not."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


# --- reading a syntax tree --------------------------------------------------------------------------------------------


@cache
def nodes(text: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(text)))


def imports(source: Source) -> Iterator[tuple[str, str, int]]:
    """Full name, the name that it gets in the file, and line: of every import statement."""
    for node in nodes(source.text):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.partition(".")[0]
                yield alias.name, local, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{origin(source, node)}.{alias.name}", alias.asname or alias.name, node.lineno


def origin(source: Source, node: ast.ImportFrom) -> str:
    """The module after `from`, with its dots resolved."""
    if not node.level:
        return node.module or ""
    package = source.module.split(".")
    up = node.level - source.is_package
    return ".".join(package[: len(package) - up] + ([node.module] if node.module else []))


def uses(source: Source) -> Iterator[tuple[str, int, ast.AST]]:
    """Every name that the file uses, in full: `dt.now` is `datetime.datetime.now` where dt was imported as that."""
    known: dict[str, str] = {}
    for name, local, _ in imports(source):
        known[local] = name if local != name.partition(".")[0] else local
    for node in nodes(source.text):
        tail: list[str] = []
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            tail.insert(0, root.attr)
            root = root.value
        if isinstance(root, ast.Name):
            yield ".".join([known.get(root.id, root.id), *tail]), root.lineno, node


def everything_imported(source: Source) -> Iterator[tuple[str, int]]:
    """Import statements, and the functions that import."""
    yield from ((name, line) for name, _, line in imports(source))
    calls = [node for node in nodes(source.text) if isinstance(node, ast.Call)]
    importing = {id(node) for name, _, node in uses(source) if name in ("importlib.import_module", "__import__")}
    for call in calls:
        if id(call.func) in importing:
            match call.args:
                case [ast.Constant(value=str(name)), *_]:
                    yield name, call.lineno
                case _:
                    yield COMPUTED, call.lineno


# --- the rules --------------------------------------------------------------------------------------------------------


def broken(rule: Only, source: Source) -> list[str]:
    if is_within(source.module, rule.who):
        return []
    return [
        f"{source.module} line {line} imports {name}: {rule.why}; only {' and '.join(rule.who)} may"
        for name, line in everything_imported(source)
        if is_within(name, (rule.what,))
    ]


def impure(source: Source) -> list[str]:
    """What a file does that does not belong into the core."""
    if not is_within(source.module, (CORE,)):
        return []
    foreign = [
        f"{source.module} line {line} imports {name}: the core is pure; CORE_MAY_IMPORT lists what it may"
        for name, line in everything_imported(source)
        if not is_within(name, CORE_MAY_IMPORT)
    ]
    acts = [
        f"{source.module} line {line} uses {name}: {CORE_MAY_NOT_USE[name]}"
        for name, line, _ in uses(source)
        if name in CORE_MAY_NOT_USE
    ]
    return foreign + acts


@pytest.mark.parametrize("rule", ONLY, ids=[rule.what for rule in ONLY])
def test_a_library_stays_where_it_belongs(rule: Only) -> None:
    assert [text for source in sources() for text in broken(rule, source)] == []


def test_the_core_is_pure() -> None:
    assert [text for source in sources() for text in impure(source)] == []


def test_every_file_is_read() -> None:
    assert {"stoker", "stoker.core.messages", "stoker_drivers.interfaces"} <= {source.module for source in sources()}


# --- the checker itself is shown to bite ------------------------------------------------------------------------------

WAYS_TO_IMPORT_PAHO = [
    "import paho.mqtt.client as mqtt",
    "from paho.mqtt import client",
    "def late():\n    import paho",
    "if TYPE_CHECKING:\n    from paho import mqtt",
    "import importlib\nmqtt = importlib.import_module('paho.mqtt.client')",
    "from importlib import import_module as load\nmqtt = load('paho.mqtt.client')",
    "__import__('paho')",
]


@pytest.mark.parametrize("text", WAYS_TO_IMPORT_PAHO)
def test_no_way_to_import_goes_unseen(text: str) -> None:
    assert len(broken(ONLY[0], Source("stoker.app", text))) == 1
    assert broken(ONLY[0], Source("stoker.link.client", text)) == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        (Source("stoker.config", "from stoker_drivers import catalogue"), "stoker_drivers.catalogue"),
        (Source("stoker_drivers.relay", "from stoker.core import messages"), "stoker.core.messages"),
        (Source("stoker_drivers.mock", "from ..stoker import app"), "stoker.app"),
        (Source("stoker.link", "from ..systemd import notify", is_package=True), None),
        (Source("stoker.app", "import systemd.daemon"), "systemd.daemon"),
        (Source("stoker.app", "from . import systemd"), None),
        (Source("stoker.app", "import pahoj"), None),
        (Source("stoker.app", "import importlib\nimportlib.import_module(name)"), COMPUTED),
    ],
)
def test_each_rule_is_seen_broken_and_kept(source: Source, seen: str | None) -> None:
    found = [text for rule in ONLY for text in broken(rule, source)]
    assert len(found) == (1 if seen else 0)
    assert all(f"imports {seen}: " in text for text in found)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("import time", "time"),
        ("import logging", "logging"),
        ("from threading import Thread", "threading.Thread"),
        ("from stoker_drivers.interfaces import Heater", "stoker_drivers.interfaces.Heater"),
        ("from ..link import settings", "stoker.link.settings"),
        ("from .messages import Now", None),
        ("from collections.abc import Iterator", None),
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as dt\nread_clock = dt.now", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.fromtimestamp(now.wall, zone)", None),
        ("def f(path):\n    return open(path)", "open"),
        ("def f(window):\n    return window.open", None),
    ],
)
def test_an_impure_core_is_seen(text: str, seen: str | None) -> None:
    found = impure(Source("stoker.core.zone", text))
    assert len(found) == (1 if seen else 0)
    assert all(f" {seen}: " in line for line in found)
