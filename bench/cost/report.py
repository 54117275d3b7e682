"""What was found, as a table and a chart; and tables in the README that commands write."""

import importlib
import math
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from cost.daemons import ROOT

README = ROOT / "README.md"
UNTIL = "<!-- until here -->\n"


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
    Row("… 99th percentile, µs", "order, tail"),
    Row("order to report with a 750 ms sensor, median, µs", "order, slow sensor, p50"),
    Row("… the slowest of 40, µs", "order, slow sensor, tail"),
    Row("orders a second, 100 in flight", "orders a second"),
    Row("… CPU µs an order", "cpu an order", 1),
    Row("broker killed for 5 s: up to first message, s", "killed 5 s, first", 2),
    Row("… readings lost", "killed 5 s, lost"),
    Row("broker killed for 70 s: up to first message, s", "killed 70 s, first", 2),
    Row("… readings lost", "killed 70 s, lost"),
    Row("broker frozen, keepalive 10 s: noticed, s", "frozen, noticed", 1),
    Row("… readings lost", "frozen, lost"),
    Row("growth over 100000 orders, once, KiB", "growth"),
)

Values = dict[str, dict[str, list[float]]]  # by figure and daemon, one for each round


class Results(NamedTuple):
    """A run."""

    machine: str
    date: str
    versions: dict[str, str]
    rounds: int
    values: Values


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
    low, middle, high = (_quantile(values, share) for share in (0.25, 0.5, 0.75))
    text, spread = f"{middle:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"
    return text if spread == f"{text} to {text}" else f"{text} ({spread})"


def _quantile(values: list[float], share: float) -> float:
    """Between its two neighbours, as statistics.quantiles has it; of what never came (infinity) the worse of them."""
    ordered, at = sorted(values), share * (len(values) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return high if high in (low, math.inf) else low + (high - low) * (at % 1)


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
    axis.set(xscale="log", yscale="log", xlabel="from order to report, ms", ylabel="share that took at least so long")
    axis.set_yticks([1, 0.1, 0.01, 0.001], ["all", "10 %", "1 %", "0.1 %"])
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def insert(command: str, text: str) -> None:
    """Put this into the README, in the place of what the command wrote the last time."""
    begin = f"<!-- written by {command} -->\n"
    before, rest = README.read_text().split(begin)
    README.write_text(before + begin + text + UNTIL + rest.split(UNTIL, 1)[1])
