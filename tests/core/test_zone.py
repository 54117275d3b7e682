"""One zone by itself: what it wants at a moment, until when that holds, and what it tells those who look on."""

import math
from datetime import UTC
from typing import Any

import msgspec
import pytest

from fakes import MIDNIGHT
from stoker.core import interlocks, schedule
from stoker.core.evidence import Findings, Mean
from stoker.core.interlocks import Around, Relay
from stoker.core.messages import Now, Reason, ResetFault, SetHeater, SetMode, SetPreset, SetSchedule, SetTarget, Tune
from stoker.core.process import Gains
from stoker.core.settings import Heater
from stoker.core.settings import Zone as Settings
from stoker.core.thermometer import Seen
from stoker.core.zone import Decision, View, Zone

HOUR = 3600.0
WEEK = {"daily": ("06:00 comfort", "22:00 eco")}
RELAY = Relay(on=False, since=0.0, heated_until=-1e9, max_on=0.0, rest=600.0, latch=False)


class Witness:
    """Takes what a zone tells of its readings, as its evidence does, and holds nothing against anybody."""

    findings = Findings()

    def __init__(self) -> None:
        self.seen: list[tuple[Mean, bool, bool]] = []
        self.resets = 0

    def see(self, reading: Mean, on: bool, wanted: bool, by: tuple[str, ...] = ()) -> Findings:  # noqa: ARG002
        self.seen.append((reading, on, wanted))
        return self.findings

    def reset(self) -> None:
        self.resets += 1


class Place:
    """A zone at 06:00 less `early` seconds, on a Monday."""

    def __init__(self, early: float = 0.0, **settings: Any) -> None:
        table = {"thermometer": "inside", "heater": "radiator", **settings}
        self.zone = Zone("room", msgspec.convert(table, Settings), Heater(), 30.0, UTC)
        self.witness = Witness()
        self.zone.evidence = self.witness  # type: ignore[assignment]
        self.now = Now(1000.0, MIDNIGHT + 6 * HOUR - early)

    def later(self, seconds: float) -> None:
        self.now = Now(self.now.mono + seconds, self.now.wall + seconds)

    def at(self, celsius: float | None, *, age: float = 0.0, on: bool = False) -> Decision:
        seen = Seen(celsius, self.now.mono - age, None)
        return self.zone.decide(View(seen, None, False, on), self.now, Around(RELAY._replace(on=on)))


def test_only_the_numbers_of_a_text_make_no_other_decision() -> None:
    place = Place()
    cold, colder, warm = place.at(18.0), place.at(17.0), place.at(25.0)
    assert cold.same_as(colder)
    assert cold.text != colder.text
    assert not cold.same_as(warm)
    assert not cold.same_as(cold._replace(on=False))
    place.zone.obey(SetMode("room", "off"), place.now)
    off = place.at(25.0)
    assert (off.on, off.reason) == (warm.on, "mode-off")
    assert not off.same_as(warm), "off as before, and for another reason"


def test_an_order_by_hand_ends_at_its_very_second() -> None:
    place = Place(order_hold=20.0)
    place.zone.obey(SetHeater("room", True), place.now)
    assert (place.at(25.0).on, place.at(25.0).until) == (True, 1020.0)
    place.later(19.9)
    assert place.at(25.0).on
    place.later(0.1)
    assert not place.at(25.0).on
    assert place.zone.by_hand is None


def test_a_wish_is_looked_at_again_when_its_reading_gets_stale_or_its_boost_ends() -> None:
    place = Place(boost_for=60.0)
    assert place.at(18.0, age=10.0).until == 1020.0
    place.zone.obey(SetPreset("room", "boost"), place.now)
    place.later(45.0)
    assert place.at(18.0).until == 1060.0


def test_each_reading_is_told_once_with_the_relay_as_it_was() -> None:
    place = Place()
    place.at(18.0)
    place.at(18.0)
    place.later(10.0)
    place.at(18.2, on=True)

    assert place.witness.seen == [(Mean(1000.0, 18.0), False, True), (Mean(1010.0, 18.2), True, True)]


