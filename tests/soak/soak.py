"""Random faults with a seed between a real daemon and a real broker, and at the end: was anything lost?

The first third has restarts of the daemon in it, too; from then on it must not grow.
"""

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from soak import faults, model
from soak.stage import Stage

SETTLE = 4.0  # seconds of calm before the daemon is weighed
PATIENCE = 120.0  # seconds that the past may take to be said at the end
GROWTH = 3_000_000  # bytes


class Outcome(NamedTuple):
    """What happened, in a few lines for a person, and what should not have."""

    text: str
    complaints: list[str]


def soak(directory: Path, minutes: float, seed: int, tell: Callable[[str], None]) -> Outcome:
    """Do it. `tell` hears of each fault as it begins."""
    chance = random.Random(seed)
    with Stage(directory, chance)() as stage:
        begin = time.monotonic()
        end = begin + 60 * minutes
        played = _play(stage, begin + 20 * minutes, (*faults.LINE, faults.restart_daemon), tell)
        before = _weigh(stage)
        played += _play(stage, end, faults.LINE, tell)
        after = _weigh(stage)
        _settle(stage)
        readings = model.readings(stage.made(), stage.heard(), stage.excused)
        stage.wait(0.1)
        complaints = [
            *(f"{payload} °C was measured and is missing" for payload in readings.missing),
            *readings.complaints,
            *model.orders(stage.orders, stage.obeyed),
            *model.growth(before, after, GROWTH),
        ]
        if stage.house.stop() != 0:
            complaints.append("the daemon did not end well")
        return Outcome(_text(stage, played, readings, before, after), complaints)


def _play(stage: Stage, until: float, kinds: tuple[faults.Fault, ...], tell: Callable[[str], None]) -> Counter[str]:
    """One fault after the other, with calm between them or none."""
    played = Counter[str]()
    while time.monotonic() < until:
        fault = stage.chance.choice(kinds)
        tell(fault.__name__.replace("_", " "))
        fault(stage)
        played[fault.__name__] += 1
        stage.wait(stage.chance.choice((0.0, stage.chance.uniform(0.0, 6.0))))
    return played


def _weigh(stage: Stage) -> model.Weight:
    """Once the line stands: dialling takes a thread and a file of its own for a while."""
    _settle(stage)
    stage.wait(SETTLE)
    recent = [weight for at, weight in stage.weights if at > time.monotonic() - SETTLE]
    return model.Weight(*(int(statistics.median(column)) for column in zip(*recent, strict=True)))


def _settle(stage: Stage) -> None:
    """Until all that was made is heard."""
    made, end = stage.made(), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        stage.wait(0.5)
        if not model.readings(made, stage.heard(), stage.excused).missing:
            return


def _text(
    stage: Stage, played: Counter[str], readings: model.Readings, before: model.Weight, after: model.Weight
) -> str:
    waits = {order.target: order.at for order in stage.orders}
    slowest = max((at - waits.get(target, at) for at, target in stage.obeyed), default=0.0)
    kinds = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in sorted(played.items()))
    return "\n".join(
        [
            f"faults: {played.total()} ({kinds})",
            f"readings: {len(stage.made())} made, {readings.live} heard live, {readings.past} in the backlog,"
            f" {readings.repeated} repeated and marked, {len(readings.missing)} missing",
            f"orders: {len(stage.orders)} given, {len(stage.obeyed)} obeyed, the slowest after {slowest:.1f} s",
            f"memory: {before.memory / 1e6:.1f} to {after.memory / 1e6:.1f} MB;"
            f" threads: {before.threads} to {after.threads}; open files: {before.files} to {after.files}",
        ]
    )
