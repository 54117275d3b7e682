"""The daemons that are measured, and how each comes to be on this machine.

All do the same: a reading of the same sensor each `interval` to a topic, orders `ON` and `OFF` obeyed by appending 1 or
0 to a file, and each one reported. TLS, user and password, QoS 1 (mqtt-io publishes with QoS 0: it can't do better).
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / ".venv" / "bench"  # what is made for it; `make clean` removes it


class Daemon(NamedTuple):
    """In command and files `{port}` and the like are filled in; in its environment they are BENCH_PORT and so on."""

    name: str
    version: str
    command: list[str]
    temperature: str  # topics
    order: str
    report: str
    files: Mapping[str, str] = MappingProxyType({})
    past: str = ""  # where readings come that could not be said in their time: a topic of stoker's alone


# clock: a machine on which no time server was heard would keep for a minute what could not be said in its time.
DEVICE = """
[device]
id = "bench"
clock = "trusted"
state_dir = "{folder}/state"
[mqtt]
host = "{host}"
port = {port}
username = "{user}"
password_file = "{password_file}"
keepalive = "{keepalive}s"
tls.ca_file = "{ca}"
"""
ROOM = """
[thermometers.inside]
driver = "ds18b20"
tree = "{w1}"
interval = "{interval}s"
[heaters.radiator]
driver = "mock"
log = "{relay}"
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
target = 5.0
"""

MQTT_IO = """
mqtt:
  host: {host}
  port: {port}
  user: {user}
  password: {password}
  topic_prefix: bench
  keepalive: {keepalive}
  tls: {enabled: yes, ca_certs: "{ca}"}
gpio_modules:
  - {name: file, module: bench_relay}
digital_outputs:
  - {name: relay, module: file, pin: 17, retain: yes, on_payload: "ON", off_payload: "OFF"}
sensor_modules:
  - {name: file, module: bench_thermometer}
sensor_inputs:
  - {name: temperature, module: file, interval: {interval}, digits: 2}
"""


def floor() -> Daemon:
    """A small C program on libmosquitto."""
    subprocess.run(["cc", "-O2", "-o", WORK / "floor", HERE / "peers" / "floor.c", "-lmosquitto"], check=True)
    version = _output("pkg-config", "--modversion", "libmosquitto")
    return Daemon("C floor", f"libmosquitto {version}", [f"{WORK}/floor"], "TEMPERATURE", "RELAY/set", "RELAY")


def mqtt_io() -> Daemon:
    """Somebody else's daemon, with a relay and a thermometer of ours."""
    python = _environment("mqtt-io", "mqtt-io==2.7.0")
    modules = Path(_output(python, "-c", "import mqtt_io.modules; print(mqtt_io.modules.__path__[0])"))
    for kind, name in (("gpio", "bench_relay"), ("sensor", "bench_thermometer")):
        (modules / kind / f"{name}.py").write_bytes((HERE / "peers" / f"mqttio_{kind}.py").read_bytes())
    output, sensor = "bench/output/relay", "bench/sensor/temperature"
    files = {"mqtt-io.yml": MQTT_IO}
    return Daemon(
        "mqtt-io", "2.7.0", [python, "-m", "mqtt_io", "mqtt-io.yml"], sensor, f"{output}/set", output, files=files
    )


def script() -> Daemon:
    """A script as tutorials write it."""
    python = _environment("script", "paho-mqtt>=2.1,<3", "gpiozero>=2.0.1.post3")
    command = [python, str(HERE / "peers" / "tutorial.py")]
    return Daemon("paho script", f"paho {_version(python, 'paho-mqtt')}", command, "TEMPERATURE", "RELAY/set", "RELAY")


def stoker() -> Daemon:
    """The daemon as it is installed: not from its source folder, with systemd's library, everything on."""
    python = _environment("stoker", "--upgrade-strategy=only-if-needed", f"{ROOT}[systemd]")
    subprocess.run([python, "-m", "pip", "install", *QUIET, "--force-reinstall", "--no-deps", str(ROOT)], check=True)
    room = "stoker/bench/room/heater"
    return Daemon(
        "stoker",
        f"{_version(python, 'stoker')}, paho {_version(python, 'paho-mqtt')}",
        [str(Path(python).with_name("stoker")), "run", "--config", "stoker.toml"],
        "TEMPERATURE",
        f"{room}/set",
        room,
        {"stoker.toml": DEVICE + ROOM},
        past="stoker/bench/backlog",
    )


EVERYBODY = (floor, mqtt_io, script, stoker)
QUIET = ("--quiet", "--quiet", "--disable-pip-version-check")


def prepare() -> list[Daemon]:
    """Everybody who can be had here, with a line for who cannot."""
    WORK.mkdir(parents=True, exist_ok=True)
    found = list[Daemon]()
    for make in EVERYBODY:
        try:
            found.append(make())
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(f"without {make.__name__}: {error}", file=sys.stderr)
    return found


def _environment(name: str, *packages: str) -> str:
    """The Python of a virtual environment of its own, with these packages."""
    python = WORK / name / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / name], check=True)
    subprocess.run([python, "-m", "pip", "install", *QUIET, *packages], check=True)
    return str(python)


def _version(python: str, package: str) -> str:
    return _output(python, "-c", f"import importlib.metadata as m; print(m.version({package!r}))")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
