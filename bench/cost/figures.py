"""The measurements. Each takes the daemons in turn, again and again, so that what disturbs the machine disturbs all.

Each yields figures: (which, of whom, how much). What counts as which stands in `__main__.py`.
"""

import contextlib
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from broker.mosquitto import Authority
from cost import kernel
from cost.daemons import Daemon
from cost.stage import SkippedError, Stage, Work, together, wait_until

Figure = tuple[str, str, float]
SKIPPED = "skipped"  # in place of a figure's name: this daemon has none of this measurement's figures

IDLE = 60.0  # seconds
WINDOW = 100  # orders in flight
FLOOD = 4000  # orders a round
MANY = 100_000
ORDERS = 400  # a round, one after another
SLOW_ORDERS = 40  # a round, while each reading takes 750 ms
CONVERSION = 0.75  # seconds, of a DS18B20 at 12 bits
KEEPALIVE = 10  # seconds, where the line breaks


class Bench(NamedTuple):
    """What all measurements need."""

    daemons: Sequence[Daemon]
    folder: Path
    authority: Authority
    rounds: int
    numbers: Iterator[int] = count()

    def stage(self, daemon: Daemon, **how: Any) -> Stage:
        """A fresh stage for this daemon."""
        folder = self.folder / f"{next(self.numbers)}-{daemon.name.replace(' ', '-')}"
        return Stage(daemon, folder, self.authority, Work(**how))

    def stages(self, **how: Any) -> contextlib.AbstractContextManager[Sequence[Stage]]:
        """All daemons at work at once."""
        return together([self.stage(daemon, **how) for daemon in self.daemons])

    def turns(self) -> Iterator[Daemon]:
        """Each daemon in each round, in an order that changes."""
        for _ in range(self.rounds):
            yield from random.sample(self.daemons, len(self.daemons))


def whole(name: str, found: Iterator[Figure]) -> list[Figure]:
    """What was found of this daemon; where it did not do the work, that alone, and a line that says what it did."""
    try:
        return list(found)
    except (OSError, RuntimeError) as error:
        print(f"no figure: {error}", file=sys.stderr)
        return [(SKIPPED, name, 0.0)]


def start(bench: Bench) -> Iterator[Figure]:
    """From exec to the first temperature, and to the first order obeyed."""
    for daemon in bench.turns():
        yield from whole(daemon.name, _start(bench, daemon))


def _start(bench: Bench, daemon: Daemon) -> Iterator[Figure]:
    with bench.stage(daemon) as stage:
        yield "first temperature", daemon.name, stage.wait_for_temperature() - stage.begun
    with bench.stage(daemon) as stage:
        yield "first order", daemon.name, stage.wait_for_obedience() - stage.begun


def memory(bench: Bench) -> Iterator[Figure]:
    """Alone on the machine, after 20 orders and some readings."""
    for daemon in bench.turns():
        yield from whole(daemon.name, _memory(bench, daemon))


def _memory(bench: Bench, daemon: Daemon) -> Iterator[Figure]:
    with bench.stage(daemon) as stage:
        stage.ready()
        stage.flood(20, 1)
        stage.quiet(2.0)
        yield "pss", daemon.name, kernel.pss(stage.pid) / 1024
        yield "rss", daemon.name, kernel.rss(stage.pid) / 1024
        yield "threads", daemon.name, kernel.threads(stage.pid)


def idle(bench: Bench) -> Iterator[Figure]:
    """At a reading each second, and each 30 s."""
    with bench.stages(interval=1) as often, bench.stages(interval=30) as seldom:
        for _ in range(bench.rounds):
            marks = list[Callable[[], Iterator[Figure]]]()
            for stage in (*often, *seldom):
                stage.quiet(0.01)
                marks.append(_mark(stage))
            time.sleep(IDLE)
            for stage, since in zip((*often, *seldom), marks, strict=True):
                yield from whole(stage.daemon.name, since())


