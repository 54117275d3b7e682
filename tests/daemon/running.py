"""A stoker process of a test's own: its configuration, its log, and waiting for what it says."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from broker.mosquitto import Mosquitto

PATIENCE = 20.0  # seconds that a story waits for what has to happen
STOKER = [sys.executable, "-m", "stoker"]
ROOT = Path(__file__).parent.parent.parent

ROOM = """
[thermometers.inside]
driver = "mock"
interval = "200ms"
start = 15.0
[heaters.radiator]
driver = "mock"
log = "{relay}"
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
stale_after = "2s"
"""


def environment() -> dict[str, str]:
    """So that the process imports what the tests test; nothing of a service manager of the machine's."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("daemon", "drivers"))
    drop = {"NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC"}
    return {key: value for key, value in os.environ.items() if key not in drop} | {"PYTHONPATH": path}


def mqtt(broker: Mosquitto, **changes: object) -> str:
    """The table [mqtt] with which a device reaches this broker."""
    keys = {
        "host": broker.host,
        "port": broker.port,
        "username": "shed",
        "password_file": str(broker.password_file("shed")),
        "reconnect_max": "1s",
        "tls.ca_file": str(broker.ca_file),
        **changes,
    }
    lines = (f"{key} = {value!r}" if isinstance(value, int) else f'{key} = "{value}"' for key, value in keys.items())
    return "[mqtt]\n" + "\n".join(lines) + "\n"


class Daemon:
    """`stoker run` with a configuration in `directory`; its heater writes each switch to `relay`."""

    def __init__(self, directory: Path, configuration: str, device: str = "shed") -> None:
        self.directory = directory / device
        self.directory.mkdir()
        self.config = self.directory / "stoker.toml"
        self.relay = self.directory / "relay"
        self._log = self.directory / "log"
        self._head = f'[device]\nid = "{device}"\nstate_dir = "{self.directory}"\n'
        self.configure(configuration)
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}  # beside our own
        self.before: list[str] = []  # the command that starts it, such as unshare

    def configure(self, configuration: str) -> None:
        """Write the file anew; `{relay}` in it is where the heater writes."""
        self.config.write_text(self._head + configuration.replace("{relay}", str(self.relay)))

    def start(self, *arguments: str) -> "Daemon":
        with self._log.open("ab") as log:
            command = [*self.before, *STOKER, "run", "--config", str(self.config), *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment() | self.environment)
        return self

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def switched(self) -> str:
        """The relay's history, such as "010"; the first 0 is from its start."""
        return self.relay.read_text()

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Until a line of the log matches."""
        until = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.log)):
            assert time.monotonic() < until, f"no {pattern!r} in:\n{self.log}"
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            time.sleep(0.02)
        return found


def stoker(*arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [*STOKER, *arguments], capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


MakeDaemon = Callable[..., Daemon]
