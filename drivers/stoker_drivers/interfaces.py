"""What a driver is. One screen: a thermometer reads, a listener understands, a heater switches.

A driver is a factory in `catalogue.py` (or an entry point in the groups `stoker.thermometers` and `stoker.heaters`):
a class with an `Options` struct (msgspec, frozen, `forbid_unknown_fields`) and `__init__(self, options: Options)`.
The options are the keys of its table in the configuration; the constructor touches no hardware that may be missing,
except a heater's, which claims its line.
"""

from typing import Annotated, Protocol, runtime_checkable

from msgspec import Meta

Seconds = Annotated[float, Meta(extra={"unit": "s"})]
"""A span. The configuration takes a number of seconds or text such as "10s", "5min", "4h"."""


class SensorError(Exception):
    """No temperature, and why: `reason` is a short code (`crc-error`), the text says what was seen and what to do."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class HeaterError(Exception):
    """The heater could not be claimed or switched. The text says which line, what happened and what to do."""


class Thermometer(Protocol):
    """A sensor that is asked. Called from one thread of its own, so `read` may block."""

    def read(self) -> float:
        """Measure now and return °C. Raise SensorError rather than return anything doubtful.

        A sensor that is gone is looked for again at each call.
        """
        ...

    def close(self) -> None:
        """Let go of the device. Called once, perhaps while `read` still blocks in its thread."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A temperature that arrives by itself on an MQTT topic."""

    topic: str

    def decode(self, payload: bytes) -> float:
        """Return °C from one message, or raise SensorError."""
        ...


class Heater(Protocol):
    """A relay. Off when its constructor returns, without ever having been on; off after `close`."""

    def switch(self, on: bool) -> None:
        """Drive the relay and return when it is done, well within a second. Raise HeaterError if it is not."""
        ...

    def close(self) -> None:
        """Drive the relay off and let the line go. Must work after a failed `switch`, and twice."""
        ...
