"""`stoker check`: what is wrong or dangerous in the configuration."""

from argparse import Namespace

from stoker.cli import Exit, configuration
from stoker.link.words import place


def main(arguments: Namespace) -> int:
    """Say what the configuration amounts to; warnings don't fail it, since with them the daemon still runs."""
    config = configuration.load(arguments.config)
    for warning in config.warnings:
        print(f"warning: {warning}")
    for name, zone in config.core.zones.items():
        seen = ", ".join(f"{one} ({config.thermometers[one].name})" for one in config.core.thermometers_of(name))
        print(f"{name}: {zone.mode}, target {zone.target:g} °C, {seen} -> {zone.heater}")
    brokers = ", ".join(map(place, config.mqtt.brokers))
    print(f"{', '.join(map(str, config.files))}: no errors; broker {brokers}")
    return Exit.OK
