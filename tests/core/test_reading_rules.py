"""Which readings a thermometer takes: limits, the fastest change, a new level that stays, and a frozen value."""

import pytest

from stoker.core.messages import Reading
from stoker.core.settings import Thermometer as Settings
from stoker.core.thermometer import Thermometer


def read(thermometer: Thermometer, celsius: float, at: float) -> str:
    """Offer a reading; why it was refused, or nothing."""
    trouble = thermometer.take(Reading("t", celsius, at))
    return trouble.text if trouble else ""


def at_twenty(**settings: float) -> Thermometer:
    thermometer = Thermometer(Settings(**settings), 0.0)  # type: ignore[arg-type]
    assert read(thermometer, 20.0, 100.0) == ""
    return thermometer


@pytest.mark.parametrize(
    ("celsius", "text"),
    [
        (-40.0, ""),
        (85.0, ""),
        (-40.1, "-40.10 °C is outside -40 to 85 °C"),
        (85.1, "85.10 °C is outside -40 to 85 °C"),
        (float("nan"), "nan is no temperature"),
    ],
)
def test_the_range(celsius: float, text: str) -> None:
    assert read(Thermometer(Settings(), 0.0), celsius, 1.0) == text


@pytest.mark.parametrize(
    ("celsius", "after", "taken"),
    [
        (26.6, 10.0, True),
        (26.7, 10.0, False),
        (13.4, 10.0, True),
        (13.3, 10.0, False),
        (25.0, 0.0, True),
        (25.1, 0.0, False),
        (30.0, 30.0, True),
        (30.1, 30.0, False),
        (30.1, 3600.0, False),
        (30.0, 3600.0, True),
    ],
)
def test_the_fastest_change(celsius: float, after: float, taken: bool) -> None:
    thermometer = at_twenty()
    text = read(thermometer, celsius, 100.0 + after)

    assert (text == "") is taken
    assert thermometer.celsius == (celsius if taken else 20.0)
    if not taken:
        assert text == f"20.00 to {celsius:.2f} °C within {after:.0f} s, 10 K a minute is allowed"
        assert thermometer.at == 100.0


def test_any_change_where_the_configuration_says_so() -> None:
    assert read(at_twenty(max_rate=0.0), 80.0, 101.0) == ""


def test_a_new_level_is_believed_with_its_third_reading_and_not_before_the_old_one_is_stale() -> None:
    thermometer = at_twenty()
    assert [bool(read(thermometer, 50.0, at)) for at in (110.0, 115.0, 120.0, 129.9)] == [True] * 4
    assert read(thermometer, 50.0, 130.0) == ""
    assert (thermometer.celsius, thermometer.at) == (50.0, 130.0)
    assert read(thermometer, 20.0, 140.0), "and that is the level from now on"


def test_long_after_it_takes_three_readings_too() -> None:
    thermometer = at_twenty()
    assert [bool(read(thermometer, 50.0, at)) for at in (5000.0, 5010.0)] == [True] * 2
    assert read(thermometer, 50.0, 5020.0) == ""


def test_a_slow_sensor_needs_three_intervals() -> None:
    thermometer = at_twenty(interval=300.0, max_rate=1.0)
    assert [bool(read(thermometer, 50.0, at)) for at in (400.0, 700.0)] == [True] * 2
    assert read(thermometer, 50.0, 1000.0) == ""


def test_a_level_that_drifts_on_is_one_too() -> None:
    thermometer = at_twenty()
    assert [bool(read(thermometer, 50.0 + 6 * n, 110.0 + 10 * n)) for n in range(3)] == [True, True, False]


def test_readings_that_contradict_each_other_are_no_level() -> None:
    thermometer = at_twenty()
    for at in range(110, 400, 10):
        assert read(thermometer, 50.0 if at % 20 else 65.0, float(at))


def test_the_same_reading_thrice_is_one() -> None:
    thermometer = at_twenty()
    for _ in range(10):
        assert read(thermometer, 50.0, 150.0)


def test_a_good_reading_between_begins_the_count_anew() -> None:
    thermometer = at_twenty()
    for start in (110.0, 150.0, 190.0):
        assert [bool(read(thermometer, 50.0, start + more)) for more in (0.0, 10.0)] == [True] * 2
        assert read(thermometer, 20.0, start + 20.0) == ""


def test_what_it_remembers_is_bounded() -> None:
    thermometer = at_twenty()
    for number in range(1000):
        read(thermometer, 50.0, 100.0 + number / 1000)
    assert len(thermometer.leap) <= 3


def test_an_older_reading_changes_nothing() -> None:
    thermometer = at_twenty()
    assert read(thermometer, 21.0, 99.0) == ""
    assert (thermometer.celsius, thermometer.at) == (20.0, 100.0)


def test_a_frozen_value() -> None:
    thermometer = at_twenty(frozen_after=60.0)
    assert read(thermometer, 20.0, 160.0) == ""
    text = "20 °C for 61 s without the slightest change, 60 s are allowed"
    assert read(thermometer, 20.0, 161.0) == text
    assert read(thermometer, 19.9375, 165.0) == ""
    assert read(thermometer, 20.0625, 170.0) == ""
    assert read(thermometer, 20.0625, 230.0) == ""
    assert read(thermometer, 20.0625, 231.0) != ""


def test_by_default_a_value_may_stay_the_same() -> None:
    assert read(at_twenty(), 20.0, 1e6) == ""
