"""PI control through a relay: what it never does, whatever it is told, and days on which it keeps a room warm."""

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stoker.core.pi import PI, Demand, Pulses
from stoker.core.process import Gains, Process, Reactions, simc
from stoker_drivers.mock import Room

HOUR = 3600.0
FIXED = Gains(kp=0.5, ti=3600.0, lead=300.0)


class Loop:
    """A controller, a relay that obeys it, and a room. `held` stands for an interlock or a mode that is off."""

    def __init__(self, control: PI, room: Room, target: float) -> None:
        self.control, self.room, self.target = control, room, target
        self.now = 0.0
        self.edges: list[tuple[float, bool]] = []
        self.airs: list[float] = []
        self.last = Demand(False, "")

    @property
    def relay(self) -> bool:
        return self.room.relay

    def run(self, hours: float, *, held: bool = False) -> None:
        end = self.now + hours * HOUR
        while self.now < end:
            celsius = self.room.measure()
            if held:
                self.control.hold(celsius, self.now, self.now, relay_on=self.relay)
                on = False
            else:
                self.last = self.control.demand(celsius, self.now, self.target, self.now, relay_on=self.relay)
                on = self.last.on
            if on is not self.relay:
                self.edges.append((self.now, on))
            self.room.relay = on
            self.airs.append(self.room.air)
            self.room.advance(10.0)
            self.now += 10.0


# --- whatever it is told ----------------------------------------------------------------------------------------------

LOOKS = st.lists(
    st.tuples(
        st.floats(0.0, 4000.0),  # seconds since the last look
        st.floats(-30.0, 60.0),  # reading
        st.sampled_from([5.0, 17.0, 20.0, 30.0]),  # target
        st.sampled_from(["demand", "demand", "demand", "hold", "blind"]),
        st.one_of(st.none(), st.floats(-30.0, 40.0)),  # outside
    ),
    min_size=1,
    max_size=80,
)


@settings(deadline=None)
@given(LOOKS, st.floats(1.0, 600.0), st.floats(1.0, 600.0), st.floats(0.0, 0.1))
@example([(0.0, 0.0, 5.0, "demand", None)] * 3 + [(0.0, 17.0, 17.0, "demand", 0.0)], 1.0, 1.0, 0.0625)
def test_the_duty_is_a_share_and_minimum_times_are_kept_and_the_same_question_has_the_same_answer(
    looks: list[tuple[float, float, float, str, float | None]], min_on: float, min_off: float, curve: float
) -> None:
    control = PI(cycle=1200.0, min_on=min_on, min_off=min_off, curve=curve)
    now, relay, since = 0.0, False, -math.inf
    for step, celsius, target, what, outside in looks:
        now += step
        if what != "demand":
            control.hold(celsius if what == "hold" else None, now, now, relay_on=relay)
            continue
        demand = control.demand(celsius, now, target, now, relay_on=relay, outside=outside)
        again = control.demand(celsius, now, target, now, relay_on=relay, outside=outside)
        assert again == demand
        assert 0.0 <= demand.duty <= 1.0
        assert demand.until > now
        assert -1.0 <= control.integral <= 1.0
        if demand.on is not relay:
            assert now - since >= (min_on if relay else min_off) - 1e-6  # sums of floats
            relay, since = demand.on, now


@settings(deadline=None)
@given(st.lists(st.floats(1.0, 500.0), max_size=30))
def test_asking_more_often_changes_nothing(extra: list[float]) -> None:
    """Between two readings the error stands still, so the integral is the same however often one looks."""
    seldom, often = PI(FIXED, learns=False), PI(FIXED, learns=False)
    for control in (seldom, often):
        control.demand(19.8, 0.0, 20.0, 0.0, relay_on=False)
    for moment in sorted(extra):
        often.demand(19.8, 0.0, 20.0, moment, relay_on=False)
    for control in (seldom, often):
        control.demand(19.8, 0.0, 20.0, 600.0, relay_on=False)
    assert often.integral == pytest.approx(seldom.integral)


