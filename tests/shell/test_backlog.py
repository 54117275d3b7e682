"""What could not be said in its time: kept within its bounds, in order, with the right times, and each record said once
or marked as repeated, whatever ends the program and whatever the disk does. In simulated time, on real files."""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stoker import backlog as module
from stoker.archive import Archive
from stoker.backlog import MEMORY, WRITE_AFTER, WRITE_AT, Backlog
from stoker.core.messages import Now, Publish

NOON = 1_795_262_400.0  # 2026-11-21 12:00 UTC


class Card(Archive):
    """An archive on a card that can fail: nothing to be read or written, or nothing to be written.

    `meanwhile` is called once while it is at work.
    """

    broken = read_only = False
    meanwhile: Callable[[], None] | None = None
    steps = 0  # thousands of the virtual machine's

    def _step(self) -> int:
        self.steps += 1
        return 0

    def _connect(self) -> sqlite3.Connection:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        if self.broken:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        database = super()._connect()
        if self.read_only:
            database.execute("PRAGMA query_only = ON")
        database.set_progress_handler(self._step, 1000)
        return database


class Device:
    """A backlog with its clock and its card; `work` is what its thread would do, `crash` a SIGKILL."""

    def __init__(self, directory: Path, records: int = 100_000, synchronised: bool = True) -> None:
        self.card = Card(directory)
        self.mono, self.ahead, self.synchronised = 100.0, NOON - 100.0, synchronised
        self.records = records
        self.crash()

    def crash(self) -> None:
        self.card = Card(self.card.path.parent)
        self.backlog = Backlog(self.card, self.now)
        self.backlog.configure("stoker/shed/backlog", self.records)
        self.backlog.open()

    def stop(self) -> None:
        self.backlog.start()
        self.backlog.close(10)
        self.crash()

    def now(self) -> Now:
        return Now(self.mono, self.mono + self.ahead, self.synchronised)

    def keep(self, *payloads: object, topic: str = "TEMPERATURE", repeated: bool = False) -> None:
        for payload in payloads:
            kept = self.backlog.keep(Publish(topic, str(payload).encode(), "reading", measured=self.now()), repeated)
            assert kept is (self.records > 0)

    def work(self, after: float = 0.0) -> None:
        self.mono += after
        self.backlog.work()

    def take(self, most: float = 1e9) -> list[dict[str, Any]]:
        """The next message, once the thread has prepared it."""
        message = self.backlog.take(most)
        if message is None:
            self.backlog.work()
            message = self.backlog.take(most)
        return msgspec.json.decode(message.payload) if message else []

    def drain(self) -> Iterator[dict[str, Any]]:
        """Everything, each message acknowledged."""
        while records := self.take():
            yield from records
            self.backlog.said()
        self.backlog.work()

    def payloads(self) -> list[str]:
        return [record["payload"] for record in self.drain()]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def written(path: Path) -> int:
    """How many records are on disk."""
    with closing(sqlite3.connect(path)) as database:
        (number,) = database.execute("SELECT count(*) FROM record").fetchone()
    return int(number)


# --- what a message says ----------------------------------------------------------------------------------------------


def test_a_record_tells_when_it_was_measured_and_where_it_would_have_stood(device: Device) -> None:
    device.mono += 31.123
    device.keep("20.25")
    device.keep('{"event":"disconnected"}', topic="stoker/shed/event", repeated=True)
    device.mono += 3600
    first, second = device.drain()
    number = first.pop("id")
    assert first == {"time": "2026-11-21T12:00:31.123Z", "topic": "TEMPERATURE", "payload": "20.25"}
    assert second == {
        "id": number + 1,
        "time": "2026-11-21T12:00:31.123Z",
        "topic": "stoker/shed/event",
        "payload": '{"event":"disconnected"}',
        "repeated": True,
    }


def test_fifty_records_make_a_message_and_fewer_where_the_broker_takes_less(device: Device) -> None:
    device.keep(*range(120))
    assert len(device.take()) == 50
    few = device.take(1000)
    assert 5 < len(few) < 15
    assert len(msgspec.json.encode(few)) + len("stoker/shed/backlog") <= 1000
    assert [record["payload"] for record in device.take(1)] == ["0"]


