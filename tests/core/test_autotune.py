"""Autotune: it finds what a room is, and it always ends by itself, with gains or with the reason why not."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.autotune import Autotune
from stoker_drivers.mock import Room

CYCLE = 1200.0


class Late:
    """An integrator behind a dead time: it warms by `rate` K/h with heat, and always loses `loss` K/h."""

    def __init__(self, rate: float, delay: float, loss: float) -> None:
        self.rate, self.loss = rate, loss
        self.celsius = 19.0
        self.pipe = [False] * int(delay / 10)

    def advance(self, on: bool) -> None:
        self.pipe.append(on)
        self.celsius += 10 / 3600 * (self.rate * self.pipe.pop(0) - self.loss)


def tune(room: Late, tuning: Autotune) -> float:
    now, relay = 0.0, False
    while not tuning.progress.ended:
        relay = tuning.demand(room.celsius, now, now, relay_on=relay).on
        room.advance(relay)
        now += 10.0
        assert now < 1e6, "it never ends"
    return now


@pytest.mark.parametrize(
    ("rate", "delay", "loss"), [(6.0, 300.0, 3.0), (3.0, 900.0, 0.6), (2.0, 1200.0, 1.6), (20.0, 120.0, 4.0)]
)
def test_it_finds_the_room_although_its_heater_is_too_strong_or_too_weak(
    rate: float, delay: float, loss: float
) -> None:
    tuning = Autotune(20.0, 0.0, CYCLE)
    tune(Late(rate, delay, loss), tuning)
    gains = tuning.progress.gains
    assert gains is not None, tuning.progress.text
    assert gains.lead == pytest.approx(delay + 60.0, abs=100.0)
    late = delay + CYCLE / 8
    assert gains.kp == pytest.approx(min(3600 / (2 * rate * late), 3.0), rel=0.35)
    assert tuning.progress.share == 1.0


def test_it_tells_how_far_it_is() -> None:
    room, tuning, shares = Late(6.0, 300.0, 3.0), Autotune(20.0, 0.0, CYCLE), list[float]()
    now, relay = 0.0, False
    while not tuning.progress.ended:
        relay = tuning.demand(room.celsius, now, now, relay_on=relay).on
        room.advance(relay)
        now += 10.0
        shares.append(tuning.progress.share)
    assert shares == sorted(shares)
    assert 0.0 < shares[len(shares) * 3 // 4] < 1.0
    assert "K/h" in tuning.progress.text


def test_a_dead_heater_ends_it_at_its_limit() -> None:
    tuning = Autotune(20.0, 0.0, CYCLE, limit=7200.0)
    assert tune(Late(0.0, 60.0, 0.0), tuning) == pytest.approx(7200.0, abs=20.0)
    assert tuning.progress.failure == "no 2 swings within 2 h"
    assert not tuning.demand(19.0, 8000.0, 8000.0, relay_on=True).on


def test_a_room_that_runs_away_ends_it() -> None:
    tuning = Autotune(20.0, 0.0, CYCLE)
    tune(Late(30.0, 1200.0, 3.0), tuning)
    assert "more than 3 K from 20 °C" in tuning.progress.failure


def test_something_else_that_decides_ends_it() -> None:
    tuning = Autotune(20.0, 0.0, CYCLE)
    tuning.demand(19.0, 0.0, 0.0, relay_on=False)
    tuning.abort("stale-temperature")
    assert tuning.progress.failure == "stale-temperature"
    assert not tuning.demand(19.0, 10.0, 10.0, relay_on=True).on


def test_a_real_room_is_tuned_in_a_few_hours() -> None:
    room, tuning, now = Room(start=18.0, outside=5.0, power=1500.0), Autotune(20.0, 0.0, CYCLE), 0.0
    while not tuning.progress.ended:
        room.relay = tuning.demand(room.measure(), now, now, relay_on=room.relay).on
        room.advance(10.0)
        now += 10.0
    assert tuning.progress.gains is not None, tuning.progress.text
    assert now < 6 * 3600


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 3000.0), st.floats(-20.0, 60.0)), min_size=1, max_size=200),
    st.floats(1.0, 600.0),
    st.floats(1.0, 600.0),
)
def test_no_readings_make_it_break_its_bounds(looks: list[tuple[float, float]], min_on: float, min_off: float) -> None:
    tuning = Autotune(20.0, 0.0, CYCLE, min_on=min_on, min_off=min_off, limit=36000.0)
    now, relay, since = 0.0, False, -math.inf
    for step, celsius in looks:
        now += step
        demand = tuning.demand(celsius, now, now, relay_on=relay)
        assert 0.0 <= tuning.progress.share <= 1.0
        assert tuning.progress.ended or now < 36000.0
        if tuning.progress.ended:
            assert not demand.on
        elif demand.on is not relay:
            assert now - since >= (min_on if relay else min_off) - 1e-6  # sums of floats
        if demand.on is not relay:
            relay, since = demand.on, now
