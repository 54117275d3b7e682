"""The commands of a second terminal, against a running daemon: watch, publish, set, status; and completion."""

import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from broker.mosquitto import Mosquitto, free_port
from broker.watching import MakeObserver
from daemon.running import PATIENCE, ROOM, STOKER, Daemon, MakeDaemon, environment, mqtt, stoker

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def guest(device: Daemon, broker: Mosquitto, protocol: str) -> str:
    """A configuration with which a laptop joins, without any device of its own."""
    path = device.directory / "guest.toml"
    path.write_text(f'[device]\nid = "shed"\n{mqtt(broker, protocol=protocol)}')
    return str(path)


@BOTH
def test_an_order_is_answered(heating: Daemon, broker: Mosquitto, protocol: str) -> None:
    config = guest(heating, broker, protocol)
    done = stoker("set", "--config", config, "room", "target", "12.5")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("room target 12.5: done")
    heating.wait_for_log("heater off, target-reached")
    again = stoker("set", "--config", config, "room", "target", "12.5")
    assert again.returncode == 0, "an order that changes nothing is confirmed too"


@BOTH
def test_a_refused_order_says_why(heating: Daemon, broker: Mosquitto, protocol: str) -> None:
    refused = stoker("set", "--config", guest(heating, broker, protocol), "room", "target", "99")

    assert refused.returncode == 1
    assert refused.stderr == "room target 99: refused, out-of-range: 99 °C is outside 5 to 30 °C\n"


def test_an_order_to_nobody_is_not_taken_for_done(heating: Daemon, broker: Mosquitto) -> None:
    config = guest(heating, broker, "5")
    heating.stop()
    lost = stoker("set", "--config", config, "--timeout", "1", "room", "target", "21")

    assert lost.returncode == 1
    assert "no answer within 1 s; the daemon at stoker/shed is offline" in lost.stderr


def test_a_zone_that_does_not_exist(heating: Daemon) -> None:
    wrong = stoker("set", "--config", str(heating.config), "kitchen", "target", "21")

    assert (wrong.returncode, wrong.stderr) == (2, "no zone 'kitchen'; there is room\n")


@BOTH
def test_a_reset_is_answered(heating: Daemon, broker: Mosquitto, protocol: str) -> None:
    done = stoker("reset", "--config", guest(heating, broker, protocol), "room")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("room fault reset: done")
    assert ("nothing was latched" in done.stdout) is (protocol == "5"), "with 3.1.1 there is no answer to carry it"


def test_status_tells_what_a_person_wants_to_know(heating: Daemon, broker: Mosquitto) -> None:
    status = stoker("status", "--config", guest(heating, broker, "5"))

    assert status.returncode == 0
    lines = status.stdout.splitlines()
    assert lines[0].startswith("stoker/shed: online, state of 20")
    assert lines[1] == "  room: heat, target 20 °C (as configured), heater ON"
    assert lines[2].startswith("    heating: below-target, 1")
    assert lines[3].startswith("  thermometer inside: 1")
    as_json = stoker("status", "--json", "--config", guest(heating, broker, "5"))
    assert msgspec.json.decode(as_json.stdout)["zones"]["room"]["heater"] == "ON"


def test_status_of_a_daemon_that_has_gone(heating: Daemon, broker: Mosquitto) -> None:
    heating.stop()
    status = stoker("status", "--config", guest(heating, broker, "5"))

    assert status.returncode == 1
    assert status.stdout.startswith("stoker/shed: offline, when last heard, at 20")
    assert status.stdout.splitlines()[1:3] == [
        "  room: was heat, target 20 °C (as configured), heater was OFF",
        "    was idle: stopping, stoker is stopping",
    ]


def test_publish_waits_for_the_broker(heating: Daemon, broker: Mosquitto, observer: MakeObserver) -> None:
    phone = observer(broker, "encyclopedia/#")
    config = guest(heating, broker, "5")
    assert stoker("publish", "--config", config, "encyclopedia/heat", "é").stdout == (
        "published é to topic encyclopedia/heat\n"
    )
    stoker("publish", "--config", config, "--retain", "encyclopedia/fire", "hot")
    phone.wait("encyclopedia/heat", "é".encode())
    late = observer(broker, "encyclopedia/#")
    late.wait("encyclopedia/fire", b"hot")


