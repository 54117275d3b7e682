"""What stoker writes to an SD card in a day, by what the day is like, and why.

    make bench ARGS="card [--write] [--folder FOLDER]"

The parts are the daemon's own, in simulated time: the core in a simulated room with a reading each 10 s, its store, its
backlog. The files are real. "Process" is what the kernel counts for it (write_bytes of /proc/self/io), "device" what it
sends to the device under FOLDER, the file system's own journal included: right only where nobody else writes there, as
on

    truncate -s 256M card && mkfs.ext4 -b 4096 card && mount -o loop,noatime card /mnt

Each reason is what was written how often, a transaction each. With --write the table goes into the README.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cost.report import insert
from fakes import SimulatedHouse
from stoker.archive import Archive, Change, Record
from stoker.backlog import Backlog
from stoker.core.messages import Effect, Publish, Remember
from stoker.link.link import PAST_PAUSE
from stoker.link.outbox import Outbox
from stoker.store import Store
from stoker_drivers.mock import Room

DAY, HOUR = 86400, 3600
MARK = "make bench ARGS=card"


class CountedArchive(Archive):
    """Says for what it writes."""

    def __init__(self, folder: Path, writes: Counter[str]) -> None:
        super().__init__(folder)
        self.writes = writes

    def write(self, change: Change) -> list[Record] | None:
        """As it does, and one more."""
        self.writes["backlog: kept" if change.add else "backlog: said"] += 1
        return super().write(change)


class Device(SimulatedHouse):
    """The whole device but for its line, which is there or not. Everybody acknowledges at once."""

    def __init__(self, folder: Path, **zone: Any) -> None:
        self.writes: Counter[str] = Counter()
        self.store, self.backlog = Store(folder), Backlog(CountedArchive(folder, self.writes), self.now)
        self.outbox = Outbox(self.backlog.keep)
        self.store.load()
        super().__init__(**zone)
        self.backlog.configure("stoker/shed/backlog", 100_000)
        self.backlog.open()

    def second(self, online: bool) -> None:
        """One second of the day: the line changes, time passes, the past is said, the threads work."""
        if online is not self.broker.connected:
            if online:
                self.outbox.online()
                self.connect()
            else:
                self.disconnect()
                self.outbox.offline()
        self.run(PAST_PAUSE)
        if online and self.backlog.waiting and self.backlog.take():
            self.backlog.said()
        if self.backlog._due() <= self.time:
            self.backlog.work()

    def _carry_out(self, effects: list[Effect]) -> None:
        super()._carry_out(effects)
        if remembered := {effect.key: effect.value for effect in effects if isinstance(effect, Remember)}:
            self.writes[", ".join(sorted(key.rpartition("/")[2] for key in remembered))] += 1
            self.store._write(remembered)
        for effect in effects:
            if isinstance(effect, Publish):
                self.outbox.add(effect, self.time)
        while self.broker.connected and (publish := self.outbox.take(self.time)):
            self.outbox.sent(1, publish, self.time)
            self.outbox.acknowledged(1)


Day = Callable[[Device], None]


def online(device: Device) -> None:
    """Nothing happens but readings and heat."""
    _pass(device, (True for _ in range(DAY)))


def offline(device: Device) -> None:
    """No broker all day."""
    _pass(device, (False for _ in range(DAY)))


def said_afterwards(device: Device) -> None:
    """No broker all day, and then there is one."""
    _pass(device, (second >= DAY for second in range(DAY + 600)))


def flapping(every: int, lost: int) -> Day:
    """The line is lost again and again."""
    return lambda device: _pass(device, (second % every >= lost for second in range(DAY)))


def ordered(every: int) -> Day:
    """Targets and modes are ordered again and again, each another than before."""

    def live(device: Device) -> None:
        for index in range(DAY // every):
            device.order("room/target/set", f"{19 + index % 20 / 10}")
            device.order("room/mode/set", ("heat", "auto")[index % 2])
            _pass(device, (True for _ in range(every)))

    return live


def faulty(device: Device) -> None:
    """In each hour the sensor is dead for ten minutes, and in each fourth the room is too hot and is reset."""
    for hour in range(24):
        device.room.stage("sensor-dead")
        _pass(device, (True for _ in range(HOUR // 6)))
        device.room.stage("")
        if hour % 4 == 3:
            device.room.settle(40.0)
            _pass(device, (True for _ in range(60)))
            device.room.settle(19.0)
            device.order("room/fault/reset", "reset")
        _pass(device, (True for _ in range(HOUR * 5 // 6)))


def _pass(device: Device, seconds: Iterator[bool]) -> None:
    for is_online in seconds:
        device.second(is_online)


SCHEDULE = {"daily": ["06:00 comfort", "22:00 eco"]}
DAYS: dict[str, tuple[Day, dict[str, Any]]] = {
    "online, hysteresis": (online, {}),
    "online, PI that learns, a schedule": (online, {"control": "pi", "mode": "auto", "schedule": SCHEDULE}),
    "online, two orders each 15 min": (ordered(900), {}),
    "online, faults each hour": (faulty, {}),
    "lost for 30 s each 5 min": (flapping(300, 30), {}),
    "lost for 2 min each 10 min": (flapping(600, 120), {}),
    "offline": (offline, {}),
    "offline, then said": (said_afterwards, {}),
}


def by_process() -> int:
    """Bytes, by the kernel's account of this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def by_device(folder: Path) -> int:
    """Bytes that the device under this folder was sent."""
    os.sync()
    device = folder.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    return int(stat.read_text().split()[6]) * 512 if stat.exists() else 0


def table(folder: Path) -> str:
    """A line for each kind of day."""
    lines = ["| a day | process, MB | device, MB | written, and how often |", "|---|---|---|---|"]
    for name, (live, zone) in DAYS.items():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            device = Device(Path(own), room=Room(start=18.0, power=1500.0), **zone)
            process, sent = by_process(), by_device(folder)
            device.writes.clear()
            live(device)
            process, sent = by_process() - process, by_device(folder) - sent
        why = ", ".join(f"{what} {number}" for what, number in device.writes.most_common()) or "nothing"
        lines.append(f"| {name} | {process / 1e6:.2f} | {sent / 1e6:.2f} | {why} |")
    return "\n".join(lines) + "\n"


def main(folder: str | None, to_readme: bool) -> None:
    """Print the table, and perhaps write it."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        text = table(Path(made))
    print(text, end="")
    if to_readme:
        insert(MARK, text)
