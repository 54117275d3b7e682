"""Wakes a thread that sleeps in poll(): a pipe, and the promise that hardly more than a byte waits in it."""

import contextlib
import os
import threading

PIPED = 64  # bytes; more than ever wait


class Waker:
    """`set` comes from any thread, never blocks and never raises; the sleeping thread polls `fileno` and clears it."""

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
        """
        if self._is_set:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, PIPED)
            self._is_set = False

    def close(self) -> None:
        """Give the pipe back, once nobody polls it any more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._read)
                os.close(self._write)