def test_a_record_larger_than_a_message_has_one_for_itself(device: Device) -> None:
    device.keep(1, "x" * 40_000, 2)
    sizes = list[int]()
    while message := device.take():
        sizes.append(len(message))
        device.backlog.said()
    assert sizes == [1, 1, 1]


# --- memory, disk and power cuts --------------------------------------------------------------------------------------


def test_a_short_loss_writes_nothing(device: Device) -> None:
    list(device.drain())
    device.keep(1, 2, 3)
    device.work(WRITE_AFTER - 1)
    assert written(device.card.path) == 0
    before = device.card.path.stat().st_mtime_ns
    list(device.drain())
    after = device.card.path.stat().st_mtime_ns
    assert before != after, "the ids were reserved"
    for number in range(10):
        device.keep(number)
        assert device.payloads() == [str(number)]
    assert device.card.path.stat().st_mtime_ns == after


def test_a_long_loss_is_written_once_a_minute_and_survives_a_power_cut(device: Device) -> None:
    device.keep(1, 2)
    device.work(WRITE_AFTER)
    device.keep(3)
    device.work(WRITE_AFTER - 1)
    assert written(device.card.path) == 2
    device.crash()
    assert (device.backlog.waiting, device.backlog.oldest) == (2, NOON)
    assert device.payloads() == ["1", "2"], "the third was less than a minute old"
    assert (device.backlog.waiting, device.backlog.oldest) == (0, None)


def test_what_comes_while_the_past_is_said_is_written_in_its_time_too(device: Device) -> None:
    device.keep(*range(500))
    device.work()
    device.keep("newer")
    for _ in range(9):
        assert device.take()
        device.backlog.said()
        device.work(WRITE_AFTER / 8)
    device.crash()
    assert device.payloads()[-1] == "newer"


def test_many_are_written_at_once(device: Device) -> None:
    device.keep(*range(WRITE_AT - 1))
    device.work()
    assert written(device.card.path) == 0
    device.keep(WRITE_AT - 1)
    device.work()
    assert written(device.card.path) == WRITE_AT


def test_an_orderly_end_writes_everything(device: Device) -> None:
    device.keep(1, 2, 3)
    device.stop()
    assert device.payloads() == ["1", "2", "3"]


def test_ids_rise_over_restarts_and_over_a_new_card(device: Device, tmp_path: Path) -> None:
    device.keep(1)
    (first,) = device.drain()
    device.crash()
    device.keep(2)
    (second,) = device.drain()
    assert first["id"] < second["id"]
    later = Device(tmp_path / "new card")
    later.mono += 3600
    later.crash()
    later.keep(3)
    (third,) = later.drain()
    assert second["id"] < third["id"]


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_went_out_and_was_not_acknowledged_is_marked_the_second_time(device: Device, on_disk: bool) -> None:
    device.keep(*range(60))
    device.work(WRITE_AFTER if on_disk else 0)
    assert not any("repeated" in record for record in device.take())
    again = list(device.drain())
    assert [record["payload"] for record in again] == [str(number) for number in range(60)]
    assert [record.get("repeated", False) for record in again] == [True] * 50 + [False] * 10


def test_what_went_out_before_a_power_cut_is_marked_after_it(device: Device) -> None:
    device.keep(*range(120))
    device.work(WRITE_AFTER)
    assert len(device.take()) == 50
    device.backlog.said()
    assert len(device.take()) == 50
    device.crash()
    rest = list(device.drain())
    assert [record["payload"] for record in rest] == [str(number) for number in range(50, 120)]
    assert [record.get("repeated", False) for record in rest] == [True] * 50 + [False] * 20


def test_what_went_out_of_memory_and_came_to_disk_afterwards_is_marked(device: Device) -> None:
    device.keep(1, 2)
    assert len(device.take()) == 2
    device.work(WRITE_AFTER)
    device.crash()
    assert [record["repeated"] for record in device.drain()] == [True, True]


def test_what_was_ready_in_memory_when_it_came_to_disk_is_marked_once_it_went_out(device: Device) -> None:
    device.keep(1, 2)
    assert device.backlog.take() is None
    device.work()
    device.work(WRITE_AFTER)
    assert [record.get("repeated", False) for record in device.take()] == [False, False]
    device.crash()
    assert [record["repeated"] for record in device.drain()] == [True, True]


