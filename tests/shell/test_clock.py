"""Whether the clock is right: who is asked, and what is believed where nobody can tell."""

from pathlib import Path

import pytest

from stoker import clock


@pytest.fixture
def timesyncd(tmp_path: Path) -> Path:
    """A system whose time systemd-timesyncd keeps; no server has answered yet."""
    (tmp_path / clock.TIMESYNC).mkdir(parents=True)
    return tmp_path


def test_the_kernel_knows_whoever_keeps_the_time(tmp_path: Path) -> None:
    assert clock.known(tmp_path, lambda: True) is True
    assert clock.known(tmp_path, lambda: False) is False


def test_a_line_to_ntp_that_is_lost_for_a_day_makes_no_clock_wrong(timesyncd: Path) -> None:
    assert clock.synchronised(timesyncd, lambda: False) is False, "just started"
    (timesyncd / clock.TIMESYNC / clock.MARKER).touch()
    assert clock.synchronised(timesyncd, lambda: False) is True, "by now the kernel doubts it again"


def test_in_a_sandbox_that_hides_the_kernel_the_marker_tells(timesyncd: Path) -> None:
    assert clock.synchronised(timesyncd, lambda: None) is False
    (timesyncd / clock.TIMESYNC / clock.MARKER).touch()
    assert clock.synchronised(timesyncd, lambda: None) is True


def test_where_nobody_can_tell_it_is_believed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert clock.known(tmp_path, lambda: None) is None
    assert clock.synchronised(tmp_path, lambda: None) is True
    assert "the clock is believed" in caplog.text
