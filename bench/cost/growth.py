"""How stoker's cost grows: with zones, thermometers, a shorter interval, what nobody has heard yet, and orders.

    make bench ARGS="growth [CURVE...] [--write]"

Each curve is measured at some points, one after another, and what is said of it is how steep it is at its end: 1 is
linear, 0 is flat. With --write it goes into growth/, a chart for each curve and one table. All of it takes ten
minutes.
"""

import importlib
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from broker.mosquitto import Authority
from cost import kernel
from cost.daemons import DEVICE, HERE, WORK, Daemon, stoker
from cost.figures import Bench
from cost.stage import Stage, together
from stoker.archive import Archive
from stoker.backlog import WRITE_AT, Backlog
from stoker.core.messages import Now, Publish

Point = tuple[float, dict[str, float]]  # of how much, and what that costs

DOUBLED = (1, 2, 4, 8, 16, 32, 64)
INTERVALS = (60.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)  # seconds
RECORDS = (0, 1000, 10_000, 100_000, 1_000_000)
KEPT = 500_000  # records; more cannot be configured
ORDERS, STEP = 1_000_000, 50_000
LOOK = 10.0  # seconds
LAST = WORK / "growth.json"

ABOUT = """\
What it costs when there is more, each point measured once, by `make bench ARGS="growth --write"` on the machine
of the README's table. `power`: by which power of how much there is the cost grows at the curve's end; 1 is
linear, 0 is flat. Of 10^6 records of the past half are kept, which is the most that can be configured. Charts:
[zones](zones.png), [thermometers](thermometers.png), [interval](interval.png), [backlog](backlog.png),
[orders](orders.png).

"""

THERMOMETER = """
[thermometers.inside{0}]
driver = "mock"
room = "{0}"
interval = "{{interval}}s"
publish = "TEMPERATURE/{0}"
"""
ZONE = """
[heaters.radiator{0}]
driver = "mock"
room = "{0}"
log = "{{relay}}{1}"
min_on = 0
min_off = 0
[zones.room{0}]
thermometer = "inside{0}"
heater = "radiator{0}"
target = 5.0
"""


def house(daemon: Daemon, zones: int = 1, thermometers: int = 0, backlog: int = 0) -> Daemon:
    """The daemon with so many zones, each with its thermometer and heater, and perhaps more thermometers."""
    parts = [DEVICE, f"[backlog]\nrecords = {backlog}\n" if backlog else ""]
    parts += [THERMOMETER.format(number) for number in range(max(zones, thermometers))]
    parts += [ZONE.format(number, number or "") for number in range(zones)]
    room, files = "stoker/bench/room0/heater", {"stoker.toml": "".join(parts)}
    return daemon._replace(temperature="TEMPERATURE/0", order=f"{room}/set", report=room, files=files)


def cost(stage: Stage) -> dict[str, float]:
    """What a daemon that has just been started takes: to start, to wait, to obey."""
    begun = stage.wait_for_obedience() - stage.begun
    stage.quiet(2.0)
    stage.order(False)
    seconds, cpu = time.perf_counter(), kernel.cpu(stage.pid)
    stage.quiet(LOOK)
    cpu, seconds = kernel.cpu(stage.pid) - cpu, time.perf_counter() - seconds
    with stage.obeyed(100):
        took = [stage.order(index % 2 == 0) or math.inf for index in range(100)]
    return {
        "start to first order, s": begun,
        "CPU, s an hour": cpu / seconds * 3600,
        "order to report, median, ms": statistics.median(took) * 1000,
        "RSS, MiB": kernel.rss(stage.pid) / 1024,
    }


def zones(bench: Bench) -> Iterator[Point]:
    """Zones, each with a thermometer that is read each second, and a heater."""
    for number in DOUBLED:
        with bench.stage(house(bench.daemons[0], zones=number)) as stage:
            yield number, cost(stage)


def thermometers(bench: Bench) -> Iterator[Point]:
    """Thermometers, each read each second, with one zone."""
    for number in DOUBLED:
        with bench.stage(house(bench.daemons[0], thermometers=number)) as stage:
            yield number, cost(stage)


def interval(bench: Bench) -> Iterator[Point]:
    """Readings an hour: from one a minute to ten a second."""
    with together([bench.stage(house(bench.daemons[0]), interval=seconds) for seconds in INTERVALS]) as stages:
        before = [(kernel.cpu(stage.pid), kernel.wakeups(stage.pid)) for stage in stages]
        time.sleep(INTERVALS[0])
        for stage, seconds, (cpu, wakeups) in zip(stages, INTERVALS, before, strict=True):
            yield (
                3600 / seconds,
                {
                    "CPU, s an hour": (kernel.cpu(stage.pid) - cpu) * 3600 / INTERVALS[0],
                    "wake-ups a second": (kernel.wakeups(stage.pid) - wakeups) / INTERVALS[0],
                },
            )