@pytest.mark.parametrize("when", ["afterwards", "meanwhile"])
def test_what_was_acknowledged_when_it_came_to_disk_is_not_said_again(device: Device, when: str) -> None:
    device.keep(1, 2)
    assert len(device.take()) == 2
    if when == "meanwhile":
        device.card.meanwhile = device.backlog.said
    device.work(WRITE_AFTER)
    device.backlog.said()
    device.work()
    assert (device.backlog.waiting, device.payloads()) == (0, [])
    device.crash()
    assert device.payloads() == []


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_the_oldest_go_where_there_are_too_many_and_are_counted_over_restarts(tmp_path: Path) -> None:
    device = Device(tmp_path, records=600)
    for start in (0, 500):
        device.keep(*range(start, start + 500))
        device.work()
    device.crash()
    text = (
        "400 readings and events that waited longest for the broker were dropped: 600 are kept, of 256 bytes on average"
    )
    assert device.backlog.dropped() == text
    assert device.backlog.dropped() == ""
    assert device.payloads() == [str(number) for number in range(400, 1000)]
    device.crash()
    assert (device.backlog.dropped_total, device.backlog.dropped()) == (400, "")


def test_large_records_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    device = Device(tmp_path, records=100)
    for number in range(20):
        device.keep(f"{number:02}" + "x" * 5000)
        device.work(WRITE_AFTER)
    assert [payload[:2] for payload in device.payloads()] == ["15", "16", "17", "18", "19"]  # of 25600 bytes
    assert device.backlog.dropped_total == 15


def test_a_few_are_few_in_memory_too(tmp_path: Path) -> None:
    device = Device(tmp_path, records=3)
    device.keep(*range(10))
    assert (device.backlog.waiting, device.backlog.dropped_total) == (3, 7)
    assert device.payloads() == ["7", "8", "9"]


def test_none_at_all_can_be_wanted(tmp_path: Path) -> None:
    device = Device(tmp_path, records=0)
    device.keep(1, 2)
    assert (device.backlog.waiting, device.payloads()) == (0, [])


def test_what_a_smaller_limit_forbids_goes_with_the_next_write(device: Device) -> None:
    device.keep(*range(500))
    device.work()
    device.backlog.configure("elsewhere", 10)
    device.keep(500)
    device.work(WRITE_AFTER)
    assert device.payloads() == [str(number) for number in range(491, 501)]
    assert device.backlog.dropped_total == 491


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_time_is_set_right_when_the_clock_is(tmp_path: Path) -> None:
    device = Device(tmp_path, synchronised=False)
    device.ahead = 0.0  # 1970
    device.keep("disk")
    device.work(WRITE_AFTER)
    device.keep("memory")
    device.ahead, device.synchronised = NOON, True
    times = [(record["time"], record.get("synchronised", True)) for record in device.drain()]
    assert times == [("2026-11-21T12:01:40.000Z", True), ("2026-11-21T12:02:40.000Z", True)]


def test_a_time_on_disk_is_set_right_also_for_the_next_start_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path, synchronised=False)
    device.ahead = 0.0
    device.keep("disk", "disk")
    device.work(WRITE_AFTER)
    device.ahead, device.synchronised = NOON, True
    device.keep("a minute later")
    device.work(WRITE_AFTER)
    monkeypatch.setattr(module, "_boot", lambda: "another")
    device.mono = 5.0
    device.crash()
    assert [record["time"][11:19] for record in device.drain()] == ["12:01:40", "12:01:40", "12:02:40"]


def test_a_clock_that_was_never_right_is_admitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(tmp_path, synchronised=False)
    device.ahead = 0.0
    device.keep("before the power cut")
    device.work(WRITE_AFTER)
    monkeypatch.setattr(module, "_boot", lambda: "another")
    device.ahead, device.synchronised = NOON, True
    device.crash()
    (record,) = device.drain()
    assert (record["time"], record["synchronised"]) == ("1970-01-01T00:01:40.000Z", False)


