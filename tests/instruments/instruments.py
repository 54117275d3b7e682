"""Drivers as somebody else's package would bring them (entry points), which let a test know all that happens.

Times are those of the monotonic clock, which every process of a machine shares.
"""

import os
import sys
import time
from pathlib import Path

from msgspec import Struct

from stoker_drivers.gpiochip import GpioChip


class File:
    """A thermometer that reads what stands in a file: °C."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Where the file is."""

        path: str

    def __init__(self, options: Options) -> None:
        self._path = Path(options.path)

    def read(self) -> float:
        """Return °C."""
        return float(self._path.read_text())

    def close(self) -> None:
        """Nothing is held."""


class Counter:
    """A thermometer that never says the same twice: 0.01 °C more at each reading, and each is written down first.

    A line of `log`: when, and the temperature. It goes on where the log ends.
    """

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Where the log is, and the first temperature."""

        log: str
        start: float = 0.0

    def __init__(self, options: Options) -> None:
        path = Path(options.log)
        said = path.read_text().split() if path.exists() else []
        self._hundredths = round(float(said[-1] if said else options.start) * 100)
        self._log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def read(self) -> float:
        """Return °C."""
        self._hundredths += 1
        celsius = self._hundredths / 100
        os.write(self._log, f"{time.monotonic():.6f} {celsius:.2f}\n".encode())
        return celsius

    def close(self) -> None:
        """Let the log go."""
        os.close(self._log)


class Clocked:
    """A relay that writes down when it was switched. A line of `log`: when, and 1 or 0."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Where the log is."""

        log: str

    def __init__(self, options: Options) -> None:
        self._log = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def switch(self, on: bool) -> None:
        """Write it down."""
        os.write(self._log, f"{time.monotonic():.6f} {on:d}\n".encode())

    def close(self) -> None:
        """Off, and let the log go."""
        self.switch(False)
        os.close(self._log)


class Hanging(GpioChip):
    """A relay on a GPIO line whose driver hangs while /run/hangs is there: in the daemon, and in no other process."""

    def switch(self, on: bool) -> None:
        """Drive it, some day."""
        while "run" in sys.argv and Path("/run/hangs").exists():
            time.sleep(0.1)
        super().switch(on)
