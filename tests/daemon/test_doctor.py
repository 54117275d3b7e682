"""`stoker doctor`: what it finds before a cold room, and what it says to do."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto, free_port
from daemon.running import PATIENCE, ROOM, STOKER, Daemon, MakeDaemon, environment, mqtt, stoker
from stoker import devices
from stoker.doctor import Finding, Verdict, hardware, machine
from stoker.heaters import HeaterPort
from stoker_drivers.interfaces import HeaterError


def findings(config: Path) -> dict[str, Finding]:
    done = stoker("doctor", "--json", "--config", str(config))
    found = msgspec.json.decode(done.stdout, type=list[Finding])
    assert done.returncode == any(finding.verdict is Verdict.BAD for finding in found)
    return {finding.what: finding for finding in found}


def written(daemon: MakeDaemon, configuration: str) -> Path:
    device: Daemon = daemon(configuration)
    return device.config


def test_all_is_well(daemon: MakeDaemon, broker: Mosquitto) -> None:
    found = findings(written(daemon, mqtt(broker) + ROOM))
    assert found["thermometer inside"].text == "15.00 °C"
    assert found["heater radiator"].verdict is Verdict.GOOD
    assert found[f"certificate of {broker.host}"].text.startswith("TLSv1.3, verified, good until ")
    assert found["login"].text.endswith("takes us, MQTT 5")
    assert found["subscriptions"].text == "all 8 stand"
    assert found["round trip"].text.endswith("ms there and back")


def test_it_is_told_line_by_line_with_its_remedy(daemon: MakeDaemon) -> None:
    config = written(daemon, mqtt_nowhere() + ROOM)
    done = stoker("doctor", "--config", str(config))
    assert done.returncode == 1
    assert "ok  thermometer inside: 15.00 °C\n" in done.stdout
    assert "!!  way to 127.0.0.1:" in done.stdout


def mqtt_nowhere() -> str:
    return f'[mqtt]\nhost = "127.0.0.1"\nport = {free_port()}\n'


def test_a_wrong_password(daemon: MakeDaemon, broker: Mosquitto, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    found = findings(written(daemon, mqtt(broker, password_file=str(wrong)) + ROOM))
    assert found["login"].verdict is Verdict.BAD
    assert "hunter2" not in str(found)


def test_somebody_elses_authority(
    daemon: MakeDaemon, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    found = findings(written(daemon, mqtt(broker, **{"tls.ca_file": str(other.ca_file)}) + ROOM))
    assert "login" not in found
    assert found[f"way to {broker.host}:{broker.port}"].verdict is Verdict.BAD


def test_a_broker_that_lets_us_listen_only(daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority) -> None:
    broker = mosquitto(authority=authority, rights="user shed\ntopic read #\n").start()
    found = findings(written(daemon, mqtt(broker) + ROOM))
    assert found["login"].verdict is Verdict.GOOD
    assert found["round trip"].verdict is Verdict.DOUBTFUL
    assert found["round trip"].remedy == "give this user the right to publish at the broker"


def test_a_sensor_that_is_not_there(daemon: MakeDaemon, tmp_path: Path) -> None:
    sensor = f'[thermometers.inside]\ndriver = "ds18b20"\ntree = "{tmp_path}"\n'
    found = findings(written(daemon, mqtt_nowhere() + sensor + ROOM[ROOM.index("[heaters") :]))
    assert found["thermometer inside"].text.startswith("no-sensor: no thermometer on the 1-wire bus")


def test_a_configuration_with_errors_is_the_first_finding(tmp_path: Path) -> None:
    config = tmp_path / "stoker.toml"
    config.write_text("[mqtt]\nhots = 1\n")
    first = next(iter(findings(config).values()))
    assert first.verdict is Verdict.BAD
    assert first.remedy == "sudo stoker setup, or edit it and try `stoker check`"


def click(config: Path) -> subprocess.Popen[str]:
    command = [*STOKER, "doctor", "--click", "--config", str(config)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment())


def test_a_relay_is_tried_for_whoever_stands_before_it(daemon: MakeDaemon) -> None:
    device: Daemon = daemon(mqtt_nowhere() + ROOM)
    said, _ = click(device.config).communicate("y\ny\ny\n", timeout=PATIENCE)
    assert said.endswith("heater radiator: good\n")
    assert device.switched.replace("00", "0").strip("0") == "1"
    assert device.switched.endswith("0")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_login_that_breaks_off_while_the_relay_is_on_leaves_it_off(
    daemon: MakeDaemon, number: signal.Signals
) -> None:
    device: Daemon = daemon(mqtt_nowhere() + ROOM)
    tried = click(device.config)
    assert tried.stdin
    tried.stdin.write("y\ny\n")
    tried.stdin.flush()
    until = time.monotonic() + PATIENCE
    while not device.relay.exists() or not device.switched.endswith("1"):
        assert time.monotonic() < until
        time.sleep(0.01)
    tried.send_signal(number)
    tried.communicate(timeout=PATIENCE)
    assert tried.returncode == 128 + number
    assert device.switched.endswith("0")


# --- a machine of the test's own ------------------------------------------------------------------------------------


Place = Callable[[str, str], None]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Make a file below a root of the test's own."""

    def make(name: str, text: str = "") -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return make