def test_records_without_a_right_time_wait_a_minute_for_a_time_server(tmp_path: Path) -> None:
    device = Device(tmp_path, synchronised=False)
    device.keep("1", "2")
    for _ in range(3):
        device.work(WRITE_AFTER)
    assert device.take() == [], "the minute begins when somebody could hear them"
    device.mono += 59
    assert device.take() == []
    device.mono += 1
    assert [record["synchronised"] for record in device.take()] == [False, False]


# --- a bad card -------------------------------------------------------------------------------------------------------


def test_on_a_full_card_the_new_goes_on_and_what_cannot_be_marked_there_waits(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.keep(*range(100))
    device.work(WRITE_AFTER)
    device.card.read_only = True
    device.keep(*range(100, 200))
    for _ in range(3):
        device.work(WRITE_AFTER)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    text = "the backlog will not survive a restart until it can be written"
    assert caplog.messages == [f"{device.card.path}: attempt to write a readonly database; {text}"]
    assert device.payloads() == [str(number) for number in range(100, 200)]
    assert device.backlog.waiting == 100
    device.card.read_only = False
    device.keep("there is room again")
    device.mono += WRITE_AFTER
    assert device.payloads() == [*(str(number) for number in range(100)), "there is room again"]
    device.crash()
    assert device.payloads() == []


def test_a_card_that_cannot_be_read_either_bounds_what_waits_in_memory(device: Device) -> None:
    device.card.broken = True
    device.keep(*range(MEMORY + 7))
    device.work()
    assert (device.backlog.waiting, device.backlog.dropped_total) == (MEMORY, 7)
    device.card.broken = False
    device.work(WRITE_AFTER)
    assert written(device.card.path) == MEMORY
    device.crash()
    assert device.backlog.dropped_total == 7


def test_a_damaged_file_is_set_aside_and_a_new_one_serves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "backlog.db").write_bytes(b"no database, whatever it was before" * 1000)
    device = Device(tmp_path)
    assert "is damaged" in caplog.text
    assert (tmp_path / "backlog.damaged").exists()
    device.keep(1)
    device.stop()
    assert device.payloads() == ["1"]


@pytest.mark.parametrize(
    "nonsense",
    [
        "UPDATE record SET wall = 1e300",
        "UPDATE record SET payload = x'ff'",
        "UPDATE record SET payload = CAST(x'ff' AS TEXT)",
        "UPDATE head SET records = 'many'",
        "DROP TABLE record; CREATE TABLE record (something TEXT)",
    ],
)
def test_nonsense_in_the_file_is_damage_too(device: Device, nonsense: str, caplog: pytest.LogCaptureFixture) -> None:
    device.keep(1)
    device.stop()
    with closing(sqlite3.connect(device.card.path)) as database, database:
        database.executescript(nonsense)
    device.crash()
    device.keep(2)
    assert device.payloads() == ["2"]
    assert "is damaged" in caplog.text
    assert device.backlog.waiting == 0


def test_a_file_that_somebody_removes_is_made_anew(device: Device) -> None:
    device.keep(1)
    device.work(WRITE_AFTER)
    device.card.path.unlink()
    device.keep(2)
    device.work(WRITE_AFTER)
    assert (device.backlog.waiting, device.payloads()) == (1, ["2"])


