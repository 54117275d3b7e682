"""What the kernel knows of a process."""

import os
import re
import time
from pathlib import Path


def cpu(pid: int) -> float:
    """Seconds of processor time, to the nanosecond: the clock of clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def wakeups(pid: int) -> int:
    """How often its threads went to sleep: voluntary context switches."""
    tasks = (task / "status" for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(_number(r"^voluntary_ctxt_switches:\s+(\d+)", status) for status in tasks)


def threads(pid: int) -> int:
    """How many there are."""
    return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 -- names are all that is wanted


def rss(pid: int) -> int:
    """KiB in memory."""
    return _number(r"^Rss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup"))


def pss(pid: int) -> int:
    """KiB in memory; a page that n processes share counts 1/n."""
    return _number(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup"))


def connections(pid: int, port: int) -> set[str]:
    """Its established TCP connections to this port of 127.0.0.1, by their sockets' inodes."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    there = {row[9] for row in rows if row[2] == f"0100007F:{port:04X}" and row[3] == "01"}
    own = set[str]()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        except FileNotFoundError:  # closed meanwhile
            continue
    return there & own


def _number(pattern: str, path: Path) -> int:
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    assert found, f"no {pattern} in {path}"
    return int(found[1])
