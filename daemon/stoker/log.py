"""Lines for people, with the journal's level marks where the journal reads them.

Rule: who logs never waits. A terminal that was stopped with Ctrl-S or a pipe that nobody reads must not hold up the
loop while a heater is on, so a thread of its own writes; it drops and counts what it cannot write in time.
"""

import contextlib
import logging
import os
import queue
import sys
import threading
from typing import TextIO

WAITING = 1000  # lines
LAST_WORDS = 1.0  # seconds at the end

_MARKS = {"DEBUG": "<7>", "INFO": "<6>", "WARNING": "<4>", "ERROR": "<3>", "CRITICAL": "<2>"}  # sd-daemon(3)


class Background(logging.Handler):
    """Writes to a stream from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.dropped = 0
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over."""
        if self._lines.qsize() < WAITING:
            self._lines.put(self.format(record))
        else:
            self.dropped += 1

    def close(self) -> None:
        """Write what is left, for a moment."""
        self._lines.put(None)
        self._thread.join(LAST_WORDS)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self.dropped:
                line += f"\n({self.dropped} lines were dropped here)"
                self.dropped = 0
            with contextlib.suppress(OSError, ValueError):  # a reader that has gone
                self._stream.write(line + "\n")
                self._stream.flush()


class _ForTheJournal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = _MARKS[record.levelname]
        return "\n".join(mark + line for line in super().format(record).splitlines())


def to_stderr(verbose: bool) -> None:
    """Log to standard error from now on; `verbose` tells every reading and every try."""
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    if os.environ.get("JOURNAL_STREAM"):
        formatter = _ForTheJournal("%(message)s")
    to(sys.stderr, formatter, logging.DEBUG if verbose else logging.INFO)


def to(stream: TextIO, formatter: logging.Formatter, level: int) -> None:
    """Log to this stream and to nothing else from now on."""
    handler = Background(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
