"""`stoker demo` as a newcomer sees it: it runs, the commands that it prints work, and Ctrl-C ends it all."""

import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.mosquitto import program
from daemon.running import PATIENCE, STOKER, environment


class Demo:
    """A demo under way, with what it has printed so far."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.output = directory / "output"
        command = [*STOKER, "demo", "--directory", str(directory / "demo"), "--speed", "600", *arguments]
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment())

    def wait_for(self, pattern: str) -> re.Match[str]:
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, text := self.output.read_text())):
            assert time.monotonic() < until, f"no {pattern!r} in:\n{text}"
            assert self.process.poll() is None, text
            time.sleep(0.02)
        return found

    def type(self, beginning: str) -> str:
        """Type the printed command that begins like this in a second terminal; what it prints."""
        line = self.wait_for(rf"\n  (\S.* {beginning}.*)\n")[1]
        typed = shlex.split(line.split("     ")[0])
        ended = subprocess.run(typed, capture_output=True, text=True, timeout=30, env=environment(), check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@pytest.fixture(params=["mosquitto", "amqtt"])
def demo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Demo]:
    if request.param == "mosquitto":
        program("mosquitto")
    made = Demo(tmp_path, "--broker", request.param)
    yield made
    made.process.kill()
    made.process.wait()


def test_a_newcomer_sees_a_room_being_kept_warm(demo: Demo) -> None:
    demo.wait_for(r"connected to 127\.0\.0\.1:\d+, MQTT")
    demo.wait_for(r"Just published \d\d\.\d\d to topic TEMPERATURE\n")
    demo.wait_for(r"room: heater on, below-target: .* °C, heating to 20\.25 °C")
    demo.wait_for(r"room: heater off, target-reached: .* °C, heating again below 19\.75 °C")

    assert "online" in demo.type("status")
    assert demo.type("set --config .* room target").startswith("room target 22: done")
    demo.wait_for("room: ordered target 22")
    demo.type("publish --config .* sensor-dead")
    demo.wait_for("room: heater off, stale-temperature")
    demo.type("publish --config .* none")
    demo.wait_for("thermometer inside: reads again")

    port = int(demo.wait_for(r"on 127\.0\.0\.1:(\d+), TLS")[1])
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(PATIENCE) == 0
    last = demo.output.read_text().splitlines()[-4:]  # the last acknowledgements may come behind it
    assert any(line.endswith("room: heater off, stopping: stoker is stopping") for line in last)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pytest.fail("the broker is still there")


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = Demo(tmp_path, "--port", str(taken.getsockname()[1]))
        assert demo.process.wait(PATIENCE) == 1

    (line,) = demo.output.read_text().splitlines()
    assert "in use" in line


def test_a_configuration_that_is_not_the_demos_stays(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    precious = tmp_path / "demo" / "stoker.toml"
    precious.write_text('[device]\nid = "precious"\n')
    demo = Demo(tmp_path)
    assert demo.process.wait(PATIENCE) == 1

    assert precious.read_text() == '[device]\nid = "precious"\n'
    assert "is not from a demo and stays" in demo.output.read_text()