def test_no_overlay(tmp_path: Path) -> None:
    (finding,) = hardware.one_wire(tmp_path)
    assert finding.text == "the kernel knows of none"
    assert "dtoverlay=w1-gpio" in finding.remedy


def test_a_bus_without_pull_up_answers_with_noise(tmp_path: Path, place: Place) -> None:
    place("sys/module/w1_therm/refcnt", "")
    for name in ("w1_bus_master1", "00-400000000000", "00-800000000000"):
        place(f"sys/bus/w1/devices/{name}/uevent", "")
    (finding,) = hardware.one_wire(tmp_path)
    assert finding.text.startswith("answers with noise (00-4")


def test_a_sensor_that_is_there(tmp_path: Path, place: Place) -> None:
    place("sys/module/w1_therm/refcnt", "")
    for name in ("w1_bus_master1", "28-0316a2792c1e"):
        place(f"sys/bus/w1/devices/{name}/uevent", "")
    assert [finding.text for finding in hardware.one_wire(tmp_path)] == ["1 found: 28-0316a2792c1e"]


@pytest.mark.parametrize(("says", "verdict"), [("Y\n", Verdict.DOUBTFUL), ("N\n", Verdict.GOOD)])
def test_a_pi_that_leaves_a_dead_programs_relay_on(tmp_path: Path, place: Place, says: str, verdict: Verdict) -> None:
    place(machine.PERSIST, says)
    (finding,) = machine.strict_gpiod(tmp_path)
    assert finding.verdict is verdict
    assert ("strict_gpiod" in finding.remedy) == (verdict is Verdict.DOUBTFUL)


def test_a_board_that_is_no_pi_is_not_asked(tmp_path: Path) -> None:
    assert list(machine.strict_gpiod(tmp_path)) == []


@pytest.mark.parametrize(
    ("holder", "service_runs", "verdict"),
    [
        ("stoker", False, Verdict.GOOD),
        ("lg", True, Verdict.GOOD),
        ("lg", False, Verdict.DOUBTFUL),
        ("w1-gpio", True, Verdict.BAD),
    ],
)
def test_who_holds_a_heaters_line(
    monkeypatch: pytest.MonkeyPatch, holder: str, service_runs: bool, verdict: Verdict
) -> None:
    """The daemon is right to; lgpio says of every program the same, so then it must run at all."""

    def claim() -> NoReturn:
        raise HeaterError(f"GPIO17 on gpiochip0 is in use by another program ({holder}): stop it, or use another pin")

    monkeypatch.setattr(devices, "heater", lambda name, _: HeaterPort(name, claim))
    choice = devices.choice("gpio", {"pin": 17})
    assert hardware.can_be_claimed("radiator", choice, service_runs).verdict is verdict
