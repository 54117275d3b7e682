"""What every cluster of the stories has: three nodes on this machine, a process each, ended by its own id.

A node is reached like a Mosquitto of `broker.mosquitto`: over TLS, as a user with a password.
"""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from broker.cluster.witness import serves
from broker.mosquitto import HOST, Authority, free_port

NAMES = ("a", "b", "c")
SERVE_TIMEOUT = 120.0  # seconds; an Erlang machine takes its time on a busy computer
END_TIMEOUT = 10.0  # seconds


def server(path: str, package: str) -> str:
    """The full path of a server. Without it the story is skipped, and fails where CI is set."""
    if found := shutil.which(path, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"):
        return found
    reason = f"there is no {Path(path).name} on this machine (Debian: make test-cluster installs {package})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Node(ABC):
    """One server in a folder of its own, with MQTT on `port`."""

    host = HOST
    users: Mapping[str, str] = {"shed": "s3cret"}

    def __init__(self, name: str, directory: Path, authority: Authority) -> None:
        self.name = name
        self.port = free_port()
        self.authority = authority
        self.ca_file = authority.ca_file
        self.directory = directory / name
        self.directory.mkdir(parents=True)
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    def __repr__(self) -> str:
        return f"node {self.name}"

    @abstractmethod
    def command(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """What runs it: the arguments, and what its environment has beside ours."""

    def start(self) -> None:
        """Begin, or begin again with what is on its disk. Returns at once; no news to one that runs."""
        if self._frozen:
            self.kill()
        if self._process is not None:
            return
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
        self._frozen = False

    def freeze(self) -> None:
        """Let it fall silent with every connection open, for as long as it lives."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._frozen = True

    def wait(self) -> None:
        """Until it serves clients."""
        give_up = time.monotonic() + SERVE_TIMEOUT
        while not serves(self):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"node {self.name} does not serve: {self.log[-5000:]}")

    @property
    def log(self) -> str:
        """All that it logged."""
        return self._log.read_text(errors="replace")

    def password_file(self, user: str) -> Path:
        """A file with a user's password."""
        path = self.directory / f"{user}.password"
        path.write_text(self.users[user] + "\n")
        return path


class Cluster:
    """Three nodes that know each other."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes

    def heal(self) -> None:
        """Start what does not run, and wait until every node serves."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait()

    def at(self, place: str) -> Node:
        """The node at this host:port."""
        return next(node for node in self.nodes if f"{node.host}:{node.port}" == place)

    def kill_nodes(self) -> None:
        """Let all of them vanish at once."""
        for node in self.nodes:
            node.kill()

    def end(self) -> None:
        """When the stories are over."""
        self.kill_nodes()