def _mark(stage: Stage) -> Callable[[], Iterator[Figure]]:
    """From now on: what it took since."""
    begun, cpu, wakeups = time.perf_counter(), kernel.cpu(stage.pid), kernel.wakeups(stage.pid)

    def since() -> Iterator[Figure]:
        name, pace, seconds = stage.daemon.name, stage.words["interval"], time.perf_counter() - begun
        yield f"idle cpu, {pace} s", name, (kernel.cpu(stage.pid) - cpu) / seconds * 3600
        yield f"idle wake-ups, {pace} s", name, (kernel.wakeups(stage.pid) - wakeups) / seconds
        said = sum(topic == stage.daemon.temperature for topic, _ in stage.hear(0.05))
        if abs(said - seconds / float(pace)) > 1.5:
            raise SkippedError(f"{name}: {said} readings in {seconds:.0f} s, one each {pace} s")
        if name == "stoker" and not stage.watchdog.fed:
            raise SkippedError("stoker did not feed its watchdog")

    return since


def orders(bench: Bench) -> Iterator[Figure]:
    """From an order to its report, one after another."""
    with bench.stages() as stages:
        for _ in range(bench.rounds):
            for stage in stages:
                yield from whole(stage.daemon.name, _orders("order", stage, ORDERS, pause=0.0))


def slow_sensor(bench: Bench) -> Iterator[Figure]:
    """The same at random moments while the sensor is being read most of the time."""
    with bench.stages(conversion=CONVERSION) as stages:
        for _ in range(bench.rounds):
            for stage in stages:
                yield from whole(stage.daemon.name, _orders("order, slow sensor", stage, SLOW_ORDERS, pause=0.15))


def _orders(figure: str, stage: Stage, number: int, pause: float) -> Iterator[Figure]:
    with stage.obeyed(number):
        took, before = list[float](), stage.relay.stat().st_size
        for index in range(number):
            time.sleep(random.uniform(0.5, 1.5) * pause)
            if (seconds := stage.order(index % 2 == 0)) is None:
                raise SkippedError(f"{stage.daemon.name}: an order was never reported")
            if stage.relay.stat().st_size <= before + index:
                raise SkippedError(f"{stage.daemon.name} reports what it has not done yet")
            took.append(seconds * 1e6)
    took.sort()
    yield f"{figure}, p50", stage.daemon.name, statistics.median(took)
    yield f"{figure}, tail", stage.daemon.name, took[int(0.99 * number)]  # of 40 the slowest
    if not pause:
        yield from (("order", stage.daemon.name, round(one)) for one in took)


def flood(bench: Bench) -> Iterator[Figure]:
    """Orders with 100 in flight."""
    with bench.stages() as stages:
        for _ in range(bench.rounds):
            for stage in stages:
                yield from whole(stage.daemon.name, _flood(stage))


def _flood(stage: Stage) -> Iterator[Figure]:
    cpu = kernel.cpu(stage.pid)
    seconds = stage.flood(FLOOD, WINDOW)
    yield "orders a second", stage.daemon.name, FLOOD / seconds
    yield "cpu an order", stage.daemon.name, (kernel.cpu(stage.pid) - cpu) / FLOOD * 1e6


def many(bench: Bench) -> Iterator[Figure]:
    """What is in memory after 10^5 orders, more than after 2000."""
    for daemon in bench.daemons:
        yield from whole(daemon.name, _many(bench, daemon))


def _many(bench: Bench, daemon: Daemon) -> Iterator[Figure]:
    with bench.stage(daemon) as stage:
        stage.ready()
        stage.flood(2000, WINDOW)
        stage.quiet(1.0)
        before = kernel.rss(stage.pid)
        stage.flood(MANY, WINDOW)
        stage.quiet(3.0)
        yield "growth", daemon.name, kernel.rss(stage.pid) - before


# --- a line that breaks -----------------------------------------------------------------------------------------------


