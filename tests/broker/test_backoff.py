"""The pauses between tries: random, growing, never above the cap, and short again only after a line that lasted."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.link.backoff import LASTED, PATIENT_CAP, Backoff

caps = st.floats(1, 3600)
chances = st.floats(0, 1, exclude_max=True)
spans = st.floats(0, 1e6)


@given(caps, st.lists(st.tuples(chances, spans, st.booleans()), max_size=50))
def test_a_pause_is_never_negative_and_never_above_its_cap(cap: float, story: list[tuple[float, float, bool]]) -> None:
    dice = iter([chance for chance, _, _ in story])
    backoff = Backoff(cap, lambda: next(dice))
    for _, lasted, patient in story:
        assert 0 <= backoff.pause(lasted, patient) <= (max(cap, PATIENT_CAP) if patient else cap)


@given(caps, st.lists(st.floats(0, LASTED, exclude_max=True), max_size=50), st.floats(LASTED, 1e6))
def test_the_bound_falls_back_only_after_a_line_that_lasted(cap: float, short: list[float], long: float) -> None:
    backoff = Backoff(cap, lambda: 1.0)
    bounds = [backoff.pause(lasted) for lasted in short]
    assert bounds == sorted(bounds)
    assert backoff.pause(long) == 1.0


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(10.0, lambda: 1.0)
    assert [backoff.pause(0) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert [Backoff(10.0, lambda: 1.0).pause(0, patient=True), backoff.pause(0, patient=True)] == [10, 60]


def test_years_of_failures_change_nothing() -> None:
    backoff = Backoff(10.0, lambda: 1.0)
    assert {backoff.pause(0) for _ in range(5000)} == {1, 2, 4, 8, 10}


def test_the_pause_is_spread_over_the_whole_bound() -> None:
    pauses = [Backoff(10.0).pause(0) for _ in range(1000)]
    assert min(pauses) < 0.1
    assert max(pauses) > 0.9
