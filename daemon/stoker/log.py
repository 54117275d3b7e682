"""Lines for people: on standard error, and under systemd in the journal, with their zone, reason and broker as fields.

Rule: who logs never waits. A terminal that was stopped with Ctrl-S or a pipe that nobody reads must not hold up the
loop while a heater is on, so a thread of its own writes; it drops and counts what it cannot write in time.
"""

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TextIO

from stoker import systemd

WAITING = 1000  # lines
LAST_WORDS = 1.0  # seconds at the end

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}  # syslog(3)

Write = Callable[[logging.LogRecord, str], None]
"""Takes a record, and its text as it was when it was logged."""


class Background(logging.Handler):
    """Calls `write` from a thread of its own."""

    def __init__(self, write: Write) -> None:
        super().__init__()
        self.dropped = 0
        self._write = write
        self._waiting: queue.SimpleQueue[tuple[logging.LogRecord, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over."""
        if self._waiting.qsize() < WAITING:
            self._waiting.put((record, self.format(record)))
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what is left, for a moment."""
        self._waiting.put(None)
        self._thread.join(LAST_WORDS)
        super().close()

    def _run(self) -> None:
        while (one := self._waiting.get()) is not None:
            record, text = one
            if self.dropped:
                text += f"\n({self.dropped} lines were dropped here)"
                self.dropped = 0
            with contextlib.suppress(OSError, ValueError):  # a reader that has gone
                self._write(record, text)


def to_stream(stream: TextIO) -> Write:
    """Whole lines, at once."""

    def write(_: logging.LogRecord, text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    return write


def to_journal(send: Callable[[Mapping[str, str]], None]) -> Write:
    """Entries with fields: `journalctl -u stoker ZONE=room`. What else a record holds stays out of it."""

    def write(record: logging.LogRecord, text: str) -> None:
        fields: Mapping[str, str] = getattr(record, "fields", {})
        entry = {"MESSAGE": text, "PRIORITY": str(_PRIORITIES[record.levelname]), "SYSLOG_IDENTIFIER": "stoker"}
        send(entry | {name.upper(): value for name, value in fields.items()})

    return write


def start(verbose: bool) -> None:
    """Log from now on; `verbose` tells every reading and every try."""
    send = systemd.journal() if os.environ.get("JOURNAL_STREAM") else None
    write = to_journal(send) if send else to_stream(sys.stderr)
    formatter = logging.Formatter("%(message)s")
    if not os.environ.get("JOURNAL_STREAM"):  # the journal has a clock of its own
        formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    to(write, formatter, logging.DEBUG if verbose else logging.INFO)


def to(write: Write, formatter: logging.Formatter, level: int) -> None:
    """Log there and nowhere else from now on."""
    handler = Background(write)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
