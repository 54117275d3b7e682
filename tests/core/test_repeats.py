"""Telling the same thing again and again: a few times a minute, then a count, and no memory of it afterwards."""

from stoker.core.repeats import MINUTE, MOST, Repeats


def test_ten_are_told_and_the_others_counted() -> None:
    repeats: Repeats[str] = Repeats()
    told = [repeats.worth_telling("same", f"no {number}", 5.0) for number in range(MOST + 90)]

    assert told == [True] * MOST + [False] * 90
    assert repeats.over(5.0 + MINUTE - 0.1) == []
    assert repeats.over(5.0 + MINUTE) == [("no 0", 90)]
    assert repeats.worth_telling("same", "later", 5.0 + MINUTE), "a new minute"


def test_what_differs_is_told_on_its_own() -> None:
    repeats: Repeats[str] = Repeats()
    for _ in range(MOST + 1):
        repeats.worth_telling("one", "one", 0.0)

    assert repeats.worth_telling("another", "another", 30.0)
    assert repeats.over(MINUTE) == [("one", 1)]
    assert repeats.over(30.0 + MINUTE) == [], "nothing of the other was withheld"
