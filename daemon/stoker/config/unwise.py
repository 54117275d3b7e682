"""Limits that are legal and dangerous, or that never do what they are there for. `stoker check` warns of them.

Rule: what one value alone tells is a row here; what needs two of them, or more than its own table, is in `check.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from stoker.config.spans import show_seconds

HOUR = 3600.0
DAY = 24 * HOUR


class Row(NamedTuple):
    """Above `most` this key is worth a warning: `why`, with the value in it as `show` says it."""

    key: str
    most: float
    why: str
    show: Callable[[float], str]


def _kelvin(value: float) -> str:
    return f"{value:g} K"


ROWS = {
    "thermometers": (
        Row("max_rate", 60.0, "a sensor may leap by {} in a minute and be believed; 10 K is fast for a room", _kelvin),
    ),
    "heaters": (Row("min_on", HOUR / 2, "goes on for {} although the place has long been warm enough", show_seconds),),
    "zones": (
        Row("hysteresis", 5.0, "the temperature swings by {} and more", _kelvin),
        Row(
            "runaway_test",
            DAY,
            "a sensor that slipped away is put to the test for {}, heating half of it",
            show_seconds,
        ),
        Row("stuck_on_after", DAY, "a relay that sticks is noticed only after {} without any fall", show_seconds),
        Row("stuck_on_rise", 10.0, "a relay that sticks is noticed only when it is {} warmer", _kelvin),
        Row("order_hold", DAY, "an order by hand stands above target and schedule for {}", show_seconds),
        Row("order_lifetime", 600.0, "an order that was held up for {} on its way still counts", show_seconds),
    ),
}


def unwise(section: str, table: Any) -> list[tuple[str, str]]:
    """Each key of this table of [thermometers], [heaters] or [zones] that is worth a warning, and why."""
    found = [(row, getattr(table, row.key)) for row in ROWS[section]]
    return [(row.key, row.why.format(row.show(value))) for row, value in found if value > row.most]
