"""Buildings as networks of heat capacities and conductances, their week's weather, and their sensor.

Rule: every figure has its source beside it. The physics is linear, so one matrix made once steps it exactly.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

STEP = 10.0  # s between two readings
RESOLUTION = 0.0625  # K, a DS18B20 at 12 bit
NOISE = 0.02  # K, standard deviation
KWH = 3.6e6  # J
DAY = 86400.0

Matrix = list[list[float]]


class Building(NamedTuple):
    """`capacities`: J/K by node; `links`: W/K between two nodes or a node and `outside`; `gains`: K/W by their node."""

    name: str
    source: str
    capacities: Mapping[str, float]
    links: Mapping[tuple[str, str], float]
    heated: str  # the node that the heater warms
    power: float  # W while the relay is on
    windows: Mapping[str, float]  # m² through which (or on which) the sun warms a node
    sensor: float = 300.0  # s, time constant of a thermometer in its housing
    inner: float = 0.0  # W from people and things, into the air
    weather: float = 1.0  # how much of the weather's swing gets here; 0 in a cellar


# P. Bacher, H. Madsen: Identifying suitable models for the heat dynamics of buildings, Energy and Buildings 43 (2011),
# the selected model TiTeThTsAeRia, fitted to measurements of FlexHouse, a light house of 120 m² with electric heaters.
# kWh/K: air 0.0928, envelope 3.32, heaters 0.889, sensor 0.0549. K/kW: air to outside 31.2, air to envelope 0.897,
# envelope to outside 4.38, heaters to air 0.146, sensor to air 0.115. m²: windows 5.75, envelope 3.87.
# Unchecked: these stand here as remembered, the paper was not at hand. `FITTED_ANEW` below is its next smaller model.
LIGHT = Building(
    name="light house",
    source="FlexHouse, Bacher and Madsen 2011",
    capacities={"air": 0.0928 * KWH, "envelope": 3.32 * KWH, "heaters": 0.889 * KWH, "probe": 0.0549 * KWH},
    links={
        ("air", "outside"): 1e3 / 31.2,
        ("air", "envelope"): 1e3 / 0.897,
        ("envelope", "outside"): 1e3 / 4.38,
        ("heaters", "air"): 1e3 / 0.146,
        ("probe", "air"): 1e3 / 0.115,
    },
    heated="heaters",
    power=7000.0,  # for -10 °C outside, and a little more
    windows={"air": 5.75, "envelope": 3.87},
)

# E. Sperber, U. Frey, V. Bertsch: Reduced-order models for assessing demand response with heat pumps, Energy and
# Buildings 223 (2020): single-family house F of 158 m², deeply renovated (variant 3).
# kWh/K: interior 2.02, envelope 16.39. K/kW: interior to outside 24.38, to envelope 0.53, envelope to outside 13.26.
# m²: windows 1.72. Gains inside: 3 W/m².
_HOUSE = {"air": 2.02 * KWH, "envelope": 16.39 * KWH}
_HOUSE_LINKS = {
    ("air", "outside"): 1e3 / 24.38,
    ("air", "envelope"): 1e3 / 0.53,
    ("envelope", "outside"): 1e3 / 13.26,
}
_GAINS = 3.0 * 158

# Its radiators from their masses: 6 kW at an excess of 50 K are 120 W/K; 120 kg of steel and 44 kg of water with pipes
# and boiler are 245 kJ/K (a time constant of 34 min).
HEAVY = Building(
    name="heavy house",
    source="single-family house F3, Sperber, Frey and Bertsch 2020; radiators from their masses",
    capacities=_HOUSE | {"radiators": 245e3},
    links=_HOUSE_LINKS | {("radiators", "air"): 120.0},
    heated="radiators",
    power=6000.0,
    windows={"air": 1.72},
    inner=_GAINS,
)

# The same house with 110 m² of heated screed, 65 mm thick (2000 kg/m³, 1 kJ/kg/K), which gives 10.8 W/m²/K to the room,
# EN 1264's coefficient for a heated floor: 3.3 h.
FLOOR = Building(
    name="floor heating",
    source="the same house; 65 mm of screed, 10.8 W/m²/K after EN 1264",
    capacities=_HOUSE | {"screed": 110 * 0.065 * 2000 * 1000.0},
    links=_HOUSE_LINKS | {("screed", "air"): 110 * 10.8},
    heated="screed",
    power=6000.0,
    windows={"air": 1.72},
    inner=_GAINS,
)

# A refrigerator for fermenting, from its masses: 20 kg of wort (4.0 kJ/kg/K) whose vessel of 0.5 m² takes 8 W/m²/K;
# liner, shelves and air 8 kJ/K; 1 W/K through its walls; a tube heater of 0.6 kg of aluminium with 1.5 W/K to the air.
CHAMBER = Building(
    name="small chamber",
    source="a refrigerator with 20 kg of wort, from its masses",
    capacities={"air": 8e3, "wort": 80e3, "tube": 0.6 * 900.0},
    links={("air", "outside"): 1.0, ("air", "wort"): 4.0, ("tube", "air"): 1.5},
    heated="tube",
    power=45.0,
    windows={},
    sensor=60.0,
    weather=0.3,
)

BUILDINGS = (LIGHT, HEAVY, FLOOR, CHAMBER)

# From here on buildings on which nothing in the controller was adjusted.

# FlexHouse once more, as the same paper's next smaller model TiTeThTs, whose figures were compared with public code
# that rebuilds it. kWh/K: interior 0.143, envelope 3.24, heaters 0.321, sensor 0.619. K/kW: interior to envelope 0.909,
# envelope to outside 4.47, heaters to interior 0.383, sensor to interior 0.115. m²: windows 6.03.
# What was measured there, and is kept here, is the temperature of the model's sensor.
FITTED_ANEW = Building(
    name="light house, other fit",
    source="FlexHouse as the smaller model TiTeThTs of the same paper",
    capacities={"interior": 0.143 * KWH, "envelope": 3.24 * KWH, "heaters": 0.321 * KWH, "air": 0.619 * KWH},
    links={
        ("interior", "envelope"): 1e3 / 0.909,
        ("envelope", "outside"): 1e3 / 4.47,
        ("heaters", "interior"): 1e3 / 0.383,
        ("air", "interior"): 1e3 / 0.115,
    },
    heated="heaters",
    power=7000.0,
    windows={"interior": 6.03},
)

# SINTEF's room of 100 m² in BOPTEST's prototype test case 5 (testcases/testcase5/models/TestCase5.mo), 3R3C.
# J/K/m²: interior 16686, envelope 122400, heater 4000. K m²/W: interior to envelope 0.06, envelope to outside 0.57,
# heater to interior 0.1; interior to outside 0.1 K/W. 5 kW. Its 50 m² in the sun on a horizontal plane are 5 m² here.
PROTOTYPE = Building(
    name="test room",
    source="SINTEF's 3R3C room in BOPTEST's prototype test case 5",
    capacities={"air": 16686 * 100, "envelope": 122400 * 100, "heater": 4000 * 100},
    links={
        ("air", "envelope"): 100 / 0.06,
        ("envelope", "outside"): 100 / 0.57,
        ("heater", "air"): 100 / 0.1,
        ("air", "outside"): 1 / 0.1,
    },
    heated="heater",
    power=5000.0,
    windows={"air": 5.0},
)

HELD_OUT = (FITTED_ANEW, PROTOTYPE)


class Weather(NamedTuple):
    """What it is like outside."""

    celsius: float
    sun: float  # W/m²
    wind: float  # how much more heat than else passes from the air to the outside; 0: calm


def weather(seconds: float) -> Weather:
    """A week from Monday's midnight: a swing each day, sun on some, a cold snap on Thursday, a storm on Saturday."""
    day, hour = seconds / DAY, seconds / 3600 % 24
    snap = -8.0 * _pulse(day, 3.2, 5.0, 0.25)
    celsius = 4.0 + snap - 4.0 * math.cos(math.tau * (hour - 4) / 24) + 1.5 * math.sin(math.tau * day / 5)
    clear = (0.9, 0.3, 0.8, 0.6, 1.0, 0.1, 0.7)[int(day) % 7]
    clouds = 1 - 0.5 * (math.sin(math.tau * seconds / 4700) > 0.3) * (clear < 0.85)
    sun = 450.0 * clear * clouds * max(0.0, math.sin(math.pi * (hour - 8) / 8.5)) * (8 < hour < 16.5)
    return Weather(celsius, sun, 1.5 * _pulse(day, 5.3, 6.1, 0.05))


