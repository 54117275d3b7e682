"""`stoker status`: how the device is, from what it says over MQTT.

What is retained comes at once; a temperature is never retained, so the next reading is waited for. A signal of life
that is too old stands above an availability that says online: a will may be lost with the broker that was to say it.
"""

import sys
from argparse import Namespace
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.core.alive import Signal
from stoker.core.messages import Message, Now
from stoker.core.topics import Routes, readable, stamp
from stoker.inbox import monotonic

T = TypeVar("T")

SIGNAL_WITHIN = 1.0  # seconds after the state; a device that gives none has none retained


def main(arguments: Namespace) -> int:
    """Print the state, then each thermometer's next reading. Fails where the device is not online."""
    config = configuration.load(arguments.config, guest=True)
    routes = Routes(config.core)
    with Client(config, [routes.availability, routes.state, routes.alive]) as client:
        client.connect(arguments.timeout)
        until, now = monotonic() + arguments.timeout, client.now()
        retained = _retained(client, routes, until)
        availability, payload = readable(retained.get(routes.availability, b"")), retained.get(routes.state, b"")
        said = retained.get(routes.alive, b"")
        state, alive = _decode(payload, State, routes.state), _decode(said, Alive, routes.alive)
        gone = alive is not None and alive.late(now)
        if arguments.json:
            known: dict[str, Any] = {"alive": msgspec.json.decode(said)} if said else {}
            known |= msgspec.json.decode(payload) if payload else {}
            print(msgspec.json.encode({"availability": availability, "gone": gone, **known}).decode())
        else:
            there = availability == "online" and not gone
            _print(config.core.base, _presence(availability, alive, now), state, there)
            if there and state:
                _readings(client, state, until)
            if alive:
                _print_counters(alive)
    return Exit.OK if availability == "online" and not gone else Exit.FAILED


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


class Orders(Struct, frozen=True):
    """What became of orders since the daemon began; refused ones by their reason."""

    obeyed: int = 0
    refused: dict[str, int] = {}


class RoundTrip(Struct, frozen=True):
    """Seconds from PUBLISH to its acknowledgement."""

    median: float
    max: float


class Link(Struct, frozen=True):
    """What the daemon's link has counted since the daemon began."""

    connects: int = 0
    failures: dict[str, int] = {}
    dropped: dict[str, int] = {}
    redelivered: int = 0
    waiting: int = 0
    round_trip: RoundTrip | None = None
    backlog: int = 0
    backlog_oldest: float | None = None


class Alive(Signal, frozen=True):
    """A signal of life with its counters."""

    orders: Orders = Orders()
    link: Link = Link()


def _retained(client: Client, routes: Routes, until: float) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for event in client.hear(until):
        if isinstance(event, Message):
            found[event.topic] = event.payload
        if {routes.availability, routes.state} <= found.keys():
            break
    if routes.alive not in found:
        for event in client.hear(min(until, monotonic() + SIGNAL_WITHIN)):
            if isinstance(event, Message) and event.topic == routes.alive:
                found[event.topic] = event.payload
                break
    return found


def _decode(payload: bytes, kind: type[T], topic: str) -> T | None:
    try:
        return msgspec.json.decode(payload, type=kind) if payload else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        print(f"what is retained on {topic} is not the state of a stoker of this version", file=sys.stderr)
        sys.exit(Exit.FAILED)


def _presence(availability: str, alive: Alive | None, now: Now) -> str:
    said = availability or "nothing heard"
    if alive is None or availability == "offline" or (age := alive.age(now.wall)) <= alive.patience:
        return said
    last = f"last sign of life {age:.0f} s ago, at {stamp(alive.time.timestamp())}, one is due each {alive.every:g} s"
    if alive.late(now):
        return f"gone ({last}; its availability still says {said})"
    whose = "this machine's" if alive.synchronised else "its"
    return f"{said} ({last}, unless {whose} clock is wrong, which nobody has set)"


def _print_counters(alive: Alive) -> None:
    link, orders = alive.link, alive.orders
    trip = link.round_trip
    took = f", round trip {trip.median * 1000:.0f} ms (at most {trip.max * 1000:.0f} ms)" if trip else ""
    print(f"  link: {link.connects} connects, {_counted('failures', link.failures)}{took}")
    print(f"    {_counted('dropped', link.dropped)}, {link.redelivered} redelivered, {link.waiting} waiting")
    if link.backlog:
        since = f", the oldest of {stamp(link.backlog_oldest)}" if link.backlog_oldest else ""
        print(f"    {link.backlog} records of the past wait to be said{since}")
    print(f"  orders: {orders.obeyed} obeyed, {_counted('refused', orders.refused)}")


def _counted(what: str, numbers: dict[str, int]) -> str:
    each = ", ".join(f"{name} {number}" for name, number in numbers.items())
    return f"{sum(numbers.values())} {what}" + (f" ({each})" if each else "")


def _print(base: str, presence: str, state: State | None, there: bool) -> None:
    since = f", {'state of' if there else 'when last heard, at'} {state.time}{'' if there else ':'}" if state else ""
    print(f"{base}: {presence}{since}")
    was = "" if there else "was "
    for name, zone in state.zones.items() if state else ():
        hand = f", {zone.by_hand} by hand" if zone.by_hand else ""
        print(
            f"  {name}: {was}{zone.mode}, target {zone.target:g} °C ({zone.because}), heater {was}{zone.heater}{hand}"
        )
        print(f"    {was}{zone.action}: {zone.reason}, {zone.text}")
        if fault := zone.fault:
            print(f"    latched since {fault.time}: {fault.reason}; `stoker reset {name}` when it is mended")
    for name, thermometer in state.thermometers.items() if state else ():
        if thermometer.trouble:
            print(f"  thermometer {name}: {was}{thermometer.trouble}")


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
