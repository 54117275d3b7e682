"""A DS18B20, or another 1-wire thermometer that w1thermsensor knows, on the kernel's 1-wire tree.

Rule: a number is a temperature only after its scratchpad has been looked at. A shorted bus reads 0 °C, a brown-out
85 °C and a starved chip 127.94 °C, all with a good checksum; heating by one of them goes on for hours. The value itself
is the kernel's own `t=`, which knows every family's arithmetic.
"""

import functools
import importlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from stoker_drivers.interfaces import SensorError

log = logging.getLogger("stoker.drivers")

# The range of the DS18x20 family and, for type K, of the MAX31850; °C.
CHIP_RANGE = (-55.0, 125.0)
THERMOCOUPLE_RANGE = (-200.0, 1350.0)

POWER_ON = 0x0550  # 85 °C in sixteenths: what the chip holds until its first conversion
POWER_ON_DS18S20 = 0x00AA  # the same in halves
UNDERPOWERED = 0x07FF  # 127.9375 °C: the conversion ran out of current

_DS18S20 = "10"
_MAX31850_OR_DS1825 = "3b"
_NAME = re.compile(r"([0-9a-f]{2})-[0-9a-f]{12}")
_LINE_1 = re.compile(r"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)")
_LINE_2 = re.compile(r"(?:[0-9a-f]{2} ){9}t=(-?[0-9]{1,7})")


class Ds18b20:
    """One 1-wire thermometer."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Which sensor, and how finely it measures."""

        id: Annotated[str, Meta(description='such as "28-0316a2792c1e"; empty: the only one on the bus')] = ""
        resolution: Annotated[
            int, Meta(ge=0, le=12, description="9 to 12 bit (94 to 750 ms a reading; needs root); 0: as it is")
        ] = 0
        tree: Annotated[str, Meta(description="where the kernel lists 1-wire devices")] = "/sys/bus/w1/devices"

        def __post_init__(self) -> None:
            if not re.fullmatch(r"(([0-9a-fA-F]{2}-)?[0-9a-fA-F]{12})?", self.id):
                raise ValueError(f'id {self.id!r} is not a 1-wire id such as "28-0316a2792c1e"')
            if 0 < self.resolution < 9:
                raise ValueError("resolution must be 9, 10, 11 or 12 bit, or 0 to leave it as it is")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tree = Path(options.tree)
        self._read_before = ""
        self._made: tuple[str, Any] = "", None  # a name, and the library's sensor of it
        self._resolution_tried = False

    def read(self) -> float:
        """Measure (up to 0.8 s; 1.6 s where the first try was bad) and return °C.

        SensorError: `no-sensor`, `ambiguous`, `no-answer`, `crc-error`, `zero-scratchpad`, `power-on-value`,
        `underpowered`, `thermocouple-fault`, `out-of-range`, `garbled`, `bus-error`, `library-missing`.
        """
        name = self._find()
        sensor = self._sensor(name)
        try:
            celsius, config = _evaluate(name, sensor.get_raw_sensor_strings())
        except (SensorError, self._library.W1ThermSensorError, ValueError):
            # Once more, and past the library: it says "not ready" of an empty file, a NO and a zero scratchpad alike.
            celsius, config = _evaluate(name, _lines(name, sensor.sensorpath))
        self._read_before = name
        self._set_resolution(name, sensor.sensorpath, config)
        return celsius

    def close(self) -> None:
        """Nothing is held between two readings."""

    @functools.cached_property
    def _library(self) -> Any:
        """The module w1thermsensor, imported at the first reading."""
        os.environ["W1THERMSENSOR_NO_KERNEL_MODULE"] = "1"  # or importing it runs modprobe and waits a second
        try:
            return importlib.import_module("w1thermsensor")
        except ImportError as error:
            text = f"driver ds18b20 needs the Python package w1thermsensor ({error}): pip install w1thermsensor"
            raise SensorError("library-missing", text) from error

    @functools.cached_property
    def _families(self) -> frozenset[str]:
        """The chips that the library knows, as their names begin."""
        return frozenset(f"{sensor.value:02x}" for sensor in self._library.Sensor)

    @functools.cached_property
    def _sensor_class(self) -> Any:
        """The library's class, as one of our own: it keeps its tree in the class, and two trees must not mix."""
        return type("Sensor", (self._library.W1ThermSensor,), {"BASE_DIRECTORY": self._tree})

    def _sensor(self, name: str) -> Any:
        if self._made[0] != name:
            self._made = name, self._make(name)
        return self._made[1]

    def _make(self, name: str) -> Any:
        # With type and id given, the library looks at this one sensor: a broken neighbour cannot hide it.
        family, _, serial = name.partition("-")
        try:
            return self._sensor_class(self._library.Sensor.from_id_string(family), serial)
        except self._library.NoSensorFoundError as error:
            raise SensorError(
                "no-sensor", f"sensor {name} is being connected or removed: it has no w1_slave"
            ) from error

    def _find(self) -> str:
        """Return the sensor's name on the bus, such as 28-0316a2792c1e."""
        present = self._present()
        wanted = self._options.id.lower()
        if wanted:
            matching = [name for name in present if name.endswith(wanted)]
            if not matching:
                there = ", ".join(present) or "none"
                raise SensorError("no-sensor", f"sensor {wanted} is not on the bus (there: {there}): check its wiring")
            return matching[0]
        if not present:
            raise SensorError("no-sensor", f"no thermometer on the 1-wire bus {self._tree}: check wiring and pull-up")
        if len(present) > 1:
            raise SensorError("ambiguous", f"{len(present)} sensors on the bus; set id to one of: {', '.join(present)}")
        if self._read_before not in ("", present[0]):
            # Its neighbour would be taken for it, and heated for.
            raise SensorError("ambiguous", f"{self._read_before} is gone and {present[0]} is there instead; set id")
        return present[0]

    def _present(self) -> list[str]:
        try:
            listed = os.listdir(self._tree)  # noqa: PTH208 -- names are all that is wanted
        except FileNotFoundError as error:
            text = f'no 1-wire bus ({self._tree} is missing): put "dtoverlay=w1-gpio" into /boot/firmware/config.txt'
            raise SensorError("no-sensor", text) from error
        except OSError as error:
            raise SensorError("bus-error", f"1-wire bus {self._tree}: {error.strerror}") from error
        return sorted(name for name in listed if (match := _NAME.fullmatch(name)) and match[1] in self._families)

    def _set_resolution(self, name: str, path: Path, config: int | None) -> None:
        """Write the resolution where the chip has another: once, as a clone may be fixed at 12 bit."""
        wanted = self._options.resolution
        if config is None or wanted in (0, _bits(config)):
            self._resolution_tried = False  # a power cut brings the old one back: then it is written again
            return
        if self._resolution_tried:
            return
        self._resolution_tried = True
        try:
            path.write_text(f"{wanted}\n")  # not through the library, which starts a shell for it
        except OSError as error:
            log.warning(
                "sensor %s stays at %d bit: setting %d bit needs root and a writable /sys (%s)",
                *(name, _bits(config), wanted, error.strerror),
            )


