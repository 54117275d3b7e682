"""A broker of a few lines that answers CONNECT as a story wants: what no real broker does on demand."""

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Container, Iterator
from typing import Any, Self

from msgspec.structs import replace

from stoker.link.settings import Mqtt, Tls

PATIENCE = 10.0  # seconds

Answer = bytes

close: Answer = b""
"""Hang up without a word."""


def connack(code: int, level: int = 4, properties: bytes = b"") -> Answer:
    """A CONNACK with this code, in the form of MQTT 3.1.1 (level 4) or 5."""
    body = bytes([0, code]) + (bytes([len(properties)]) + properties if level == 5 else b"")
    return bytes([0x20, len(body)]) + body


class TinyBroker:
    """Listens on 127.0.0.1 while entered. `answers`: protocol level -> what CONNECT is answered with.

    A SUBSCRIBE is granted but for filters in `refused`, which get that code; a ping is answered, and a PUBLISH is
    answered with `puback`, a reason code, unless that is None; each `quota`-th with 0x97, "quota exceeded".
    Packets of the types in `silent` get no answer. `context` is for TLS.
    """

    def __init__(
        self,
        answers: dict[int, Answer],
        *,
        puback: int | None = None,
        silent: Container[int] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.answers = answers
        self._silent = silent
        self.puback = puback
        self.quota = 0  # none
        self.taken: list[bytes] = []  # the body of each PUBLISH that was granted
        self._context = context
        self.refused: dict[str, int] = {}
        self.best = 2  # quality of service; it hangs up on a SUBSCRIBE that asks for more
        self.levels: list[int] = []  # of every CONNECT
        self.packets: list[tuple[float, int, bytes]] = []  # when, first byte, body
        self._connections: list[socket.socket] = []
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self.hang_up()
        self._server.server_close()

    def answer(self, connect: bytes) -> Answer:
        """What this CONNECT is answered with."""
        return self.answers[connect[6]]

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def send(self, packet: bytes) -> None:
        """Send these bytes over the last connection."""
        self._connections[-1].sendall(packet)

    def received(self, kind: int) -> list[tuple[float, bytes]]:
        """Every packet of this type (3: PUBLISH, 12: PINGREQ, 14: DISCONNECT): when, and its body."""
        return [(when, body) for when, first, body in self.packets if first >> 4 == kind]

    def wait_for(self, kind: int, number: int = 1) -> float:
        """Until so many packets of this type came: when the first did."""
        give_up = time.monotonic() + PATIENCE
        while len(packets := self.received(kind)) < number:
            assert time.monotonic() < give_up, f"no packet of type {kind}"
            time.sleep(0.01)
        return packets[0][0]

    def _handler(self) -> Any:
        tiny = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, EOFError), tiny._accept(self.request) as sock:
                    tiny._connections.append(sock)
                    tiny._serve(sock)

        return Handler

    def _accept(self, sock: socket.socket) -> socket.socket:
        return self._context.wrap_socket(sock, server_side=True) if self._context else sock

    def _serve(self, sock: socket.socket) -> None:
        level = 0
        while True:
            first, body = read_packet(sock)
            self.packets.append((time.monotonic(), first, body))
            match first >> 4:
                case kind if kind in self._silent:
                    pass
                case 1:
                    level = body[6]
                    self.levels.append(level)
                    answer = self.answer(body)
                    if answer == close:
                        return
                    sock.sendall(answer)
                case 8:
                    if body[-1] > self.best:
                        return
                    empty = b"\0" if level == 5 else b""
                    codes = bytes(self.refused.get(name, 1) for name in filters(body[2 + len(empty) :]))
                    sock.sendall(bytes([0x90, 2 + len(empty) + len(codes)]) + body[:2] + empty + codes)
                case 3 if self.puback is not None:
                    size, over = int.from_bytes(body[:2]), self.quota and len(self.received(3)) % self.quota == 0
                    code = 0x97 if over else self.puback
                    if code < 0x80:
                        self.taken.append(body)
                    sock.sendall(b"\x40\x03" + body[2 + size : 4 + size] + bytes([code]))
                case 12:
                    sock.sendall(b"\xd0\0")
                case _:
                    pass


def plain(port: int, **changes: Any) -> Mqtt:
    """Settings for a broker on this port of 127.0.0.1, without TLS."""
    settings = Mqtt(host="127.0.0.1", port=port, reconnect_max=1.0, tls=Tls(enabled=False))
    return replace(settings, **changes)


def filters(body: bytes) -> Iterator[str]:
    """The topic filters of a SUBSCRIBE, from what follows its packet id and properties."""
    while body:
        size = int.from_bytes(body[:2])
        yield body[2 : 2 + size].decode()
        body = body[3 + size :]


def read_packet(sock: socket.socket) -> tuple[int, bytes]:
    """One MQTT packet: its first byte, and what follows its length."""
    first, size, shift = read(sock, 1)[0], 0, 0
    while True:
        byte = read(sock, 1)[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, read(sock, size)


def read(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
