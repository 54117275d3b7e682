"""What must survive a restart, in SQLite in the state directory. Written by a thread of its own: an SD card may take
its time, an order may not.

Rule: a store that cannot be read or written costs the memory, never the control. It says so once and goes on trying.
What waits to be written is the newest of each key, so however long a card takes, no more waits than there are keys.
"""

import contextlib
import logging
import sqlite3
import threading
from pathlib import Path

log = logging.getLogger(__name__)

RETRY_AFTER = 60.0  # seconds after a failure, if nothing new comes before

_SCHEMA = "CREATE TABLE IF NOT EXISTS remembered (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"


class Store:
    """Keys and values in `directory`/stoker.db. `None` forgets a key."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "stoker.db"
        self._changed = threading.Condition()  # around the next three
        self._pending: dict[str, str | None] = {}
        self._news = self._ending = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._complained = False

    def load(self) -> dict[str, str]:
        """Everything remembered; nothing, with a line in the log, where that cannot be read. Call before `start`."""
        try:
            return self._load()
        except sqlite3.DatabaseError as error:
            schema = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR  # a table of another shape
            if isinstance(error, sqlite3.OperationalError) and not schema:  # no access, no room: not the file's fault
                self._complain(error)
                return {}
            return self._set_aside(error)
        except OSError as error:
            self._complain(error)
            return {}

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def remember(self, key: str, value: str | None) -> None:
        """Keep it soon. Never blocks, never raises."""
        with self._changed:
            self._pending[key], self._news = value, True
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write what is left, for at most `timeout` seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout)

    def _load(self) -> dict[str, str]:
        with contextlib.closing(self._connect()) as database:
            rows = database.execute("SELECT key, value FROM remembered WHERE typeof(value) = 'text'")
            return {str(key): str(value) for key, value in rows}

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=5)
        try:
            database.execute("PRAGMA synchronous=FULL")  # what was written survives a power cut
            database.execute(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database

    def _set_aside(self, error: sqlite3.DatabaseError) -> dict[str, str]:
        aside = self.path.with_suffix(".damaged")
        log.error("%s is damaged (%s): moved to %s, what was ordered before is forgotten", self.path, error, aside)
        with contextlib.suppress(OSError):
            self.path.replace(aside)
        return {}

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                self._changed.wait_for(self._something_to_do, RETRY_AFTER if self._pending else None)
                pending, ending, self._news = dict(self._pending), self._ending, False
            if pending and self._write(pending):
                with self._changed:  # what came meanwhile is still to be written
                    self._pending = {key: new for key, new in self._pending.items() if pending.get(key, ...) != new}

    def _something_to_do(self) -> bool:
        return self._news or self._ending

    def _write(self, pending: dict[str, str | None]) -> bool:
        try:
            with contextlib.closing(self._connect()) as database, database:
                for key, value in pending.items():
                    if value is None:
                        database.execute("DELETE FROM remembered WHERE key = ?", (key,))
                    else:
                        database.execute("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (key, value))
        except (sqlite3.Error, OSError) as error:
            self._complain(error)
            return False
        self._complained = False
        return True

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            log.warning("%s: %s; orders will not survive a restart until it can be written", self.path, error)
