"""How well heat is controlled: a simulated week in six buildings, with hysteresis, PI, and what belongs to it.

    python bench/control/quality.py [--write]

prints the tables (Markdown); with --write it writes them to quality.md beside this file and into the README, and, where
matplotlib is installed, quality.png. Its random numbers have a seed: the figures come out the same each time.

The week: 17 °C by night, 20 °C from 6 to 22 h; the weather is in `buildings.py`. A reading each 10 s, in steps of
0.0625 K, with noise. What is measured is the true temperature of the air, not the thermometer's.

- RMS error: over all the time from the room's first arrival within 0.25 K of a new target until the next target; but
  not while no controller could do anything, that is while a heater without any delay would give no heat either (the
  sun, a room that still cools).
- Overshoot: the highest above the target in the 3 h after such an arrival from below, in the worst of seven mornings;
  of the mean over a cycle, and (peak) with the ripple of the pulses themselves.
- Swing: from lowest to highest while half of the heat is given, by one pulse in each cycle. No controller with that
  many switches can do better than half of it above the target and half below.
- Switches: each on and each off, per hour, over the whole week; and the most in any 60 minutes.
- Textbook PI: with the best of 20 pairs of gains for each building, found by trying all of them on this very week; its
  integral stops at the limits, and its heat is given by the same pulses.
- Heating curve: its slope is the building's own loss over its power.
- Late: minutes after 6 h until the room is within 0.25 K of 20 °C, the median (worst) of the week's last four mornings.
"""

import argparse
import importlib
import math
import statistics
import sys
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path[:0] = [str(Path(__file__).parents[2] / "daemon"), str(Path(__file__).parent)]

from buildings import BUILDINGS, DAY, HELD_OUT, KWH, STEP, Building, Simulation  # noqa: E402

from stoker.core import control  # noqa: E402
from stoker.core.autotune import Autotune  # noqa: E402
from stoker.core.pi import PI, Pulses  # noqa: E402
from stoker.core.preheat import Preheat  # noqa: E402
from stoker.core.process import Gains  # noqa: E402

WEEK = 7 * DAY
CYCLE = 1200.0  # s: three pulses an hour are six switches
HYSTERESIS = 0.5  # K
ARRIVED = 0.25  # K
AFTER = 3 * 3600.0  # s after an arrival in which overshoot is looked for

GRID = [Gains(kp, ti) for kp in (0.1, 0.2, 0.4, 0.8, 1.6) for ti in (1200.0, 2400.0, 4800.0, 9600.0)]
HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
MARKS = ("<!-- written by bench/control/quality.py -->\n", "<!-- until here -->\n")


class Look(NamedTuple):
    """What a controller is asked with. Temperatures in °C, `now` in s."""

    celsius: float
    now: float
    target: float
    relay: bool
    outside: float


Controller = Callable[[Look], bool]  # on or off


def target(seconds: float) -> float:
    """The schedule, °C."""
    return 20.0 if 6 <= seconds / 3600 % 24 < 22 else 17.0


def hysteresis() -> Controller:
    """Two-point control, as in `stoker.core.control`."""
    on = False

    def decide(look: Look) -> bool:
        nonlocal on
        on = control.wants_heat(look.celsius, control.band(look.target, HYSTERESIS), on)
        return on

    return decide


def pi(controller: PI) -> Controller:
    """PI, asked at each reading."""

    def decide(look: Look) -> bool:
        celsius, now, wanted, relay, outside = look
        return controller.demand(celsius, now, wanted, now, relay_on=relay, outside=outside).on

    return decide


def textbook(gains: Gains) -> Controller:
    """PI as in a textbook, whose integral stops at the limits of the duty."""
    pulses, integral = Pulses(CYCLE, 10.0, 10.0), 0.0

    def decide(look: Look) -> bool:
        nonlocal integral
        error = look.target - look.celsius
        integral = min(max(integral + gains.kp * error * STEP / gains.ti, 0.0), 1.0)
        duty = min(max(integral + gains.kp * error, 0.0), 1.0)
        return pulses.give(duty, look.relay, look.now, at_once=False)[0]

    return decide


def curve(building: Building) -> float:
    """The share of its power that the building loses for each K, by its network at rest."""
    temperatures = dict.fromkeys(building.capacities, 1.0) | {"outside": 0.0}
    for _ in range(10000):  # until all others are at rest between the air at 1 and the outside at 0
        for node in building.capacities:
            if node != "air":
                ends = [(g, set(link) - {node}) for link, g in building.links.items() if node in link]
                temperatures[node] = sum(g * temperatures[other.pop()] for g, other in ends) / sum(g for g, _ in ends)
    lost = sum(
        g * abs(temperatures[a] - temperatures[b]) for (a, b), g in building.links.items() if "outside" in (a, b)
    )
    return lost / building.power


