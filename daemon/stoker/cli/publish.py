"""`stoker publish`: one message, QoS 1."""

import os
import sys
from argparse import Namespace

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.core.messages import Kind, Publish
from stoker.core.topics import readable
from stoker.link.wellformed import is_topic

TIMEOUT = 10.0  # seconds, for the connection and for the acknowledgement


def main(arguments: Namespace) -> int:
    """Publish, and wait until the broker has acknowledged it."""
    config = configuration.load(arguments.config, guest=True)
    if not is_topic(arguments.topic):
        print(f"{arguments.topic!r} is no topic: not empty, without + and #", file=sys.stderr)
        return Exit.USAGE
    kind: Kind = "state" if arguments.retain else "answer"
    with Client(config) as client:
        client.connect(TIMEOUT)
        client.publish(Publish(arguments.topic, os.fsencode(arguments.payload), kind))
        if not client.leave(TIMEOUT):
            print(f"the broker did not acknowledge {arguments.topic}", file=sys.stderr)
            return Exit.FAILED
    print(f"published {readable(os.fsencode(arguments.payload))} to topic {arguments.topic}")
    return Exit.OK
