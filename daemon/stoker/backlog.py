"""The past that nobody has heard yet: readings and events that could not be said in their time.

Rule: each record is said once, or is marked as repeated. So on disk records are marked before they go out and removed
after they were acknowledged, and what only memory knew when the program died is never said again. To spare an SD card,
a record comes to disk only when it has waited for `WRITE_AFTER`, or with many others: a short loss of the line writes
nothing, and a power cut costs that much of the past. Whoever keeps or takes records never waits for the disk: a thread
of its own does (`archive.py`).
"""

import math
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from stoker.archive import Archive, Change, Record
from stoker.core.messages import Now, Publish

WRITE_AFTER = 60.0  # seconds that a record waits in memory; and until a disk that failed is tried again
WRITE_AT = 500  # records that wait in memory
MEMORY = 5000  # records that wait in memory at most, where the disk cannot be written
AVERAGE = 256  # bytes of a record: so many of them is the limit in bytes
RESERVED = 1000  # ids to give before the disk must hear of it again
MESSAGE_RECORDS = 50
MESSAGE_BYTES = 32 * 1024
CLOCK_PATIENCE = 60.0  # seconds for which records without a right time are held back: a time server may be heard soon

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Said(Struct, frozen=True, omit_defaults=True):
    """A record as it stands in a message. `time`: of the measurement; `payload`: as it would have stood on `topic`."""

    id: int
    time: str
    topic: str
    payload: str
    repeated: bool = False
    synchronised: bool = True


