"""Which drivers there are. A driver's module, and with it its library, is imported only when its name is asked for.

Others' packages add drivers by entry points in the groups `stoker.thermometers` and `stoker.heaters`; the object behind
one is a class as `interfaces.py` describes it. A built-in name is never looked for elsewhere.
"""

import importlib
from typing import Any, Protocol, TypeVar, cast

from msgspec import Struct

from stoker_drivers.interfaces import Heater, Listener, Thermometer

_BUILT_IN = {
    "thermometer": {
        "ds18b20": "stoker_drivers.ds18b20:Ds18b20",
        "kernel": "stoker_drivers.kernel:KernelThermometer",
        "mock": "stoker_drivers.mock:MockThermometer",
        "remote": "stoker_drivers.remote:Remote",
    },
    "heater": {
        "gpio": "stoker_drivers.relay:Relay",
        "gpiochip": "stoker_drivers.gpiochip:GpioChip",
        "mock": "stoker_drivers.mock:MockHeater",
    },
}

Made_co = TypeVar("Made_co", covariant=True)


class Driver(Protocol[Made_co]):
    """A driver's class: called with its own options, it makes the device."""

    Options: type[Struct]

    def __call__(self, options: Any, /) -> Made_co:
        """Make it; `options` is an instance of `Options`."""
        ...


class UnknownDriver(Exception):  # noqa: N818 -- said where it is raised, it needs no suffix
    """No driver has this name. `known` lists those that there are."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"there is no {kind} driver {name!r}; there are: {', '.join(known)}")
        self.name = name
        self.known = known


class DriverBroken(Exception):  # noqa: N818 -- as above
    """The driver exists and cannot be used. The text says which package to look at."""


def thermometer(name: str) -> "Driver[Thermometer | Listener]":
    """Return the class of this thermometer driver. Raise UnknownDriver or DriverBroken."""
    return cast("Driver[Thermometer | Listener]", _find("thermometer", name))


def heater(name: str) -> "Driver[Heater]":
    """Return the class of this heater driver. Raise UnknownDriver or DriverBroken."""
    return cast("Driver[Heater]", _find("heater", name))


def thermometers() -> list[str]:
    """Every name that `thermometer` knows, others' included. Slow: reads the metadata of all installed packages."""
    return _names("thermometer")


def heaters() -> list[str]:
    """Every name that `heater` knows, others' included. Slow: reads the metadata of all installed packages."""
    return _names("heater")


def _find(kind: str, name: str) -> Any:
    built_in = _BUILT_IN[kind].get(name)
    if built_in is not None:
        module, _, attribute = built_in.partition(":")
        return getattr(importlib.import_module(module), attribute)
    found = [point for point in _entry_points(kind) if point.name == name]
    if not found:
        raise UnknownDriver(kind, name, _names(kind))
    packages = sorted({_package(point) for point in found})
    if len(packages) > 1:
        raise DriverBroken(f"{kind} driver {name!r} comes from more than one package: {', '.join(packages)}; keep one")
    return _load(kind, found[0])


def _load(kind: str, point: Any) -> Any:
    """Import another's driver. Whatever goes wrong in it is one line that names its package."""
    where = f"{kind} driver {point.name!r} of the package {_package(point)}"
    try:
        driver = point.load()
    except Exception as error:
        raise DriverBroken(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    options = getattr(driver, "Options", None)
    if not (callable(driver) and isinstance(options, type) and issubclass(options, Struct)):
        raise DriverBroken(f"{where} is not a driver: {point.value} is no class with a msgspec Struct `Options`")
    return driver


def _names(kind: str) -> list[str]:
    return sorted({*_BUILT_IN[kind], *(point.name for point in _entry_points(kind))})


def _package(point: Any) -> str:
    return str(point.dist.name if point.dist else point.module)


def _entry_points(kind: str) -> Any:
    # imported here: it costs a Pi Zero half a second, and most configurations need built-in drivers only
    return importlib.import_module("importlib.metadata").entry_points(group=f"stoker.{kind}s")
