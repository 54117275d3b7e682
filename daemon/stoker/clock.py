"""Whether the clock on the wall is right. A Pi has no battery clock: before it has asked the network, it guesses.

Rule: synchronised once since the system's start is enough; a clock drifts by seconds a week. So nobody asks again
after a yes: without a network the kernel calls it wrong within a day, which says nothing of the time that it shows.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

TIMESYNC = "run/systemd/timesync"  # there while systemd-timesyncd is the one who keeps the time
MARKER = "synchronized"  # in it, since the first answer from the network
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 512  # struct timex is 208 bytes on 64-bit Linux; all zeros asks and changes nothing

log = logging.getLogger(__name__)


def kernel_says() -> bool | None:
    """What the kernel says, whoever keeps its time (timesyncd, chrony, ntpd); None where we may not ask."""
    import ctypes  # which nobody needs afterwards

    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


def known(root: Path = Path("/"), kernel: Callable[[], bool | None] = kernel_says) -> bool | None:
    """Whether it was synchronised since the system's start; None where nobody can tell."""
    if sys.platform != "linux":
        return True  # a guest's computer; nobody heats with one
    keeper = root / TIMESYNC
    if (keeper / MARKER).exists():
        return True
    says = kernel()
    return False if says is None and keeper.exists() else says


def synchronised(root: Path = Path("/"), kernel: Callable[[], bool | None] = kernel_says) -> bool:
    """As `known`; where nobody can tell it is believed, and the log says so."""
    if (found := known(root, kernel)) is None:
        log.warning("the clock is believed: neither the kernel nor systemd-timesyncd can be asked whether it is right")
        return True
    return found
