"""Sleeping until woken: no call is lost, and none keeps a thread awake."""

import os
import threading
from contextlib import closing
from time import monotonic

import pytest

from stoker.link.waker import Wait, Waker


def test_who_is_woken_before_he_sleeps_does_not_sleep() -> None:
    with closing(Waker()) as waker:
        waker.set()
        before = monotonic()
        waker.sleep(Wait(before + 30))
        assert monotonic() - before < 10


def test_another_thread_wakes_the_sleeper() -> None:
    with closing(Waker()) as waker:
        threading.Timer(0.05, waker.set).start()
        before = monotonic()
        waker.sleep(Wait(before + 30))
        assert monotonic() - before < 10


def test_a_byte_that_comes_late_wakes_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sleeper was woken by something else, and looked, between a caller's two steps."""
    write = os.write
    with closing(Waker()) as waker:

        def late(pipe: int, data: bytes) -> int:
            waker.clear()
            return write(pipe, data)

        monkeypatch.setattr(os, "write", late)
        waker.set()
        waker.sleep(Wait(monotonic() + 30))
        until = monotonic() + 0.05
        waker.sleep(Wait(until))
        assert monotonic() >= until
