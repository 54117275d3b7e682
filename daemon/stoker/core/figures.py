"""What is counted and measured, for whoever watches over many devices: numbers only, as of one moment."""

from collections import Counter

from msgspec import Struct


class Counts:
    """Since the program began."""

    def __init__(self) -> None:
        self.obeyed = 0  # orders
        self.refused: Counter[str] = Counter()  # orders, by the reason
        self.faults: Counter[tuple[str, str]] = Counter()  # faults that began, by zone and reason


class HeaterFigures(Struct, frozen=True):
    """`heated`: seconds on since the program began. `failed`: the driver cannot switch it."""

    on: bool
    heated: float
    failed: bool


class ZoneFigures(Struct, frozen=True):
    """`target` in °C. `fault`: the reason that stands against heat now; empty for none."""

    target: float
    fault: str


class Figures(Struct, frozen=True):
    """A copy, for any thread. `temperatures` holds fresh ones alone, in °C."""

    connected: bool
    temperatures: dict[str, float]
    heaters: dict[str, HeaterFigures]
    zones: dict[str, ZoneFigures]
    obeyed: int
    refused: dict[str, int]
    faults: dict[tuple[str, str], int]