def test_heat_is_wanted_as_long_as_it_is_asked_for_also_inside_the_band() -> None:
    place = Place()
    wanted: list[bool] = []
    for celsius in (19.9, 19.7, 19.9, 20.2, 20.3, 19.9):
        place.later(10.0)
        place.at(celsius)
        wanted.append(place.witness.seen[-1][2])
    assert wanted == [False, True, True, True, False, False]


@pytest.mark.parametrize(
    ("celsius", "hysteresis", "wanted"),
    [(19.7, 0.5, True), (19.75, 0.5, False), (19.8, 0.5, False), (19.45, 1.0, True), (19.5, 1.0, False)],
)
def test_heat_is_missed_in_a_pause_of_proportional_control_below_the_band_alone(
    celsius: float, hysteresis: float, wanted: bool
) -> None:
    place, on, pauses = Place(control="pi", hysteresis=hysteresis), False, list[bool]()
    for _ in range(240):  # 40 minutes, two cycles
        place.later(10.0)
        decision = place.at(celsius, on=on)
        on = decision.on
        if decision.reason == "pause":
            pauses.append(place.witness.seen[-1][2])
    assert len(pauses) > 60
    assert set(pauses) == {wanted}


def test_heat_is_not_missed_where_somebody_chose_to_have_none() -> None:
    def missed(celsius: float, *orders: Any) -> bool:
        place = Place()
        for order in orders:
            place.zone.obey(order, place.now)
        place.at(celsius)
        return place.witness.seen[-1][2]

    assert missed(15.0)
    assert not missed(15.0, SetMode("room", "off"))
    assert not missed(15.0, SetHeater("room", False))
    assert missed(4.0, SetMode("room", "off")), "against frost"
    aired = Place(window={"fall": 1.0})
    for number in range(60):
        aired.later(10.0)
        aired.at(18.0 if number < 30 else 16.0)
    assert aired.zone.wish.reason == "open-window"
    assert not aired.witness.seen[-1][2]


def test_a_week_in_the_files_waits_for_mode_auto_and_an_ordered_one_stands_above_it() -> None:
    place = Place(schedule=WEEK, target=18.5)
    place.at(18.0)
    assert (place.zone.aim.target, place.zone.aim.because) == (18.5, "as configured")
    place.zone.obey(SetMode("room", "auto"), place.now)
    place.at(18.0)
    assert place.zone.aim.target == 20.0
    place.zone.obey(SetSchedule("room", schedule.parse({"daily": ["05:00 19.5"]})), place.now)
    place.at(18.0)
    assert place.zone.aim.target == 19.5
    place.zone.obey(SetSchedule("room", None), place.now)
    place.at(18.0)
    assert place.zone.aim.target == 20.0


def test_an_order_by_hand_ends_in_its_time_although_something_forbids_it() -> None:
    place = Place(order_hold=100.0)
    place.zone.obey(SetHeater("room", True), place.now)
    place.later(31.0)
    forbidden = place.at(18.0, age=31.0)
    assert (forbidden.reason, forbidden.until) == ("stale-temperature", 1100.0)


def test_frost_is_fought_in_the_band_of_any_target_but_in_no_wider_one_than_a_kelvin() -> None:
    for hysteresis, low, high in ((0.5, 4.75, 5.25), (1.0, 4.5, 5.5), (3.0, 4.5, 5.5)):
        place = Place(mode="off", hysteresis=hysteresis)
        heats: list[bool] = []
        for celsius in (high, low, low - 0.01, low + 0.01, high, high + 0.01, high - 0.01):
            place.later(10.0)
            heats.append(place.at(celsius).on)
        assert heats == [False, False, True, True, True, False, False]


def test_a_target_ordered_ends_a_preset_and_a_boost() -> None:
    place = Place()
    for order in (SetPreset("room", "eco"), SetPreset("room", "boost"), SetTarget("room", 18.5)):
        place.zone.obey(order, place.now)
    place.at(20.0)
    assert (place.zone.aim.target, place.zone.aim.preset) == (18.5, "none")


def test_a_preset_ordered_ends_a_boost() -> None:
    place = Place()
    for order in (SetPreset("room", "boost"), SetPreset("room", "eco")):
        place.zone.obey(order, place.now)
    place.at(20.0)
    assert place.zone.aim.preset == "eco"


