"""Drivers by name, made from the configuration. The only file that knows the drivers' catalogue."""

from pathlib import Path

from msgspec import Struct

from stoker.config import Config, DriverChoice, Drivers
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


def thermometer(choice: DriverChoice) -> Thermometer | Listener:
    """The driver of one thermometer."""
    driver: Thermometer | Listener = catalogue.thermometer(choice.name)(choice.options)
    return driver


def heater(name: str, choice: DriverChoice) -> HeaterPort:
    """A heater that will be claimed when it is first switched."""
    return HeaterPort(name, lambda: catalogue.heater(choice.name)(choice.options))