@given(st.floats(0.02, 0.98), st.floats(10.0, 400.0), st.floats(10.0, 400.0))
def test_the_mean_heat_is_the_duty_although_short_pulses_are_rounded(
    duty: float, min_on: float, min_off: float
) -> None:
    pulses, relay, heated, now, switches = Pulses(1200.0, min_on, min_off), False, 0.0, 0.0, 0
    end = 30 * 1200.0
    while now < end:
        on, until = pulses.give(duty, relay, now, at_once=False)
        switches += on is not relay
        relay = on
        after = now if on is not relay else min(max(until, now + 1.0), end)
        heated += (after - now) * relay
        now = after
    assert heated / end == pytest.approx(duty, abs=0.03)
    assert switches <= 2 * 30 + 1, "one pulse a cycle: six switches an hour"


@pytest.mark.parametrize("change", [-0.15, -0.05, 0.1])
def test_pulses_begin_and_end_a_cycle_apart_while_the_duty_changes(change: float) -> None:
    """But for the seconds that minimum times round off; so no hour has more than six switches for that."""
    pulses, relay, now, duty = Pulses(1200.0, 10.0, 10.0), False, 0.0, 0.9 if change < 0 else 0.2
    edges: dict[bool, list[float]] = {True: [], False: []}
    while now < 9 * 1200.0:
        on, _ = pulses.give(duty, relay, now, at_once=False)
        if on is not relay:
            edges[on].append(now)
            duty = min(max(duty + change * (not on), 0.05), 0.95)
        relay = on
        now += 10.0
    for moments in edges.values():
        assert len(moments) >= 4
        assert all(later - earlier >= 1170.0 for earlier, later in itertools.pairwise(moments))


# --- anti-windup ------------------------------------------------------------------------------------------------------


def test_ten_hours_of_a_heater_that_is_too_weak_leave_nothing_wound_up() -> None:
    control = PI(FIXED, learns=False)
    before = control.integral
    for minute in range(600):
        control.demand(15.0, minute * 60.0, 20.0, minute * 60.0, relay_on=True)
    assert control.integral == before
    assert not control.demand(20.5, 36010.0, 20.0, 36010.0, relay_on=True).on


def test_ten_hours_of_sun_leave_nothing_wound_up() -> None:
    control = PI(FIXED, learns=False)
    control.integral = 0.4
    for minute in range(600):
        control.demand(25.0, minute * 60.0, 20.0, minute * 60.0, relay_on=False)
    assert control.integral == pytest.approx(0.4)
    control.demand(19.5, 36010.0, 20.0, 36010.0, relay_on=False)
    assert control.demand(19.5, 36020.0, 20.0, 36020.0, relay_on=False).on


def test_ten_hours_off_leave_a_part_of_what_was_settled_and_nothing_more() -> None:
    control = PI(FIXED, learns=False)
    control.integral = 0.6
    for minute in range(600):
        control.hold(10.0, minute * 60.0, minute * 60.0, relay_on=False)
    control.demand(19.9, 36000.0, 20.0, 36000.0, relay_on=False)
    assert 0.2 < control.integral < 0.6


@pytest.mark.parametrize("away", [0.1, 10.0])
def test_after_an_interlock_the_room_is_at_its_target_again_soon(away: float) -> None:
    loop = Loop(PI(), Room(start=19.0, outside=5.0), 20.0)
    loop.run(24)
    loop.run(away, held=True)
    loop.run(5)
    loop.airs.clear()
    loop.run(6)
    assert max(loop.airs) < 20.5
    assert min(loop.airs) > 19.5


# --- bumpless ---------------------------------------------------------------------------------------------------------


def test_a_new_target_moves_the_proportional_part_alone() -> None:
    control = PI(FIXED, learns=False)
    control.integral = 0.3
    first = control.demand(20.0, 0.0, 20.0, 0.0, relay_on=False)
    second = control.demand(20.0, 0.0, 20.4, 0.0, relay_on=False)
    assert control.integral == pytest.approx(0.3)
    assert first.duty == pytest.approx(0.3)
    assert second.duty == pytest.approx(0.5)


def test_the_heating_curve_gives_the_duty_before_the_room_has_cooled() -> None:
    control = PI(FIXED, learns=False, curve=0.02)
    mild = control.demand(20.0, 0.0, 20.0, 0.0, relay_on=False, outside=10.0)
    cold = control.demand(20.0, 0.0, 20.0, 0.0, relay_on=False, outside=-10.0)
    assert mild.duty == pytest.approx(0.2)
    assert cold.duty == pytest.approx(0.6)


# --- days -------------------------------------------------------------------------------------------------------------


