"""`stoker publish`: one message, QoS 1."""

import sys
from argparse import Namespace

from stoker.cli import Exit, configuration
from stoker.cli.client import Client
from stoker.core.messages import Kind, Publish

TIMEOUT = 10.0  # seconds, for the connection and for the acknowledgement


def main(arguments: Namespace) -> int:
    """Publish, and wait until the broker has acknowledged it."""
    config = configuration.load(arguments.config, guest=True)
    kind: Kind = "state" if arguments.retain else "answer"
    with Client(config) as client:
        client.connect(TIMEOUT)
        client.publish(Publish(arguments.topic, arguments.payload.encode(), kind))
        if not client.link.close(TIMEOUT):
            print(f"the broker did not acknowledge {arguments.topic}", file=sys.stderr)
            return Exit.FAILED
    print(f"published {arguments.payload} to topic {arguments.topic}")
    return Exit.OK
