"""What readings say of a heater, drawn as straight lines: when it is tested, when it fails, when nothing is said."""

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.core.evidence import Evidence, Findings, Mean, Weighed, rise, span, weigh
from stoker.core.settings import Zone

NOTHING = Findings()
HOUR = 3600.0


class Drawing:
    """A line of temperatures, a reading each 10 s."""

    def __init__(self, celsius: float = 18.0, *, step: float = 10.0, **limits: float | str) -> None:
        self.evidence = Evidence(Zone(thermometer="t", heater="h", **limits), 3 * step)  # type: ignore[arg-type]
        self.celsius, self.time, self.step = celsius, 0.0, step

    def line(self, hours: float, slope: float, *, on: bool, wanted: bool = True) -> Findings:
        """Go on for so long with so many K an hour. Returns what is found at the end."""
        end = self.time + hours * HOUR
        while self.time < end - 1e-6:
            self.time += self.step
            self.celsius += slope * self.step / HOUR
            self.evidence.see(Mean(self.time, self.celsius), on, wanted)
        return self.evidence.findings

    def cycles(self, times: int, hours: float) -> None:
        """Heat up and cool again as in daily life, each for so long by 0.5 K."""
        for _ in range(times):
            self.line(hours, 0.5 / hours, on=True)
            self.line(hours, -0.5 / hours, on=False, wanted=False)

    def heat(self, hours: float, slope: float = 0.0) -> str:
        """Heat for so long or until a test begins. Returns what is said of that."""
        started = self.time
        while not self.evidence.findings.testing and self.time < started + hours * HOUR:
            self.line(0.02, slope, on=True)
        return self.evidence.findings.testing

    def test(self, slope: float = 0.0, *, within: float = 14.0) -> float:
        """Go on as whoever obeys the test does, until it has ended. Returns the hours that took."""
        started = self.time
        while not self.evidence.findings.runaway and self.time < started + within * HOUR:
            self.line(0.02, slope, on=not self.evidence.findings.testing)
        return (self.time - started) / HOUR

    def wait(self, hours: float) -> None:
        """No readings for a while."""
        self.time += hours * HOUR


# --- heating without effect -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [0.0, -0.5, -2.0])
def test_four_hours_without_a_rise_lead_to_the_test_and_no_difference_to_the_verdict(slope: float) -> None:
    """Three times off and on again, an hour and a half each, since nobody knows how soon this room answers."""
    drawing = Drawing()
    drawing.line(1.0, 0.0, on=False)
    assert drawing.line(3.99, slope, on=True) == NOTHING
    assert "off for at most 90 min" in drawing.line(0.1, slope, on=True).testing

    assert drawing.test(slope) == pytest.approx(9.0, abs=0.3)
    text = drawing.evidence.findings.runaway
    assert "heating makes no difference" in text
    assert "after 4.0 h of heating" in text
    assert re.search(
        "°C after 9. min off, .* °C after 9. min on again; the heater is dead or the sensor elsewhere", text
    )


def test_a_course_that_bends_hides_no_heater_and_is_none() -> None:
    """A cooling house cools ever more slowly: after switching off it is above the line all the same."""
    for effect, dead in ((0.0, True), (0.2, False)):
        drawing, hours = Drawing(), 0.0
        drawing.line(0.1, 0.0, on=False)
        while hours < 40.0 and not drawing.evidence.findings.runaway:
            on = not drawing.evidence.findings.testing
            drawing.line(0.05, -1.0 * math.exp(-hours / 15.0) - effect * (not on), on=on)
            hours += 0.05
        assert bool(drawing.evidence.findings.runaway) is dead


def test_a_room_that_is_known_to_answer_soon_is_tested_for_half_an_hour() -> None:
    drawing = Drawing()
    drawing.cycles(4, 0.2)
    assert "off for at most 30 min" in drawing.heat(4.2)
    assert drawing.test() == pytest.approx(1.0, abs=0.2)
    assert drawing.evidence.findings.runaway


def test_a_room_that_is_known_to_answer_late_is_given_twice_as_long() -> None:
    drawing = Drawing()
    drawing.cycles(4, 1.0)
    assert drawing.heat(4.2)
    assert drawing.test() == pytest.approx(2 * 2 * 0.6, abs=0.5)
    assert drawing.evidence.findings.runaway


