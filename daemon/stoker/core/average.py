"""The mean and the median, without the 1.4 MiB of fractions and random numbers that `statistics` brings along."""

from collections.abc import Iterable
from math import fsum


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean; ZeroDivisionError for none."""
    numbers = list(values)
    return fsum(numbers) / len(numbers)


def median(values: Iterable[float]) -> float:
    """The one in the middle, or the mean of the two; IndexError for none."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
