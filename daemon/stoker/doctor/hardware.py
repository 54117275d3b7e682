"""The devices: the 1-wire bus, each thermometer that is configured, the GPIO chips, each heater's line."""

import contextlib
import grp
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from stoker import devices
from stoker.config import Config, DriverChoice
from stoker.core.messages import Switched
from stoker.doctor import Finding, Verdict, machine
from stoker_drivers.interfaces import Listener, SensorError

ROOT = Path("/")
READ_WITHIN = 10.0  # seconds
OVERLAY = "add `dtoverlay=w1-gpio` to /boot/firmware/config.txt and reboot; data to GPIO 4, with 4.7 kΩ to 3.3 V"
GROUP = "sudo usermod -aG gpio $USER, then log in anew; the service has its own user, see `systemctl cat stoker`"


def examine(config: Config | None) -> Iterator[Finding]:
    """One finding each."""
    thermometers = config.thermometers if config else {}
    if not config or any(choice.name == "ds18b20" for choice in thermometers.values()):
        yield from one_wire(ROOT)
    for name, choice in thermometers.items():
        yield reads(name, choice)
    heaters = config.heaters if config else {}
    if not config or any(choice.name in ("gpio", "gpiochip") for choice in heaters.values()):
        yield gpio(ROOT)
    for name, choice in heaters.items():
        yield can_be_claimed(name, choice, machine.service_runs())


def one_wire(root: Path) -> Iterator[Finding]:
    """The kernel's modules and what they found."""
    what = "1-wire bus"
    masters = sorted((root / "sys/bus/w1/devices").glob("w1_bus_master*"))
    if not masters:
        yield Finding(what, Verdict.BAD, "the kernel knows of none", OVERLAY)
        return
    if not (root / "sys/module/w1_therm").exists():
        yield Finding(what, Verdict.BAD, "the kernel's module w1_therm is not loaded", "sudo modprobe w1_therm")
    slaves = sorted(place.name for place in (root / "sys/bus/w1/devices").glob("[0-9a-f][0-9a-f]-*"))
    ghosts = [name for name in slaves if name.startswith("00-")]
    if ghosts:
        remedy = "check the 4.7 kΩ resistor between data and 3.3 V, and the wires"
        yield Finding(what, Verdict.BAD, f"answers with noise ({', '.join(ghosts[:3])})", remedy)
    elif not slaves:
        yield Finding(
            what, Verdict.BAD, "no sensor answers", "check wiring and pull-up; a hot sensor is wired backwards"
        )
    else:
        yield Finding(what, Verdict.GOOD, f"{len(slaves)} found: {', '.join(slaves)}")


def reads(name: str, choice: DriverChoice) -> Finding:
    """Ask a thermometer once, as the daemon would."""
    what = f"thermometer {name}"
    with contextlib.closing(_Asked(choice)) as asked:
        asked.join(READ_WITHIN)
        if asked.answer is None:
            return Finding(what, Verdict.BAD, f"no answer within {READ_WITHIN:g} s", "unplug it, and plug it in again")
        return Finding(what, *asked.answer)


class _Asked(threading.Thread):
    """A read may hang for ever, so it has a thread of its own."""

    def __init__(self, choice: DriverChoice) -> None:
        super().__init__(daemon=True)
        self.answer: tuple[Verdict, str, str] | None = None
        self._driver = devices.thermometer(choice)
        self.start()

    def run(self) -> None:
        if isinstance(self._driver, Listener):
            self.answer = (Verdict.UNKNOWN, f"comes by itself on topic {self._driver.topic}", "")
            return
        try:
            self.answer = (Verdict.GOOD, f"{self._driver.read():.2f} °C", "")
        except SensorError as error:
            self.answer = (Verdict.BAD, f"{error.reason}: {error}", "")
        except Exception as error:  # another's driver
            self.answer = (Verdict.BAD, f"{type(error).__name__}: {error}", "")

    def close(self) -> None:
        if not isinstance(self._driver, Listener) and not self.is_alive():
            self._driver.close()


def gpio(root: Path) -> Finding:
    """The character devices, and whether this user may use them."""
    what = "GPIO chips"
    chips = [chip for chip in sorted((root / "dev").glob("gpiochip*")) if not chip.is_symlink()]
    if not chips:
        return Finding(what, Verdict.BAD, "the kernel knows of none", 'on a laptop use the driver "mock"')
    closed = [str(chip) for chip in chips if not os.access(chip, os.R_OK | os.W_OK)]
    if closed:
        mine = ", ".join(sorted(_group(number) for number in os.getgroups()))
        return Finding(what, Verdict.BAD, f"no access to {', '.join(closed)} as a member of {mine}", GROUP)
    return Finding(what, Verdict.GOOD, ", ".join(map(str, chips)))


def _group(number: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)


def can_be_claimed(name: str, choice: DriverChoice, service_runs: bool) -> Finding:
    """Claim a heater's line at its off level, which is what it has while nobody heats, and let it go.

    The kernel knows who holds a line by a word of the program's: gpiochip says `stoker`, lgpio always `lg`.
    """
    what = f"heater {name}"
    port = devices.heater(name, choice)
    outcome = port.switch(False)
    port.close()
    if isinstance(outcome, Switched):
        return Finding(what, Verdict.GOOD, "its line is free, and is off now: no daemon drives it")
    if "(stoker)" in outcome.text or ("(lg)" in outcome.text and service_runs):
        return Finding(
            what, Verdict.GOOD, "its line is driven by another process, which is right while the daemon runs"
        )
    if "(lg)" in outcome.text:
        remedy = "right if `stoker run` runs by hand; otherwise `sudo fuser -v /dev/gpiochip*` names the program"
        return Finding(what, Verdict.DOUBTFUL, f"{outcome.text}; stoker.service does not run", remedy)
    return Finding(what, Verdict.BAD, outcome.text)
