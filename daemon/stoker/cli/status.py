"""`stoker status`: how the device is, from what it says over MQTT.

What is retained comes at once; a temperature is never retained, so the next reading is waited for.
"""

import sys
from argparse import Namespace
from typing import Any

import msgspec
from msgspec import Struct

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
        availability, payload = _retained(client, routes, until)
        try:
            state = msgspec.json.decode(payload, type=State) if payload else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            print(f"what is retained on {routes.state} is not the state of a stoker of this version", file=sys.stderr)
            return Exit.FAILED
        if arguments.json:
            known: dict[str, Any] = msgspec.json.decode(payload) if payload else {}
            print(msgspec.json.encode({"availability": availability, **known}).decode())
        else:
            _print(config.core.base, availability, state)
            if availability == "online" and state:
                _readings(client, state, until)
    return Exit.OK if availability == "online" else Exit.FAILED


class Fault(Struct):
    """What is latched."""

    reason: str
    time: str


class Zone(Struct):
    """What is shown of a zone."""

    mode: str
    target: float
    because: str
    heater: str
    by_hand: str | None
    action: str
    reason: str
    text: str
    fault: Fault | None = None


class Thermometer(Struct):
    """What is shown of a thermometer."""

    topic: str
    trouble: str | None


class State(Struct):
    """The device's own words, as far as they are shown."""

    time: str
    zones: dict[str, Zone]
    thermometers: dict[str, Thermometer]


def _retained(client: Client, routes: Routes, until: float) -> tuple[str, bytes]:
    availability, state = "", b""
    for event in client.hear(until):
        if isinstance(event, Message) and event.topic == routes.availability:
            availability = readable(event.payload)
        elif isinstance(event, Message) and event.topic == routes.state:
            state = event.payload
        if availability and state:
            break
    return availability, state


def _print(base: str, availability: str, state: State | None) -> None:
    since = f", state of {state.time}" if state else ""
    print(f"{base}: {availability or 'nothing heard'}{since}")
    for name, zone in state.zones.items() if state else ():
        hand = f", {zone.by_hand} by hand" if zone.by_hand else ""
        print(f"  {name}: {zone.mode}, target {zone.target:g} °C ({zone.because}), heater {zone.heater}{hand}")
        print(f"    {zone.action}: {zone.reason}, {zone.text}")
        if fault := zone.fault:
            print(f"    latched since {fault.time}: {fault.reason}; `stoker reset {name}` when it is mended")
    for name, thermometer in state.thermometers.items() if state else ():
        if thermometer.trouble:
            print(f"  thermometer {name}: {thermometer.trouble}")


def _readings(client: Client, state: State, until: float) -> None:
    topics = {table.topic: name for name, table in state.thermometers.items() if table.topic}
    client.link.subscribe(list(topics))
    for event in client.hear(until) if topics else ():
        if isinstance(event, Message) and event.topic in topics and not event.retained:
            print(f"  thermometer {topics.pop(event.topic)}: {readable(event.payload)} °C", flush=True)
        if not topics:
            return
    for name in topics.values():
        print(f"  thermometer {name}: no reading heard", file=sys.stderr)
