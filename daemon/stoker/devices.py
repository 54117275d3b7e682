"""Drivers by name, made from the configuration. The only file that knows the drivers' catalogue."""

from pathlib import Path

from stoker.config import Config, DriverChoice, Drivers
from stoker.config import load as load_config
from stoker.heaters import HeaterPort
from stoker_drivers import catalogue
from stoker_drivers.interfaces import Listener, Thermometer


def load(path: Path) -> Config:
    """Read the configuration, each device's table against its driver's options. Raises ConfigError."""
    return load_config(path, Drivers(_thermometer_options, _heater_options))


def thermometer(choice: DriverChoice) -> Thermometer | Listener:
    """The driver of one thermometer."""
    driver: Thermometer | Listener = catalogue.thermometer(choice.name)(choice.options)
    return driver


def heater(name: str, choice: DriverChoice) -> HeaterPort:
    """A heater that will be claimed when it is first switched."""
    return HeaterPort(name, lambda: catalogue.heater(choice.name)(choice.options))