class Watcher:
    """Hears in a thread of its own what a daemon says, and is there again as soon as the broker is."""

    def __init__(self, stage: Stage) -> None:
        self.heard: list[tuple[float, str]] = []  # when, and °C as text; also what comes late
        self._stage, self._ended = stage, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stage, client = self._stage, self._stage.client
        while not self._ended:
            try:
                for topic, payload in client.poll(0.2):
                    self._hear(topic, payload)
            except OSError:
                client.close()
                while not self._ended:
                    with contextlib.suppress(OSError):
                        client = stage.connect()
                        break
                    time.sleep(0.005)
        client.close()

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic == self._stage.daemon.temperature:
            self.heard.append((time.perf_counter(), f"{float(payload):.2f}"))
        elif topic == self._stage.daemon.past:
            late = (record for record in json.loads(payload) if record["topic"] == self._stage.daemon.temperature)
            self.heard += [(-1.0, f"{float(record['payload']):.2f}") for record in late]

    def first_after(self, moment: float, among: Callable[[], set[str]] | None = None) -> float:
        """When something was said on time after this moment; infinity where nothing is in two minutes."""
        found = list[float]()

        def came() -> bool:
            fresh = among() if among else None
            found[:] = [at for at, said in self.heard if at > moment and (fresh is None or said in fresh)]
            return bool(found)

        return found[0] if wait_until(came, 120.0) else float("inf")

    def lost(self, since: float, until: float) -> int:
        """Readings due in that time, one a second, that never came, not even late."""
        given = [(at, said) for at, said in self._stage.sensor.given if since <= at <= until]
        taken = {said for _, said in given}
        wait_until(lambda: taken <= {said for _, said in self.heard}, 10.0)
        due = round(given[-1][0] - given[0][0]) + 1 if given else round(until - since)
        return max(0, due - len(taken & {said for _, said in self.heard}))

    def end(self) -> None:
        """Stop hearing."""
        self._ended = True
        self._thread.join()


def line(bench: Bench) -> Iterator[Figure]:
    """The broker killed for 5 s and for 70 s, and frozen: all daemons at once, each with three brokers of its own."""
    for _ in range(min(bench.rounds, 3)):
        found = list[Figure]()
        with contextlib.ExitStack() as stack:
            threads = list[threading.Thread]()
            for story, down in ((_killed, 5.0), (_killed, 70.0), (_frozen, 90.0)):
                for stage in stack.enter_context(bench.stages(conversion=0.0, keepalive=KEEPALIVE)):
                    threads.append(threading.Thread(target=_tell, args=(story, stage, down, found)))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        yield from found


def _tell(
    story: Callable[[Stage, Watcher, float], Iterator[Figure]], stage: Stage, down: float, found: list[Figure]
) -> None:
    watcher = Watcher(stage)
    time.sleep(random.uniform(3.0, 5.0))
    found += whole(stage.daemon.name, story(stage, watcher, down))
    watcher.end()


def _killed(stage: Stage, watcher: Watcher, down: float) -> Iterator[Figure]:
    killed = time.perf_counter()
    stage.broker.kill()
    time.sleep(down)
    stage.broker.start()
    back = time.perf_counter()
    first = watcher.first_after(back)
    time.sleep(2.0)
    name, which = stage.daemon.name, f"killed {down:g} s"
    yield f"{which}, first", name, first - back
    yield f"{which}, lost", name, watcher.lost(killed - 1.0, time.perf_counter() - 1.0)


def _frozen(stage: Stage, watcher: Watcher, limit: float) -> Iterator[Figure]:
    old, begun = kernel.connections(stage.pid, stage.port), time.perf_counter()
    stage.broker.freeze()
    noticed = wait_until(lambda: kernel.connections(stage.pid, stage.port) != old, limit)
    seconds = time.perf_counter() - begun if noticed else float("inf")
    time.sleep(2.0)
    stage.broker.thaw()
    thawed, given = time.perf_counter(), len(stage.sensor.given)
    watcher.first_after(thawed, lambda: {said for _, said in stage.sensor.given[given:]})
    time.sleep(2.0)
    name = stage.daemon.name
    yield "frozen, noticed", name, seconds
    yield "frozen, lost", name, watcher.lost(begun - 1.0, time.perf_counter() - 1.0)


FIGURES = (start, memory, idle, orders, slow_sensor, flood, many, line)