def test_pulses_of_proportional_control_teach_nothing() -> None:
    drawing = Drawing(control="pi")
    drawing.cycles(10, 0.2)
    assert "90 min" in drawing.heat(4.2)


def test_a_rise_of_less_than_half_a_kelvin_in_four_hours_is_an_effect() -> None:
    drawing = Drawing()
    assert drawing.line(24.0, 0.11, on=True) == NOTHING


def test_a_fall_and_then_a_rise_is_an_effect() -> None:
    drawing = Drawing()
    drawing.line(3.5, -1.0, on=True)
    assert drawing.line(0.5, 1.0, on=True) == NOTHING


@pytest.mark.parametrize(("slope", "hours"), [(-6.0, 23.0), (-1.0, 11.0)])
def test_a_fall_when_it_is_off_and_rise_when_on_again_is_trusted_the_longer_the_clearer(
    slope: float, hours: float
) -> None:
    """As soon as it is clear: the test takes no longer than it must."""
    drawing = Drawing()
    assert drawing.heat(4.1, -0.05)
    started = drawing.time
    while drawing.evidence.findings.testing:
        drawing.line(0.01, slope, on=False)
    assert drawing.time - started < 0.5 * HOUR
    drawing.line(0.5, -slope, on=True)
    assert not drawing.heat(hours, -0.05)
    assert drawing.heat(25.0 - hours, -0.05)


def test_a_room_that_got_colder_is_tested_again_before_the_day_is_over() -> None:
    drawing = Drawing()
    assert drawing.heat(4.1, -0.05)
    while drawing.evidence.findings.testing:
        drawing.line(0.01, -6.0, on=False)
    drawing.line(0.5, 6.0, on=True)
    assert drawing.heat(9.0, -0.5)


def test_what_falls_and_rises_by_chance_is_neither_trusted_nor_blamed() -> None:
    """A course that wanders, and one clear pulse of the weather's: the pulses go on, half the time off."""
    drawing, noise, off, trusted = Drawing(), random.Random(5), 0, 0
    wander = 0.0
    for _ in range(30 * 360):
        wander += noise.gauss(-wander * 10 / 7200, 0.053)  # a kelvin, for two hours
        on = not drawing.evidence.findings.testing
        drawing.celsius = 5.0 + wander
        drawing.line(10 / HOUR, 0.0, on=on)
        off += not on
        trusted += drawing.evidence._series is None and drawing.time > 6 * HOUR
    assert not trusted
    assert not drawing.evidence.findings.runaway
    assert 0.4 < off / 360 / 30 < 0.5


def test_a_rise_when_it_is_off_says_nothing() -> None:
    drawing = Drawing()
    drawing.line(4.1, 0.0, on=True)
    while drawing.evidence.findings.testing:
        drawing.line(0.01, 0.5, on=False)
    drawing.line(1.9, 0.0, on=True)
    assert drawing.evidence.findings.testing, "it is neither trusted nor blamed for that"
    assert not drawing.evidence.findings.runaway


def test_the_test_ends_when_nobody_wants_heat_any_more() -> None:
    drawing = Drawing()
    drawing.line(4.1, 0.0, on=True)
    assert drawing.line(0.01, 0.0, on=False, wanted=False) == NOTHING
    assert drawing.line(12.0, 0.0, on=False) == NOTHING


def test_somebody_elses_heat_on_the_same_heater_says_nothing() -> None:
    drawing = Drawing()
    assert drawing.line(24.0, 0.0, on=True, wanted=False) == NOTHING
    assert drawing.line(3.9, 0.0, on=True) == NOTHING


def test_short_stretches_of_heating_add_up_where_heat_was_wanted_all_the_time() -> None:
    """A boiler that others switch too, or a heater that rests after each hour."""
    drawing = Drawing()
    for _ in range(3):
        drawing.line(1.0, -0.2, on=True)
        assert drawing.line(0.5, -0.2, on=False) == NOTHING
    assert drawing.line(1.1, -0.2, on=True).testing


def test_short_stretches_of_heating_say_nothing_where_it_was_warm_enough_between() -> None:
    drawing = Drawing()
    for _ in range(10):
        drawing.line(3.9, -0.2, on=True)
        assert drawing.line(0.1, -0.2, on=False, wanted=False) == NOTHING


