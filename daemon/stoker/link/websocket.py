"""MQTT over WebSockets (RFC 6455; MQTT 5, 6): a socket that wraps what is sent in frames, and unwraps what comes.

Rule: it behaves like a non-blocking socket, never reads ahead of what `pending` tells, and keeps at most one packet of
ours that is not yet sent. (paho's own wrapper loses the rest of a frame that the kernel takes in part.)
"""

import contextlib
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha1

from stoker.link import http

CHUNK = 16384  # bytes
CONTINUED, BINARY, CLOSE, PING, PONG = 0x0, 0x2, 0x8, 0x9, 0xA
LARGEST_CONTROL = 125  # bytes
MOST_UNSENT = 65536  # bytes of pongs beside a frame; who pings and never reads gets no more
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class FrameError(OSError):
    """What came is no WebSocket frame that carries MQTT."""


def upgrade(
    sock: socket.socket, place: str, path: str, headers: Mapping[str, str], until: float
) -> "WebSocket | http.Answer":
    """Ask the web server at the other end for a WebSocket. The answer itself, where it is no yes. Raises OSError."""
    key = b64encode(os.urandom(16)).decode()
    answer = http.ask(
        sock,
        [
            f"GET {path} HTTP/1.1",
            f"Host: {place}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
            *(f"{name}: {value}" for name, value in headers.items()),
        ],
        until,
    )
    proof = b64encode(sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()
    agreed = answer.headers.get("sec-websocket-accept") == proof
    if answer.status != 101 or not agreed or answer.headers.get("sec-websocket-protocol", "mqtt") != "mqtt":
        return answer
    return WebSocket(sock)


class WebSocket:
    """What paho needs of a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = bytearray()  # not yet understood: the begin of a frame
        self._left = 0  # bytes of payload that the present frame still has to bring
        self._data = bytearray()  # understood, not yet read
        self._unsent = bytearray()
        self._sending = 0  # bytes of paho's that are in `_unsent`
        self._closed = False

    def fileno(self) -> int:
        """What to poll."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """As a socket's."""
        self._sock.close()

    def pending(self) -> int:
        """Bytes that can be read although poll would not tell."""
        return len(self._data) + (self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes of MQTT; none at the end. Raises BlockingIOError where there is nothing yet; OSError."""
        if not self._data and not self._closed:
            chunk = self._sock.recv(CHUNK)
            self._closed = not chunk
            self._raw += chunk
            self._unwrap()
        if not self._data and not self._closed:
            raise BlockingIOError
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def send(self, data: bytes | bytearray) -> int:
        """Send all of it in a frame, or raise BlockingIOError: then it wants the same data again."""
        if not self._sending:
            self._unsent += _frame(BINARY, data)
            self._sending = len(data)
        self._flush()
        sent, self._sending = self._sending, 0
        return sent

    def _flush(self) -> None:
        while self._unsent:
            del self._unsent[: self._sock.send(self._unsent)]

    def _unwrap(self) -> None:
        while not self._closed:
            if self._left:
                part = self._raw[: self._left]
                del self._raw[: len(part)]
                self._data += part
                self._left -= len(part)
                if self._left:
                    return
            if not self._next_frame():
                return

    def _next_frame(self) -> bool:
        """Understand a frame's head, and a control frame whole. Whether there was one."""
        if len(self._raw) < 2:
            return False
        first, second = self._raw[0], self._raw[1]
        longer = {126: 2, 127: 8}.get(second, 0)
        if len(self._raw) < 2 + longer:
            return False
        kind, size = first & 0x0F, int.from_bytes(self._raw[2 : 2 + longer]) if longer else second
        if second & 0x80 or first & 0x70 or kind not in (CONTINUED, BINARY, CLOSE, PING, PONG):
            raise FrameError("no binary WebSocket frame of a server")
        if kind in (CONTINUED, BINARY):
            del self._raw[: 2 + longer]
            self._left = size
            return True
        if size > LARGEST_CONTROL:
            raise FrameError("a WebSocket control frame that is too large")
        if len(self._raw) < 2 + size:
            return False
        body = bytes(self._raw[2 : 2 + size])
        del self._raw[: 2 + size]
        self._control(kind, body)
        return True

    def _control(self, kind: int, body: bytes) -> None:
        if kind == CLOSE:
            self._closed = True
        if kind == PING and len(self._unsent) < self._sending + MOST_UNSENT:
            self._unsent += _frame(PONG, body)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                self._flush()  # else with the next packet


def _frame(kind: int, data: bytes | bytearray) -> bytes:
    """A whole message of a client's, masked."""
    size = len(data)
    mask = os.urandom(4)
    pad = (mask * (size // 4 + 1))[:size]
    body = (int.from_bytes(data) ^ int.from_bytes(pad)).to_bytes(size)
    if size <= LARGEST_CONTROL:
        head = bytes([0x80 | kind, 0x80 | size])
    elif size < 65536:
        head = bytes([0x80 | kind, 0x80 | 126]) + size.to_bytes(2)
    else:
        head = bytes([0x80 | kind, 0x80 | 127]) + size.to_bytes(8)
    return head + mask + body
