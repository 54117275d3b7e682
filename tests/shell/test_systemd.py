"""What systemd hears, through the real notification socket and the real systemd-python where it is installed."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stoker.core.messages import Reading, Tick
from stoker.systemd import Systemd


@pytest.fixture
def notifications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    pytest.importorskip("systemd.daemon", reason="systemd-python is not installed (it builds against libsystemd-dev)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_ready_comes_with_the_first_reading_and_the_status_is_for_people(notifications: socket.socket) -> None:
    systemd = Systemd()
    systemd.passed(Tick(), lambda: "room -, no-temperature-yet; offline")
    assert notifications.recv(1000).decode() == "STATUS=room -, no-temperature-yet; offline"

    systemd.passed(Reading("inside", 20.1, 0.0), lambda: "room 20.1 °C, heating to 21; online")
    assert notifications.recv(1000).decode().splitlines() == ["READY=1", "STATUS=room 20.1 °C, heating to 21; online"]
    systemd.stopping()
    assert notifications.recv(1000).decode() == "STOPPING=1"


def test_the_watchdog_is_fed_by_finished_passes_in_half_of_its_time(
    notifications: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    systemd = Systemd()
    heard = ""
    while "WATCHDOG=1" not in heard:
        systemd.passed(Tick(), lambda: "")
        notifications.setblocking(False)
        try:
            heard = notifications.recv(1000).decode()
        except BlockingIOError:
            continue

    assert systemd.next_deadline() < float("inf")


def test_another_process_watchdog_is_not_ours(notifications: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    systemd = Systemd()
    systemd.passed(Reading("inside", 20.1, 0.0), lambda: "")

    assert notifications.recv(1000).decode() == "READY=1"
    assert systemd.next_deadline() == float("inf")


def test_a_reload_is_told_with_the_time_that_systemd_wants(notifications: socket.socket) -> None:
    systemd = Systemd()
    systemd.reloading()
    systemd.reloaded(lambda: "room 20.1 °C, heating to 18; online")

    reloading, stamp = notifications.recv(1000).decode().splitlines()
    assert reloading == "RELOADING=1"
    assert stamp.removeprefix("MONOTONIC_USEC=").isdecimal()
    assert notifications.recv(1000).decode() == "STATUS=room 20.1 °C, heating to 18; online\nREADY=1"


def test_a_status_that_changes_with_every_order_is_told_now_and_then(notifications: socket.socket) -> None:
    systemd = Systemd()
    for number in range(100):
        systemd.passed(Tick(), f"room 20.1 °C, {number}; online".strip)

    assert notifications.recv(1000).decode() == "STATUS=room 20.1 °C, 0; online"
    notifications.setblocking(False)
    assert len(all_that_waits(notifications)) <= 2, "one in ten seconds, however long this took"


def all_that_waits(listener: socket.socket) -> list[bytes]:
    heard: list[bytes] = []
    try:
        while True:
            heard.append(listener.recv(1000))
    except BlockingIOError:
        return heard


def test_who_has_stopped_listening_costs_a_line_in_the_log(
    notifications: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    systemd = Systemd()
    notifications.close()
    systemd.passed(Reading("inside", 20.1, 0.0), lambda: "room 20.1 °C, heating to 21; online")

    assert "systemd cannot be told how we are: Connection refused" in caplog.text


def test_without_systemd_nothing_is_said_and_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd = Systemd()
    systemd.passed(Tick(), lambda: pytest.fail("nobody asked for a summary"))

    assert systemd.next_deadline() == float("inf")
