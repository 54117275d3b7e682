"""What the backlog writes to a card in a day: a reading each 10 s, and events as the line comes and goes.

    python bench/backlog/written.py [FOLDER]

The parts are the daemon's own, in simulated time; the files are real, in FOLDER (or one of its own). The first column
is what the kernel counts for the process (write_bytes of /proc/self/io), the second what it sends to the device under
FOLDER, the file system's own journal included: right only where nobody else writes there, such as on

    truncate -s 256M card && mkfs.ext4 -b 4096 card && mount -o loop,noatime card /mnt
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / folder) for folder in ("daemon", "drivers")]

from stoker.archive import Archive, Change, Record  # noqa: E402
from stoker.backlog import Backlog  # noqa: E402
from stoker.core.messages import Now, Publish  # noqa: E402
from stoker.link.link import PAST_PAUSE  # noqa: E402
from stoker.link.outbox import Outbox  # noqa: E402

DAY, INTERVAL = 86400, 10
EVENT = b'{"event":"disconnected","broker":"broker.example:8883","reason":"closed","text":"broker.example:8883 closed"}'


class CountingArchive(Archive):
    """Counts its transactions."""

    transactions = 0

    def write(self, change: Change) -> list[Record] | None:
        """As it does, and one more."""
        self.transactions += 1
        return super().write(change)


class Device:
    """A backlog, an outbox and a line that is there or not. Everybody acknowledges at once."""

    def __init__(self, folder: Path) -> None:
        self.time = 1000.0
        self.archive = CountingArchive(folder)
        self.backlog = Backlog(self.archive, self.now)
        self.backlog.configure("stoker/shed/backlog", 100_000)
        self.backlog.open()
        self.outbox = Outbox(self.backlog.keep)
        self.is_online = False

    def now(self) -> Now:
        """Simulated."""
        return Now(self.time, 1_795_262_400.0 + self.time)

    def second(self, online: bool) -> None:
        """One second of the day: the line changes, a reading comes, the past is said, the thread works."""
        if online != self.is_online:
            self.is_online = online
            if online:
                self.outbox.online()
            self.say("event", EVENT)
            if not online:
                self.outbox.offline()
        if self.time % INTERVAL == 0:
            self.say("reading", b"20.25")
        self.time += PAST_PAUSE
        if online and self.backlog.waiting and self.backlog.take():
            self.backlog.said()
        if self.backlog._due() <= self.time:
            self.backlog.work()

    def say(self, kind: str, payload: bytes) -> None:
        """What the link does with it."""
        self.outbox.add(Publish("TEMPERATURE", payload, kind, measured=self.now()), 0.0)  # type: ignore[arg-type]
        while publish := self.outbox.take(0.0):
            self.outbox.sent(1, publish, self.time)
            self.outbox.acknowledged(1)


def flapping(every: int, lost: int) -> Iterator[bool]:
    """A day on which the line is lost again and again."""
    return (second % every >= lost for second in range(DAY))


DAYS = {
    "online all day": lambda: (True for _ in range(DAY)),
    "lost for 30 s every 5 min": lambda: flapping(300, 30),
    "lost for 2 min every 10 min": lambda: flapping(600, 120),
    "offline all day": lambda: (False for _ in range(DAY)),
    "offline all day, then said": lambda: (second >= DAY for second in range(DAY + 600)),
}


def written_by_us() -> int:
    """Bytes, by the kernel's account of this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def written_to_device(folder: Path) -> int:
    """Bytes that the device under this folder was sent."""
    os.sync()
    device = folder.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    return int(stat[6]) * 512


def main(folder: Path) -> None:
    """Print the table."""
    print("| day | by the process, MB | to the device, MB | transactions | file, MB |\n|---|---|---|---|---|")  # noqa: T201
    for name, seconds in DAYS.items():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            device = Device(Path(own))
            before, before_device = written_by_us(), written_to_device(folder)
            for online in seconds():
                device.second(online)
            ours, all_of_it = written_by_us() - before, written_to_device(folder) - before_device
            size = device.archive.path.stat().st_size
            figures = f"{ours / 1e6:.2f} | {all_of_it / 1e6:.2f} | {device.archive.transactions} | {size / 1e6:.2f}"
            print(f"| {name} | {figures} |")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(Path(made))
