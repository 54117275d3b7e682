"""The mean and the median are those of the standard library, which costs too much memory to be used."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.core import average

temperatures = st.lists(st.floats(-200.0, 200.0), min_size=1)


@given(temperatures)
def test_they_are_what_statistics_says(celsius: list[float]) -> None:
    assert average.mean(celsius) == statistics.fmean(celsius)
    assert average.median(celsius) == statistics.median(celsius)


@pytest.mark.parametrize(("of", "error"), [(average.mean, ZeroDivisionError), (average.median, IndexError)])
def test_of_nothing_there_is_none(of: object, error: type[Exception]) -> None:
    assert callable(of)
    with pytest.raises(error):
        of([])