def test_a_test_in_which_others_heat_is_none() -> None:
    drawing = Drawing()
    drawing.line(4.1, 0.0, on=True)
    assert drawing.line(0.6, 0.0, on=True).testing
    assert drawing.line(0.2, 0.0, on=True) == NOTHING


def test_a_heater_that_rests_while_it_should_be_on_again_is_not_judged() -> None:
    drawing = Drawing()
    drawing.line(4.1, 0.0, on=True)
    drawing.line(3.1, 0.0, on=False)
    assert drawing.line(20.0, 0.0, on=False) == NOTHING


def test_a_second_thermometer_that_comes_and_goes_is_no_rise() -> None:
    """Each hour the level leaps by a kelvin and back: that is neither heat nor cold, nor is the noise of the leaps."""
    evidence, noise = Evidence(Zone(thermometer="t", heater="h")), random.Random(1)
    for number in range(17 * 360):
        both = number // 360 % 2 == 1 or (number % 2 == 1 and number < 360)
        celsius = noise.gauss(16.0 if both else 15.0, 0.05)
        by = ("a", "b") if both else ("a",)
        evidence.see(Mean(10.0 * number, celsius), not evidence.findings.testing, wanted=True, by=by)
    assert evidence.findings.runaway


def test_after_a_gap_it_begins_anew() -> None:
    drawing = Drawing()
    drawing.line(3.9, 0.0, on=True)
    drawing.wait(0.6)
    assert drawing.line(3.9, 0.0, on=True) == NOTHING
    assert drawing.line(0.2, 0.0, on=True).testing


def test_a_gap_ends_a_test() -> None:
    drawing = Drawing()
    drawing.line(4.1, 0.0, on=True)
    drawing.line(1.0, 0.0, on=False)
    drawing.wait(0.6)
    assert drawing.line(0.1, 0.0, on=False) == NOTHING


def test_a_short_gap_is_none() -> None:
    drawing = Drawing()
    drawing.line(3.9, 0.0, on=True)
    drawing.wait(0.4)
    assert drawing.line(0.1, 0.0, on=True).testing


def test_never_where_the_configuration_says_so() -> None:
    assert Drawing(runaway_after=0.0).line(100.0, -0.1, on=True) == NOTHING


def test_a_steep_fall_that_is_not_made_good_needs_half_hours_only() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.2, on=True)
    drawing.line(0.4, -20.0, on=True)
    assert "off for at most 30 min" in drawing.heat(3.7)
    assert drawing.test() == pytest.approx(11.0, abs=0.5), "but ten times"


def test_a_steep_fall_that_was_made_good_by_half_is_forgotten() -> None:
    drawing = Drawing()
    drawing.line(0.4, -20.0, on=True)
    drawing.line(0.5, 12.0, on=True)
    assert "90 min" in drawing.line(4.2, 0.0, on=True).testing


def test_a_fall_that_takes_longer_is_not_steep() -> None:
    drawing = Drawing()
    drawing.line(2.0, -9.0, on=True)
    assert "90 min" in drawing.heat(4.2)


@pytest.mark.parametrize("step", [60.0, 300.0, 900.0, 3600.0])
def test_slow_sensors_lead_to_the_same(step: float) -> None:
    drawing = Drawing(step=step)
    assert drawing.line(4.0 - step / HOUR, 0.0, on=True) == NOTHING
    assert drawing.heat(2.0)
    assert drawing.test(within=20.0) < 20.0
    assert drawing.evidence.findings.runaway


