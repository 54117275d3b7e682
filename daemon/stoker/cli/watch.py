"""`stoker watch`: subscribe, and print what comes in."""

import math
import sys
import time
from argparse import Namespace

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.config import Config
from stoker.core.messages import LinkDown, LinkUp, Message, Notice, Stop
from stoker.core.topics import readable
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
    with Client(config, filters) as client:
        for event in client.hear(math.inf):
            match event:
                case Message(topic, payload, retained=retained):
                    mark = paint("2", " (retained)") if retained else ""
                    said = paint("1", readable(payload, SHOWN)) + mark
                    print(time.strftime("%H:%M:%S"), paint("36", topic), said, flush=True)
                case LinkUp(broker, protocol):
                    print(
                        f"connected to {broker}, MQTT {protocol}; subscribed to {', '.join(filters)}", file=sys.stderr
                    )
                case LinkDown(text=text) | Notice(text=text):
                    print(text, file=sys.stderr)
                case Stop(why):
                    print(why, file=sys.stderr)
                    return Exit.FAILED
    return Exit.OK


def _own(config: Config) -> list[str]:
    published = {table.publish for table in config.core.thermometers.values()} - {""}
    return [f"{config.core.base}/#", *sorted(published or {"TEMPERATURE", "TEMPERATURE/#"})]


def _plain(_code: str, text: str) -> str:
    return text


def _coloured(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