def test_a_target_holds_until_the_next_change_only_where_a_schedule_is_followed() -> None:
    for settings, until in (
        ({"mode": "auto", "schedule": WEEK}, MIDNIGHT + 22 * HOUR),
        ({"mode": "heat", "schedule": WEEK}, math.inf),
        ({"mode": "auto"}, math.inf),
    ):
        place = Place(**settings)
        place.zone.obey(SetTarget("room", 18.5), place.now)
        assert place.zone.orders.target_until == until
    unsure = Place(mode="auto", schedule=WEEK)
    unsure.zone.obey(SetTarget("room", 18.5), Now(1000.0, 0.0, synchronised=False))
    assert unsure.zone.orders.target_until == math.inf


def test_the_schedule_changes_to_the_second_and_follows_a_clock_that_goes_back() -> None:
    place = Place(early=1.0, mode="auto", schedule=WEEK, optimum_start=False)
    place.at(18.0)
    assert (place.zone.aim.target, place.zone.aim.until) == (17.0, 1001.0)
    place.later(1.0)
    place.at(18.0)
    assert place.zone.aim.target == 20.0
    place.now = Now(1002.0, place.now.wall - 60.0)
    place.at(18.0)
    assert place.zone.aim.target == 17.0


def test_what_was_begun_early_stays_begun_and_is_not_begun_for_less_warmth() -> None:
    place = Place(early=1801.0, mode="auto", schedule=WEEK)
    place.at(19.0)
    assert place.zone.aim.target == 17.0
    place.later(1.0)  # half an hour for each kelvin, as long as nothing is learnt
    place.at(19.0)
    assert (place.zone.aim.target, place.zone.aim.until) == (20.0, 2801.0)
    assert place.zone.aim.because.startswith("early for schedule: comfort")
    place.later(10.0)
    place.at(19.9)
    assert place.zone.aim.target == 20.0

    evening = Place(early=-15.9 * HOUR, mode="auto", schedule=WEEK)
    evening.at(10.0)
    assert evening.zone.aim.target == 20.0


def test_a_reset_forgets_the_fault_and_what_was_held_against_the_heater() -> None:
    place = Place(max_temperature=35.0)
    place.at(36.0, on=True)
    assert place.zone.fault is None, "one reading is no proof"
    place.later(10.0)
    assert place.at(36.0, on=True).fault
    assert place.zone.fault is not None
    place.zone.obey(ResetFault("room"), place.now)

    assert place.zone.forbidding is None
    assert place.witness.resets == 1
    place.later(10.0)
    assert place.at(34.5).reason == "target-reached", "not held until a kelvin below the limit"


def test_to_stop_a_tuning_that_never_began_is_nothing() -> None:
    place = Place(control="pi")
    place.zone.obey(Tune("room", start=False), place.now)
    assert place.zone.tuning is None


def test_a_little_heat_while_blind_is_no_fault_and_its_pause_is_one() -> None:
    place = Place(stale_duty=0.2)
    place.at(6.0)
    place.later(31.0)
    pause = place.at(6.0, age=31.0)
    assert (pause.on, pause.fault, pause.until) == (False, True, 1030.0 + 1440.0)
    place.later(1440.0)
    pulse = place.at(6.0, age=1471.0)
    assert (pulse.on, pulse.fault, pulse.reason) == (True, False, "stale-temperature")
    place.zone.obey(SetHeater("room", True), place.now)
    assert place.at(6.0, age=1471.0).on, "what was ordered on by hand does not stand in its way"
    place.zone.obey(SetHeater("room", False), place.now)
    assert not place.at(6.0, age=1471.0).on
    place.zone.obey(SetHeater("room", None), place.now)
    assert place.at(6.0, age=1471.0).on
    place.zone.obey(SetMode("room", "off"), place.now)
    assert not place.at(6.0, age=1471.0).on
    place.zone.obey(SetMode("room", "heat"), place.now)
    place.zone.fault = interlocks.Latched(Reason.RUNAWAY, "it did")
    assert not place.at(6.0, age=1471.0).on, "nor is a latched zone ever heated"


