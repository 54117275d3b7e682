"""What stoker costs, beside a C program on libmosquitto, a script as tutorials write it, and mqtt-io.

    make bench [ARGS="[FIGURE...] [--rounds N] [--write]"]    20 minutes; growth.py and card.py have the rest

All daemons do the same work (`daemons.py`), on the same machine, in turn in each round; what is given is the median of
the rounds with its quartiles. A daemon has a figure only where its relay did exactly what was ordered, which its file
says. Absolute figures are this machine's; ratios are what carries over. With --write the table goes into the README,
the raw figures into figures.json and the chart into orders.png; `table` makes them from the last run.

- Start: from exec to what an outside client hears; an order is given each 2 ms until one is obeyed.
- PSS: pages that n processes share count 1/n. The measuring Python is one of them, for all the Pythons alike.
- Idle: processor time of the process, and how often its threads went to sleep, over a minute a round.
- Order to report: the client publishes with QoS 1 and waits for the state, one after another. The slow sensor takes
  750 ms for each reading, as a DS18B20 does, and orders come at random moments.
- Killed: from the broker's accepting connections again to the first temperature. Lost: readings due from before that
  until after it, one each second, that came neither then nor later. Frozen: until a dead connection is given up.
- Growth: resident memory after 10^5 orders less that after 2000.

Mosquitto runs with set_tcp_nodelay, or its own Nagle algorithm would be most of what is measured. stoker runs as pip
installs it, with its memory on disk, a watchdog that is fed, and every interlock on; only the relay's minimum times are
off, or it would obey no such orders.
"""

import argparse
import datetime
import importlib
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from broker.mosquitto import Authority
from cost import card, figures, growth
from cost.daemons import HERE, WORK, prepare
from cost.readme import insert

MARK = "make bench"
LAST = WORK / "last.json"
ENOUGH = 5  # rounds
FIGURES = [measurement.__name__ for measurement in figures.FIGURES]
CURVES = [curve.__name__ for curve in growth.CURVES]
HELP = f"""Nothing, or some of {", ".join(FIGURES)}: beside others. growth, or growth with some of {", ".join(CURVES)}:
how it grows. card: what it writes in a day. table: what the last run found, once more."""


class Row(NamedTuple):
    """A line of the table: what it says, which figures stand in it, and digits after the point."""

    text: str
    figure: str
    digits: int = 0


ROWS = (
    Row("start to first temperature, s", "first temperature", 3),
    Row("start to first order obeyed, s", "first order", 3),
    Row("PSS, MiB", "pss", 1),
    Row("RSS, MiB", "rss", 1),
    Row("threads", "threads"),
    Row("a reading each second: CPU s an hour", "idle cpu, 1 s", 2),
    Row("… wake-ups a second", "idle wake-ups, 1 s", 2),
    Row("a reading each 30 s: CPU s an hour", "idle cpu, 30 s", 2),
    Row("… wake-ups a second", "idle wake-ups, 30 s", 2),
    Row("order to report, median, µs", "order, p50"),
    Row("… 99th percentile, µs", "order, p99"),
    Row("order to report with a 750 ms sensor, median, µs", "order, slow sensor, p50"),
    Row("… 99th percentile, µs", "order, slow sensor, p99"),
    Row("orders a second, 100 in flight", "orders a second"),
    Row("… CPU µs an order", "cpu an order", 1),
    Row("broker killed for 5 s: up to first message, s", "killed 5 s, first", 2),
    Row("… readings lost", "killed 5 s, lost"),
    Row("broker killed for 70 s: up to first message, s", "killed 70 s, first", 2),
    Row("… readings lost", "killed 70 s, lost"),
    Row("broker frozen, keepalive 10 s: noticed, s", "frozen, noticed", 1),
    Row("… readings lost", "frozen, lost"),
    Row("growth over 100000 orders, KiB", "growth"),
)

Values = dict[str, dict[str, list[float]]]  # by figure and daemon, one for each round


class Results(NamedTuple):
    """A run."""

    machine: str
    date: str
    versions: dict[str, str]
    rounds: int
    values: Values


def measure(wanted: list[str], rounds: int) -> Results:
    """Measure what is wanted."""
    values: Values = defaultdict(lambda: defaultdict(list))
    daemons = prepare()
    versions = {daemon.name: daemon.version for daemon in daemons}
    with tempfile.TemporaryDirectory() as made:
        bench = figures.Bench(daemons, Path(made), Authority(Path(made) / "authority"), rounds)
        for measurement in figures.FIGURES:
            if wanted and measurement.__name__ not in wanted:
                continue
            print(f"{time.strftime('%H:%M:%S')} {measurement.__name__}", file=sys.stderr)
            found = list(measurement(bench))
            skipped = {daemon for figure, daemon, _ in found if figure == figures.SKIPPED}
            for figure, daemon, value in found:
                if daemon not in skipped:
                    values[figure][daemon].append(value)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Results(machine(), today, versions, rounds, values)


