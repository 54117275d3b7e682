"""What systemd wants to hear: READY, STATUS, WATCHDOG, STOPPING, and entries of the journal.

Rule: the watchdog is fed by a finished pass of the loop and by nothing else, so whatever hangs the loop starves it.
Without systemd (no NOTIFY_SOCKET) nothing is imported and nothing is said.
"""

import importlib
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from stoker.core.messages import Input, Reading, ReadingFailed
from stoker.inbox import monotonic

log = logging.getLogger(__name__)

READY_AFTER = 10.0  # seconds; a device that only listens may have to wait long for its first reading
STATUS_EVERY = 10.0  # seconds at least between two; what changes meanwhile is told with a later pass


class Systemd:
    """The supervisor of the loop, and a silent one where there is no systemd."""

    def __init__(self) -> None:
        self._notify = _notify() if os.environ.get("NOTIFY_SOCKET") else None
        self._period = _watchdog_period() if self._notify else math.inf
        self._fed = monotonic()
        self._ready = self._notify is None
        self._ready_by = self._fed + READY_AFTER
        self._status, self._status_at = "", -math.inf

    def next_deadline(self) -> float:
        """When the loop must have made another pass."""
        return min(self._fed + self._period, math.inf if self._ready else self._ready_by)

    def passed(self, event: Input, summary: Callable[[], str]) -> None:
        """A pass is finished. Ready means: the first reading is there, or the first failure to read."""
        if self._notify is None:
            return
        now, lines = monotonic(), list[str]()
        if not self._ready and (isinstance(event, Reading | ReadingFailed) or now >= self._ready_by):
            self._ready = True
            lines.append("READY=1")
        if now >= self._fed + self._period:
            self._fed = now
            lines.append("WATCHDOG=1")
        if now >= self._status_at + STATUS_EVERY or lines:
            self._status_at = now
            if (status := summary()) != self._status:
                self._status = status
                lines.append(f"STATUS={status}")
        if lines:
            self._notify("\n".join(lines))

    def reloading(self) -> None:
        """The configuration is being read anew; `reloaded` follows. (The stamp is what Type=notify-reload asks for.)"""
        if self._notify:
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self, summary: Callable[[], str]) -> None:
        """The end of `reloading`: what was read stands, and the status shows it."""
        if self._notify:
            self._status = summary()
            self._notify(f"STATUS={self._status}\nREADY=1")

    def stopping(self) -> None:
        """The end has begun."""
        if self._notify:
            self._notify("STOPPING=1")


def _notify() -> Callable[[str], None] | None:
    try:
        daemon: Any = importlib.import_module("systemd.daemon")
    except ImportError:
        log.error(
            "started by systemd, but the Python package systemd is missing, so systemd is told nothing:"
            " install stoker[systemd], or Debian's python3-systemd"
        )
        return None

    told: list[OSError] = []

    def notify(text: str) -> None:
        try:
            daemon.notify(text)
        except OSError as error:  # heating goes on, whoever has stopped listening
            if not told:
                log.warning("systemd cannot be told how we are: %s", error.strerror)
            told[:] = [error]

    return notify


def journal() -> Callable[[Mapping[str, str]], None] | None:
    """What sends an entry to the journal, field by field; None where there is none to send to."""
    try:
        native: Any = importlib.import_module("systemd.journal")
    except ImportError:
        return None

    def send(entry: Mapping[str, str]) -> None:
        native.sendv(*(f"{name}={value}" for name, value in entry.items()))

    return send


def _watchdog_period() -> float:
    """Half the time that systemd allows, in seconds; infinity where it doesn't watch this process.

    See sd_watchdog_enabled(3): WATCHDOG_PID may name another process.
    """
    allowed, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdecimal() or int(allowed) == 0 or (pid and pid != str(os.getpid())):
        return math.inf
    return int(allowed) / 1e6 / 2