def test_what_was_learnt_and_ordered_goes_on_only_with_the_same_heater() -> None:
    old = Place(control="pi")
    old.zone.obey(SetHeater("room", True), old.now)
    same, other = Place(control="pi", target=19.0), Place(control="pi", heater="stove")
    for new in (same, other):
        new.zone.adopt(old.zone)
        new.zone.adopt_evidence(old.zone)

    assert (same.zone.by_hand, same.zone.preheat) == (old.zone.by_hand, old.zone.preheat)
    assert other.zone.by_hand is None
    assert other.zone.preheat is not old.zone.preheat
    assert same.zone.evidence is not old.zone.evidence, "other limits"
    again = Place(control="pi")
    again.zone.adopt_evidence(old.zone)
    assert again.zone.evidence is old.zone.evidence


def test_an_interlock_stands_above_an_order_by_hand() -> None:
    place = Place()
    place.zone.obey(SetHeater("room", True), place.now)
    place.later(31.0)
    decision = place.at(18.0, age=31.0)
    assert (decision.on, decision.fault, decision.reason) == (False, True, "stale-temperature")
    assert place.zone.forbidding in interlocks.INTERLOCKS


def test_gains_that_were_found_control_at_once_and_go_on_after_a_reload() -> None:
    found = Gains(kp=0.7, ti=5000.0)
    old = Place(control="pi", heating_curve=0.03)
    old.zone.tune(found)
    old.at(18.0)
    new = Place(control="pi", heating_curve=0.03)
    new.zone.adopt(old.zone)

    for place in (old, new):
        assert place.zone.pi is not None
        assert (place.zone.pi.gains, place.zone.pi.learns, place.zone.pi.curve) == (found, False, 0.03)
    assert (new.zone.wish, new.zone.decision) == (old.zone.wish, old.zone.decision)
    old.zone.tune(None)
    assert old.zone.pi is not None
    assert old.zone.pi.learns


def test_a_zone_that_does_not_follow_presence_stays_warm_while_everybody_is_away() -> None:
    for follows, target in ((True, 12.0), (False, 20.0)):
        place = Place(follows_presence=follows)
        place.zone.decide(View(Seen(18.0, 1000.0, None), None, True, False), place.now, Around(RELAY))
        assert place.zone.aim.target == target


def test_a_tuning_ordered_to_stop_says_so() -> None:
    place = Place(control="pi")
    place.zone.obey(Tune("room", start=True), place.now)
    place.at(18.0)
    place.zone.obey(Tune("room", start=False), place.now)
    assert place.zone.tuning is not None
    assert "ordered to stop" in place.zone.tuning.progress.text


# --- the last word on the target


def test_coming_to_auto_drops_a_target_and_nothing_else_does() -> None:
    for modes, target in ((("heat", "off", "heat"), 18.5), (("auto",), 20.0), (("auto", "heat"), 20.0)):
        place = Place(target=20.0)
        place.zone.obey(SetTarget("room", 18.5), place.now)
        for mode in modes:
            place.zone.obey(SetMode("room", mode), place.now)
        place.at(20.0)
        assert place.zone.aim.target == target, modes
    place = Place(mode="auto", target=20.0)
    place.zone.obey(SetTarget("room", 18.5), place.now)
    for mode in ("auto", "heat"):
        place.zone.obey(SetMode("room", mode), place.now)
        place.at(20.0)
        assert place.zone.aim.target == 18.5


def test_a_target_ends_at_the_very_second_of_the_next_change_and_is_forgotten() -> None:
    place = Place(early=10.0, mode="auto", schedule=WEEK, optimum_start=False)
    place.zone.obey(SetTarget("room", 18.5), place.now)
    place.later(9.9)
    place.at(18.0)
    assert place.zone.aim.target == 18.5
    place.now = Now(1010.0, MIDNIGHT + 6 * HOUR)
    place.at(18.0)
    assert (place.zone.aim.target, place.zone.orders.target) == (20.0, None)
    place.zone.obey(SetMode("room", "heat"), place.now)
    assert place.zone.orders.target is None


