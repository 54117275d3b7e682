"""How warm it shall be: who has the last word, and until when."""

import math
from datetime import UTC

from fakes import MIDNIGHT
from stoker.core import schedule
from stoker.core.aim import Aim, Orders, aim, scheduled
from stoker.core.messages import Now
from stoker.core.settings import Presets, Zone

NOON = Now(1000.0, MIDNIGHT + 12 * 3600.0)
ROOM = Zone(thermometer="inside", heater="radiator", target=19.0)
AUTO = Zone(thermometer="inside", heater="radiator", target=19.0, mode="auto")
WEEK = schedule.parse({"daily": ("06:00 21.5", "22:00 eco")})


def ordered(**orders: object) -> Orders:
    given = Orders()
    for name, value in orders.items():
        setattr(given, name, value)
    return given


def planned() -> Aim:
    """What the schedule says at noon: 21.5 °C until ten in the evening."""
    return scheduled(AUTO, WEEK.at(NOON.wall, UTC), UTC)


def test_without_an_order_it_is_as_configured_for_ever() -> None:
    assert aim(ROOM, Orders(), None, away=False, now=NOON) == Aim(19.0, "as configured", "none", math.inf)


def test_the_last_word_goes_from_the_schedule_up_to_boost() -> None:
    orders = Orders()
    assert aim(AUTO, orders, planned(), away=False, now=NOON).target == 21.5
    orders.target = 18.0
    assert aim(AUTO, orders, planned(), away=False, now=NOON).because == "as ordered"
    orders.preset = "eco"
    assert aim(AUTO, orders, planned(), away=False, now=NOON) == Aim(17.0, "preset eco", "eco")
    assert aim(AUTO, orders, planned(), away=True, now=NOON) == Aim(12.0, "nobody is at home", "away")
    orders.boost_until = 1600.0
    assert aim(AUTO, orders, planned(), away=True, now=NOON) == Aim(22.0, "boost", "boost", 1600.0)


def test_a_boost_is_over_at_its_very_end() -> None:
    orders = ordered(boost_until=1600.0)
    assert aim(ROOM, orders, None, away=False, now=Now(1599.9, NOON.wall)).preset == "boost"
    assert aim(ROOM, orders, None, away=False, now=Now(1600.0, NOON.wall)).preset == "none"


def test_an_absence_lowers_what_was_ordered_and_never_raises_it() -> None:
    assert aim(ROOM, ordered(target=18.0), None, away=True, now=NOON).target == 12.0
    assert aim(ROOM, ordered(target=8.0), None, away=True, now=NOON).target == 8.0


def test_a_target_ordered_holds_to_the_second_and_says_when_it_ends() -> None:
    orders = ordered(target=18.0, target_until=NOON.wall + 600.0)
    assert aim(AUTO, orders, planned(), away=False, now=NOON) == Aim(18.0, "as ordered", until=1600.0)
    later = Now(1600.0, NOON.wall + 600.0)
    assert aim(AUTO, orders, planned(), away=False, now=later).target == 21.5


def test_what_the_schedule_says_ends_with_its_entry() -> None:
    found = aim(AUTO, Orders(), planned(), away=False, now=NOON)

    assert found.until == NOON.mono + 10 * 3600.0
    assert found.because == "schedule: 21.5 °C until Monday 22:00"
    assert found.entry == WEEK.at(NOON.wall, UTC)


def test_only_a_zone_that_follows_a_schedule_complains_of_the_clock() -> None:
    wrong = Now(NOON.mono, NOON.wall, synchronised=False)
    assert "not synchronised" in aim(AUTO, Orders(), None, away=False, now=wrong).because
    assert aim(ROOM, Orders(), None, away=False, now=wrong).because == "as configured"
    assert aim(AUTO, Orders(), None, away=False, now=NOON).because == "as configured"
    assert "not synchronised" in aim(ROOM, ordered(mode="auto"), None, away=False, now=wrong).because


def test_a_preset_stays_within_the_limits_of_the_zone() -> None:
    narrow = Zone(
        thermometer="inside",
        heater="radiator",
        target_min=16.0,
        target_max=21.0,
        presets=Presets(comfort=20.5, eco=10.0, boost=25.0),
    )
    found = [aim(narrow, ordered(preset=name), None, away=False, now=NOON).target for name in ("comfort", "eco")]
    assert found == [20.5, 16.0]
    assert aim(narrow, ordered(boost_until=math.inf), None, away=False, now=NOON).target == 21.0
