"""A temperature that arrives on an MQTT topic: a plain number, or a number inside JSON.

Rule: a retained message is not a reading. It tells what was true once, and heating by it would never end when its
sender is gone. The daemon drops retained messages before they come here; `decode` sees the payload alone.
"""

import contextlib
import math
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stoker_drivers.interfaces import SensorError

LARGEST = 64 * 1024
"""Bytes. A payload beyond is no temperature, and parsing it would cost a Pi Zero more than it is worth."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class Remote:
    """A Listener: another device's thermometer, as it publishes it."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Where the temperature stands."""

        topic: Annotated[str, Meta(description="topic to follow, without wildcards")]
        pointer: Annotated[
            str, Meta(description='JSON pointer to the number, such as "/sensors/0/celsius"; empty: a plain number')
        ] = ""

        def __post_init__(self) -> None:
            if not self.topic or len(self.topic.encode("utf-8", "replace")) > 65535 or "\0" in self.topic:
                raise ValueError("topic must have 1 to 65535 bytes and no NUL")
            if "+" in self.topic or "#" in self.topic:
                raise ValueError(f"topic {self.topic!r} has a wildcard; a temperature comes from one topic")
            if self.pointer and not self.pointer.startswith("/"):
                raise ValueError(f"pointer {self.pointer!r} must start with / (RFC 6901)")
            if re.search("~(?![01])", self.pointer):
                raise ValueError(f"pointer {self.pointer!r} has a ~ that is neither ~0 (for ~) nor ~1 (for /)")

    def __init__(self, options: Options) -> None:
        self.topic = options.topic
        self._pointer = options.pointer
        self._path = [part.replace("~1", "/").replace("~0", "~") for part in options.pointer.split("/")[1:]]

    def decode(self, payload: bytes) -> float:
        """Return °C. Raise SensorError `too-large`, `bad-json`, `not-found` or `not-a-number`."""
        if len(payload) > LARGEST:
            raise SensorError("too-large", f"{self.topic}: {len(payload)} bytes, more than {LARGEST}")
        if not self._pointer:
            return self._number(payload.decode("ascii", "replace"))
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SensorError("bad-json", f"{self.topic}: not JSON: {error}") from error
        return self._number(self._follow(value))

    def _follow(self, value: Any) -> Any:
        for part in self._path:
            try:
                value = value[int(part) if isinstance(value, list) and _INDEX.fullmatch(part) else part]
            except (KeyError, IndexError, TypeError) as error:
                raise SensorError("not-found", f"{self.topic}: nothing at {self._pointer} (no {part!r})") from error
        return value

    def _number(self, value: Any) -> float:
        """Text counts when it is an ASCII decimal number and nothing else: no nan, inf, hexadecimal or underscore."""
        number = math.nan
        if (isinstance(value, str) and _DECIMAL.fullmatch(value.strip(" \t\r\n"))) or type(value) in (int, float):
            with contextlib.suppress(OverflowError):  # an int of 400 digits
                number = float(value)
        if not math.isfinite(number):
            raise SensorError("not-a-number", f"{self.topic}: {_short(value)} is not a temperature")
        return number


def _short(value: Any) -> str:
    """Say it in a few words; not by `repr`, which has limits of its own (nesting, digits)."""
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:40] + "...")
    return "a number out of range" if type(value) in (int, float) else f"a JSON {type(value).__name__}"
