"""What a user sees who starts it when something is missing or wrong: one clear line, and never a stack trace."""

import re
from pathlib import Path

import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.watching import MakeObserver
from daemon.running import ROOM, Daemon, MakeDaemon, mqtt, stoker


def heats_all_the_same(device: Daemon) -> None:
    device.wait_for_log("heater on, below-target")
    assert "Traceback" not in device.log
    assert device.stop() == 0
    assert device.switched.endswith("10")


def test_the_broker_is_absent_and_comes_later(daemon: MakeDaemon, broker: Mosquitto) -> None:
    broker.stop()
    device = daemon(mqtt(broker) + ROOM).start()
    device.wait_for_log(r"no broker: nothing listens at 127\.0\.0\.1:\d+")
    device.wait_for_log("heater on, below-target")
    broker.start()
    device.wait_for_log("connected to 127")
    heats_all_the_same(device)


def test_the_password_is_wrong(daemon: MakeDaemon, broker: Mosquitto) -> None:
    broker.password_file("shed").write_text("guess123\n")
    device = daemon(mqtt(broker) + ROOM).start("--verbose")
    line = device.wait_for_log("no broker: .*")[0]

    assert "refused user 'shed'" in line
    assert "check mqtt.username, the password" in line
    assert "guess123" not in device.log
    heats_all_the_same(device)


def test_the_authority_is_another(daemon: MakeDaemon, broker: Mosquitto, tmp_path: Path) -> None:
    device = daemon(mqtt(broker, **{"tls.ca_file": Authority(tmp_path / "other").ca_file}) + ROOM).start()

    assert "ca_file" in device.wait_for_log("no broker: .*")[0]
    heats_all_the_same(device)


def test_the_password_file_cannot_be_read(daemon: MakeDaemon, broker: Mosquitto) -> None:
    missing = broker.directory / "no.password"
    device = daemon(mqtt(broker, password_file=missing) + ROOM).start()

    assert str(missing) in device.wait_for_log("no broker: .*")[0]
    heats_all_the_same(device)
    check = stoker("check", "--config", str(device.config))
    assert check.returncode == 0, "the house is heated all the same"
    assert re.search(r"warning: .*stoker\.toml:\d+: mqtt\.password_file: ", check.stdout)


def test_the_sensor_is_missing(daemon: MakeDaemon, broker: Mosquitto, observer: MakeObserver, tmp_path: Path) -> None:
    sensor = f'driver = "ds18b20"\nid = "28-0316a2792c1e"\ntree = "{tmp_path}"\ninterval = "200ms"\n'
    room = ROOM.replace('driver = "mock"\ninterval = "200ms"\nstart = 15.0\n', sensor)
    phone = observer(broker, "stoker/shed/room/reason")
    device = daemon(mqtt(broker) + room).start()
    device.wait_for_log(r"thermometer inside: no-sensor: .*28-0316a2792c1e")
    phone.wait_for(lambda: phone.payloads("stoker/shed/room/reason")[-1:] == [b"stale-temperature"], "stale")

    assert "1" not in device.switched
    assert "Traceback" not in device.log
    assert device.stop() == 0


def test_the_pin_is_in_use(daemon: MakeDaemon, broker: Mosquitto, observer: MakeObserver) -> None:
    """Here the heater's log cannot be opened, as a GPIO that another program holds."""
    phone = observer(broker, "stoker/shed/room/reason")
    device = daemon(mqtt(broker) + ROOM)
    device.relay.mkdir()
    device.start()
    device.wait_for_log("heater radiator: .* cannot be opened: Is a directory; trying off again")
    phone.wait_for(lambda: phone.payloads("stoker/shed/room/reason")[-1:] == [b"switch-failed"], "switch-failed")
    device.relay.rmdir()
    device.wait_for_log("heater radiator: switches again")
    heats_all_the_same(device)


def test_gpio_on_a_machine_that_has_none(daemon: MakeDaemon, broker: Mosquitto) -> None:
    pytest.importorskip("lgpio", reason="lgpio is not installed")
    if any(Path("/dev").glob("gpiochip*")):
        pytest.skip("this machine has GPIO")
    room = ROOM.replace('driver = "mock"\nlog = "{relay}"', 'driver = "gpio"\npin = 17')
    device = daemon(mqtt(broker) + room).start()

    assert "is this a Raspberry Pi?" in device.wait_for_log("heater radiator: .*; trying off again")[0]
    assert "Traceback" not in device.log
    assert device.stop() == 1, "it cannot say that the heater is off"


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ("targett = 21.0", "zones.room.targett: unknown key"),
        ("target = 99.0", "zones.room.target: found target 99"),
        ('mode = "cool"', 'zones.room.mode: found "cool"'),
    ],
)
def test_an_error_in_the_configuration_is_told_before_anything_is_switched(
    daemon: MakeDaemon, broker: Mosquitto, wrong: str, line: str
) -> None:
    device = daemon(mqtt(broker) + ROOM + wrong + "\n")
    for command in ("run", "check", "off"):
        ended = stoker(command, "--config", str(device.config))
        assert ended.returncode == 78
        assert ended.stderr.startswith(f"{device.config}:")
        assert line in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not device.relay.exists()


def test_without_a_configuration_it_says_where_it_looked() -> None:
    ended = stoker("run", "--config", "/nowhere/stoker.toml")

    assert ended.returncode == 78
    assert ended.stderr.startswith("/nowhere/stoker.toml: cannot be read: No such file or directory")
    assert "--config" in ended.stderr


def test_another_daemon_with_the_same_name_is_told_apart(
    daemon: MakeDaemon, mosquitto: MakeBroker, authority: Authority
) -> None:
    broker = mosquitto(authority=authority).start()
    first = daemon(mqtt(broker) + ROOM).start()
    first.wait_for_log("connected to")
    second = daemon(mqtt(broker, client_id="stoker-shed") + ROOM, device="second").start()
    second.wait_for_log("connected to")

    assert "client id 'stoker-shed'" in first.wait_for_log("no broker: .*")[0]
