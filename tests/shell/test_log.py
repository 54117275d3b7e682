"""Who logs never waits: not for a terminal that was stopped, not for a pipe that nobody reads."""

import logging
import os
import re

import pytest

from stoker.log import WAITING, Background, to_journal, to_stream


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("stoker", logging.INFO, "", 0, text, None, None)


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_the_loss_is_told() -> None:
    """The pipe holds 64 KiB and the handler 1000 lines; once somebody reads, every line was written or is counted."""
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w")
    handler = Background(to_stream(stream))
    for _ in range(3 * WAITING):
        handler.emit(record("x" * 1000))

    written = lost = 0
    with os.fdopen(read_end) as reader:
        while written + lost < 3 * WAITING:
            line = reader.readline()
            written += line.startswith("xxx")
            lost += int(match[1]) if (match := re.match(r"\((\d+) lines were dropped here\)", line)) else 0
        assert lost > WAITING
        handler.close()
        stream.close()


def test_a_reader_that_has_gone_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    handler = Background(to_stream(stream))
    handler.emit(record("to nobody"))
    handler.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_the_last_words_are_written() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as reader:
        with os.fdopen(write_end, "w") as stream:
            handler = Background(to_stream(stream))
            for number in range(100):
                handler.emit(record(str(number)))
            handler.close()
        assert reader.read().split() == [str(number) for number in range(100)]


def test_the_journal_gets_fields_and_nothing_else_of_a_record() -> None:
    """A secret among the arguments of a log call is in its text only where somebody wrote it there."""
    entries: list[dict[str, str]] = []
    handler = Background(to_journal(lambda entry: entries.append(dict(entry))))
    one = logging.LogRecord("stoker", logging.WARNING, "", 0, "%s: heating stopped", ("room",), None)
    one.__dict__.update(fields={"zone": "room", "reason": "stale-temperature"}, password="hunter2")
    handler.emit(one)
    handler.close()
    message = {"MESSAGE": "room: heating stopped", "PRIORITY": "4", "SYSLOG_IDENTIFIER": "stoker"}
    assert entries == [message | {"ZONE": "room", "REASON": "stale-temperature"}]
