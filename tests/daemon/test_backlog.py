"""The daemon's past: what it measured without a broker is said once there is one, whatever ended it meanwhile."""

import random
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.mosquitto import Authority, MakeBroker
from broker.watching import MakeObserver, Observer
from daemon import running
from daemon.running import ROOM, Daemon, MakeDaemon, mqtt
from daemon.test_running import until

QUICK_ROOM = ROOM.replace('interval = "200ms"', 'interval = "5ms"')
TRUSTED = 'clock = "trusted"\n'  # behind [device]: a machine for tests may have no time server

QUICK = """
from stoker import __main__, backlog
from stoker.link import link
link.PAST_PAUSE, backlog.MESSAGE_RECORDS = 0.02, 10
raise SystemExit(__main__.main())
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The past in small messages, one soon after the other."""
    monkeypatch.setattr(running, "STOKER", [sys.executable, "-c", QUICK])


def records(phone: Observer, topic: str = "stoker/shed/backlog") -> list[dict[str, Any]]:
    return [record for payload in phone.payloads(topic) for record in msgspec.json.decode(payload)]


def on_disk(device: Daemon) -> set[int]:
    with closing(sqlite3.connect(device.directory / "backlog.db")) as database:
        return {int(number) for (number,) in database.execute("SELECT id FROM record")}


def test_a_daemon_that_was_stopped_without_a_broker_says_its_past_after_the_next_start(
    daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority, observer: MakeObserver
) -> None:
    broker = mosquitto(authority=authority)
    device = daemon(TRUSTED + mqtt(broker) + ROOM).start()
    device.wait_for_log("heater on, below-target")
    assert device.stop() == 0
    written = on_disk(device)
    assert written
    broker.start()
    phone = observer(broker, "#")
    device.start()
    phone.wait_for(lambda: {record["id"] for record in records(phone)} >= written, "all of it")
    past = records(phone)
    assert {record["topic"] for record in past} == {"TEMPERATURE"}
    assert past == sorted(past, key=lambda record: record["time"])
    assert not any("repeated" in record for record in past)


def test_a_reload_that_makes_another_connection_takes_the_past_along(
    daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority, observer: MakeObserver
) -> None:
    broker = mosquitto(authority=authority)
    device = daemon(TRUSTED + mqtt(broker) + ROOM).start()
    device.wait_for_log("heater on, below-target")
    device.configure(TRUSTED + mqtt(broker, base="other") + ROOM)
    device.signal(signal.SIGHUP)
    device.wait_for_log("configuration read anew")
    broker.start()
    phone = observer(broker, "#")
    phone.wait_for(lambda: records(phone, "other/backlog") != [], "the past on its new topic")
    assert records(phone, "other/backlog")[0]["payload"].startswith("15.")
    assert records(phone) == []


def test_killed_at_any_moment_it_loses_nothing_that_was_written_and_marks_what_comes_twice(
    daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority, observer: MakeObserver
) -> None:
    broker = mosquitto(authority=authority)
    device = daemon(TRUSTED + mqtt(broker) + QUICK_ROOM).start()
    until(lambda: (device.directory / "backlog.db").exists() and len(on_disk(device)) >= 500, device)
    device.kill()
    written = on_disk(device)
    broker.start()
    phone = observer(broker, "#")
    dice = random.Random(4)
    for _ in range(10):
        enough = len(phone.payloads("stoker/shed/backlog")) + dice.randint(1, 6)
        device.start()
        phone.wait_for(lambda: len(phone.payloads("stoker/shed/backlog")) >= enough, "a part of it")  # noqa: B023
        device.kill()
        written |= on_disk(device)
    device.start()
    phone.wait_for(lambda: {record["id"] for record in records(phone)} >= written, "all of it")
    until(lambda: not written & on_disk(device), device)

    first: dict[int, Any] = {}
    for record in records(phone):
        assert record["id"] not in first or record["repeated"], record
        assert first.setdefault(record["id"], record)["payload"] == record["payload"]
    assert list(first) == sorted(first)
    assert device.log.count("Traceback") == 0


def test_a_state_directory_that_cannot_be_is_one_warning_and_the_present_goes_on(
    daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority, observer: MakeObserver, tmp_path: Path
) -> None:
    broker = mosquitto(authority=authority)
    (tmp_path / "file").write_text("")
    device = daemon(TRUSTED + mqtt(broker) + ROOM)
    device.config.write_text(device.config.read_text().replace(f'"{device.directory}"', f'"{tmp_path}/file/state"'))
    device.start()
    device.wait_for_log("heater on, below-target")
    broker.start()
    phone = observer(broker, "#")
    phone.wait_for(lambda: records(phone) != [], "what waited in memory")
    assert records(phone)[0]["payload"].startswith("15.")
    assert device.log.count("the backlog will not survive a restart") == 1
