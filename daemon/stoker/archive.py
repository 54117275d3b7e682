"""The part of the backlog that survives a restart and a power cut: `backlog.db` in the state directory.

Rule: one change is one transaction, on the card when `write` returns. Nothing here grows with what is stored: a change
touches what it adds and what it removes, and `open` reads two rows. A file that cannot be read or written costs what is
in it, never the daemon: it says so once, and each time is a new try. For one thread at a time.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import replace

log = logging.getLogger(__name__)

OVERHEAD = 40  # bytes of a record beside its topic and payload
BUSY = 5.0  # seconds that somebody else may hold the file, such as a backup

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, wall REAL NOT NULL, topic TEXT NOT NULL,"
    " payload TEXT NOT NULL, repeated INTEGER NOT NULL, mono REAL, boot TEXT, size INTEGER NOT NULL)",
    # Holds nothing but what may still be corrected, so for nearly every record it costs nothing.
    "CREATE INDEX IF NOT EXISTS unsynchronised ON record (boot) WHERE boot IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS head (next_id INTEGER NOT NULL, sent_to INTEGER NOT NULL, records INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, dropped INTEGER NOT NULL, told INTEGER NOT NULL)",
)

Wall = Annotated[float, Meta(ge=-62135596800, le=253402300799)]
"""Unix time of the years 1 to 9999, which alone can be written."""

_DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CONSTRAINT,  # an id that cannot be there yet
        sqlite3.SQLITE_ERROR,  # tables of another shape
        sqlite3.SQLITE_OK,  # text that is none
    }
)

T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class Record(Struct):
    """One reading or event that was not acknowledged in its time. `wall`: Unix time, of the measurement.

    `repeated`: it may have been said already. `mono`, `boot`: where the clock was not synchronised, the time by the
    clock that is never set, and the start of the system since which that one counts.
    """

    id: int
    wall: Wall
    topic: str
    payload: str
    repeated: bool = False
    mono: float | None = None
    boot: str | None = None

    @property
    def size(self) -> int:
        """Bytes on disk, nearly."""
        return len(self.topic.encode()) + len(self.payload.encode()) + OVERHEAD


class Head(Struct, frozen=True):
    """What is known of all records on disk. `last` and `oldest` are the newest one's id and the oldest one's time.

    `next_id`: every id below may be given already. `sent_to`: up to this one each may have been said. `dropped`: how
    many there was no room for, ever; `told` of them somebody was told.
    """

    next_id: int = 1
    sent_to: int = 0
    records: int = 0
    bytes: int = 0
    dropped: int = 0
    told: int = 0
    last: int = 0
    oldest: float | None = None


class Change(Struct, frozen=True, kw_only=True):
    """One transaction: set times right, remove what was said, add, and drop the oldest beyond the limits.

    `next_id`, `sent_to` and `told` as in Head; `dropped`: how many there was no room for before they came here. `take`:
    then mark so many of the oldest above `after` as sent.
    `corrected`: the system's start, and what to add to `mono` of what was recorded since, now that the clock is right.
    """

    next_id: int
    sent_to: int
    told: int
    dropped: int
    most_records: int
    most_bytes: int
    add: tuple[Record, ...] = ()
    remove: tuple[tuple[int, int], ...] = ()
    corrected: tuple[str, float] | None = None
    take: int = 0
    after: int = 0


class Archive:
    """Records in `directory`/backlog.db, by their ids."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "backlog.db"
        self.head = Head()
        self._complained = False

    def open(self, first_id: int) -> None:
        """Look what is there. `first_id`: where the ids of a new file begin."""
        self.head = self._try(lambda database: _head(database, first_id)) or Head(next_id=first_id)

    def write(self, change: Change) -> list[Record] | None:
        """Do it all or nothing. The records to `take`; None where it could not be done."""
        done = self._try(lambda database: _apply(database, change))
        if done is None:
            return None
        self.head, taken = done
        self._complained = False
        return taken

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        try:
            with contextlib.closing(self._connect()) as database, database:
                return work(database)
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return None

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=BUSY)
        try:
            # With these a transaction that was committed is there after a power cut, with the fewest bytes written.
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA journal_mode = PERSIST")
            for statement in _SCHEMA:
                database.execute(statement)
        except BaseException:
            database.close()
            raise
        return database

    def _failed(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # without its details
        if isinstance(error, sqlite3.Error) and code in _DAMAGE and self._set_aside(error):
            return
        if not self._complained:
            self._complained = True
            text = "the backlog will not survive a restart until it can be written"
            log.warning("%s: %s; %s", self.path, error, text)

    def _set_aside(self, error: sqlite3.Error) -> bool:
        self.head = replace(self.head, records=0, bytes=0, last=0, oldest=None)
        aside = self.path.with_suffix(".damaged")
        try:
            self.path.replace(aside)
        except OSError:
            return False
        log.error("%s is damaged (%s): moved to %s, the backlog in it will not be said", self.path, error, aside)
        return True


def _as(kind: type[S], row: Any) -> S:
    try:
        return convert(dict(zip(kind.__struct_fields__, row, strict=False)), kind)
    except ValidationError as error:
        raise sqlite3.DatabaseError(str(error)) from None


def _head(database: sqlite3.Connection, first_id: int = 1) -> Head:
    row = database.execute("SELECT next_id, sent_to, records, bytes, dropped, told FROM head").fetchone()
    return _with_ends(database, _as(Head, row)) if row else Head(next_id=first_id)


def _with_ends(database: sqlite3.Connection, head: Head) -> Head:
    (last,) = database.execute("SELECT max(id) FROM record").fetchone()
    oldest = database.execute("SELECT wall FROM record ORDER BY id LIMIT 1").fetchone()
    return replace(head, last=last or 0, oldest=oldest and oldest[0])


def _read(database: sqlite3.Connection, after: int, most: int) -> list[Record]:
    columns = "id, wall, topic, payload, repeated, mono, boot"
    query = f"SELECT {columns} FROM record WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - nobody's text is in it
    return [_as(Record, (*row[:4], bool(row[4]), *row[5:])) for row in database.execute(query, (after, most))]


def _apply(database: sqlite3.Connection, change: Change) -> tuple[Head, list[Record]]:
    head = _head(database)
    for first, last in change.remove:
        head = _remove(database, head, first, last)
    head = _drop_oldest(database, _add(database, head, change.add), change.most_records, change.most_bytes)
    if change.corrected:
        boot, ahead = change.corrected
        database.execute("UPDATE record SET wall = mono + ?, mono = NULL, boot = NULL WHERE boot = ?", (ahead, boot))
    taken = _read(database, change.after, change.take)
    for record in taken:
        record.repeated = record.repeated or record.id <= head.sent_to
    sent_to = max([head.sent_to, change.sent_to, *(record.id for record in taken)])
    next_id, dropped = max(head.next_id, change.next_id), head.dropped + change.dropped
    head = _with_ends(database, replace(head, next_id=next_id, sent_to=sent_to, dropped=dropped, told=change.told))
    database.execute("DELETE FROM head")
    columns = (head.next_id, head.sent_to, head.records, head.bytes, head.dropped, head.told)
    database.execute("INSERT INTO head VALUES (?, ?, ?, ?, ?, ?)", columns)
    return head, taken


def _add(database: sqlite3.Connection, head: Head, records: tuple[Record, ...]) -> Head:
    rows = [(r.id, r.wall, r.topic, r.payload, r.repeated, r.mono, r.boot, r.size) for r in records]
    database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    added = sum(record.size for record in records)
    return replace(head, records=head.records + len(rows), bytes=head.bytes + added)


def _remove(database: sqlite3.Connection, head: Head, first: int, last: int) -> Head:
    span = (first, last)
    number, size = database.execute(
        "SELECT count(*), total(size) FROM record WHERE id BETWEEN ? AND ?", span
    ).fetchone()
    database.execute("DELETE FROM record WHERE id BETWEEN ? AND ?", span)
    return replace(head, records=head.records - number, bytes=head.bytes - int(size))


def _drop_oldest(database: sqlite3.Connection, head: Head, most_records: int, most_bytes: int) -> Head:
    records, size, last = head.records, head.bytes, 0
    with contextlib.closing(database.execute("SELECT id, size FROM record ORDER BY id")) as rows:
        while (records > most_records or size > most_bytes) and (row := rows.fetchone()):
            records, size, last = records - 1, size - row[1], row[0]
    if records == head.records:
        return head
    database.execute("DELETE FROM record WHERE id <= ?", (last,))
    return replace(head, records=records, bytes=size, dropped=head.dropped + head.records - records)
