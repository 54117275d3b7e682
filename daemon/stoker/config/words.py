"""The words of a problem: what was found, what is allowed, what may have been meant."""

from collections.abc import Callable, Iterable
from typing import Any, get_args, get_origin

from msgspec import Meta
from msgspec.inspect import type_info

from stoker.config.model import Key
from stoker.config.spans import show_seconds

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
SECRET = ("password", "secret", "token")  # a key with such a word in its name: its value is never shown
SPANS = 'a number of seconds or text such as "500ms", "10s", "5min", "4h", "2d"'


def quote(text: str) -> str:
    """Text as it may stand in a line: quoted, short, printable."""
    shown = text if len(text) <= 60 else text[:60] + "…"
    shown = shown.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + '"'


def dotted(key: Key) -> str:
    """A key's path as TOML writes it."""
    return ".".join(name if name and LETTERS.issuperset(name) else quote(name) for name in key)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a huge number"  # Python refuses to print one of more than 4300 digits
    if isinstance(value, int | float):
        return repr(value)
    names = {"list": "a list", "dict": "a table"}
    return names.get(type(value).__name__, "a date or time")


def found(key: Key, value: Any) -> str:
    """What stands at this key; never a secret."""
    secret = any(word in key[-1].lower() for word in SECRET) or "headers" in key
    return f"found {'a value that is not shown here' if secret else _shown(value)}"


def one_line(error: Exception) -> str:
    """An exception's text, folded."""
    return " ".join(str(error).split())


def listed(names: Iterable[str]) -> str:
    """Names in a row."""
    return ", ".join(names) or "none"


def did_you_mean(word: Any, names: Iterable[str]) -> str:
    """The name that is nearest to this word, as a question; nothing where none is near."""
    from difflib import get_close_matches  # only a mistake needs it

    close = get_close_matches(_shown(word).strip('"').lower(), list(names), 1)
    return f" (did you mean {quote(close[0])}?)" if close else ""


def is_span(kind: Any) -> bool:
    """Whether a field of this type is a span of time."""
    return any(isinstance(meta, Meta) and (meta.extra or {}).get("unit") == "s" for meta in get_args(kind)[1:])


def allowed(kind: Any) -> str:
    """What a field of this type takes, and what it is for."""
    info: Any = type_info(kind)
    notes: dict[str, str] = getattr(info, "extra_json_schema", None) or {}
    purpose = notes.get("description", "")
    return _type_words(info, is_span(kind)) + (f" ({purpose})" if purpose else "")


def member(kind: Any) -> Any:
    """The type of what stands in a table whose keys are the user's; None where the type is no such table."""
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    return get_args(plain)[1] if get_origin(plain) is dict else None


def choices(kind: Any) -> list[str]:
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
            return listed(quote(str(value)) for value in info.values)
        case "UnionType":
            return " or ".join(_type_words(each) for each in info.types if type(each).__name__ != "NoneType")
        case "ListType":
            return f"a list, each {_type_words(info.item_type)}"
        case "DictType":
            return f"a table, each {_type_words(info.value_type)}"
        case "StructType":
            return "{ " + ", ".join(f"{field.encode_name} = …" for field in info.fields) + " }"
        case name:
            return "a " + name.removesuffix("Type").lower()


def _limits(info: Any, show: Callable[[Any], str]) -> str:
    if info.ge is not None and info.le is not None:
        return f" {show(info.ge)} to {show(info.le)}"
    limits = {"at least": info.ge, "above": info.gt, "at most": info.le, "below": info.lt}
    parts = [f"{word} {show(limit)}" for word, limit in limits.items() if limit is not None]
    return " " + " and ".join(parts) if parts else ""