def machine() -> str:
    """Processor, system, Python, broker."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model name", "Model"))
    ]
    model = models[-1].partition(": ")[2] if models else platform.machine()
    broker = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {model}, {system}, {broker}"


def table(results: Results) -> str:
    """The README's table."""
    names = list(results.versions)
    peers = [name for name in names if name != "stoker"]
    lines = [
        "| figure | " + " | ".join(names) + " | stoker, of " + ", ".join(peers) + " |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for row in ROWS:
        if found := results.values.get(row.figure):
            cells = [cell(found.get(name, []), row.digits) for name in names]
            ratios = [ratio(found, name) for name in peers]
            lines.append(f"| {row.text} | " + " | ".join(cells) + " | " + ", ".join(ratios) + " |")
    said = "; ".join(f"{name}: {version}" for name, version in results.versions.items())
    made = f"{results.date}, {results.machine}; {results.rounds} rounds; {said}."
    lines += ["", f"{made} Medians (quartiles). Minimum relay times are off."]
    return "\n".join(lines) + "\n"


def cell(values: list[float], digits: int) -> str:
    """Median and quartiles."""
    if not values:
        return "-"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    text, spread = f"{middle:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"
    return text if spread == f"{text} to {text}" else f"{text} ({spread})"


def ratio(found: dict[str, list[float]], peer: str) -> str:
    """How much of a peer's median stoker's is, to two digits."""
    if not found.get("stoker") or not found.get(peer):
        return "-"
    ours, theirs = statistics.median(found["stoker"]), statistics.median(found[peer])
    return f"{float(f'{ours / theirs:.2g}'):g}" if theirs and math.isfinite(ours / theirs) else "-"


def plot(results: Results, file: Path) -> None:
    """From order to report: how many took at least so long."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    figure, axis = pyplot.subplots(figsize=(9, 4.5))
    for name, measured in results.values.get("order", {}).items():
        took = sorted(measured)
        axis.plot([one / 1000 for one in took], [1 - index / len(took) for index in range(len(took))], label=name)
    axis.set(xscale="log", yscale="log", xlabel="from order to report, ms", ylabel="share that took longer")
    axis.set_yticks([1, 0.1, 0.01, 0.001], ["all", "10 %", "1 %", "0.1 %"])
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def write(results: Results) -> None:
    """Bring the README, figures.json and orders.png to what was measured."""
    (HERE / "figures.json").write_text(LAST.read_text())
    insert(MARK, table(results))
    plot(results, HERE / "orders.png")


def main() -> None:
    """What the first word says: measure, print, write."""
    parser = argparse.ArgumentParser(prog="make bench", description="what stoker costs", epilog=HELP)
    parser.add_argument("what", nargs="*", metavar="WHAT", help="as below; nothing: everybody, all figures")
    parser.add_argument("--rounds", type=int, default=ENOUGH, help=f"how often each figure is measured ({ENOUGH})")
    parser.add_argument("--folder", help="for card: a folder on the device whose writes are counted")
    parser.add_argument("--write", action="store_true", help="into the README and the files beside this one, too")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # no daemon is left behind
    os.environ["PATH"] += ":/usr/sbin"  # Debian's mosquitto is there
    if not shutil.which("mosquitto"):
        sys.exit("there is no mosquitto on this machine (Debian: apt install mosquitto)")
    known = {"card": [], "growth": CURVES, "table": []}
    what, *more = arguments.what if arguments.what[:1] and arguments.what[0] in known else ["", *arguments.what]
    if unknown := [word for word in more if word not in known.get(what, FIGURES)]:
        parser.error(f"there is no {', '.join(unknown)}")
    match what:
        case "card":
            card.main(arguments.folder, arguments.write)
        case "growth":
            growth.main(more, arguments.write)
        case _:
            compare(more, arguments.rounds, anew=what != "table", to_files=arguments.write)


def compare(wanted: list[str], rounds: int, *, anew: bool, to_files: bool) -> None:
    """Measure these figures, or take those of the last run; print, and perhaps write."""
    if anew:
        LAST.parent.mkdir(parents=True, exist_ok=True)
        LAST.write_text(json.dumps(measure(wanted, rounds)._asdict()))
    results = Results(**json.loads(LAST.read_text()))
    print(table(results), end="")
    if to_files:
        write(results)


if __name__ == "__main__":
    main()
