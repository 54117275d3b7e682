"""Lines for people: on standard error, with the journal's level marks where the journal reads them."""

import logging
import os
import sys

_MARKS = {"DEBUG": "<7>", "INFO": "<6>", "WARNING": "<4>", "ERROR": "<3>", "CRITICAL": "<2>"}  # sd-daemon(3)


class _ForTheJournal(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = _MARKS[record.levelname]
        return "\n".join(mark + line for line in super().format(record).splitlines())


def to_stderr(verbose: bool) -> None:
    """Log to standard error from now on; `verbose` tells every reading and every try."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_ForTheJournal("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
