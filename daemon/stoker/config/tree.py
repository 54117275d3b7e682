"""All files as one tree of tables, from which structs are filled; what is wrong with it, and where that stands."""

import math
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from stoker.config import words
from stoker.config.files import DEEPEST, File, is_table, lines_of
from stoker.config.model import Key, Problem
from stoker.config.spans import parse_seconds

NAME_LENGTH = 64

S = TypeVar("S", bound=Struct)


class Tree:
    """Later files override single keys of earlier ones. Problems and warnings are gathered, not raised."""

    def __init__(self, files: list[File]) -> None:
        self._files = files
        self._tables: dict[str, Any] = {}
        self._origin: dict[Key, int] = {}  # which file gives a value; for a table, the first that has it
        self._problems: list[tuple[Key, str]] = []
        self._warnings: list[tuple[Key, str]] = []
        for number, file in enumerate(files):
            self._merge(self._tables, file.tables, (), number)

    def _merge(self, into: dict[str, Any], tables: dict[str, Any], key: Key, file: int) -> None:
        for name, value in tables.items():
            here = (*key, name)
            deeper = is_table(value) and len(here) < DEEPEST
            if not (deeper and is_table(into.get(name))):
                into[name] = {} if deeper else value
                self._origin[here] = file
            if deeper:
                self._merge(into[name], value, here, file)

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
        lines = [lines_of(file.text) for file in self._files]
        places: list[tuple[int, int, Key, str]] = []
        for key, text in notes:
            stands = key
            while stands and stands not in self._origin:
                stands = stands[:-1]
            file = self._origin[stands] if stands else 0
            places.append((file, lines[file][stands] if stands else 0, key, text))
        places.sort(key=lambda place: place[:2])
        return [Problem(self._files[file].path, line, words.dotted(key), text) for file, line, key, text in places]

    # --- tables

    def _value(self, key: Key) -> Any:
        value: Any = self._tables
        for name in key:
            value = value[name]
        return value

    def _table(self, key: Key) -> dict[str, Any]:
        """The table at `key`; an empty one where none stands."""
        value = self._value(key) if not key or key in self._origin else dict[str, Any]()
        if is_table(value):
            return value
        self._problem(f"{words.found(key, value)}; allowed: a table [{words.dotted(key)}]", key)
        return {}

    def _only(self, key: Key, known: set[str]) -> None:
        """Refuse every key of this table that nobody knows."""
        for name in self._table(key):
            if name in known:
                continue
            text = f"unknown key; allowed: {words.listed(sorted(known))}{words.did_you_mean(name, known)}"
            if "password" in name and "password_file" in known:
                text = "unknown key; allowed: the password in a file of its own, named by password_file"
            self._problem(text, (*key, name))

    def _table_as(self, key: Key, kind: type[S]) -> S | None:
        """A table that is this struct, and nothing else."""
        self._only(key, names(kind))
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
                self._problem(f"missing; allowed: {words.allowed(field.type)}", here)
                complete = False
        try:
            return kind(**values) if complete else None
        except ValueError as error:  # a rule between the options of one driver
            blamed = str(error).partition(" ")[0]
            self._problem(words.one_line(error), (*key, blamed) if blamed in table else key)
            return None

    def _field(self, key: Key, value: Any, kind: Any) -> Any:
        """The value as its type; None where it is wrong (TOML has no null)."""
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._table_as(key, kind)
        if is_table(value) and (member := words.member(kind)):
            found = {name: self._field((*key, name), one, member) for name, one in value.items()}
            return None if None in found.values() else found
        try:
            return _convert(value, kind)
        except ValueError:
            guess = words.did_you_mean(value, choices) if (choices := words.choices(kind)) else ""
            self._problem(f"{words.found(key, value)}; allowed: {words.allowed(kind)}{guess}", key)
            return None

    def _named(self, section: str) -> list[str]:
        """The tables [section.NAME], their names checked."""
        names: list[str] = []
        for name, value in self._table((section,)).items():
            if not is_name(name):
                rule = f"letters, digits, - and _, at most {NAME_LENGTH}"
                self._problem(f"found the name {words.quote(name)}; allowed: {rule}", (section, name))
            elif is_table(value):
                names.append(name)
            else:
                self._table((section, name))
        return names


def _convert(value: Any, kind: Any) -> Any:
    """The value as its field's type. Raises ValueError."""
    if isinstance(value, str) and words.is_span(kind):
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


def is_name(name: str, letters: frozenset[str] = words.LETTERS) -> bool:
    """Whether this may name a device, a zone and so a level of a topic."""
    return 0 < len(name) <= NAME_LENGTH and letters.issuperset(name)


def names(kind: type[Struct]) -> set[str]:
    """The keys that this struct has."""
    return set(kind.__struct_fields__)