def swing(building: Building) -> float:
    """K between lowest and highest of the air in a cycle of which half is heated."""
    pulsed, smooth, ripple = Simulation(building), Simulation(building), list[float]()
    while pulsed.seconds < DAY:
        pulsed.advance(pulsed.seconds % CYCLE < CYCLE / 2)
        smooth.advance(0.5)
        ripple.append(pulsed.air - smooth.air)
    last = ripple[-int(CYCLE / STEP) :]
    return max(last) - min(last)


def autotuned(building: Building) -> tuple[Gains, float]:
    """What an autotune finds on the week's first day, and the hours that it took."""
    simulation, relay = Simulation(building), False
    tuning = Autotune(20.0, 0.0, CYCLE)
    while not tuning.progress.ended:
        now = simulation.seconds
        relay = tuning.demand(simulation.read(), now, now, relay_on=relay).on
        simulation.advance(relay)
    if tuning.progress.gains is None:
        raise RuntimeError(f"{building.name}: {tuning.progress.text}")
    return tuning.progress.gains, simulation.seconds / 3600


class Step(NamedTuple):
    """What the room did at one step of time."""

    air: float
    target: float
    relay: bool


class Week(NamedTuple):
    """A row of the table."""

    rms: float  # K
    overshoot: float  # K
    peak: float  # K
    switches: float  # per hour
    most: int  # in any hour
    heat: float  # kWh
    arrival: float  # h, the mornings' median


def live(building: Building, decide: Controller) -> tuple[list[Step], float]:
    """The building's week under a controller, and the heat it took (kWh)."""
    simulation, relay, steps = Simulation(building), False, list[Step]()
    while simulation.seconds < WEEK:
        now, wanted = simulation.seconds, target(simulation.seconds)
        relay = decide(Look(simulation.read(), now, wanted, relay, simulation.outside))
        steps.append(Step(simulation.air, wanted, relay))
        simulation.advance(relay)
    return steps, simulation.heat / KWH


def controllable(building: Building) -> list[bool]:
    """For each step of the week: would a heater without any delay have to give heat?"""
    simulation, needs = Simulation(building), list[bool]()
    while simulation.seconds < WEEK:
        simulation.hold_at_least(target(simulation.seconds))
        simulation.advance(False)
        needs.append(simulation.air < target(simulation.seconds))
    return needs


def judge(steps: list[Step], needs: list[bool], heat: float) -> Week:
    """The figures of a week, as the file's first lines define them."""
    errors, arrivals, overshoots, peaks = list[float](), list[float](), list[float](), list[float]()
    mean = deque[float](maxlen=int(CYCLE / STEP))
    changed = arrived = None
    for index, (step, needed) in enumerate(zip(steps, needs, strict=True)):
        error = step.air - step.target
        mean.append(step.air)
        if index and step.target != steps[index - 1].target:
            changed, arrived = index, None
        if changed is None:
            continue  # the first hours, from wherever the room was
        rising = step.target == 20.0
        if arrived is None and abs(error) <= ARRIVED:
            arrived = index
            if rising:
                arrivals.append((index - changed) * STEP / 3600)
                overshoots.append(-math.inf)
                peaks.append(-math.inf)
        if arrived is not None and needed:
            errors.append(error)
            if rising and (index - arrived) * STEP < AFTER:
                overshoots[-1] = max(overshoots[-1], statistics.fmean(mean) - step.target)
                peaks[-1] = max(peaks[-1], error)
    switched = [int(one.relay is not other.relay) for one, other in pairwise(steps)]
    hour = int(3600 / STEP)
    return Week(
        rms=math.sqrt(statistics.fmean(error * error for error in errors)),
        overshoot=max(overshoots),
        peak=max(peaks),
        switches=sum(switched) / (len(steps) / hour),
        most=max(sum(switched[start : start + hour]) for start in range(len(switched))),
        heat=heat,
        arrival=statistics.median(arrivals),
    )


