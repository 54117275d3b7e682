"""Whether the clock on the wall is right. A Pi has no battery clock: before it has asked the network, it guesses."""

import contextlib
import ctypes
import sys

TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
TIMEX_BYTES = 512  # struct timex is 208 bytes on 64-bit Linux; all zeros asks and changes nothing


def synchronised() -> bool:
    """What the kernel says, whoever keeps its time (timesyncd, chrony, ntpd). Not asked, it is believed."""
    if sys.platform != "linux":
        return True
    with contextlib.suppress(OSError, AttributeError):
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
        return state != TIME_ERROR
    return True