def test_a_small_chamber_is_quicker() -> None:
    drawing = Drawing(runaway_after=600.0, runaway_test=300.0)
    assert drawing.line(0.16, 0.0, on=True) == NOTHING
    assert "off for at most 2 min" in drawing.line(0.02, 0.0, on=True).testing
    assert drawing.test() < 0.5
    assert drawing.evidence.findings.runaway


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    strength=st.floats(2.0, 30.0),
    lag=st.floats(0.3, 6.0),
    delay=st.floats(0.0, 2.0),
    cooling=st.floats(0.0, 15.0),
    slowly=st.floats(5.0, 60.0),
    swing=st.floats(0.0, 0.7),
    begin=st.floats(0.0, 24.0),
)
def test_a_heater_that_works_is_never_blamed(
    strength: float, lag: float, delay: float, cooling: float, slowly: float, swing: float, begin: float
) -> None:
    """It would warm its room by `strength` K, after `delay` and with the time constant `lag` (h); the room cools."""
    evidence = Evidence(Zone(thermometer="t", heater="h"))
    relay = [True] * (int(delay * 30) + 1)  # a step is two minutes
    warmed, step = strength, 1 / 30
    for number in range(30 * 48):
        hours = number * step
        relay.append(not evidence.findings.testing)
        warmed += (strength * relay[number] - warmed) * step / lag
        weather = -cooling * (1 - math.exp(-hours / slowly)) + swing * math.sin(math.tau * (hours + begin) / 24)
        assert not evidence.see(Mean(hours * HOUR, weather + warmed), relay[-1], wanted=True).runaway


# --- cooling without a fall -------------------------------------------------------------------------------------------


def test_only_ever_warmer_for_sixteen_hours_after_switching_off() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True, wanted=True)
    assert drawing.line(15.9, 0.2, on=False, wanted=False) == NOTHING
    text = drawing.line(0.2, 0.2, on=False, wanted=False).stuck_on
    assert text == "18.50 °C with the relay off 16.1 h ago, 21.71 °C now, and no fall between: the relay seems to stick"


@pytest.mark.parametrize(("slope", "stuck"), [(0.13, True), (0.12, False)])
def test_it_takes_two_kelvin(slope: float, stuck: bool) -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    assert bool(drawing.line(16.2, slope, on=False, wanted=False).stuck_on) is stuck


@pytest.mark.parametrize(("slope", "stuck"), [(0.6, True), (0.4, False)])
def test_after_a_fall_by_a_third_the_watch_begins_anew_where_it_climbs_as_fast_as_a_heater_makes_it(
    slope: float, stuck: bool
) -> None:
    """By two kelvin within four hours; a season takes longer."""
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    drawing.line(8.0, 0.5, on=False, wanted=False)
    drawing.line(3.0, -0.5, on=False, wanted=False)
    assert drawing.line(15.0, slope, on=False, wanted=False) == NOTHING
    assert bool(drawing.line(2.0, slope, on=False, wanted=False).stuck_on) is stuck


def test_a_climb_two_days_after_it_heated_last_is_the_season() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    drawing.line(33.0, -0.1, on=False, wanted=False)
    assert drawing.line(20.0, 0.6, on=False, wanted=False) == NOTHING


def test_a_lesser_fall_gives_it_half_as_long_again() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    drawing.line(8.0, 0.5, on=False, wanted=False)
    drawing.line(1.0, -1.0, on=False, wanted=False)
    assert drawing.line(14.9, 0.3, on=False, wanted=False) == NOTHING
    assert "and hardly a fall between" in drawing.line(0.3, 0.3, on=False, wanted=False).stuck_on


def test_a_small_fall_is_noise() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    for _ in range(9):
        drawing.line(1.0, 1.0, on=False, wanted=False)
        drawing.line(0.8, -0.25, on=False, wanted=False)
    assert drawing.evidence.findings.stuck_on


def test_a_room_that_was_never_heated_may_get_as_warm_as_it_likes() -> None:
    assert Drawing().line(48.0, 0.5, on=False, wanted=False) == NOTHING


def test_what_an_earlier_run_heated_is_watched_from_the_start() -> None:
    drawing = Drawing()
    drawing.evidence = Evidence(drawing.evidence.settings, heated=True)
    assert drawing.line(15.9, 0.2, on=False, wanted=False) == NOTHING
    assert drawing.line(0.2, 0.2, on=False, wanted=False).stuck_on


def test_a_reset_of_another_fault_leaves_the_relay_watched() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    drawing.line(8.0, 0.2, on=False, wanted=False)
    drawing.evidence.reset()
    assert drawing.line(8.2, 0.2, on=False, wanted=False).stuck_on