class Backlog:
    """In memory and in an archive. `configure`, `open` and `start` it, and `close` it when nobody uses it any more."""

    def __init__(self, archive: Archive, now: Callable[[], Now]) -> None:
        self._archive = archive
        self._now = now
        self._topic, self._most = "", 0
        self._boot = _boot()
        self._thread = threading.Thread(target=self._run, name="backlog", daemon=True)
        self._changed = threading.Condition()  # around everything below
        self._recent: list[Record] = []  # not on disk, the oldest first
        self._bytes = 0  # of these
        self._next_id = 1
        self._hand: list[Record] = []  # the oldest of all, ready to be said
        self._from_disk = False  # the hand
        self._taken: tuple[int, int] | None = None  # the span of ids that is being said
        self._said: list[tuple[int, int]] = []  # spans to remove from the disk
        self._cursor = 0  # on disk, what is not above this id was said
        self._disk_to = 0  # nothing above this id has come to disk in this run
        self._wanted = False  # somebody waits for a hand
        self._write_at = math.inf
        self._failed = self._ending = self._corrected = False
        self._dropped = self._told = 0
        self._patient_until: float | None = None

    # --- for the app --------------------------------------------------------------------------------------------------

    def configure(self, topic: str, records: int) -> None:
        """Say it on this topic from now on, and keep so many records at most. 0: none."""
        with self._changed:
            self._topic, self._most = topic, records

    def open(self) -> None:
        """Find out what is on disk."""
        self._archive.open(first_id=int(self._now().wall * 1000))  # so a new card's ids are above an old one's
        self._next_id, self._told = self._archive.head.next_id, self._archive.head.told
        self._disk_to = self._archive.head.last

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Write everything, for at most `timeout` seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout)

    # --- how it is ----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many records there are."""
        return self._archive.head.records + len(self._recent)

    @property
    def oldest(self) -> float | None:
        """The Unix time of the oldest record; None where there is none."""
        with self._changed:
            if self._archive.head.records:
                return self._archive.head.oldest
            return self._recent[0].wall if self._recent else None

    @property
    def dropped_total(self) -> int:
        """How many records there was no room for, since the file was made."""
        return self._archive.head.dropped + self._dropped

    def dropped(self) -> str:
        """Tell in words of those that were dropped since the last time, or give ""."""
        with self._changed:
            total = self.dropped_total
            number, self._told = total - self._told, total
        text = f"{number} readings and events that waited longest for the broker were dropped"
        return f"{text}: {self._most} are kept, of {AVERAGE} bytes on average" if number else ""

    # --- for the link -------------------------------------------------------------------------------------------------

    def keep(self, publish: Publish, repeated: bool) -> bool:
        """Take what could not be said, and whether it is kept. `repeated`: it was tried."""
        measured = publish.measured or self._now()
        with self._changed:
            if not self._most:
                return False
            text = publish.payload.decode(errors="replace")
            record = Record(self._next_id, measured.wall, publish.topic, text, repeated)
            if not measured.synchronised:
                record.mono, record.boot = measured.mono, self._boot
            if not self._recent and not self._failed:
                self._write_at = measured.mono + WRITE_AFTER
                self._changed.notify()
            self._next_id += 1
            self._recent.append(record)
            self._bytes += record.size
            self._drop_oldest()
            if len(self._recent) >= WRITE_AT:
                self._changed.notify()
        return True

    def take(self, most: float = math.inf) -> Publish | None:
        """The next message; with its topic so many bytes at most, or a single record. None where none is ready yet.

        Take no other before this one is `said`, or its line is lost.
        """
        now = self._now()
        with self._changed:
            parts, size = list[bytes](), len(self._topic.encode()) + len("[]")
            for record in self._hand:
                self._set_right(record, now)
                if self._awaits_clock(record, now):
                    break
                part = _encoded(record)
                size += len(part) + len(",")
                if parts and size > min(most, MESSAGE_BYTES):
                    break
                parts.append(part)
                record.repeated = True
            if parts:
                self._taken = self._hand[0].id, self._hand[len(parts) - 1].id
                return Publish(self._topic, b"[" + b",".join(parts) + b"]", "backlog")
            self._want()
            return None

    def said(self) -> None:
        """The message that was last taken was acknowledged."""
        with self._changed:
            if self._taken is None:
                return
            (first, last), self._taken = self._taken, None
            self._hand = [record for record in self._hand if record.id > last]
            self._keep_recent(last)
            if self._from_disk:
                self._cursor = last
            if first <= self._disk_to:
                self._said.append((first, last))
            self._want()

    # --- in memory ----------------------------------------------------------------------------------------------------

    def _want(self) -> None:
        if not self._hand:
            self._wanted = True
            self._changed.notify()

    def _keep_recent(self, above: int) -> None:
        self._recent = [record for record in self._recent if record.id > above]
        self._bytes = sum(record.size for record in self._recent)

    def _drop_oldest(self) -> None:
        """In memory: it comes to that where the disk cannot be written, or where hardly anything is to be kept."""
        most = min(self._most, MEMORY)
        while len(self._recent) > most or self._bytes > most * AVERAGE:
            self._bytes -= self._recent.pop(0).size
            self._dropped += 1

    def _set_right(self, record: Record, now: Now) -> None:
        """Its time, where that is wrong and now the right one is known."""
        if record.mono is not None and record.boot == self._boot and now.synchronised:
            record.wall, record.mono, record.boot = now.at(record.mono).wall, None, None

    def _awaits_clock(self, record: Record, now: Now) -> bool:
        """Whether its time is wrong, and can perhaps be set right soon."""
        if record.boot != self._boot:
            return False
        if self._patient_until is None:
            self._patient_until = now.mono + CLOCK_PATIENCE
        return now.mono < self._patient_until

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ending = False
        while not ending:
            with self._changed:
                while (pause := self._due() - self._now().mono) > 0:
                    self._changed.wait(min(pause, threading.TIMEOUT_MAX))
                ending = self._ending
            self.work()

    def _due(self) -> float:
        """When there is something to do."""
        if self._wanted or self._ending:
            return -math.inf
        if (self._said or len(self._recent) >= WRITE_AT) and not self._failed:
            return -math.inf
        return self._write_at if self._said or self._recent else math.inf

    def work(self) -> None:
        """What the thread does: write what is to be written now, and get a hand ready where one is wanted."""
        with self._changed:
            now, wanted = self._now(), self._wanted and not self._hand
            self._wanted = False
            change = self._change(now, wanted)
        on_disk = self._archive.write(change) if change else []
        with self._changed:
            if change:
                self._written(change, now, done=on_disk is not None)
            if wanted:  # what cannot be marked on disk waits there
                self._hand, self._from_disk = on_disk or self._recent[:MESSAGE_RECORDS], bool(on_disk)

    def _change(self, now: Now, wanted: bool) -> Change | None:
        """What is to be done on disk, if anything is."""
        if self._failed and now.mono < self._write_at and not self._ending:
            return None
        head, full = self._archive.head, len(self._recent) >= WRITE_AT or now.mono >= self._write_at
        add = self._recent if self._ending or full else []
        unreserved = wanted and any(record.id >= head.next_id for record in self._recent[:MESSAGE_RECORDS])
        if not (add or self._said or unreserved or (wanted and head.last > self._cursor)):
            return None
        for record in add:
            self._set_right(record, now)
            self._disk_to = record.id
        return Change(
            next_id=self._next_id + RESERVED,
            sent_to=self._hand[-1].id if self._hand else 0,
            told=self._told,
            dropped=self._dropped,
            most_records=self._most,
            most_bytes=self._most * AVERAGE,
            add=tuple(add),
            remove=tuple(self._said),
            corrected=(self._boot, now.at(0.0).wall) if now.synchronised and not self._corrected else None,
            take=MESSAGE_RECORDS if wanted else 0,
            after=self._cursor,
        )

    def _written(self, change: Change, now: Now, done: bool) -> None:
        self._failed = not done
        if change.add or not done:
            self._write_at = now.mono + WRITE_AFTER
        if done:
            self._dropped -= change.dropped
            self._said = self._said[len(change.remove) :]
            self._corrected = self._corrected or now.synchronised
            if change.add:
                self._keep_recent(change.add[-1].id)


def _encoded(record: Record) -> bytes:
    time = datetime.fromtimestamp(record.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    synchronised = record.mono is None
    return msgspec.json.encode(Said(record.id, time, record.topic, record.payload, record.repeated, synchronised))


def _boot() -> str:
    """Which start of the system this is; of this program, where nobody says."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return uuid.uuid4().hex
