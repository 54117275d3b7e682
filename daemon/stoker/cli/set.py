"""`stoker set`: an order over MQTT, and the daemon's answer to it.

With MQTT 5 the daemon answers on a topic of ours. With 3.1.1 an order obeyed shows as its state said anew, an order
refused as an event.
"""

import math
import os
import secrets
import sys
from argparse import Namespace
from typing import Any

import msgspec

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.config import Config
from stoker.config.words import did_you_mean
from stoker.core.messages import Message, Now, Publish
from stoker.core.settings import ORDER_LIFETIME
from stoker.core.topics import Routes, readable, stamped, zone_topics
from stoker.inbox import monotonic


def main(arguments: Namespace) -> int:
    """Order, and say what became of it."""
    config = configuration.load(arguments.config, guest=True)
    routes = Routes(config.core)
    zone = _zone_topics(arguments.zone, config)
    order, state = zone[f"{arguments.subject}_set"], zone[arguments.subject]
    client = Client(config, [])
    answers = f"{config.core.base}/answer/{client.id}"
    client.link.subscribe([answers, state, routes.event, routes.availability])
    correlation = secrets.token_bytes(8)
    known = config.core.zones.get(arguments.zone)
    lifetime = known.order_lifetime if known else ORDER_LIFETIME
    with client:
        up = client.connect(arguments.timeout)
        payload = _payload(arguments.value, client.now())
        client.publish(Publish(order, payload, "answer", correlation, answers, math.ceil(lifetime)))
        availability = "never heard of"
        for event in client.hear(monotonic() + arguments.timeout):
            if not isinstance(event, Message):
                continue
            if event.topic == routes.availability:
                availability = event.payload.decode("utf-8", "replace")
            elif event.topic == answers and event.correlation == correlation:
                return _say(_object(event.payload), arguments)
            elif up.protocol != "5" and (answer := _sign(event, order, state, payload, routes)):
                return _say(answer, arguments)
    print(
        f"no answer within {arguments.timeout:g} s; the daemon at {config.core.base} is {availability}", file=sys.stderr
    )
    return Exit.FAILED


def _payload(value: str, now: Now) -> bytes:
    """The order with its time, so that it dies wherever it is held up; without that while our clock is a guess."""
    text = os.fsencode(value)
    return stamped(text.decode("utf-8", "replace"), now.wall) if now.synchronised else text


def _zone_topics(name: str, config: Config) -> dict[str, str]:
    """The zone's topics. A guest's configuration need not name the zones; one that does is believed."""
    if config.core.zones and name not in config.core.zones:
        guess = did_you_mean(name, config.core.zones)
        print(f"no zone {name!r}; there is {', '.join(config.core.zones)}{guess}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    return zone_topics(config.core, name)


def _sign(event: Message, order: str, state: str, payload: bytes, routes: Routes) -> dict[str, Any] | None:
    """What a daemon that cannot answer lets us see: a live message only, never a retained one of before."""
    if event.retained:
        return None
    if event.topic == state:
        return {"ok": True}
    said = _object(event.payload) if event.topic == routes.event else {}
    if said.get("event") == "order-refused" and (said.get("topic"), said.get("payload")) == (order, readable(payload)):
        return {"ok": False, **said}
    return None


def _object(payload: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _say(answer: dict[str, Any], arguments: Namespace) -> int:
    what = f"{arguments.zone} {arguments.subject} {readable(os.fsencode(arguments.value))}"
    if answer.get("ok"):
        seen = f"; {answer['action']}, {answer['reason']}: {answer['text']}" if "text" in answer else ""
        note = f", but {answer['note']}" if "note" in answer else ""
        print(f"{what}: done{note}{seen}")
        return Exit.OK
    print(f"{what}: refused, {answer.get('reason')}: {answer.get('text')}", file=sys.stderr)
    return Exit.FAILED
