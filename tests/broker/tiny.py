"""A broker of a few lines that answers CONNECT as a story wants: what no real broker does on demand."""

import socket
import socketserver
import threading
import time
from typing import Any, Self

Answer = bytes

close: Answer = b""
"""Hang up without a word."""


def connack(code: int, level: int = 4, properties: bytes = b"") -> Answer:
    """A CONNACK with this code, in the form of MQTT 3.1.1 (level 4) or 5."""
    body = bytes([0, code]) + (bytes([len(properties)]) + properties if level == 5 else b"")
    return bytes([0x20, len(body)]) + body


class TinyBroker:
    """Listens on 127.0.0.1 while entered. `answers`: protocol level -> what CONNECT is answered with.

    A SUBSCRIBE is granted, a PUBLISH is not acknowledged, and a ping is answered unless `mute`.
    """

    def __init__(self, answers: dict[int, Answer], *, mute: bool = False) -> None:
        self.answers = answers
        self.mute = mute
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

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._connections.clear()

    def _handler(self) -> Any:
        tiny = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                tiny._connections.append(self.request)
                try:
                    tiny._serve(self.request)
                except (OSError, EOFError):
                    return

        return Handler

    def _serve(self, sock: socket.socket) -> None:
        level = 0
        while True:
            first, body = read_packet(sock)
            self.packets.append((time.monotonic(), first, body))
            match first >> 4:
                case 1:
                    level = body[6]
                    self.levels.append(level)
                    answer = self.answers[level]
                    if answer == close:
                        return
                    sock.sendall(answer)
                case 8:
                    empty = b"\0" if level == 5 else b""
                    sock.sendall(bytes([0x90, 3 + len(empty)]) + body[:2] + empty + b"\1")
                case 12 if not self.mute:
                    sock.sendall(b"\xd0\0")
                case _:
                    pass


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
