"""Any thermometer that Linux already drives: hwmon (LM75, SHT3x, CPU ...), iio (BME280, ADCs ...), thermal zones.

Rule: chosen by what it is called, never by the number in its path, which changes from boot to boot. It is looked for at
each reading, so one that went away is found again. File formats: the kernel's Documentation/ABI (all in millidegrees).
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from stoker_drivers.interfaces import SensorError

ABSOLUTE_ZERO = -273.15

# subsystem: where its devices are, and which of their files are temperatures
_LAYOUT = {
    "hwmon": ("class/hwmon/hwmon*", re.compile(r"(temp\d+)_input")),
    "iio": ("bus/iio/devices/iio:device*", re.compile(r"(in_temp\w*?)_(?:input|raw)")),
    "thermal": ("class/thermal/thermal_zone*", re.compile(r"(temp)")),
}


class _Channel(NamedTuple):
    """One temperature of one device. `place` is the device's address on its bus, such as 1-0048."""

    device: Path
    channel: str
    name: str
    place: str
    label: str

    def __str__(self) -> str:
        label = f" ({self.label})" if self.label else ""
        return f"{self.name} {self.channel}{label} at {self.place}"


class KernelThermometer:
    """One temperature of one kernel device."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Which temperature of which device. `grep . /sys/class/hwmon/*/name` shows what there is."""

        source: Annotated[Literal["hwmon", "iio", "thermal"], Meta(description="the kernel's subsystem")]
        name: Annotated[
            str,
            Meta(min_length=1, description='what its file `name` (thermal: `type`) says, or its address: "1-0048"'),
        ]
        label: Annotated[
            str, Meta(description='which of its temperatures: its label, or "temp1", "in_temp"; empty: the only one')
        ] = ""
        root: Annotated[str, Meta(description="where sysfs is mounted")] = "/sys"

    def __init__(self, options: Options) -> None:
        self._options = options

    def read(self) -> float:
        """Return °C. SensorError: `no-sensor`, `ambiguous`, `sensor-fault`, `garbled`, `out-of-range`, `bus-error`."""
        channel = self._find()
        try:
            celsius = _millidegrees(self._options.source, channel) / 1000
        except FileNotFoundError as error:
            raise SensorError("no-sensor", f"{channel} has just gone") from error
        except OSError as error:
            raise SensorError("bus-error", f"{channel} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SensorError("garbled", f"{channel} does not say a number: {error}") from error
        if not ABSOLUTE_ZERO <= celsius < math.inf:  # nan is refused too
            raise SensorError("out-of-range", f"{channel} says {celsius:g} °C")
        return celsius

    def close(self) -> None:
        """Nothing is held between two readings."""

    def _find(self) -> _Channel:
        wanted = self._options
        present = list(_channels(Path(wanted.root), wanted.source))
        found = [
            one
            for one in present
            if wanted.name in (one.name, one.place) and wanted.label in ("", one.channel, one.label)
        ]
        if not found:
            there = ", ".join(map(str, present)) or "none"
            what = f"{wanted.name} {wanted.label}".strip()
            raise SensorError("no-sensor", f"no {wanted.source} thermometer {what!r} (there: {there})")
        if len(found) > 1:
            several = ", ".join(map(str, found))
            text = f"{wanted.source} has more than one {wanted.name!r}; set label, or the address as name: {several}"
            raise SensorError("ambiguous", text)
        return found[0]


def _channels(root: Path, source: str) -> Iterator[_Channel]:
    devices, temperature = _LAYOUT[source]
    for device in sorted(root.glob(devices)):
        name = _text(device / ("type" if source == "thermal" else "name"))
        # sysfs links to the device's real place, where the directory above an hwmon or iio one is its address
        place = (device / "device" if source == "hwmon" else device.resolve().parent).resolve().name
        for channel in sorted({match[1] for file in _listdir(device) if (match := temperature.fullmatch(file))}):
            yield _Channel(device, channel, name, place, _text(device / f"{channel}_label"))


def _millidegrees(source: str, channel: _Channel) -> float:
    device, name = channel.device, channel.channel
    if source == "thermal":
        return _number(device / "temp")
    if source == "hwmon" and _text(device / f"{name}_fault") == "1":
        raise SensorError("sensor-fault", f"{channel} reports a fault: check the sensor's wires")
    if source == "hwmon" or (device / f"{name}_input").exists():
        return _number(device / f"{name}_input")
    return (_number(device / f"{name}_raw") + _shared(channel, "offset", 0)) * _shared(channel, "scale", 1)


def _shared(channel: _Channel, attribute: str, default: float) -> float:
    """Return an iio attribute: the channel's own, or the one that all temperatures of the device share."""
    for file in (f"{channel.channel}_{attribute}", f"in_temp_{attribute}"):
        if (channel.device / file).exists():
            return _number(channel.device / file)
    return default


def _number(file: Path) -> float:
    return float(file.read_bytes())


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _listdir(device: Path) -> list[str]:
    try:
        return os.listdir(device)  # noqa: PTH208 -- names are all that is wanted
    except OSError:  # it has just gone
        return []
