"""The files, and in which line each key stands."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from msgspec import Struct

from stoker.config.model import ConfigError, Key, Problem

MULTILINE_ENDS = ("]", '"""', "'''")  # one stands in the last line of every statement of several lines
DEEPEST = 8  # tables in tables; TOML has no limit, Python's stack has


class File(Struct, frozen=True):
    """One file, parsed."""

    path: Path
    text: str
    tables: dict[str, Any]


def conf_d(path: Path) -> list[Path]:
    """The files beside `path` that are read after it, in their order."""
    folder = path.parent / "conf.d"
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError((Problem(folder, 0, "", f"cannot be read: {error.strerror}"),)) from None
    return [folder / name for name in names if name.endswith(".toml") and not name.startswith(".")]


def read(path: Path) -> File:
    """Read and parse one file. Raises ConfigError with the one problem that hinders it."""
    if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for its writer
        raise ConfigError((Problem(path, 0, "", "cannot be read: not a regular file"),))
    try:
        data = path.read_bytes()
    except OSError as error:
        hint = "; another one is named with --config FILE" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError((Problem(path, 0, "", f"cannot be read: {error.strerror}{hint}"),)) from None
    try:
        text = data.decode("utf-8-sig")
        return File(path, text, tomllib.loads(text))
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


def is_table(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether this value is a table."""
    return isinstance(value, dict)


def _keys(table: dict[str, Any], key: Key = ()) -> Iterator[Key]:
    """Every key in a table, a table's own before those in it."""
    for name, value in table.items():
        here = (*key, name)
        yield here
        if is_table(value) and len(here) < DEEPEST:
            yield from _keys(value, here)


def lines_of(text: str) -> dict[Key, int]:
    """In which line each key's statement begins. A statement is the fewest lines that are TOML by themselves."""
    lines: dict[Key, int] = {}
    table: Key = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        try:
            if start < number and not any(end in line for end in MULTILINE_ENDS):
                continue
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