def test_a_room_is_kept_warm_through_the_day_with_few_switches() -> None:
    loop = Loop(PI(), Room(start=15.0, outside=2.0, power=1500.0), 20.0)
    loop.run(6)
    loop.airs.clear()
    loop.edges.clear()
    loop.run(24)
    rms = math.sqrt(sum((air - 20.0) ** 2 for air in loop.airs) / len(loop.airs))
    assert rms < 0.26, "three pulses an hour of a heater this strong are 0.2 K by themselves"
    assert sum(loop.airs) / len(loop.airs) == pytest.approx(20.0, abs=0.05)
    assert len(loop.edges) / 24 <= 6.1
    assert "heat for 20 °C" in loop.last.text


def test_a_warmer_target_is_full_heat_at_once_until_the_room_would_get_there_by_itself() -> None:
    loop = Loop(PI(), Room(start=17.0, outside=5.0, power=1500.0), 17.0)
    loop.run(6)
    loop.target = 20.0
    loop.airs.clear()
    loop.run(0.01)
    assert loop.relay
    assert loop.last.text.endswith("full heat until 20 °C is near")
    loop.run(6)
    assert max(loop.airs) < 20.6, "with the ripple of its pulses"
    assert loop.airs[-1] == pytest.approx(20.0, abs=0.4)


def test_a_colder_target_is_no_heat_at_once() -> None:
    loop = Loop(PI(), Room(start=20.0, outside=0.0, power=1500.0), 20.0)
    loop.run(6)
    loop.target = 15.0
    loop.run(0.01)
    assert not loop.relay
    assert "no heat until 15 °C is near" in loop.last.text


# --- learning ---------------------------------------------------------------------------------------------------------


def test_what_a_rise_tells_is_the_room_s_own_rate_and_delay() -> None:
    """A room that warms by 3 K/h more with heat than without, ten minutes late."""
    reactions, celsius = Reactions(), 18.0
    for second in range(0, 4 * 3600, 10):
        on = second >= 2 * 3600
        reactions.watch(celsius, float(second), on)
        celsius += 10 / 3600 * (3.0 * (second >= 2 * 3600 + 600) - 0.5)
    process = reactions.process
    assert process is not None
    assert process.rate * 3600 == pytest.approx(3.0, rel=0.1)
    assert process.delay == pytest.approx(600.0, abs=90.0)


def test_a_small_chamber_s_rise_of_a_few_minutes_teaches_as_well() -> None:
    reactions, celsius = Reactions(), 17.0
    for second in range(0, 2 * 3600 + 420, 10):
        reactions.watch(celsius, float(second), second >= 2 * 3600)
        celsius += 10 / 3600 * 15.0 * (second >= 2 * 3600 + 60)
    process = reactions.process
    assert process is not None
    assert process.rate * 3600 == pytest.approx(15.0, rel=0.1)
    assert process.delay == pytest.approx(60.0, abs=60.0)


def test_what_holds_a_temperature_is_seen_while_it_falls_without_heat() -> None:
    """A room that full heat warms by 4 K/h and that loses 1 K/h needs a quarter of its heat."""
    reactions, celsius = Reactions(), 18.0
    for second in range(0, 5 * 3600, 10):
        on = 3600 <= second < 3 * 3600
        reactions.watch(celsius, float(second), on)
        celsius += 10 / 3600 * (4.0 * on - 1.0)
    assert reactions.holding_duty(0.0) == pytest.approx(0.25, abs=0.05)


def test_pulses_and_a_gap_in_the_readings_teach_nothing() -> None:
    reactions = Reactions()
    for second in range(0, 7200, 10):
        reactions.watch(20.0 + 0.1 * math.sin(second / 200), float(second), second % 1200 < 300)
    assert reactions.process is None
    reactions.watch(10.0, 20000.0, True)
    reactions.watch(25.0, 20010.0, True)
    assert reactions.process is None


@given(st.floats(1e-9, 1.0), st.floats(0.0, 1e6), st.floats(60.0, 7200.0))
def test_gains_are_bounded_whatever_was_learnt(rate: float, delay: float, cycle: float) -> None:
    gains = simc(Process(rate, delay), cycle)
    assert 0.03 <= gains.kp <= 3.0
    assert 900.0 <= gains.ti <= 28800.0
