"""An open window is seen within minutes, and nothing else is taken for one: rooms and draughts in simulated time."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stoker.core.window import OpenWindow
from stoker_drivers.mock import AIR_CAPACITY, Room

HOUR = 3600.0
TILTED = (
    250.0  # W/K that a tilted window adds to a room's losses; 0.4 K a minute at first, with 20 K between in and out
)


class Draught:
    """A room whose window and door can be opened, and its detector, fed by a sensor at its interval."""

    def __init__(self, room: Room, interval: float = 10.0, fall: float = 1.0) -> None:
        self.room = room
        self.interval = interval
        self.time = 0.0
        self.conductance, self.beyond = 0.0, 0.0  # W/K to air of so many °C
        self.heats: Callable[[], bool] = lambda: False
        self.slowness = 0.0  # s, the sensor's time constant
        self.felt = room.air
        self.window = OpenWindow(fall=fall, within=180.0, suspend=900.0)
        self.paused: list[float] = []  # when a pause began

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            for _ in range(round(self.interval)):
                self._second()
            before = self.suspended
            offset = self.room.measure() - self.room.air  # noise and quantisation
            self.window.take(self.felt + offset if self.slowness else self.room.air + offset, self.time)
            if self.suspended and not before:
                self.paused.append(self.time)

    def _second(self) -> None:
        self.room.relay = self.heats()
        self.room.advance(1.0)
        self.room.air -= self.conductance * (self.room.air - self.beyond) / AIR_CAPACITY
        self.felt += (self.room.air - self.felt) / max(self.slowness, 1.0)
        self.time += 1.0

    @property
    def suspended(self) -> bool:
        return bool(self.window.suspends(self.time))

    def open_the_window(self) -> None:
        self.conductance, self.beyond = TILTED, self.room.outside

    def close_the_window(self) -> None:
        self.conductance = 0.0


def winter(**room: float) -> Room:
    return Room(start=21.0, outside=-2.0, power=1500.0, **room)  # type: ignore[arg-type]


# --- a window


@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
def test_a_window_in_winter_is_seen_within_minutes_and_heat_pauses(interval: float) -> None:
    house = Draught(winter(), interval)
    house.run(HOUR)
    assert house.paused == []
    house.open_the_window()
    house.run(7 * 60)
    assert len(house.paused) == 1
    assert house.paused[0] - HOUR < 6 * 60
    assert house.window.until == house.paused[0] + 900.0


def test_the_reason_is_said_in_words() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    for minute, celsius in enumerate([21.0, 21.0, 21.0, 20.5, 19.9, 19.4, 19.0]):
        window.take(celsius, 60.0 * minute)
    text = "fell by 1.1 K in 120 s to 19.9 °C, so a window is open; heating again in 880 s, or when it gets warmer"
    assert window.suspends(380.0) == text
    assert window.suspends(1259.9)
    assert not window.suspends(1260.0)


def test_a_slow_sensor_sees_it_too() -> None:
    house = Draught(winter())
    house.slowness = 120.0
    house.run(HOUR)
    house.open_the_window()
    house.run(8 * 60)
    assert len(house.paused) == 1


def test_the_pause_ends_early_when_the_window_is_closed_and_it_gets_warmer() -> None:
    house = Draught(winter())
    house.window.suspend = 3 * HOUR
    house.open_the_window()
    house.run(20 * 60)
    house.close_the_window()
    house.run(5 * 60)
    assert house.suspended, "not for a breath of warmth"
    house.run(20 * 60)
    assert not house.suspended, "the walls have warmed the air, long before the time is over"
    house.run(HOUR)
    assert len(house.paused) == 1, "and the fall is not seen again"


def test_a_window_is_seen_from_the_warmest_moment_on() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    course = [19.0, 19.2, 19.5, 19.8, 20.1, 20.4, 20.4, 20.4, 19.8, 19.3, 19.3, 19.3]
    for number, celsius in enumerate(course):
        window.take(celsius, 15.0 * number)
    assert window.until is not None
    assert window.suspends(165.0).startswith("fell by 1.1 K in 30 s to 19.3 °C")


def test_how_cold_it_was_in_the_morning_does_not_end_the_pause() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    course = [15.0] * 8 + [21.0] * 8 + [19.5] * 40
    for number, celsius in enumerate(course):
        window.take(celsius, 10.0 * number)
    assert window.suspends(10.0 * len(course))


def test_after_a_deep_fall_and_its_end_the_same_fall_is_not_seen_again() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    course = [21.0] * 8 + [20.0, 19.0, 18.0, 17.0, 16.0, 15.0, 15.0, 15.0] + [15.6] * 20
    suspended: list[bool] = []
    for number, celsius in enumerate(course):
        window.take(celsius, 5.0 * number)
        suspended.append(bool(window.suspends(5.0 * number)))
    assert suspended == sorted(suspended[:12]) + [True] * 6 + [False] * 18


def test_the_pause_ends_by_itself_although_the_window_stays_open() -> None:
    house = Draught(winter())
    house.open_the_window()
    house.run(6 * 60)
    assert house.suspended
    house.beyond = house.room.air  # as cold in as out: no more fall
    house.run(16 * 60)
    assert not house.suspended
    assert len(house.paused) == 1


def test_a_fall_that_goes_on_at_the_end_of_a_pause_begins_the_next() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=300.0)
    begun: list[int] = []
    for second in range(0, 1200, 10):
        before = window.suspends(second)
        window.take(20.0 - second / 120, float(second))  # 0.5 K a minute
        begun += [second] if window.suspends(second) and not before else []
    assert begun == [160, 460, 760, 1060]


def test_one_airing_is_one_pause_however_short_the_pause() -> None:
    window = OpenWindow(fall=1.0, within=600.0, suspend=30.0)
    begun = 0
    for second in range(0, 3600, 10):
        before = window.suspends(second)
        window.take(21.0 if second < 600 else 19.5, float(second))
        begun += bool(window.suspends(second) and not before)
    assert begun == 1


# --- what is no window


def test_a_cold_nights_cooling_is_no_window() -> None:
    house = Draught(Room(start=21.0, outside=-15.0))
    house.run(12 * HOUR)
    assert house.room.air < 14.0, "the heater was off all night"
    assert house.paused == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
def test_noise_is_no_window(interval: float, seed: int) -> None:
    house = Draught(Room(start=20.0, outside=20.0, noise=0.1, seed=seed), interval, fall=0.5)
    house.run(12 * HOUR)
    assert house.paused == []


def test_the_end_of_heating_is_no_window() -> None:
    house = Draught(Room(start=18.0, outside=-5.0, power=3000.0))
    house.heats = lambda: house.time % HOUR < HOUR / 2
    house.run(12 * HOUR)
    assert house.paused == []


def test_a_door_to_a_cooler_hall_is_no_window() -> None:
    house = Draught(winter())
    house.run(HOUR)
    house.conductance, house.beyond = TILTED, 17.0
    house.run(HOUR)
    assert house.paused == []


def test_wild_readings_among_good_ones_are_no_window() -> None:
    window, dice = OpenWindow(fall=1.0, within=180.0, suspend=900.0), random.Random(1)
    for number in range(2000):
        wild = number % 3 == 2
        window.take(20.0 + (dice.uniform(-20.0, 20.0) if wild else 0.0), 10.0 * number)
        assert window.until is None


def test_a_gap_in_the_readings_is_no_window() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    for second in range(0, 600, 10):
        window.take(21.0, float(second))
    for second in range(3600, 4200, 10):
        window.take(18.0, float(second))
        assert window.until is None, "cooled by 3 K, but nobody knows how fast"


def test_a_slow_fall_is_no_window_however_deep() -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    for second in range(0, 6000, 10):
        window.take(21.0 - 0.95 * second / 180, float(second))
        assert window.until is None


def test_what_is_no_number_is_as_if_it_had_not_come() -> None:
    window, other = OpenWindow(1.0, 180.0, 900.0), OpenWindow(1.0, 180.0, 900.0)
    for number in range(60):
        celsius, at = 21.0 - 0.1 * number, 10.0 * number
        window.take(celsius, at)
        other.take(celsius, at)
        for junk in (math.nan, math.inf, -math.inf):
            window.take(junk, at + 5.0)
            window.take(celsius - 5.0, junk)
        window.take(celsius - 5.0, at - 10.0)
        assert window.until == other.until
        assert window.suspends(at) == other.suspends(at)
    assert window.until is not None


# --- whatever comes

readings = st.lists(
    st.tuples(
        st.one_of(st.floats(), st.floats(10, 25), st.sampled_from([18.0, 19.0, 20.0, 20.0625])),
        st.one_of(st.sampled_from([math.nan, math.inf, 3.0, 10.0, 60.0]), st.floats(0, 30), st.floats(-1e6, 1e6)),
    ),
    max_size=60,
)
spans = st.floats(1.0, 3600.0)


AFTER_A_GAP = [(1.0, 3.0), (0.0, 3.0), (0.0, 1.0), (1.0, 3.0), (1.0, 3.0), (0.0, 16.0)]


@example(readings=AFTER_A_GAP, fall=1.0, within=3.0, suspend=1.0)
@given(readings=readings, fall=st.floats(0.1, 5.0), within=spans, suspend=spans)
def test_a_pause_has_a_fall_for_its_reason_and_always_an_end(
    readings: list[tuple[float, float]], fall: float, within: float, suspend: float
) -> None:
    window, time = OpenWindow(fall, within, suspend), 0.0
    seen: list[tuple[float, float]] = []
    for celsius, step in readings:
        before, at = window.until, time + step
        window.take(celsius, at)
        if math.isfinite(celsius) and math.isfinite(at) and at >= time:
            seen.append((celsius, at))
            time = at
        if window.until is not None:
            assert window.until <= time + suspend
            assert window.suspends(window.until) == ""
        if window.until is not None and window.until != before:
            recent = [celsius for celsius, at in seen if at >= time - 5 * within - 1e-6]
            assert max(recent) - min(recent) >= fall
            assert "window is open" in window.suspends(time)


@given(count=st.integers(0, 2000), step=st.floats(0.0001, 10.0))
def test_a_flood_of_readings_takes_no_more_memory(count: int, step: float) -> None:
    window = OpenWindow(fall=1.0, within=180.0, suspend=900.0)
    for number in range(count):
        window.take(20.0, number * step)
    assert sum(len(kept) for kept in vars(window).values() if hasattr(kept, "__len__")) < 70
