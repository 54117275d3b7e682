"""`stoker status`: how the device is, from what it says over MQTT.

What is retained comes at once; a temperature is never retained, so the next reading is waited for.
"""

import sys
from argparse import Namespace
from typing import Any

import msgspec

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.core.messages import Message
from stoker.core.topics import Routes, readable
from stoker.inbox import monotonic


def main(arguments: Namespace) -> int:
    """Print the state, then each thermometer's next reading. Fails where the device is not online."""
    config = configuration.load(arguments.config, guest=True)
    routes = Routes(config.core)
    with Client(config, [routes.availability, routes.state]) as client:
        client.connect(arguments.timeout)
        until = monotonic() + arguments.timeout
        availability, state = _retained(client, routes, until)
        if arguments.json:
            print(msgspec.json.encode({"availability": availability, **state}).decode())
        else:
            _print(config.core.base, availability, state)
        if availability != "online":
            return Exit.FAILED
        if not arguments.json:
            _readings(client, state, until)
    return Exit.OK


def _retained(client: Client, routes: Routes, until: float) -> tuple[str, dict[str, Any]]:
    availability, state = "", dict[str, Any]()
    for event in client.hear(until):
        if isinstance(event, Message) and event.topic == routes.availability:
            availability = readable(event.payload)
        elif isinstance(event, Message) and event.topic == routes.state:
            state = msgspec.json.decode(event.payload)
        if availability and state:
            break
    return availability, state


def _print(base: str, availability: str, state: dict[str, Any]) -> None:
    since = f", state of {state['time']}" if state else ""
    print(f"{base}: {availability or 'nothing heard'}{since}")
    for name, zone in state.get("zones", {}).items():
        hand = f", {zone['by_hand']} by hand" if zone["by_hand"] else ""
        print(f"  {name}: {zone['mode']}, target {zone['target']:g} °C, heater {zone['heater']}{hand}")
        print(f"    {zone['action']}: {zone['reason']}, {zone['text']}")
        if fault := zone.get("fault"):
            print(f"    latched since {fault['time']}: {fault['reason']}; `stoker reset {name}` when it is mended")
    for name, thermometer in state.get("thermometers", {}).items():
        if thermometer["trouble"]:
            print(f"  thermometer {name}: {thermometer['trouble']}")


def _readings(client: Client, state: dict[str, Any], until: float) -> None:
    topics = {table["topic"]: name for name, table in state.get("thermometers", {}).items() if table["topic"]}
    client.link.subscribe(list(topics))
    for event in client.hear(until):
        if isinstance(event, Message) and event.topic in topics:
            print(f"  thermometer {topics.pop(event.topic)}: {readable(event.payload)} °C", flush=True)
        if not topics:
            return
    for name in topics.values():
        print(f"  thermometer {name}: no reading heard", file=sys.stderr)
