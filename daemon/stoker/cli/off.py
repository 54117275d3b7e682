"""`stoker off`: drive every heater off without the daemon. For ExecStopPost, after whatever end the daemon found."""

import sys
from argparse import Namespace

from stoker import devices
from stoker.cli import Exit, configuration
from stoker.core.messages import SwitchFailed


def main(arguments: Namespace) -> int:
    """Try every heater, whatever the others say."""
    code = Exit.OK
    for name, choice in configuration.load(arguments.config).heaters.items():
        port = devices.heater(name, choice)
        outcome = port.switch(False)
        port.close()
        if isinstance(outcome, SwitchFailed):
            print(f"heater {name}: {outcome.text}", file=sys.stderr)
            code = Exit.FAILED
        else:
            print(f"heater {name}: off")
    return code