def _lines(name: str, path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("ascii", "replace").splitlines()
    except FileNotFoundError as error:
        raise SensorError("no-sensor", f"sensor {name} has just left the bus: check its wiring") from error
    except OSError as error:
        raise SensorError("bus-error", f"sensor {name} cannot be read: {error.strerror}") from error


def _evaluate(name: str, lines: Sequence[str]) -> tuple[float, int | None]:
    """Return °C and the configuration register, None where this chip has no resolution to set; or raise SensorError."""
    if not "".join(lines).strip():  # what the kernel gives for every failed exchange, with success
        raise SensorError("no-answer", f"sensor {name} does not answer: check its wiring and pull-up resistor")
    first = _LINE_1.fullmatch(lines[0].strip())
    second = _LINE_2.fullmatch(lines[1].strip()) if len(lines) > 1 else None
    if first is None or second is None:
        raise SensorError("garbled", f"sensor {name}: not what a 1-wire thermometer says: {lines[0].strip()[:60]!r}")
    scratchpad = bytes.fromhex(first[1])
    if not any(scratchpad):  # its checksum is good
        raise SensorError("zero-scratchpad", f"sensor {name} reads all zeros: the data line is shorted to ground")
    if first[2] != "YES" or crc8(scratchpad[:8]) != scratchpad[8]:
        raise SensorError("crc-error", f"sensor {name}: bad checksum: check cable length, pull-up and interference")
    thermocouple = name.startswith(_MAX31850_OR_DS1825) and bool(scratchpad[4] & 0x80)
    if thermocouple:
        _check_thermocouple(name, scratchpad)
    else:
        _check_supply(name, scratchpad)
    celsius = int(second[1]) / 1000
    low, high = THERMOCOUPLE_RANGE if thermocouple else CHIP_RANGE
    if not low <= celsius <= high:
        raise SensorError("out-of-range", f"sensor {name} says {celsius:g} °C; it measures {low:g} to {high:g} °C")
    has_resolution = not thermocouple and not name.startswith(_DS18S20)
    return celsius, scratchpad[4] if has_resolution else None


def _check_supply(name: str, scratchpad: bytes) -> None:
    """Refuse the two values that mean too little power.

    Byte 6 is 0x0C after power-on. After a conversion it is 0x10 less the low four bits of the value, so a DS18B20 at
    a true 85 °C has 0x10 there. On a DS18S20 the two look the same: both are refused.
    """
    value = int.from_bytes(scratchpad[:2], "little")
    reset = POWER_ON_DS18S20 if name.startswith(_DS18S20) else POWER_ON
    if value == reset and scratchpad[6] == 0x0C:
        raise SensorError("power-on-value", f"sensor {name} gives its power-on value, 85 °C: check its supply")
    if value == UNDERPOWERED:
        raise SensorError(
            "underpowered", f"sensor {name} says 127.94 °C: too little power to measure, check its supply"
        )


def _check_thermocouple(name: str, scratchpad: bytes) -> None:
    if scratchpad[0] & 1:  # the MAX31850's fault bit
        raise SensorError("thermocouple-fault", f"sensor {name}: thermocouple open or shorted: check its wires")


def _bits(config: int) -> int:
    return 9 + (config >> 5 & 3)


def crc8(data: bytes) -> int:
    """Return the 1-wire checksum (polynomial x^8 + x^5 + x^4 + 1, least significant bit first)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8C if crc & 1 else 0)
    return crc