def late(building: Building, *, early: bool) -> list[float]:
    """For each morning the minutes after 6 h until the room is warm, with optimum start or without."""
    simulation, relay, controller, preheat = Simulation(building), False, PI(cycle=CYCLE), Preheat()
    begun, warm = False, dict[int, float]()
    while simulation.seconds < WEEK:
        now, celsius = simulation.seconds, simulation.read()
        day, left = int(now // DAY), 6 * 3600 - now % DAY
        begun = early and left > 0 and (begun or left <= preheat.start_before(celsius, 20.0, simulation.outside))
        wanted = 20.0 if begun else target(now)
        preheat.watch(celsius, wanted, now, outside=simulation.outside)
        relay = controller.demand(celsius, now, wanted, now, relay_on=relay).on
        if left <= 0 and simulation.air >= 20.0 - ARRIVED:
            warm.setdefault(day, (now % DAY - 6 * 3600) / 60)
        simulation.advance(relay)
    return list(warm.values())


Trace = tuple[Building, dict[str, list[Step]]]


def measure(building: Building) -> tuple[list[str], Trace]:
    """The building's rows, and what they were made from."""
    needs = controllable(building)

    def week(decide: Controller) -> tuple[Week, list[Step]]:
        steps, heat = live(building, decide)
        return judge(steps, needs, heat), steps

    gains, hours = autotuned(building)
    weeks = {
        f"hysteresis {HYSTERESIS:g} K": week(hysteresis()),
        "PI, untuned": week(pi(PI(cycle=CYCLE))),
        f"PI, tuned in {hours:.1f} h": week(pi(PI(gains, cycle=CYCLE, learns=False))),
        "PI, untuned, heating curve": week(pi(PI(cycle=CYCLE, curve=curve(building)))),
        "textbook PI, best gains": min((week(textbook(gains)) for gains in GRID), key=lambda found: found[0].rms),
    }
    worst = next(iter(weeks.values()))[0].rms
    rows = [
        f"| {building.name} | {name} | {week.rms:.3f} | {week.rms / worst:.0%} "
        f"| {week.overshoot:.2f} ({week.peak:.2f}) | {week.switches:.1f} ({week.most}) "
        f"| {week.heat:.3g} | {week.arrival:.1f} |"
        for name, (week, _) in weeks.items()
    ]
    return rows, (building, {name: steps for name, (_, steps) in weeks.items()})


def tables() -> tuple[str, list[Trace]]:
    """All that is measured as Markdown, and what it was made from."""
    everything = [measure(building) for building in (*BUILDINGS, *HELD_OUT)]
    lines = [
        "| building | control | RMS error, K | of hysteresis | overshoot (peak), K | switches an hour (most) "
        "| heat, kWh | there after, h |",
        "|---|---|---|---|---|---|---|---|",
        *(row for rows, _ in everything for row in rows),
        "",
        "| building | swing of one pulse a cycle, K | late without optimum start, min | late with it, min | source |",
        "|---|---|---|---|---|",
    ]
    for building in (*BUILDINGS, *HELD_OUT):
        mornings = [late(building, early=early)[-4:] for early in (False, True)]
        minutes = " | ".join(f"{statistics.median(some):.0f} ({max(some):.0f})" for some in mornings)
        lines.append(f"| {building.name} | {swing(building):.2f} | {minutes} | {building.source} |")
    return "\n".join(lines) + "\n", [trace for _, trace in everything]


def plot(traces: list[Trace], file: Path) -> None:
    """One day (Tuesday) in two buildings."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(2, 1, figsize=(9, 7), sharex=True)
    day = slice(int(DAY / STEP), int(2 * DAY / STEP))
    for axis, (building, trace) in zip(axes, traces[:2], strict=True):
        hours = [index * STEP / 3600 for index in range(day.stop - day.start)]
        for (name, steps), colour in zip(trace.items(), ("0.65", "C0", "C1"), strict=False):
            axis.plot(hours, [step.air for step in steps[day]], colour, linewidth=1, label=name)
        axis.plot(hours, [step.target for step in next(iter(trace.values()))[day]], "k:", linewidth=1, label="target")
        axis.set_title(building.name)
        axis.set_ylabel("air, °C")
        axis.grid(alpha=0.3)
    axes[0].legend(loc="lower center", fontsize="small")
    axes[-1].set_xlabel("hour of the day")
    axes[-1].set_xticks(range(0, 25, 2))
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def write(table: str, traces: list[Trace]) -> None:
    """Bring quality.md, the README and quality.png to what was measured."""
    (HERE / "quality.md").write_text(table)
    before, rest = README.read_text().split(MARKS[0])
    README.write_text(before + MARKS[0] + table + MARKS[1] + rest.split(MARKS[1], 1)[1])
    try:
        plot(traces, HERE / "quality.png")
    except ModuleNotFoundError as error:
        print(f"no plot: {error}; pip install matplotlib", file=sys.stderr)  # noqa: T201


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="control quality in six simulated buildings")
    parser.add_argument("--write", action="store_true", help="also into quality.md, quality.png and the README")
    arguments = parser.parse_args()
    table, traces = tables()
    print(table, end="")  # noqa: T201 -- a command prints
    if arguments.write:
        write(table, traces)


if __name__ == "__main__":
    main()
