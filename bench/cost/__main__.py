"""What stoker costs, beside a C program on libmosquitto, a script as tutorials write it, and mqtt-io.

    make bench [ARGS="[FIGURE...] [--rounds N] [--write]"]    6 minutes a round; growth.py and card.py have the rest

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

Mosquitto runs with set_tcp_nodelay, or its own Nagle algorithm would be most of what is measured; mqtt-io leaves its
own on, as for who uses it, and most of its 44 ms from order to report are that. stoker runs as pip installs it, with
its memory on disk, a watchdog that is fed, and every interlock on; only the relay's minimum times are off, or it
would obey no such orders.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from broker.mosquitto import Authority
from cost import card, figures, growth
from cost.daemons import HERE, WORK, prepare
from cost.report import Results, Values, insert, plot, table

MARK = "make bench"
LAST = WORK / "figures.json"
ENOUGH = 5  # rounds
FIGURES = {measurement.__name__: measurement for measurement in figures.FIGURES}
CURVES = [curve.__name__ for curve in growth.CURVES]
HELP = f"""Nothing, or some of {", ".join(FIGURES)}: beside others. growth, or growth with some of {", ".join(CURVES)}:
how it grows. card: what it writes in a day. table: what was found the last time, once more."""


def measure(wanted: list[str], rounds: int) -> bool:
    """Measure what is wanted, into LAST, which holds nothing of runs before. Whether all of it was found."""
    daemons = prepare()
    values: Values = {}
    complete = True
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {daemon.name: daemon.version for daemon in daemons}
    with tempfile.TemporaryDirectory() as made:
        bench = figures.Bench(daemons, Path(made), Authority(Path(made) / "authority"), rounds)
        for name in wanted:
            print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr)
            try:
                values |= collected(list(FIGURES[name](bench)))
            except (OSError, RuntimeError) as error:  # what took an hour is not lost for it
                print(f"no figures of {name}: {error}", file=sys.stderr)
                complete = False
            LAST.write_text(json.dumps(Results(machine(), today, versions, rounds, values)._asdict()))
    return complete


def collected(found: list[figures.Figure]) -> Values:
    """By figure and daemon, without those that skipped what was to be measured."""
    skipped = {daemon for figure, daemon, _ in found if figure == figures.SKIPPED}
    values: Values = {}
    for figure, daemon, value in found:
        if daemon not in skipped:
            values.setdefault(figure, {}).setdefault(daemon, []).append(value)
    return values


def machine() -> str:
    """Processor, system, Python, broker."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model name", "Model"))
    ]
    model = models[-1].partition(": ")[2] if models else platform.machine()
    broker = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {model}, {system}, {broker}"


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
    WORK.mkdir(parents=True, exist_ok=True)
    match what:
        case "card":
            if arguments.write and not arguments.folder:
                parser.error("card --write needs --folder, on a device where nobody else writes")
            if arguments.folder and not Path(arguments.folder).is_dir():
                parser.error(f"there is no folder {arguments.folder}")
            card.main(arguments.folder, arguments.write)
        case "growth":
            growth.main(more or CURVES, arguments.write)
        case "table":
            tell(arguments.write)
        case _:
            if arguments.rounds < 1 or (arguments.write and more):
                parser.error("at least one round; and only a run of all figures goes into the README")
            complete = measure(more or list(FIGURES), arguments.rounds)
            tell(arguments.write and complete)
            if not complete:
                sys.exit(1)


def tell(to_files: bool) -> None:
    """Print what was found; and bring the README, figures.json and orders.png to it."""
    found = (LAST if LAST.exists() else HERE / LAST.name).read_text()
    results = Results(**json.loads(found))
    print(table(results), end="")
    if to_files:
        (HERE / LAST.name).write_text(found)
        insert(MARK, table(results))
        plot(results, HERE / "orders.png")


if __name__ == "__main__":
    main()
