"""A SOCKS 5 and HTTP CONNECT proxy of a few lines: what stands between a guarded network and the world."""

import base64
import contextlib
import socket
import socketserver
import threading
from typing import Any, Self

from broker.tiny import read

CHUNK = 65536  # bytes


class Detour:
    """Listens on 127.0.0.1 while entered, and speaks both. `login`: user and password that it wants.

    `answer`: what it says to every request for a way, instead of opening it. `names`: what it makes of hosts' names.
    """

    def __init__(
        self, login: tuple[str, str] | None = None, answer: bytes | None = None, names: dict[str, str] | None = None
    ) -> None:
        self.asked: list[tuple[str, int]] = []  # host and port of each way
        self._login = login
        self._answer = answer
        self._names = names or {}
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> Any:
        detour = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, EOFError):
                    first = read(self.request, 1)
                    (detour._socks if first == b"\5" else detour._http)(self.request)

        return Handler

    def _socks(self, sock: socket.socket) -> None:
        methods = read(sock, read(sock, 1)[0])
        method = 2 if self._login else 0
        if method not in methods:
            sock.sendall(b"\5\xff")
            return
        sock.sendall(bytes([5, method]))
        if self._login:
            read(sock, 1)
            found = tuple(read(sock, read(sock, 1)[0]).decode() for _ in range(2))
            sock.sendall(b"\1\0" if found == self._login else b"\1\1")
            if found != self._login:
                return
        kind = read(sock, 4)[3]
        if kind == 3:
            host = read(sock, read(sock, 1)[0]).decode()
        else:
            host = socket.inet_ntop(
                *((socket.AF_INET, read(sock, 4)) if kind == 1 else (socket.AF_INET6, read(sock, 16)))
            )
        self._open(sock, host, int.from_bytes(read(sock, 2)), b"\5\0\0\3\4gate\0\0")

    def _http(self, sock: socket.socket) -> None:
        head = b"C"
        while not head.endswith(b"\r\n\r\n"):
            head += read(sock, 1)
        lines = head.decode().split("\r\n")
        if self._login:
            wanted = base64.b64encode(":".join(self._login).encode()).decode()
            if f"Proxy-Authorization: Basic {wanted}" not in lines:
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        self._open(sock, host.strip("[]"), int(port), b"HTTP/1.1 200 Connection established\r\nVia: gate\r\n\r\n")

    def _open(self, sock: socket.socket, host: str, port: int, done: bytes) -> None:
        self.asked.append((host, port))
        if self._answer is not None:
            sock.sendall(self._answer)
            return
        with socket.create_connection((self._names.get(host, host), port)) as there:
            for byte in done:  # one at a time: no answer comes in one piece
                sock.sendall(bytes([byte]))
            threading.Thread(target=_carry, args=(there, sock), daemon=True).start()
            _carry(sock, there)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
