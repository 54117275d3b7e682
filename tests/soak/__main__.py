"""`make soak ARGS="--minutes 20 --seed 7"`: random faults between daemon and broker; exit 1 where anything was lost."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from daemon.running import ROOT
from soak.figures import figures
from soak.soak import soak

FIGURES = ROOT / "bench" / "line.md"


def main() -> int:
    """Run it, and say what happened."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=20.0, help="how long faults come (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="the same seed: the same faults")
    parser.add_argument("--figures", action="store_true", help="times to notice and to recover, into bench/line.md")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="stoker-soak-"))
    if arguments.figures:
        return figures_to_file(directory)
    print(f"seed {arguments.seed}, {arguments.minutes:g} min, in {directory}", flush=True)
    begin = time.monotonic()
    outcome = soak(
        directory,
        arguments.minutes,
        arguments.seed,
        lambda fault: print(f"{time.monotonic() - begin:7.1f} s  {fault}", flush=True),
    )
    print(outcome.text)
    for complaint in outcome.complaints:
        print(f"WRONG: {complaint}")
    return 1 if outcome.complaints else 0


def figures_to_file(directory: Path) -> int:
    """Take some twelve minutes."""
    text = figures(directory, lambda what: print(what, flush=True))
    FIGURES.write_text(text + "\n")
    print(text)
    return 0


sys.exit(main())
