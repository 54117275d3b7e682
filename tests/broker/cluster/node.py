"""What the nodes of every cluster have in common: a process each, ended by its own id, TLS, and one user.

A node is reached like a Mosquitto of `broker.mosquitto`: the same names say where it is and how to log in.
"""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from broker.mosquitto import HOST, Authority, free_port

NAMES = ("a", "b", "c")
PASSWORD = "s3cret"
END_TIMEOUT = 10.0  # seconds


class Node(ABC):
    """One server of a cluster in a folder of its own, with MQTT on `port`."""

    host = HOST
    users: Mapping[str, str] = {"shed": PASSWORD, "observer": PASSWORD}

    def __init__(self, name: str, directory: Path, authority: Authority) -> None:
        self.name = name
        self.port = free_port()
        self.authority = authority
        self.ca_file = authority.ca_file
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """What runs it: the arguments, and what its environment has beside ours."""

    def start(self) -> None:
        """Begin, or begin again with what is on its disk. Returns at once."""
        arguments, environment = self.command()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}
            )

    def kill(self) -> None:
        """Let it vanish, as in a power cut. Again is allowed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_TIMEOUT)
            self._process = None

    def freeze(self) -> None:
        """Let it fall silent with every connection open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    @property
    def log(self) -> str:
        """All that it logged."""
        return self._log.read_text(errors="replace")

    def password_file(self, user: str) -> Path:
        """A file with a user's password."""
        path = self.directory / f"{user}.password"
        path.write_text(self.users[user] + "\n")
        return path
