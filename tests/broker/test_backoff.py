"""The pauses between tries: random, growing, never above the cap, and short again only after a line that lasted.

Of several brokers each has its own, so that one which refuses us does not keep us from another.
"""

from hypothesis import given
from hypothesis import strategies as st

from stoker.link.backoff import BASES, LASTED, PATIENT_CAP, Backoff, Pace, Turns

caps = st.floats(1, 3600)
chances = st.floats(0, 1, exclude_max=True)
spans = st.floats(0, 1e6)
paces: st.SearchStrategy[Pace] = st.sampled_from(list(BASES))


@given(caps, st.lists(st.tuples(chances, spans, paces), max_size=50))
def test_a_pause_is_never_negative_and_never_above_its_cap(cap: float, story: list[tuple[float, float, Pace]]) -> None:
    dice = iter([chance for chance, _, _ in story])
    backoff = Backoff(cap, lambda: next(dice))
    for _, lasted, pace in story:
        assert 0 <= backoff.pause(lasted, pace) <= (cap if pace == "soon" else max(cap, PATIENT_CAP))


@given(caps, chances, st.sampled_from(["busy", "person"]))
def test_where_haste_is_of_no_use_chance_never_makes_any(cap: float, chance: float, pace: Pace) -> None:
    backoff = Backoff(cap, lambda: chance)
    assert all(backoff.pause(0, pace) >= BASES[pace] / 2 for _ in range(10))


@given(caps, st.lists(st.floats(0, LASTED, exclude_max=True), max_size=50), st.floats(LASTED, 1e6))
def test_the_bound_falls_back_only_after_a_line_that_lasted(cap: float, short: list[float], long: float) -> None:
    backoff = Backoff(cap, lambda: 1.0)
    bounds = [backoff.pause(lasted) for lasted in short]
    assert bounds == sorted(bounds)
    assert backoff.pause(long) == 1.0


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(10.0, lambda: 1.0)
    assert [backoff.pause(0) for _ in range(10)] == [1, 1, 2, 2, 4, 4, 8, 8, 10, 10]
    assert [backoff.pause(0, "person") for _ in range(4)] == [10, 20, 40, 60]
    assert [backoff.pause(0, "busy") for _ in range(5)] == [5, 10, 20, 40, 60], "each kind of failure by itself"


def test_years_of_failures_change_nothing() -> None:
    backoff = Backoff(10.0, lambda: 1.0)
    assert {backoff.pause(0) for _ in range(5000)} == {1, 2, 4, 8, 10}


def test_the_pause_is_spread_over_the_whole_bound() -> None:
    pauses = [Backoff(10.0).pause(0) for _ in range(1000)]
    assert min(pauses) < 0.1
    assert max(pauses) > 0.9


def never(_low: float = 0.0) -> float:
    """The least that chance gives."""
    return 0.0


def test_brokers_are_tried_in_turn_and_then_with_pauses() -> None:
    turns = Turns(3, 10.0, lambda: 1.0)
    story = []
    now = 1000.0
    for _ in range(6):
        now += turns.failed(now, 0.0, "soon")
        story.append((turns.current, now))
    assert story == [(1, 1000), (2, 1000), (0, 1001), (1, 1001), (2, 1001), (0, 1002)]


def test_the_broker_that_works_keeps_its_turn_until_it_fails() -> None:
    turns = Turns(2, 10.0, never)
    turns.failed(0.0, 0.0, "soon")
    assert turns.current == 1
    turns.failed(9000.0, 9000.0, "soon")  # it stood all the time, and then the first may be tried again
    assert turns.current == 0


def test_a_broker_that_refuses_the_password_does_not_keep_us_from_the_other() -> None:
    turns = Turns(2, 10.0, lambda: 1.0)
    assert turns.failed(0.0, 0.0, "person") == 0.0
    assert [turns.failed(0.0, 0.0, "soon"), turns.current] == [1.0, 1]
    assert [turns.failed(1.0, 0.0, "soon"), turns.current] == [1.0, 1]


def test_not_all_devices_go_to_the_next_broker_in_the_same_moment() -> None:
    turns = Turns(2, 10.0, lambda: 0.7)
    assert [turns.failed(100.0, 60.0, "soon"), turns.current] == [0.7, 1]


def test_the_broker_says_which_other_is_to_be_used() -> None:
    turns = Turns(3, 10.0, never)
    turns.failed(0.0, 0.0, "busy", instead=2)
    assert turns.current == 2


def test_two_brokers_that_send_us_to_each_other_are_not_believed_at_once() -> None:
    turns = Turns(2, 10.0, never)
    assert turns.failed(100.0, 0.0, "busy", instead=1) == 0.0
    assert turns.failed(100.0, 0.0, "busy", instead=0) == BASES["busy"] / 2
