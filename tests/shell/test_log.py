"""Who logs never waits: not for a terminal that was stopped, not for a pipe that nobody reads."""

import logging
import os
import threading

import pytest

from stoker.log import WAITING, Background


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("stoker", logging.INFO, "", 0, text, None, None)


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_the_loss_is_told() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as reader, os.fdopen(write_end, "w") as stream:
        handler = Background(stream)
        for _ in range(2 * WAITING):
            handler.emit(record("x" * 1000))  # the pipe holds 64 KiB
        assert handler.dropped > WAITING / 2

        text = b""
        while b"lines were dropped here" not in text:
            text += reader.read(65536)
        assert text.startswith(b"xxx")
        rest = threading.Thread(target=reader.readall)
        rest.start()
        handler.close()
        stream.close()
        rest.join()


def test_a_reader_that_has_gone_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    handler = Background(stream)
    handler.emit(record("to nobody"))
    handler.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_the_last_words_are_written() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as reader:
        with os.fdopen(write_end, "w") as stream:
            handler = Background(stream)
            for number in range(100):
                handler.emit(record(str(number)))
            handler.close()
        assert reader.read().split() == [str(number) for number in range(100)]
