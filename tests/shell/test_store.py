"""What survives a restart, a full queue of changes, a damaged file and a directory that cannot be written."""

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from stoker.store import Store


def remembered(directory: Path) -> dict[str, str]:
    return Store(directory).load()


def test_what_was_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    assert store.load() == {}
    store.start()
    store.remember("room/target", "20.0")
    store.remember("room/target", "21.0")
    store.remember("room/mode", "off")
    store.close(5)
    assert remembered(tmp_path / "state") == {"room/target": "21.0", "room/mode": "off"}

    store = Store(tmp_path / "state")
    store.load()
    store.start()
    store.remember("room/mode", None)
    store.close(5)
    assert remembered(tmp_path / "state") == {"room/target": "21.0"}


def test_a_damaged_file_is_set_aside_and_said_and_a_new_one_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "stoker.db").write_bytes(b"this is no database, whatever it was before" * 100)
    store = Store(tmp_path)
    assert store.load() == {}
    assert "is damaged" in caplog.text
    assert (tmp_path / "stoker.damaged").exists()

    store.start()
    store.remember("room/mode", "off")
    store.close(5)
    assert remembered(tmp_path) == {"room/mode": "off"}


def test_what_others_wrote_into_the_file_costs_the_memory_and_not_the_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.load()
    with closing(sqlite3.connect(tmp_path / "stoker.db")) as database, database:
        database.execute("INSERT INTO remembered VALUES ('room/mode', 'off'), ('room/target', x'ff00')")
    assert remembered(tmp_path) == {"room/mode": "off"}

    with closing(sqlite3.connect(tmp_path / "stoker.db")) as database, database:
        database.execute("DROP TABLE remembered")
        database.execute("CREATE TABLE remembered (something TEXT)")
    assert remembered(tmp_path) == {}
    assert (tmp_path / "stoker.damaged").exists()


def test_a_directory_that_cannot_be_is_one_warning_and_no_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "state")
    assert store.load() == {}
    store.start()
    store.remember("room/mode", "off")
    store.remember("room/mode", "heat")
    store.close(5)

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "will not survive a restart" in caplog.text


def test_what_could_not_be_written_is_written_when_it_can_be(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.load()
    blocker = sqlite3.connect(tmp_path / "stoker.db", timeout=0)
    blocker.execute("BEGIN EXCLUSIVE")
    store.start()
    store.remember("room/mode", "off")
    blocker.rollback()
    blocker.close()
    store.close(10)

    assert remembered(tmp_path) == {"room/mode": "off"}


def test_a_flood_of_orders_while_the_card_is_busy_leaves_no_queue(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.load()
    blocker = sqlite3.connect(tmp_path / "stoker.db", timeout=0)
    blocker.execute("BEGIN EXCLUSIVE")
    store.start()
    tracemalloc.start()
    try:
        for number in range(100_000):
            store.remember("room/target", f"{number}.0")
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        blocker.rollback()
        blocker.close()
    store.close(10)

    assert grown < 100_000, "bytes for a hundred thousand orders"
    assert remembered(tmp_path) == {"room/target": "99999.0"}
