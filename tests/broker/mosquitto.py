"""A real Mosquitto for tests: TLS from a CA made on the spot, passwords, its own folder, a free port on 127.0.0.1.

It is started, stopped, killed and frozen by its own process id.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
import trustme

from stoker.link.settings import Mqtt, Tls

HOST = "127.0.0.1"
START_TIMEOUT = 10.0  # seconds
USERS = {"shed": "s3cret", "observer": "looks on"}

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))


def program(name: str) -> str:
    """The full path of one of Mosquitto's programs. Without it the test is skipped, and fails where CI is set."""
    if path := shutil.which(name, path=_PATH):
        return path
    reason = f"there is no {name} on this machine (Debian: apt install mosquitto)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A TCP port on which nobody listens now."""
    with closing(socket.socket()) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Authority:
    """A certificate authority. Everything that it makes is a PEM file in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self._ca = trustme.CA()
        directory.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, *names: str, expires: datetime | None = None) -> tuple[Path, Path]:
        """A certificate for these hosts, and its key."""
        leaf = self._ca.issue_cert(*names, not_after=expires)
        stem = f"{names[0]}{'-expired' if expires else ''}"
        certificate, key = self.directory / f"{stem}.pem", self.directory / f"{stem}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return certificate, key


class Mosquitto:
    """A broker in `directory`. `authority` None: no TLS; `users` None: nobody has to log in.

    `lines` are added to its configuration. `rights`: what whom it lets do, as in its acl_file; empty: everything.
    `websockets`: that is what it speaks at its port.
    """

    def __init__(
        self,
        directory: Path,
        *,
        authority: Authority | None = None,
        certificate: tuple[Path, Path] | None = None,
        users: Mapping[str, str] | None = USERS,
        lines: Sequence[str] = (),
        rights: str = "",
        websockets: bool = False,
    ) -> None:
        self._program = program("mosquitto")
        self.host = HOST
        self.port = free_port()
        self.directory = directory / f"mosquitto-{self.port}"
        self.directory.mkdir(parents=True)
        self.authority = authority
        self.users = dict(users or {})
        self._certificate = certificate
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        if rights:
            (self.directory / "rights").write_text(rights)
            lines = [*lines, f"acl_file {self.directory / 'rights'}"]
        self._write_configuration([*lines, "protocol websockets"] if websockets else lines)

    # --- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> "Mosquitto":
        """Return when it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self.directory / "mosquitto.conf")], stdout=log, stderr=log
            )
        give_up = time.monotonic() + START_TIMEOUT
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    pytest.fail(f"mosquitto does not start: {self.log}")
                time.sleep(0.01)

    def stop(self) -> None:
        """End it in an orderly way: it says goodbye to its clients. Again is allowed."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let it vanish, as in a power cut. It remembers nothing."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it fall silent with every connection open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """All that it logged."""
        return self._log.read_text()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._signal(signal.SIGCONT)  # one that was frozen hears nothing else
        self._signal(number)
        self._process.wait(START_TIMEOUT)
        self._process = None

    # --- how to reach it ----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where it is, as a client's tools want it."""
        return f"mqtt{'s' if self.authority else ''}://{self.host}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The CA that a client has to trust."""
        assert self.authority is not None
        return self.authority.ca_file

    def password_file(self, user: str) -> Path:
        """A file with a user's password."""
        return self.directory / f"{user}.password"

    def settings(self, user: str = "shed", **changes: object) -> Mqtt:
        """The settings with which a link reaches it as this user."""
        tls = Tls(ca_file=str(self.ca_file)) if self.authority else Tls(enabled=False)
        login = {"username": user, "password_file": str(self.password_file(user))} if self.users else {}
        whole: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "reconnect_max": 1.0,
            "tls": tls,
            **login,
            **changes,
        }
        return Mqtt(**whole)  # type: ignore[arg-type]

    def _write_configuration(self, lines: Sequence[str]) -> None:
        text = [f"listener {self.port} {self.host}", "persistence false", "log_type all", *lines]
        if "protocol websockets" in lines:  # Mosquitto 2.0 ends at once where it has no other listener
            text.insert(0, f"listener {free_port()} {self.host}")
        if os.geteuid() == 0:
            text.append("user root")  # it would drop to a user that may not read the test's folder
        if self.authority is not None:
            certificate, key = self._certificate or self.authority.issue(HOST, "localhost")
            text += [f"certfile {certificate}", f"keyfile {key}"]
        text.append(f"allow_anonymous {'false' if self.users else 'true'}")
        if self.users:
            text.append(f"password_file {self._write_passwords()}")
        (self.directory / "mosquitto.conf").write_text("\n".join(text) + "\n")

    def _write_passwords(self) -> Path:
        path = self.directory / "passwords"
        path.touch(0o600)
        for user, password in self.users.items():
            subprocess.run([program("mosquitto_passwd"), "-b", path, user, password], check=True, capture_output=True)
            self.password_file(user).write_text(password + "\n")
        return path


MakeBroker = Callable[..., Mosquitto]
