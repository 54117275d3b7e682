"""The commands, one file each. Each is imported when it is called for, with what it needs and no more."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended. The numbers from 64 on are those of sysexits.h."""

    OK = 0
    FAILED = 1  # it was tried and did not work; the line before says why
    USAGE = 2  # the command line was wrong
    UNAVAILABLE = 69  # the broker could not be reached
    CONFIG = 78  # the configuration has an error