def test_watch_prints_what_comes_in_through_a_restart_of_the_broker(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    config = guest(heating, broker, "5")
    log = heating.directory / "watch"
    with log.open("wb") as out:
        watch = subprocess.Popen(
            [*STOKER, "watch", "--config", config, "encyclopedia/#"], stdout=out, stderr=out, env=environment()
        )
    try:
        wait_for(log, "subscribed to encyclopedia/#")
        phone = observer(broker)
        phone.say("encyclopedia/heat/engine", "steam\x1b[2J")
        wait_for(log, "encyclopedia/heat/engine steam\N{REPLACEMENT CHARACTER}[2J")
        broker.kill()
        wait_for(log, "closed the connection")
        broker.start()
        wait_for(log, "subscribed to", times=2)
        observer(broker).say("encyclopedia/again", "1")
        wait_for(log, "encyclopedia/again 1")
        watch.send_signal(2)
        assert watch.wait(PATIENCE) == 130
    finally:
        watch.kill()
        watch.wait()
    assert "Traceback" not in log.read_text()


def wait_for(log, text: str, times: int = 1) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + PATIENCE
    while log.read_text().count(text) < times:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def test_commands_without_a_broker_say_so(daemon: MakeDaemon, broker: Mosquitto) -> None:
    broker.stop()
    device = daemon(mqtt(broker) + ROOM)
    for command in (["status"], ["set", "room", "target", "21"], ["publish", "a", "b"]):
        ended = stoker(*command, "--config", str(device.config))
        assert ended.returncode == 69
        assert ended.stderr.startswith("no broker: nothing listens at 127.0.0.1")


def test_a_command_finds_the_broker_that_works(daemon: MakeDaemon, broker: Mosquitto) -> None:
    dead = f"127.0.0.1:{free_port()}"
    text = mqtt(broker).replace('host = "127.0.0.1"', f'host = ["{dead}", "127.0.0.1"]')
    device = daemon(text + ROOM)
    checked = stoker("check", "--config", str(device.config))
    assert checked.stdout.endswith(f"no errors; broker {dead}, 127.0.0.1:{broker.port}\n")
    done = stoker("publish", "a", "b", "--config", str(device.config))
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_not_verified_is_said_before_and_at_the_start(daemon: MakeDaemon, broker: Mosquitto) -> None:
    text = mqtt(broker).replace("tls.ca_file", "tls.insecure = true\n# ca_file")
    device = daemon(text + ROOM)
    warning = "mqtt.tls.insecure: the broker is not verified: whoever stands between can read the password"
    checked = stoker("check", "--config", str(device.config))
    assert checked.stdout.startswith("warning: ")
    assert warning in checked.stdout
    device.start()
    device.wait_for_log(warning)
    device.wait_for_log(r"is not verified \(mqtt.tls.insecure\): it may be anybody, and has our password")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_commands(shell: str) -> None:
    script = stoker("completion", shell)

    assert script.returncode == 0
    assert all(word in script.stdout for word in ("watch", "status", "completion"))


def test_help_says_what_each_command_is_for() -> None:
    text = stoker("--help").stdout
    assert "exit codes" in text
    assert all(f"\n    {command}" in text for command in ("run", "check", "demo", "watch", "set", "status", "off"))


@pytest.mark.parametrize("garbage", ["garbage", '{"zones": {"room": {}}}', '{"zones": 3}', "[1]"])
def test_a_state_that_is_none_is_one_line(
    broker: Mosquitto, observer: MakeObserver, tmp_path: Path, garbage: str
) -> None:
    config = tmp_path / "guest.toml"
    config.write_text(f'[device]\nid = "shed"\n{mqtt(broker)}')
    phone = observer(broker)
    phone.say("stoker/shed/availability", "online", retain=True)
    phone.say("stoker/shed/state", garbage, retain=True)
    status = stoker("status", "--config", str(config))
    assert status.returncode == 1
    assert status.stderr == "what is retained on stoker/shed/state is not the state of a stoker of this version\n"


@pytest.mark.parametrize(
    "typed",
    [
        ["publish", "a/#", "x"],
        ["publish", "", "x"],
        ["watch", "a/#/b"],
        ["watch", ""],
        ["status", "--timeout", "nan"],
        ["set", "room", "target", "21", "--timeout=-5"],
        ["demo", "--port", "99999"],
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(broker: Mosquitto, tmp_path: Path, typed: list[str]) -> None:
    config = tmp_path / "guest.toml"
    config.write_text(mqtt(broker))
    ended = stoker(*typed, *([] if typed[0] == "demo" else ["--config", str(config)]))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_bytes_that_are_no_text_can_be_published(broker: Mosquitto, observer: MakeObserver, tmp_path: Path) -> None:
    config = tmp_path / "guest.toml"
    config.write_text(mqtt(broker))
    phone = observer(broker, "raw")
    assert stoker("publish", "--config", str(config), "raw", "\udcff").returncode == 0
    phone.wait("raw", b"\xff")


def test_a_full_disk_under_the_output_is_one_line(tmp_path: Path, broker: Mosquitto) -> None:
    config = tmp_path / "guest.toml"
    config.write_text(mqtt(broker) + ROOM)
    with Path("/dev/full").open("w") as full:
        command = [*STOKER, "check", "--config", str(config)]
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False, timeout=30
        )
    assert (ended.returncode, ended.stderr) == (1, "stoker check: [Errno 28] No space left on device\n")