def test_a_target_ordered_while_the_clock_was_wrong_gets_its_end_when_it_is_right() -> None:
    place = Place(early=HOUR, mode="auto", schedule=WEEK, optimum_start=False)
    right = place.now
    place.now = Now(right.mono, 0.0, synchronised=False)
    place.zone.obey(SetTarget("room", 18.5), place.now)
    place.at(18.0)
    assert place.zone.orders.target_until == math.inf
    place.now = right
    place.at(18.0)
    assert (place.zone.aim.target, place.zone.orders.target_until) == (18.5, MIDNIGHT + 6 * HOUR)
    place.now = Now(right.mono + 10.0, MIDNIGHT + 9 * HOUR, synchronised=False)
    place.at(18.0)
    assert place.zone.orders.target == 18.5, "nobody knows whether its time has come"


# --- what is nobody's order


def test_at_first_the_band_is_entered_without_heat() -> None:
    place = Place()
    assert (place.zone.wish.on, place.zone.decision.on) == (False, False)
    assert not place.at(20.0).on


def test_without_a_fall_configured_no_fall_is_an_open_window() -> None:
    place = Place()
    for number in range(60):
        place.later(10.0)
        place.at(18.0 - number * 0.05)
    assert place.zone.wish.reason == "below-target"


def test_the_hottest_of_several_counts_for_the_limit() -> None:
    place = Place()
    seen = Seen(18.0, place.now.mono, None, hottest=36.0)
    assert place.zone.decide(View(seen, None, False, False), place.now, Around(RELAY)).reason == "over-temperature"


def test_a_limit_that_was_passed_holds_until_a_kelvin_below_it_over_a_reload_too() -> None:
    place = Place()
    for celsius, reason in ((36.0, "over-temperature"), (34.5, "over-temperature")):
        place.later(10.0)
        assert place.at(celsius).reason == reason
    after = Place(target=19.0)
    after.zone.adopt(place.zone)
    after.later(20.0)
    assert after.at(34.5).reason == "over-temperature"
    after.later(10.0)
    assert after.at(33.9).reason == "target-reached"


def test_heating_inside_the_band_goes_on_over_a_reload() -> None:
    place = Place()
    place.at(19.0)
    assert place.at(20.0).on
    after = Place(max_temperature=34.0)
    after.zone.adopt(place.zone)
    assert after.at(20.0).on


@pytest.mark.parametrize("why", ["stale-temperature", "by-hand", "mode-off", "open-window"])
def test_whatever_else_decides_ends_a_tuning_and_says_why(why: str) -> None:
    place = Place(control="pi", window={"fall": 1.0})
    for _ in range(30):
        place.later(10.0)
        place.at(18.0)
    place.zone.obey(Tune("room", start=True), place.now)
    assert place.at(18.0).reason == "tuning"
    match why:
        case "stale-temperature":
            place.later(31.0)
            place.at(18.0, age=31.0)
        case "by-hand":
            place.zone.obey(SetHeater("room", True), place.now)
            place.at(18.0)
        case "mode-off":
            place.zone.obey(SetMode("room", "off"), place.now)
            place.at(18.0)
        case _:
            for _ in range(10):
                place.later(10.0)
                place.at(16.0)
    assert place.zone.tuning is not None
    assert place.zone.tuning.progress.failure == why


def test_an_open_window_is_looked_at_again_at_the_very_end_of_its_pause() -> None:
    place = Place(window={"fall": 1.0, "suspend": 60.0})
    for number in range(40):
        place.later(10.0)
        place.at(18.0 if number < 30 else 16.0)
        if place.zone.wish.reason == "open-window":
            break
    end = place.zone.window.until
    assert end == place.now.mono + 60.0
    place.later(45.0)
    assert (place.at(16.0).reason, place.at(16.0).until) == ("open-window", end)
    place.later(15.0)
    assert place.at(16.0).reason == "below-target"


def test_nothing_is_begun_early_for_the_same_warmth() -> None:
    place = Place(early=60.0, mode="auto", schedule={"daily": ("06:00 19", "22:00 19")})
    place.at(17.0)
    assert place.zone.aim.because == "schedule: 19 °C until Monday 06:00"


def test_by_hand_off_is_looked_at_again_at_its_very_end() -> None:
    place = Place(order_hold=20.0)
    place.zone.obey(SetHeater("room", False), place.now)
    assert (place.at(18.0).reason, place.at(18.0).until) == ("by-hand", 1020.0)


