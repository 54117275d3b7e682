"""The little of HTTP/1.1 that opens a way: one request, and the head of its answer."""

import socket
from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple

LONGEST = 16384  # bytes of an answer's head


class Answer(NamedTuple):
    """`status` 0: that was no HTTP. The headers' names are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]


def authority(host: str, port: int = 0) -> str:
    """`host:port` as a request names it; no port: the scheme's own. Raises UnicodeError as `idna`."""
    name = f"[{host}]" if ":" in host else idna(host).decode()
    return f"{name}:{port}" if port else name


def idna(host: str) -> bytes:
    """A host's name in the letters that all others know. Raises UnicodeError."""
    name = host.encode("idna")
    if not name or len(name) > 255:
        raise UnicodeError("no host's name")
    return name


def ask(sock: socket.socket, lines: Iterable[str], until: float) -> Answer:
    """Send a request of these lines and read the head of the answer, not one byte more. Raises OSError."""
    sock.settimeout(max(0.1, until - monotonic()))
    sock.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < LONGEST:
        sock.settimeout(max(0.1, until - monotonic()))
        if not (byte := sock.recv(1)) or monotonic() > until:
            break
        head += byte
        if not b"HTTP/".startswith(head[:5]):
            break
    return _parsed(head.decode("latin-1").split("\r\n"))


def _parsed(lines: list[str]) -> Answer:
    version, _, rest = lines[0].partition(" ")
    status, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not (len(status) == 3 and status.isascii() and status.isdecimal()):
        return Answer(0, "", {})
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    shown = "".join(c for c in reason[:60] if c.isprintable())
    return Answer(int(status), f"{status} {shown}".strip(), headers)