def test_a_directory_that_cannot_be_is_one_warning_and_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    device = Device(tmp_path / "file" / "state")
    device.keep(1)
    device.work(WRITE_AFTER)
    assert device.payloads() == ["1"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


# --- any story at all -------------------------------------------------------------------------------------------------


class AnyStory(RuleBasedStateMachine):
    """Records come, messages arrive or don't, are acknowledged or not, the card fails, the power goes."""

    @initialize(records=st.sampled_from([7, 80, 700, 100_000]))
    def begin(self, records: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.device = Device(Path(self._folder.name), records)
        self.kept = 0
        self.heard: list[tuple[int, bool]] = []  # payload, whether it was marked
        self.lost: set[int] = set()  # in power cuts
        self.under_way = self.card_failed = False

    @rule(number=st.integers(1, 60), tried=st.booleans())
    def keep(self, number: int, tried: bool) -> None:
        for payload in range(self.kept, self.kept + number):
            if tried:
                self.heard.append((payload, False))  # on its own topic, before the line was lost
            self.device.keep(payload, repeated=tried)
        self.kept += number

    @rule(seconds=st.sampled_from([0, 1, 60]))
    def time_passes(self, seconds: int) -> None:
        self.device.work(seconds)

    @rule(most=st.sampled_from([300, 1e9]), arrives=st.booleans(), patient=st.booleans())
    def say(self, most: float, arrives: bool, patient: bool) -> None:
        message = None if patient else self.device.backlog.take(most)
        records = self.device.take(most) if patient else msgspec.json.decode(message.payload) if message else []
        if arrives:
            self.heard += [(int(record["payload"]), record.get("repeated", False)) for record in records]
        self.under_way = arrives and bool(records)

    @precondition(lambda self: self.under_way)
    @rule()
    def acknowledge(self) -> None:
        self.device.backlog.said()
        self.under_way = False

    @rule(read_only=st.booleans(), broken=st.booleans())
    def card(self, read_only: bool, broken: bool) -> None:
        self.device.card.read_only, self.device.card.broken = read_only, broken
        self.card_failed = self.card_failed or read_only or broken

    @rule()
    def power_cut(self) -> None:
        with closing(sqlite3.connect(self.device.card.path)) as database:
            on_disk = {int(payload) for (payload,) in database.execute("SELECT payload FROM record")}
        self.lost |= set(range(self.kept)) - on_disk
        self.device.crash()
        self.under_way = False

    @rule()
    def orderly_restart(self) -> None:
        self.device.card.read_only = self.device.card.broken = False
        self.device.stop()
        self.under_way = False

    @invariant()
    def whoever_hears_something_twice_is_told(self) -> None:
        before = set[int]()
        for payload, marked in self.heard:
            assert marked or payload not in before, (payload, self.heard)
            before.add(payload)

    def teardown(self) -> None:
        if not hasattr(self, "device"):
            return
        self.device.card.read_only = self.device.card.broken = False
        self.device.mono += WRITE_AFTER
        rest = [(int(record["payload"]), record.get("repeated", False)) for record in self.device.drain()]
        assert self.device.backlog.waiting == 0
        self.heard += rest
        self.whoever_hears_something_twice_is_told()
        missing = set(range(self.kept)) - {payload for payload, _ in self.heard} - self.lost
        assert len(missing) <= self.device.backlog.dropped_total
        if not self.card_failed:
            assert rest == sorted(rest)
        self._folder.cleanup()


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# --- the thread -------------------------------------------------------------------------------------------------------


def test_the_thread_sleeps_until_there_is_something_to_do_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITE_AFTER", 0.2)
    passes: list[float] = []

    def counted(self: Backlog, work: Callable[[Backlog], None] = Backlog.work) -> None:
        passes.append(time.monotonic())
        work(self)

    monkeypatch.setattr(Backlog, "work", counted)
    device = Device(tmp_path)
    begin = time.monotonic()
    device.now = lambda: Now(time.monotonic() - begin, NOON, True)  # type: ignore[method-assign]
    device.crash()
    device.backlog.start()
    device.keep(1, 2, 3)
    until(lambda: device.card.path.exists() and written(device.card.path) == 3)
    assert time.monotonic() - begin >= 0.2
    assert len(passes) == 1
    device.backlog.close(5)
    assert not any(thread.name == "backlog" for thread in threading.enumerate())


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_million_records_delay_neither_the_start_nor_a_message(tmp_path: Path) -> None:
    device = Device(tmp_path, records=1_000_000)
    with closing(sqlite3.connect(device.card.path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i"
        database.execute(f"INSERT INTO record {numbers}, {NOON}, 'TEMPERATURE', '20.25', 0, NULL, NULL, 56 FROM n")
        database.execute("DELETE FROM head")
        database.execute("INSERT INTO head VALUES (2000000, 0, 1000000, 56000000, 0, 0)")
    device.crash()
    assert device.backlog.waiting == 1_000_000
    assert len(device.take()) == 50
    device.backlog.said()
    device.keep(*range(500))
    device.work()
    assert device.backlog.waiting == 1_000_000
    assert device.backlog.dropped_total == 450
    assert device.card.steps < 100, "a look at every record would be thousands"