def backlog(bench: Bench) -> Iterator[Point]:
    """Readings that nobody has heard yet, on disk at the start; at most half a million of them are kept."""
    for number in RECORDS:
        stage = bench.stage(house(bench.daemons[0], backlog=KEPT), interval=60.0)
        remember(stage.folder / "state", number)
        with stage:
            yield number, cost(stage)


def remember(folder: Path, number: int) -> None:
    """Fill a state directory's backlog with so many readings, by the daemon's own parts in simulated time."""
    clock = [Now(0.0, 1_795_262_400.0)]
    past = Backlog(Archive(folder), lambda: clock[0])
    past.configure("backlog", KEPT)
    past.open()
    for index in range(1, number + 1):
        past.keep(Publish("TEMPERATURE", b"20.25", "reading", measured=clock[0]), False)
        if index % WRITE_AT == 0:
            past.work()


def orders(bench: Bench) -> Iterator[Point]:
    """Orders obeyed, a hundred in flight."""
    with bench.stage(bench.daemons[0]) as stage:
        stage.ready()
        for done in range(STEP, ORDERS + 1, STEP):
            cpu = kernel.cpu(stage.pid)
            seconds = stage.flood(STEP, 100)
            yield (
                done,
                {
                    "RSS, MiB": kernel.rss(stage.pid) / 1024,
                    "CPU, µs an order": (kernel.cpu(stage.pid) - cpu) / STEP * 1e6,
                    "orders a second": STEP / seconds,
                },
            )


CURVES = (zones, thermometers, interval, backlog, orders)
Curves = dict[str, list[Point]]


def steepness(points: list[tuple[float, float]]) -> float:
    """By which power of how much there is the cost grows, at the curve's end."""
    (x, y), (further, more) = [point for point in points if point[0]][-2:]
    return math.log(more / y) / math.log(further / x) if y > 0 and more > 0 else math.nan


def table(curves: Curves) -> str:
    """What grows, from where to where, and how steeply."""
    lines = ["| with more | from, to | cost | from | to | power |", "|---|---|---|---|---|---|"]
    for name, points in curves.items():
        reach = f"{points[0][0]:g}, {points[-1][0]:g}"
        for cost_of in points[0][1]:
            curve = [(x, costs[cost_of]) for x, costs in points]
            first, last = curve[0][1], curve[-1][1]
            lines.append(f"| {name} | {reach} | {cost_of} | {first:.3g} | {last:.3g} | {steepness(curve):.1f} |")
    return "\n".join(lines) + "\n"


def plot(name: str, points: list[Point], file: Path) -> None:
    """One chart: a panel for each cost."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    costs = list(points[0][1])
    figure, axes = pyplot.subplots(1, len(costs), figsize=(3.2 * len(costs), 3.2))
    for axis, cost_of in zip(axes, costs, strict=True):
        axis.plot([x for x, _ in points], [found[cost_of] for _, found in points], "o-")
        axis.set_xscale(
            "symlog" if points[0][0] == 0 else "linear", **({"linthresh": 1000} if points[0][0] == 0 else {})
        )
        axis.set_ylim(bottom=0)
        axis.set(xlabel=name, title=cost_of)
        axis.title.set_fontsize("small")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    pyplot.close(figure)


def write(curves: Curves) -> None:
    """Bring growth/ to what was measured."""
    folder = HERE / "growth"
    folder.mkdir(exist_ok=True)
    (folder / "growth.md").write_text(ABOUT + table(curves))
    for name, points in curves.items():
        plot(name, points, folder / f"{name}.png")


def main(wanted: list[str], to_files: bool) -> None:
    """Measure these curves; print, and perhaps write. A curve that was not measured stays as it was."""
    curves: Curves = json.loads(LAST.read_text()) if LAST.exists() else {}
    with tempfile.TemporaryDirectory() as made:
        bench = Bench([stoker()], Path(made), Authority(Path(made) / "authority"), rounds=1)
        for curve in CURVES:
            if curve.__name__ in wanted:
                print(f"{time.strftime('%H:%M:%S')} {curve.__name__}", file=sys.stderr)
                curves[curve.__name__] = list(curve(bench))
                LAST.write_text(json.dumps(curves))
    print(table(curves), end="")
    if to_files:
        write(curves)