def _pulse(day: float, begin: float, end: float, edge: float) -> float:
    """From 0 to 1 and back, with soft edges (days)."""
    return (math.tanh((day - begin) / edge) - math.tanh((day - end) / edge)) / 2


class Simulation:
    """A building through its time: `advance` one step with the relay as it is, `read` the thermometer."""

    def __init__(self, building: Building, start: float = 19.0, seed: int = 1) -> None:
        self.building = building
        self.nodes = [*building.capacities, "sensor"]
        self.state = [start] * len(self.nodes)
        self.seconds = 0.0
        self.heat = 0.0  # J so far
        self._random = random.Random(seed)  # noqa: S311 -- noise, not a secret
        self._air = self.nodes.index("air")
        # In the storm more air leaks: a second matrix; in between, a mixture of both.
        self._calm, self._storm = self._step_matrix(0.0), self._step_matrix(1.0)

    @property
    def air(self) -> float:
        """The true temperature, °C."""
        return self.state[self._air]

    @property
    def outside(self) -> float:
        """What it is outside the building, °C."""
        mean = 8.0
        return mean + self.building.weather * (weather(self.seconds).celsius - mean)

    def read(self) -> float:
        """What the thermometer says, °C."""
        return round(self._random.gauss(self.state[-1], NOISE) / RESOLUTION) * RESOLUTION

    def hold_at_least(self, celsius: float) -> None:
        """Give the air what it needs to be this warm, at once."""
        self.state[self._air] = max(self.air, celsius)

    def advance(self, relay: float) -> None:
        """Let `STEP` seconds pass; `relay` is on or off, or a share of full heat."""
        now = weather(self.seconds)
        vector = [*self.state, self.outside, self.building.power * relay, now.sun, self.building.inner]
        wind = now.wind * self.building.weather
        calm = [sum(map(float.__mul__, row, vector)) for row in self._calm]
        if wind > 0.01:
            storm = [sum(map(float.__mul__, row, vector)) for row in self._storm]
            calm = [one + wind * (other - one) for one, other in zip(calm, storm, strict=True)]
        self.state = calm
        self.heat += self.building.power * relay * STEP
        self.seconds += STEP

    def _step_matrix(self, wind: float) -> Matrix:
        """Rows of the exact solution over `STEP` for constant inputs: nodes, outside, heat, sun, gains inside."""
        building, nodes = self.building, self.nodes
        inputs = ["outside", "heat", "sun", "inner"]
        columns = [*nodes, *inputs]
        size = len(columns)
        rates = [[0.0] * size for _ in range(size)]
        for (one, other), conductance in building.links.items():
            leak = conductance * (1 + wind * ((one, other) == ("air", "outside")))
            for here, there in ((one, other), (other, one)):
                if here in building.capacities:
                    row = rates[columns.index(here)]
                    row[columns.index(here)] -= leak / building.capacities[here]
                    row[columns.index(there)] += leak / building.capacities[here]
        rates[columns.index(building.heated)][columns.index("heat")] += 1 / building.capacities[building.heated]
        for node, area in building.windows.items():
            rates[columns.index(node)][columns.index("sun")] += area / building.capacities[node]
        rates[columns.index("air")][columns.index("inner")] += 1 / building.capacities["air"]
        sensor = rates[columns.index("sensor")]
        sensor[columns.index("air")] += 1 / building.sensor
        sensor[columns.index("sensor")] -= 1 / building.sensor
        return exponential(rates, STEP)[: len(nodes)]


def exponential(rates: Sequence[Sequence[float]], seconds: float) -> Matrix:
    """exp(rates * seconds), by halving, a Taylor series and squaring."""
    halvings, size = 12, len(rates)
    small = [[value * seconds / 2**halvings for value in row] for row in rates]
    result = [[float(row == column) for column in range(size)] for row in range(size)]
    term = result
    for order in range(1, 12):
        term = [[value / order for value in row] for row in _product(term, small)]
        result = [[a + b for a, b in zip(one, other, strict=True)] for one, other in zip(result, term, strict=True)]
    for _ in range(halvings):
        result = _product(result, result)
    return result


def _product(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Matrix:
    columns = list(zip(*other, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in one]
