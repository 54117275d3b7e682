"""Drivers by name, made from the configuration. The only file that knows the drivers' catalogue."""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from stoker.config import Config, ConfigError, DriverChoice, Drivers
from stoker.config import load as load_config
from stoker.heaters import HeaterPort
from stoker_drivers import catalogue
from stoker_drivers.interfaces import Listener, Thermometer


def _thermometer_options(name: str) -> type[Struct]:
    return catalogue.thermometer(name).Options


def _heater_options(name: str) -> type[Struct]:
    return catalogue.heater(name).Options


DRIVERS = Drivers(_thermometer_options, _heater_options)


def load(path: Path, guest: bool = False) -> Config:
    """Read the configuration, each device's table against its driver's options. Raises ConfigError."""
    return load_config(path, DRIVERS, guest)


class Loaded(Struct, frozen=True):
    """The files were read anew: a configuration, or what is wrong with them."""

    result: Config | ConfigError


def reload(path: Path, put: Callable[[Loaded], None]) -> None:
    """Read the configuration in a thread of its own: a card or a network drive that hangs must not hold up control."""

    def read() -> None:
        try:
            put(Loaded(load(path)))
        except ConfigError as error:
            put(Loaded(error))

    threading.Thread(target=read, name="reload", daemon=True).start()


def thermometer(choice: DriverChoice) -> Thermometer | Listener:
    """The driver of one thermometer."""
    driver: Thermometer | Listener = catalogue.thermometer(choice.name)(choice.options)
    return driver


def choice(driver: str, options: dict[str, object]) -> DriverChoice:
    """A heater's driver with options that were validated once."""
    return DriverChoice(driver, msgspec.convert(options, catalogue.heater(driver).Options))


def heater(name: str, choice: DriverChoice) -> HeaterPort:
    """A heater that will be claimed when it is first switched."""
    return HeaterPort(name, lambda: catalogue.heater(choice.name)(choice.options))
