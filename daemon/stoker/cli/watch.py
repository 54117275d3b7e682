"""`stoker watch`: subscribe, and print what comes in, and when the device's signal of life fails to."""

import math
import sys
import time
from argparse import Namespace

import msgspec

from stoker.cli import Exit, configuration
from stoker.cli.client import Client, Heard
from stoker.config import Config
from stoker.core.alive import Signal
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Now, Stop
from stoker.core.topics import Routes, readable, stamp
from stoker.link.wellformed import is_filter

SHOWN = 4000  # bytes of a payload


def main(arguments: Namespace) -> int:
    """Go on until Ctrl-C, through every loss of the broker."""
    config = configuration.load(arguments.config, guest=True)
    filters = arguments.filter or _own(config)
    for name in filters:
        if not is_filter(name):
            print(f"{name!r} is no topic filter: + stands for a level, # for all at the end", file=sys.stderr)
            return Exit.USAGE
    paint = _coloured if sys.stdout.isatty() else _plain
    device = Device(Routes(config.core))
    with Client(config, filters) as client:
        while True:
            event = next(client.hear(device.due), None)
            device.hear(event, client.now())
            match event:
                case None:
                    print(time.strftime("%H:%M:%S"), f"{config.core.base}: {device.gone()}", flush=True)
                case Message(topic, payload, retained=retained):
                    mark = paint("2", " (retained)") if retained else ""
                    said = paint("1", readable(payload, SHOWN)) + mark
                    print(time.strftime("%H:%M:%S"), paint("36", topic), said, flush=True)
                case LinkUp(broker, protocol):
                    what = f"connected to {broker}, MQTT {protocol}; subscribed to {', '.join(filters)}"
                    print(what, file=sys.stderr)
                case LinkDown(text=text) | Notice(text=text):
                    print(text, file=sys.stderr)
                case Stop(why):
                    print(why, file=sys.stderr)
                    return Exit.FAILED


class Device:
    """Whether it still lives, for as long as we ourselves are connected."""

    def __init__(self, routes: Routes) -> None:
        self.due = math.inf  # when its silence has lasted too long
        self._routes = routes
        self._last: Signal | None = None

    def hear(self, event: Heard | None, now: Now) -> None:
        """Take note of what comes in."""
        match event:
            case Message(topic, payload, at, retained) if topic == self._routes.alive:
                try:
                    self._last = signal = msgspec.json.decode(payload, type=Signal)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    self.due = math.inf  # it says that it gives none any more
                    return
                known = retained and signal.synchronised and now.synchronised
                self.due = at + signal.patience - (signal.age(now.wall) if known else 0.0)
            case LinkDown() | Message(topic=self._routes.availability, payload=b"offline"):
                self.due = math.inf
            case _:
                pass

    def gone(self) -> str:
        """Say so, once."""
        assert self._last is not None
        self.due = math.inf
        last = f"last sign of life at {stamp(self._last.time.timestamp())}"
        return f"gone; {last}, one is due each {self._last.every:g} s, whatever its availability says"


def _own(config: Config) -> list[str]:
    published = {table.publish for table in config.core.thermometers.values()} - {""}
    return [f"{config.core.base}/#", *sorted(published or {"TEMPERATURE", "TEMPERATURE/#"})]


def _plain(_code: str, text: str) -> str:
    return text


def _coloured(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
