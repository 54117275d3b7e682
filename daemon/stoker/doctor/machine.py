"""The machine: its service, its clock, its card, and what switches a heater off when no program can."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from stoker import clock
from stoker.config import Config, default_state_dir
from stoker.doctor import Finding, Verdict

ROOT = Path("/")
FREE = 100 * 2**20  # bytes on the card; the backlog, the journal and apt want some
PERSIST = "sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs"
CLOCK_KEPT_BY_ANOTHER = (
    "if schedules must wait for it after a power cut: sudo systemctl edit stoker, and below [Service] write"
    " ProtectClock=no and SystemCallFilter=@clock"
)
STRICT = "add `dtparam=strict_gpiod` to /boot/firmware/config.txt and reboot: the relay then goes off with the program"


def examine(config: Config | None) -> Iterator[Finding]:
    """One finding each."""
    yield service()
    yield from clock_is_right(ROOT, config is not None and config.clock_trusted)
    yield from card(config.state_dir if config else default_state_dir())
    yield from strict_gpiod(ROOT)
    yield watchdog(ROOT)


def service() -> Finding:
    """Whether systemd runs it."""
    what = "service"
    shown = _systemctl("show", "stoker.service", "-p", "LoadState,ActiveState,UnitFileState,NRestarts,StatusText")
    if shown is None:
        return Finding(what, Verdict.UNKNOWN, "this machine has no systemd that answers")
    state: dict[str, str] = {}
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        state[name] = value
    if state.get("LoadState") != "loaded":
        return Finding(what, Verdict.UNKNOWN, "stoker.service is not installed", "sudo stoker install-service")
    active, enabled = state.get("ActiveState", ""), state.get("UnitFileState", "")
    text = f"{active}, {enabled}, restarted {state.get('NRestarts', '0')} times"
    if active != "active":
        remedy = "sudo systemctl enable --now stoker; journalctl -u stoker tells why it ended"
        return Finding(what, Verdict.BAD, text, remedy)
    if enabled != "enabled":
        return Finding(what, Verdict.DOUBTFUL, f"{text}: not started at boot", "sudo systemctl enable stoker")
    return Finding(what, Verdict.GOOD, f"{text}: {state.get('StatusText', '')}")


def service_runs() -> bool:
    """Whether there is a daemon that may hold the heaters' lines."""
    return _unit("ActiveState") == "active"


def clock_is_right(root: Path, trusted: bool) -> Iterator[Finding]:
    """Schedules need it, certificates too. `trusted`: the configuration says that it is right from the start."""
    what = "clock"
    if (known := clock.known(root)) is None:
        yield Finding(what, Verdict.GOOD, "believed: nobody here can tell whether it is synchronised")
    elif not trusted and not (root / clock.TIMESYNC).exists() and _unit("ProtectClock") == "yes":
        text = "synchronised" if known else "not synchronised"
        text += ", which the service cannot see without systemd-timesyncd: it believes the clock"
        yield Finding(what, Verdict.DOUBTFUL, text, CLOCK_KEPT_BY_ANOTHER)
    elif known:
        yield Finding(what, Verdict.GOOD, "synchronised")
    else:
        remedy = "see `timedatectl`; a Pi has no battery clock and asks the network, so port 123/udp must be open"
        yield Finding(what, Verdict.DOUBTFUL, "not synchronised: schedules rest until it is", remedy)


def card(state_dir: Path) -> Iterator[Finding]:
    """Room on the card, and whether it can be written to."""
    what = "card"
    folder = next(one for one in (state_dir, *state_dir.parents) if one.exists())
    free = shutil.disk_usage(folder).free
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        remedy = "a worn card turns itself read-only: make a new one; heating goes on, but forgets orders at a restart"
        yield Finding(what, Verdict.BAD, f"{folder} is on a read-only file system", remedy)
    elif free < FREE:
        yield Finding(what, Verdict.DOUBTFUL, f"{free / 2**20:.0f} MiB free for {folder}", "sudo apt clean; df -h")
    else:
        yield Finding(what, Verdict.GOOD, f"{free / 2**30:.1f} GiB free for {folder}")


def strict_gpiod(root: Path) -> Iterator[Finding]:
    """On a Pi: whether a line goes on being driven after its program died."""
    what = "line after a crash"
    with contextlib.suppress(OSError):
        if (root / PERSIST).read_text().strip() in ("Y", "1"):
            text = "a relay stays as it was when the program that drives it is killed"
            yield Finding(what, Verdict.DOUBTFUL, f"{text}; only `stoker off` after it helps", STRICT)
        else:
            yield Finding(what, Verdict.GOOD, "falls back to its pull when its program dies")


def watchdog(root: Path) -> Finding:
    """Whether the board restarts itself when its kernel hangs."""
    what = "hardware watchdog"
    remedy = "RuntimeWatchdogSec=15 in /etc/systemd/system.conf, then reboot: a kernel that hangs leaves a relay on"
    if not (root / "dev/watchdog0").exists():
        return Finding(what, Verdict.DOUBTFUL, "this machine has none", "wire the relay so that a dead Pi means cold")
    shown = _systemctl("show", "-p", "RuntimeWatchdogUSec", "--value")
    if shown is None:
        return Finding(what, Verdict.UNKNOWN, "there is one, and no systemd that could say whether it is fed")
    if shown in ("0", "infinity", ""):
        return Finding(what, Verdict.DOUBTFUL, "there is one, and nobody uses it", remedy)
    return Finding(what, Verdict.GOOD, f"fed by systemd, bites after {shown}")


def _unit(name: str) -> str | None:
    """A property of the service."""
    return _systemctl("show", "stoker.service", "-p", name, "--value")


def _systemctl(*arguments: str) -> str | None:
    """What it prints; None where there is none, or none that answers."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        return done.stdout.strip() if done.returncode == 0 else None
    return None
