"""`stoker setup`: a short dialogue that ends with a service which heats.

Rule: nothing is asked that can be found out, nothing is written that was not read back as a configuration without
errors, and what was there before is kept beside it. Every question has an option; with --yes none is asked.
"""

import getpass
import grp
import os
import re
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from stoker import devices, doctor
from stoker.cli import Exit
from stoker.cli.doctor import show
from stoker.config import ConfigError
from stoker.doctor import Verdict
from stoker.link import credentials

SENSORS = Path("/sys/bus/w1/devices")
PASSWORD = "mqtt.password"  # noqa: S105 -- the credential's name
GROUP = "stoker"  # of the service, which may read the configuration

TEXT = """\
# Written by `stoker setup` on {date}. Everything else that can be said here: {example}
[mqtt]
host = {host}
{login}
[thermometers.inside]
{thermometer}
[heaters.{heater_name}]
{heater}
[zones.{zone}]
thermometer = "inside"
heater = "{heater_name}"
target = {target}
"""


class Stop(Exception):  # noqa: N818 -- it is no fault of the program's
    """Setup ends here; the text says why."""


def main(arguments: Namespace) -> int:
    """Ask, write, start."""
    ask = _take_default if arguments.yes else _ask
    try:
        if arguments.config.exists() and not arguments.force:
            raise Stop(f"{arguments.config} is there already; --force keeps it beside the new one")
        text, password = _answers(arguments, ask)
        _write(arguments.config, text, password)
    except Stop as stop:
        print(stop, file=sys.stderr)
        return Exit.FAILED
    except (KeyboardInterrupt, EOFError):
        print("\nnothing was written", file=sys.stderr)
        return Exit.FAILED
    except OSError as error:
        print(f"{error.filename}: {error.strerror}: try it with sudo", file=sys.stderr)
        return Exit.FAILED
    print(f"\nwrote {arguments.config}. It looks like this:\n")
    bad = False
    for finding in doctor.examine(arguments.config):
        bad |= finding.verdict is Verdict.BAD and finding.what != "service"
        if finding.what != "service":
            show(finding)
    if not arguments.no_service:
        _start()
    if bad:
        print("\nwhat is marked with !! needs your hands; `stoker doctor` looks again")
    return Exit.OK


# --- asking -----------------------------------------------------------------------------------------------------------

Ask = Callable[[str, str], str]


def _ask(question: str, default: str) -> str:
    shown = f" [{default}]" if default else ""
    return input(f"{question}{shown}: ").strip() or default


def _take_default(question: str, default: str) -> str:
    if not default:
        raise Stop(f"{question}? With --yes it has to be said as an option")
    return default


def _answers(arguments: Namespace, ask: Ask) -> tuple[str, str]:
    """The configuration, and the broker's password."""
    zone = _name(arguments.zone or ask("name of the place to keep warm", "room"))
    sensor = arguments.sensor or _sensor(ask)
    pin = arguments.pin if arguments.pin is not None else int(_number(ask("GPIO number of the heater's relay", "17")))
    low = arguments.active_low or (not arguments.yes and _yes(ask("is the relay on while the pin is low?", "no")))
    target = arguments.target if arguments.target is not None else _number(ask("how warm, °C", "20"))
    host = arguments.broker or ask("MQTT broker, such as broker.example or broker.example:8883", "")
    username = (
        arguments.user if arguments.user is not None else ("" if arguments.yes else ask("user there, if any", ""))
    )
    password = _password(arguments, username)
    login = [f"username = {_quoted(username)}"] if username else []
    login += [f"tls.ca_file = {_quoted(str(arguments.ca_file.resolve()))}"] if arguments.ca_file else []
    login += ["tls.enabled = false"] if arguments.no_tls else []
    mock = sensor == "mock"
    text = TEXT.format(
        date=time.strftime("%Y-%m-%d"),
        example="/usr/share/doc/stoker/examples/stoker.toml",
        host=_quoted(host),
        login="".join(f"{line}\n" for line in login),
        thermometer='driver = "mock"\n' if mock else f'driver = "ds18b20"\nid = {_quoted(sensor)}\n',
        heater_name="heater",
        heater='driver = "mock"\n' if mock else _relay(arguments.chip, pin, low),
        zone=zone,
        target=f"{target:g}",
    )
    return text, password


def _relay(chip: str, pin: int, low: bool) -> str:
    level = "active_high = false\n" if low else ""
    if chip:
        return f'driver = "gpiochip"\nchip = {_quoted(chip)}\nline = "{pin}"\n{level}'
    return f'driver = "gpio"\npin = {pin}\n{level}'


def _sensor(ask: Ask) -> str:
    """The only one on the bus, the one that is chosen, or a simulated one."""
    found = sorted(place.name for place in SENSORS.glob("[0-9a-f][0-9a-f]-*") if not place.name.startswith("00-"))
    if len(found) == 1:
        print(f"thermometer: {found[0]}, the only one on the 1-wire bus")
        return found[0]
    if found:
        print("on the 1-wire bus: " + ", ".join(found))
        return ask("which of them measures the place? (hold one in your hand, and see `stoker doctor`)", found[0])
    print("no thermometer on the 1-wire bus: `stoker doctor` tells what is missing; `mock` is a simulated room")
    return ask("thermometer, such as 28-0316a2792c1e or mock", "mock")


def _password(arguments: Namespace, username: str) -> str:
    if arguments.password_file:
        return str(arguments.password_file.read_text()).rstrip("\r\n")
    if not username or arguments.yes:
        return ""
    return getpass.getpass(f"password of {username} (not shown): ")


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise Stop(f"{text!r} is no name for a place: letters, digits, - and _")
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Stop(f"{text!r} is no number") from None


def _yes(text: str) -> bool:
    return text.lower() in ("y", "yes")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# --- writing ----------------------------------------------------------------------------------------------------------


def _write(path: Path, text: str, password: str) -> None:
    """Into place once it was read back. The configuration is for root and the service, the password for root alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.touch(mode=0o640)
    try:
        new.write_text(text)
        devices.load(new)
    except ConfigError as error:
        new.unlink()
        raise Stop("\n".join(problem.text for problem in error.problems)) from None
    if os.geteuid() == 0:
        try:
            os.chown(new, 0, grp.getgrnam(GROUP).gr_gid)
        except KeyError:
            print(f"there is no group {GROUP}: the service is not installed yet (sudo stoker install-service)")
    if password:
        _write_password(password)
    if path.exists():
        kept = path.with_suffix(time.strftime(".%Y%m%d-%H%M%S"))
        path.rename(kept)
        print(f"what was there is {kept} now")
    new.replace(path)


def _write_password(password: str) -> None:
    place = credentials.place(PASSWORD)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place.unlink(missing_ok=True)
    place.touch(mode=0o600)
    place.write_text(password + "\n")
    print(f"wrote {place}, for root alone")


def _start() -> None:
    systemctl = shutil.which("systemctl")
    if systemctl is None or _fails(systemctl, "cat"):
        print("\nno service here: `stoker run` runs it in the foreground, `sudo stoker install-service` makes one")
        return
    if _fails(systemctl, "enable") or _fails(systemctl, "restart"):
        print("\nthe service does not start: journalctl -u stoker tells why")
    else:
        print("\nthe service runs: systemctl status stoker, journalctl -fu stoker")


def _fails(systemctl: str, what: str) -> bool:
    done = subprocess.run([systemctl, what, "stoker.service"], capture_output=True, check=False)  # noqa: S603
    return done.returncode != 0
