"""`stoker demo`: a broker with TLS, a simulated room and the daemon, in one terminal; everybody else may join."""

import json
import logging
import os
import shlex
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from stoker import signals
from stoker.app import App
from stoker.cli import Exit, configuration
from stoker.cli.client import Heard
from stoker.config import Config
from stoker.core.messages import Message
from stoker.demo.broker import BrokerError, DemoBroker
from stoker.link.link import Link
from stoker.log import to, to_stream
from stoker_drivers import mock

log = logging.getLogger("stoker")

FAULTS = "demo/fault"  # the topic on which faults are staged

_CONFIGURATION = """\
# A simulated room, {speed:g} times faster than life. Any client can join with this file: stoker watch --config ...
[device]
id = "demo"
state_dir = {state}

[mqtt]
host = "{host}"
port = {port}
protocol = "{protocol}"
[mqtt.tls]
ca_file = {ca}

[thermometers.inside]
driver = "mock"
interval = "1s"
speed = {speed}
start = 18.5

[heaters.radiator]
driver = "mock"
min_on = "2s"
min_off = "2s"

[zones.room]
thermometer = "inside"
heater = "radiator"
target = 20.0
hysteresis = 0.5
stale_after = "5s"
"""
_HEAD = _CONFIGURATION.partition(",")[0]

_WELCOME = """\
broker      {kind} on {host}:{port}, TLS, certificate authority {directory}/ca.pem
room        simulated, {speed:g} times faster than life
stop        Ctrl-C: the heater goes off first

In a second terminal:
  {stoker} watch {config}
  {stoker} status {config}
  {stoker} set {config} room target 22
  {stoker} set {config} room heater OFF
  {stoker} publish {config} {faults} sensor-dead     the heater goes off by itself
  {stoker} publish {config} {faults} none            and comes back
  (other faults: {others})
"""


def main(arguments: Namespace) -> int:
    """Run until Ctrl-C."""
    if not 0 < arguments.speed <= 100_000:
        print(f"--speed {arguments.speed:g}: a number above 0, up to 100000", file=sys.stderr)
        return Exit.USAGE
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="stoker-demo-"))
    if not _is_ours(directory / "stoker.toml"):
        print(f"{directory}/stoker.toml is not from a demo and stays; choose another --directory", file=sys.stderr)
        return Exit.FAILED
    try:
        with DemoBroker(directory, arguments.port, arguments.broker) as broker:
            path = broker.directory / "stoker.toml"
            names = {"host": broker.host, "port": broker.port, "directory": broker.directory, "speed": arguments.speed}
            quoted = {"state": _quoted(broker.directory), "ca": _quoted(broker.ca_file)}
            protocol = "3.1.1" if broker.kind == "amqtt" else "auto"  # the only one that amqtt speaks
            path.write_text(_CONFIGURATION.format(protocol=protocol, **quoted, **names))
            others = ", ".join(fault for fault in mock.FAULTS if fault != "sensor-dead")
            words = {"kind": broker.kind, "stoker": _stoker(), "config": f"--config {shlex.quote(str(path))}"}
            print(_WELCOME.format(**words, **names, faults=FAULTS, others=others), flush=True)
            return _show(configuration.load(path), path)
    except (BrokerError, OSError) as error:
        print(error, file=sys.stderr)
        return Exit.FAILED


def _show(config: Config, path: Path) -> int:
    signals.block()  # now that the broker runs, which is to be ended by them
    to(to_stream(sys.stdout), logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"), logging.WARNING)
    log.setLevel(logging.INFO)
    logging.getLogger("stoker.link").setLevel(logging.DEBUG)  # tells every reading that was published
    director = Link(config.mqtt, _stage, client_id="stoker-demo-director", subscriptions=[FAULTS])
    director.start()
    try:
        return App(config, path, reloads=False).run()
    finally:
        director.close(1.0)


def _stage(event: Heard) -> None:
    """Do to the simulated room what arrived on the topic `demo/fault`."""
    if not isinstance(event, Message) or event.retained:
        return
    fault = event.payload.decode("utf-8", "replace").strip()
    try:
        with mock.room("room").now() as room:
            room.stage("" if fault == "none" else fault)
        log.warning("staged in the room: %s", fault)
    except ValueError as error:
        log.warning("%s", error)


def _is_ours(path: Path) -> bool:
    """Whether this file may be written: there is none, or a demo made it."""
    try:
        return path.read_text(errors="replace").startswith(_HEAD)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _quoted(path: Path) -> str:
    """As a TOML string."""
    return json.dumps(str(path))


def _stoker() -> str:
    """This command as it can be typed in another terminal."""
    program = Path(sys.argv[0])
    if program.name != "stoker":
        return f"{shlex.quote(sys.executable)} -m stoker"
    relative = os.path.relpath(program)
    return shlex.quote(relative if not relative.startswith("..") else str(program))
