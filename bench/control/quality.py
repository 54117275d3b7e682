"""How well heat is controlled: a simulated week in four buildings, with hysteresis, with PI untuned and tuned.

    python bench/control/quality.py [--write FOLDER]

prints a table (Markdown); with --write also FOLDER/quality.md and, where matplotlib is installed, FOLDER/quality.png.

The week: 17 °C by night, 20 °C from 6 to 22 h; the weather is in `buildings.py`. A reading each 10 s, in steps of
0.0625 K, with noise. What is measured is the true temperature of the air, not the thermometer's.

- RMS error: over all the time from the room's first arrival within 0.25 K of a new target until the next target; but
  not while no controller could do anything, that is while a heater without any delay would give no heat either (the
  sun, a room that still cools).
- Overshoot: the highest above the target in the 3 h after such an arrival from below, in the worst of seven mornings;
  of the mean over a cycle, and (peak) with the ripple of the pulses themselves.
- Switches: each on and each off, per hour, over the whole week; and the most in any hour.
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

from buildings import BUILDINGS, DAY, KWH, STEP, Building, Simulation  # noqa: E402

from stoker.core import control  # noqa: E402
from stoker.core.autotune import Autotune  # noqa: E402
from stoker.core.pi import PI  # noqa: E402
from stoker.core.process import Gains  # noqa: E402

WEEK = 7 * DAY
CYCLE = 1200.0  # s: three pulses an hour are six switches
HYSTERESIS = 0.5  # K
ARRIVED = 0.25  # K
AFTER = 3 * 3600.0  # s after an arrival in which overshoot is looked for

Controller = Callable[[float, float, float, bool], bool]  # reading, time, target, relay -> on


def target(seconds: float) -> float:
    """The schedule, °C."""
    return 20.0 if 6 <= seconds / 3600 % 24 < 22 else 17.0


def hysteresis() -> Controller:
    """Two-point control, as in `stoker.core.control`."""
    on = False

    def decide(celsius: float, _: float, wanted: float, __: bool) -> bool:
        nonlocal on
        on = control.wants_heat(celsius, control.band(wanted, HYSTERESIS), on)
        return on

    return decide


def pi(controller: PI) -> Controller:
    """PI, asked at each reading."""

    def decide(celsius: float, now: float, wanted: float, relay: bool) -> bool:
        return controller.demand(celsius, now, wanted, now, relay_on=relay).on

    return decide


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
        relay = decide(simulation.read(), now, wanted, relay)
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
        most=max(sum(switched[start : start + hour]) for start in range(0, len(switched), hour // 6)),
        heat=heat,
        arrival=statistics.median(arrivals),
    )


Trace = tuple[Building, dict[str, list[Step]]]


def measure() -> tuple[str, list[Trace]]:
    """The table, and what it was made from."""
    lines = [
        "| building | control | RMS error, K | of hysteresis | overshoot (peak), K | switches an hour (most) "
        "| heat, kWh | there after, h |",
        "|---|---|---|---|---|---|---|---|",
    ]
    traces = list[Trace]()
    for building in BUILDINGS:
        needs = controllable(building)
        gains, hours = autotuned(building)
        controllers = {
            f"hysteresis {HYSTERESIS:g} K": hysteresis(),
            "PI, untuned": pi(PI(cycle=CYCLE)),
            f"PI, tuned in {hours:.1f} h": pi(PI(gains, cycle=CYCLE, learns=False)),
        }
        weeks, trace = list[Week](), dict[str, list[Step]]()
        for name, decide in controllers.items():
            trace[name], heat = live(building, decide)
            week = judge(trace[name], needs, heat)
            weeks.append(week)
            lines.append(
                f"| {building.name} | {name} | {week.rms:.3f} | {week.rms / weeks[0].rms:.0%} "
                f"| {week.overshoot:.2f} ({week.peak:.2f}) | {week.switches:.1f} ({week.most}) "
                f"| {week.heat:.3g} | {week.arrival:.1f} |"
            )
        traces.append((building, trace))
    sources = [f"- {building.name}: {building.source}" for building in BUILDINGS]
    return "\n".join([*lines, "", *sources]) + "\n", traces


def plot(traces: list[Trace], file: Path) -> None:
    """One day (Tuesday) in two buildings."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    figure, axes = pyplot.subplots(2, 1, figsize=(9, 7), sharex=True)
    day = slice(int(DAY / STEP), int(2 * DAY / STEP))
    for axis, (building, trace) in zip(axes, traces[:2], strict=True):
        hours = [index * STEP / 3600 for index in range(day.stop - day.start)]
        for (name, steps), colour in zip(trace.items(), ("0.65", "C0", "C1"), strict=True):
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


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="control quality in four simulated buildings")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="also write quality.md and quality.png there")
    folder: Path | None = parser.parse_args().write
    table, traces = measure()
    print(table, end="")  # noqa: T201 -- a command prints
    if folder:
        (folder / "quality.md").write_text(table)
        try:
            plot(traces, folder / "quality.png")
        except ModuleNotFoundError as error:
            print(f"no plot: {error}; pip install matplotlib", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