@pytest.mark.parametrize(("celsius", "stuck"), [(33.0, False), (36.0, True)])
def test_too_hot_for_as_long_without_a_fall_needs_no_rise(celsius: float, stuck: bool) -> None:
    drawing = Drawing(celsius)
    drawing.line(0.1, 0.5, on=True)
    assert bool(drawing.line(16.2, 0.0, on=False, wanted=False).stuck_on) is stuck


def test_after_a_gap_nothing_is_known_of_the_relay() -> None:
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    drawing.line(8.0, 0.5, on=False, wanted=False)
    drawing.wait(0.6)
    assert drawing.line(30.0, 0.5, on=False, wanted=False) == NOTHING


def test_no_suspicion_where_the_configuration_says_so() -> None:
    drawing = Drawing(stuck_on_after=0.0)
    drawing.line(1.0, 0.5, on=True)
    assert drawing.line(48.0, 0.5, on=False, wanted=False) == NOTHING


# --- after a reset of a relay that stuck ------------------------------------------------------------------------------


def stuck() -> Drawing:
    """21.6 °C when somebody resets it."""
    drawing = Drawing()
    drawing.line(1.0, 0.5, on=True)
    assert drawing.line(16.2, 0.2, on=False, wanted=False).stuck_on
    drawing.evidence = Evidence(drawing.evidence.settings, doubted=drawing.evidence)
    return drawing


@pytest.mark.parametrize("slope", [0.0, 0.3, -0.04])
def test_a_room_that_does_not_cool_within_six_hours_after_the_reset(slope: float) -> None:
    drawing = stuck()
    assert drawing.line(5.9, slope, on=False, wanted=False) == NOTHING
    text = drawing.line(0.2, slope, on=False, wanted=False).stuck_on
    assert "no fall between although reset: the relay still seems to stick" in text


def test_a_room_that_cools_has_to_go_on_until_two_kelvin() -> None:
    drawing = stuck()
    drawing.line(3.0, -0.4, on=False, wanted=False)
    assert drawing.line(5.0, 0.0, on=False, wanted=False) == NOTHING
    assert drawing.line(2.0, 0.0, on=False, wanted=False).stuck_on
    drawing = stuck()
    drawing.line(6.0, -0.4, on=False, wanted=False)
    assert drawing.line(40.0, 0.2, on=False, wanted=False) == NOTHING


def test_a_room_that_had_cooled_before_the_reset_is_not_doubted() -> None:
    drawing = stuck()
    drawing.celsius -= 2.5
    assert drawing.line(40.0, 0.1, on=False, wanted=False) == NOTHING


def test_heat_that_is_wanted_again_ends_the_doubt() -> None:
    drawing = stuck()
    drawing.line(1.0, 0.0, on=False, wanted=False)
    drawing.line(0.2, 0.0, on=True)
    assert drawing.line(12.0, 0.0, on=False, wanted=False) == NOTHING


# --- lines ------------------------------------------------------------------------------------------------------------


def test_effects_are_weighed_against_their_spread() -> None:
    assert weigh([1.0, -1.0], math.nan).effect == 0.0
    close, wide = weigh([0.5, 0.51, 0.49], math.nan), weigh([0.5, 1.5, -0.5], math.nan)
    assert close.effect == pytest.approx(wide.effect)
    assert close.errors > 3.0
    assert wide.errors < 1.0
    assert weigh([0.5] * 9, 0.5).error < weigh([0.5], 0.5).error


def test_one_effect_says_nothing_where_the_course_is_unknown() -> None:
    assert weigh([1.0], math.nan) == Weighed(0.0, math.inf, 0.0)
    assert weigh([math.nan], 0.1) == Weighed(0.0, math.inf, 0.0)
    assert weigh([1.0], 0.1).errors > 3


def test_the_rise_is_from_the_lowest_to_the_last() -> None:
    assert rise([Mean(0.0, celsius) for celsius in (22.0, 18.0, 19.0, 18.5, 20.0)]) == 2.0
    assert rise([Mean(0.0, celsius) for celsius in (18.0, 20.0, 18.9, 20.0)]) == 0.0, "a fall of half as much"
    assert rise([Mean(0.0, celsius) for celsius in (22.0, 20.0)]) == 0.0


def test_spans_as_they_are_read() -> None:
    assert [span(60.0), span(7199.0), span(7200.0), span(14400.0)] == ["1 min", "120 min", "2.0 h", "4.0 h"]
