"""Deaths in a row, the wall clock, and heat against frost: each rule by its numbers."""

import math

import pytest

from stoker.core.clock import WallClock
from stoker.core.frost import Duty, duty, harmless
from stoker.core.messages import Now
from stoker.core.restarts import Restarts, Write
from stoker.core.thermometer import Trouble


def restarts(remembered: str | None, most: int = 5) -> Restarts:
    return Restarts(remembered, most, 600.0, 1000.0)


def test_a_run_counts_once_from_its_first_heat_until_it_is_stable() -> None:
    run = restarts("2")
    assert run.heating(1010.0) == Write("3")
    assert run.heating(1020.0) is None
    assert run.stable(1599.0) is None
    assert run.stable(1600.0) == Write(None)
    assert run.stable(1601.0) is None
    assert run.heating(1700.0) is None


def test_the_count_grows_by_one() -> None:
    assert [restarts(str(count)).heating(1000.0) for count in (3, 7)] == [Write("4"), Write("8")]


def test_a_first_heat_after_it_is_stable_does_not_count() -> None:
    run = restarts("2")
    assert run.heating(1601.0) is None
    assert run.stable(1602.0) == Write(None)


def test_a_run_without_heat_writes_nothing() -> None:
    run = restarts(None)
    assert (run.stable(1600.0), run.stopping(), run.heating(1600.0)) == (None, None, None)


def test_an_end_in_order_forgets() -> None:
    run = restarts("2")
    assert run.stopping() == Write(None)
    assert run.stopping() is None


@pytest.mark.parametrize(
    ("remembered", "most", "held"),
    [
        ("4", 5, False),
        ("5", 5, True),
        ("9", 5, True),
        ("1", 1, True),
        ("9", 0, False),
        (None, 1, False),
        ("0", 1, False),
    ],
)
def test_how_many_are_too_many(remembered: str | None, most: int, held: bool) -> None:
    run = restarts(remembered, most)
    assert run.held_until == (1600.0 if held else -math.inf)
    assert bool(run.text(1599.0)) is held
    assert run.text(1600.0) == ""


def test_what_it_says() -> None:
    text = "ended 5 times in a row soon after it had begun to heat; heats in 590 s if it lives"
    assert restarts("5").text(1010.0) == text


@pytest.mark.parametrize("remembered", ["", "-1", "1.5", "x", "\u0667", "123456789", "1234567890"])
def test_a_number_that_is_none(remembered: str) -> None:
    assert restarts(remembered).count == 0


def test_the_count_is_bounded() -> None:
    run = restarts("99999999")
    assert run.count == 1000
    assert run.heating(1000.0) == Write("1000")


def test_the_wall_clock() -> None:
    clock = WallClock(Now(100.0, 5000.0))
    assert clock.jumped(Now(200.0, 5100.0)) == 0.0
    assert clock.jumped(Now(300.0, 5205.0)) == 0.0
    assert clock.jumped(Now(300.0, 5202.0)) == 0.0
    assert clock.jumped(Now(300.0, 5205.0)) == 0.0
    assert clock.jumped(Now(300.0, 5199.0)) == -6.0
    assert clock.jumped(Now(400.0, 5305.5)) == 6.5
    assert clock.jumped(Now(500.0, 5405.5)) == 0.0


@pytest.mark.parametrize(
    ("now", "on", "until"),
    [
        (100.0, False, 1540.0),
        (1539.0, False, 1540.0),
        (1540.0, True, 1900.0),
        (1899.0, True, 1900.0),
        (1900.0, False, 3340.0),
        (3340.0, True, 3600.0),
    ],
)
def test_a_duty_of_a_fifth(now: float, on: bool, until: float) -> None:
    found = duty(0.2, 3500.0, stale_at=100.0, now=now)
    assert isinstance(found, Duty)
    assert (found.on, found.until) == (on, until)


@pytest.mark.parametrize(("share", "now"), [(0.2, 3600.0), (0.2, 99.0), (0.0, 200.0)])
def test_no_duty(share: float, now: float) -> None:
    assert duty(share, 3500.0, stale_at=100.0, now=now) is None


def test_what_a_duty_says() -> None:
    found = duty(0.2, 36000.0, stale_at=0.0, now=18000.0)
    assert found is not None
    assert found.text == "heats 20% of the time against frost, for at most 5.0 h more"


@pytest.mark.parametrize(
    ("celsius", "trouble", "allowed"),
    [
        (19.0, None, True),
        (20.0, Trouble("crc-error", "?"), True),
        (20.1, None, False),
        (None, None, False),
        (5.0, Trouble("implausible-temperature", "?"), False),
    ],
)
def test_which_last_temperature_allows_a_duty(celsius: float | None, trouble: Trouble | None, allowed: bool) -> None:
    assert harmless(celsius, 20.0, trouble) is allowed
