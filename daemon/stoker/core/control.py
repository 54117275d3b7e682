"""From a temperature and a target to a wish for heat. Controllers know nothing of faults: those stand above them."""

from typing import NamedTuple


class Band(NamedTuple):
    """Where hysteresis switches, °C."""

    on_below: float
    off_above: float


def band(target: float, hysteresis: float) -> Band:
    """The band of width `hysteresis` (K) around the target."""
    return Band(target - hysteresis / 2, target + hysteresis / 2)


def wants_heat(celsius: float, limits: Band, heating: bool) -> bool:
    """Two-point control: on below the band, off above it, and inside it as before.

    With a band of no width the target itself counts as reached.
    """
    if celsius < limits.on_below:
        return True
    if celsius > limits.off_above or limits.on_below == limits.off_above:
        return False
    return heating
