"""Optimum start: the room is warm on time once it has shown how fast it warms, and never begins absurdly early."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.core.pi import PI
from stoker.core.preheat import LONGEST, Preheat
from stoker_drivers.mock import Room

HOUR = 3600.0
DAY = 86400.0


def rise(preheat: Preheat, hours: float, at: float, outside: float | None = None) -> None:
    """The room went from 17 to 20 °C in this time."""
    preheat.watch(17.0, 17.0, at, outside=outside)
    for step in range(101):
        preheat.watch(17.0 + step * 0.03, 20.0, at + hours * HOUR * step / 100, outside=outside)


def test_before_it_knows_the_room_it_takes_half_an_hour_per_kelvin() -> None:
    assert Preheat().start_before(18.0, 20.0) == HOUR


def test_it_learns_from_the_rises_it_saw() -> None:
    preheat = Preheat()
    for day in range(5):
        rise(preheat, 3.0, day * DAY)
    assert 2.8 * HOUR < preheat.start_before(17.0, 20.0) < 3.2 * HOUR
    assert Preheat(list(preheat.rises)).start_before(17.0, 20.0) == preheat.start_before(17.0, 20.0)


def test_one_odd_morning_changes_little() -> None:
    preheat = Preheat()
    for day, hours in enumerate([1.5, 1.5, 14.0, 1.5, 1.5]):
        rise(preheat, hours, day * DAY)
    assert preheat.start_before(17.0, 20.0) < 1.7 * HOUR


def test_on_a_cold_morning_the_cold_mornings_count() -> None:
    preheat = Preheat()
    for day in range(5):
        rise(preheat, 1.0, day * DAY, outside=10.0)
    for day in range(5, 10):
        rise(preheat, 4.0, day * DAY, outside=-10.0)
    assert preheat.start_before(17.0, 20.0, outside=-8.0) > 3 * preheat.start_before(17.0, 20.0, outside=9.0)


def test_a_rise_that_was_disturbed_teaches_nothing() -> None:
    preheat = Preheat()
    preheat.watch(17.0, 17.0, 0.0)
    preheat.watch(17.0, 20.0, 60.0)
    preheat.disturbed()
    for minute in range(2, 100):
        preheat.watch(20.0, 20.0, minute * 60.0)
    assert not preheat.rises


def test_there_is_nothing_to_begin_for_a_colder_target() -> None:
    assert Preheat().start_before(20.0, 17.0) == 0.0
    assert Preheat().start_before(19.8, 20.0) == 0.0


@given(
    st.lists(st.tuples(st.floats(0.0, 1e5), st.floats(-40, 85), st.sampled_from([5.0, 17.0, 20.0])), max_size=50),
    st.floats(-40, 85),
    st.one_of(st.none(), st.floats(-40, 50)),
)
def test_it_never_begins_earlier_than_its_limit(
    looks: list[tuple[float, float, float]], celsius: float, outside: float | None
) -> None:
    preheat, now = Preheat(), 0.0
    for step, seen, target in looks:
        now += step
        preheat.watch(seen, target, now, outside=outside)
    assert 0.0 <= preheat.start_before(celsius, 20.0, outside) <= LONGEST


def test_after_a_few_mornings_the_room_is_warm_at_six() -> None:
    room, control, preheat = Room(start=17.0, outside=3.0, power=1500.0), PI(), Preheat()
    at_six, begun = list[float](), False
    for step in range(int(5 * DAY / 10)):
        now = step * 10.0
        hour = now / HOUR % 24
        celsius = room.measure()
        early = hour < 6 and (6 - hour) * HOUR <= preheat.start_before(celsius, 20.0)
        target = 20.0 if 6 <= hour < 22 or early or (hour < 6 and begun) else 17.0
        begun = target == 20.0
        preheat.watch(celsius, target, now)
        room.relay = control.demand(celsius, now, target, now, relay_on=room.relay).on
        if hour == 6:
            at_six.append(room.air)
        room.advance(10.0)
    assert all(air > 19.5 for air in at_six[2:]), at_six  # the ripple of its pulses is 0.2 K
    assert all(air < 20.5 for air in at_six[2:]), at_six
