"""`stoker setup`: from an empty folder to a configuration that holds, asked or not."""

import subprocess
from pathlib import Path

import pytest

from broker.mosquitto import Mosquitto
from daemon.running import PATIENCE, STOKER, environment, stoker

QUIET = ("--sensor", "mock", "--no-service")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc/stoker.toml"


def test_without_questions(config: Path, broker: Mosquitto) -> None:
    place = f"{broker.host}:{broker.port}"
    options = (
        "--yes",
        *QUIET,
        "--broker",
        place,
        "--ca-file",
        str(broker.ca_file),
        "--target",
        "18.5",
        "--zone",
        "attic",
    )
    done = stoker("setup", "--config", str(config), *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert stoker("check", "--config", str(config)).stdout.startswith("attic: heat, target 18.5 °C, inside (mock)")
    assert config.stat().st_mode & 0o777 == 0o640


def test_with_questions(config: Path) -> None:
    """What is not an option is asked; an empty answer takes what stands in brackets."""
    answers = "cellar\nmock\n27\nyes\n15\nbroker.example\n\n"
    command = [*STOKER, "setup", "--config", str(config), "--no-service"]
    done = subprocess.run(
        command, input=answers, capture_output=True, text=True, timeout=2 * PATIENCE, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert "name of the place to keep warm [room]:" in done.stdout
    text = config.read_text()
    assert "[zones.cellar]" in text
    assert "target = 15" in text
    assert 'host = "broker.example"' in text


def test_what_has_to_be_known_is_named(config: Path) -> None:
    done = stoker("setup", "--config", str(config), "--yes", *QUIET)
    assert done.returncode == 1
    assert "MQTT broker" in done.stderr
    assert not config.exists()


def test_a_relay_that_is_on_while_its_pin_is_low(config: Path) -> None:
    options = (
        "--yes",
        "--sensor",
        "28-0316a2792c1e",
        "--pin",
        "22",
        "--active-low",
        "--broker",
        "b.example",
        "--no-service",
    )
    stoker("setup", "--config", str(config), *options, timeout=60)
    assert 'driver = "gpio"\npin = 22\nactive_high = false\n' in config.read_text()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--zone", "living room", "'living room' is no name for a place"),
        ("--target", "99", "target"),
        ("--broker", "mqtts://b.example", "host"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(config: Path, option: str, value: str, words: str) -> None:
    done = stoker("setup", "--config", str(config), "--yes", *QUIET, "--broker", "b.example", option, value)
    assert done.returncode == 1
    assert words in done.stderr
    assert not list(config.parent.glob("*")), "nothing is left behind"


def test_what_was_there_is_kept(config: Path) -> None:
    config.parent.mkdir()
    config.write_text("# mine\n")
    refused = stoker("setup", "--config", str(config), "--yes", *QUIET, "--broker", "b.example")
    assert refused.stderr == f"{config} is there already; --force keeps it beside the new one\n"
    forced = stoker("setup", "--config", str(config), "--yes", *QUIET, "--broker", "b.example", "--force")
    assert forced.returncode == 0, forced.stderr
    kept = [file for file in config.parent.iterdir() if file.name != config.name]
    assert [file.read_text() for file in kept] == ["# mine\n"]


def test_a_password_goes_into_the_store_of_credentials(config: Path, tmp_path: Path) -> None:
    """And nowhere else. Here the store is where systemd would show it to the service."""
    (tmp_path / "password").write_text("hunter2\n")
    options = (
        "--yes",
        *QUIET,
        "--broker",
        "b.example",
        "--user",
        "shed",
        "--password-file",
        str(tmp_path / "password"),
    )
    command = [*STOKER, "setup", "--config", str(config), *options]
    here = environment() | {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=here, check=False)
    assert done.returncode == 0, done.stderr
    stored = tmp_path / "credentials/mqtt.password"
    assert (stored.read_text(), stored.stat().st_mode & 0o777) == ("hunter2\n", 0o600)
    assert "hunter2" not in config.read_text() + done.stdout + done.stderr