def test_a_tuning_ends_with_its_target() -> None:
    place = Place(control="pi")
    place.at(18.0)
    place.zone.obey(Tune("room", start=True), place.now)
    place.zone.obey(SetTarget("room", 22.0), place.now)
    place.at(18.0)
    assert place.zone.tuning is not None
    assert place.zone.tuning.progress.failure == "22 °C are wanted now"


def test_proportional_control_is_not_wound_up_while_a_tuning_decides() -> None:
    place = Place(control="pi")
    assert place.zone.pi is not None
    for _ in range(30):
        place.later(10.0)
        place.at(19.8)
    before = place.zone.pi.integral
    place.zone.obey(Tune("room", start=True), place.now)
    for _ in range(300):
        place.later(10.0)
        place.at(19.8, on=True)
    place.zone.obey(Tune("room", start=False), place.now)
    place.at(19.8)
    assert 0 < place.zone.pi.integral <= before


def test_the_weather_outside_counts_for_the_heating_curve_and_for_what_a_rise_tells() -> None:
    def at(place: Place, celsius: float, outside: float | None) -> Decision:
        return place.zone.decide(View(Seen(celsius, place.now.mono, None), outside, False, False), place.now, around)

    around = Around(RELAY)
    curve, none = Place(control="pi", heating_curve=0.03), Place(control="pi", heating_curve=0.03)
    assert "50% heat" in at(curve, 20.0, 20.0 - 0.5 / 0.03).text
    assert "0% heat" in at(none, 20.0, None).text

    rising = Place(target=17.0)
    at(rising, 17.0, 3.0)
    rising.zone.obey(SetTarget("room", 20.0), rising.now)
    for minute in range(61):
        rising.later(60.0)
        at(rising, 17.0 + minute * 0.05, 3.0)
    assert [rise.outside for rise in rising.zone.preheat.rises] == [3.0]


def test_a_rise_that_somebody_took_a_hand_in_tells_nothing() -> None:
    for by_hand, learnt in ((False, 1), (True, 0)):
        place = Place(target=17.0)
        place.at(17.0)
        place.zone.obey(SetTarget("room", 20.0), place.now)
        for minute in range(61):
            place.later(60.0)
            if by_hand and minute == 30:
                place.zone.obey(SetHeater("room", True), place.now)
            if by_hand and minute == 31:
                place.zone.obey(SetHeater("room", None), place.now)
            place.at(17.0 + minute * 0.05)
        assert len(place.zone.preheat.rises) == learnt


def test_a_pulse_ends_when_that_was_announced_and_waits_for_no_reading() -> None:
    place = Place(control="pi")
    decision, announced = place.at(19.8), math.inf
    for _ in range(240):
        place.later(min(10.0, decision.until - place.now.mono))
        decision = place.at(19.8, on=decision.on)
        if decision.reason == "pause":
            break
        if decision.until < place.now.mono + 10.0:
            announced = min(announced, decision.until)
    assert decision.reason == "pause"
    assert announced <= place.now.mono < announced + 5.0


def test_proportional_control_is_not_wound_up_by_hours_of_mode_off() -> None:
    place = Place(control="pi")
    assert place.zone.pi is not None
    for _ in range(30):
        place.later(10.0)
        place.at(19.8)
    before = place.zone.pi.integral
    place.zone.obey(SetMode("room", "off"), place.now)
    for _ in range(300):
        place.later(10.0)
        place.at(19.8)
    place.zone.obey(SetMode("room", "heat"), place.now)
    place.at(19.8)
    assert 0 < place.zone.pi.integral <= before


@pytest.mark.parametrize("control", ["hysteresis", "pi"])
def test_mode_off_at_the_edge_of_frost_does_not_blink(control: str) -> None:
    place = Place(control=control)
    place.at(5.0)
    assert place.at(5.0).on
    place.zone.obey(SetMode("room", "off"), place.now)
    assert place.at(5.0, on=True).reason == "frost-protection"


def test_frost_is_not_fought_above_the_zones_own_target() -> None:
    place = Place(mode="off", target=3.0, target_min=0.0)
    assert not place.at(4.0).on
    assert place.at(2.7).text == "2.70 °C, heating to 3.25 °C although the zone's mode is off"


def test_no_frost_is_fought_where_that_is_forbidden() -> None:
    assert not Place(mode="off", frost_protection=False).at(-10.0).on
