"""SIGTERM and SIGINT stop, SIGHUP reloads. They are waited for in a thread, so none is ever lost.

Rule: they are blocked in every thread. A signal handler of Python's runs in the main thread alone, but the kernel may
hand the signal to another one, and then nobody wakes a main thread that waits in a lock.
"""

import signal
import threading
from collections.abc import Callable

from stoker.core.messages import Reload, Stop

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def block() -> None:
    """Call this before any thread is started: threads inherit it. What comes before `watch` waits."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)


def watch(put: Callable[[Stop | Reload], None], reloads: bool) -> None:
    """From now on put a Stop or a Reload for each. Without `reloads` SIGHUP stops too."""

    def run() -> None:
        while True:
            number = signal.Signals(signal.sigwait(WATCHED))
            put(Reload() if reloads and number is signal.SIGHUP else Stop(number.name))

    threading.Thread(target=run, name="signals", daemon=True).start()
