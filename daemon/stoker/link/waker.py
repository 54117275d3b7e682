"""Sleeping in poll(), and being woken by another thread: a pipe in which hardly more than a byte ever waits."""

import contextlib
import math
import os
import select
import threading
from time import monotonic
from typing import Any, NamedTuple

PIPED = 64  # bytes; more than ever wait


class Wait(NamedTuple):
    """What is waited for: that time.monotonic() is `until`, or that `sock` is ready for these events of poll()."""

    until: float
    sock: Any = None
    events: int = 0


class Waker:
    """`set` comes from any thread, never blocks and never raises; one thread sleeps here, or polls `fileno` itself."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._lock = threading.Lock()
        self._is_set = False
        self._closed = False

    def fileno(self) -> int:
        """What to poll for reading."""
        return self._read

    def set(self) -> None:
        """Wake the thread, now or when it next goes to sleep."""
        with self._lock:
            if not self._is_set and not self._closed:
                self._is_set = True
                os.write(self._write, b"\0")

    def clear(self) -> None:
        """Let the thread sleep again. Look for what was set after this, not before.

        Without the lock, which whoever woke us still holds; so the byte first: what is set meanwhile is looked for yet.
        Its byte may come afterwards: it wakes the thread once more, for nothing.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, PIPED)
        self._is_set = False

    def sleep(self, wait: Wait) -> int:
        """Until that happens, or until woken. The events that the socket is ready for."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        if wait.events:
            poll.register(wait.sock, wait.events)
        seconds = wait.until - monotonic()
        ready = dict(poll.poll(None if math.isinf(seconds) else max(0, math.ceil(seconds * 1000))))
        if self._is_set or self._read in ready:
            self.clear()
        return ready.get(wait.sock.fileno(), 0) if wait.events else 0

    def close(self) -> None:
        """Give the pipe back, once nobody polls it any more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)
