"""A proxy that stands between a link and its broker, and breaks the line as a story wants."""

import contextlib
import socket
import threading
from typing import Self

from broker.mosquitto import HOST, Mosquitto, free_port

CHUNK = 65536  # bytes


class Proxy:
    """Carries bytes both ways while entered; TLS goes through untouched."""

    def __init__(self, broker: Mosquitto) -> None:
        self.port = free_port()
        self._target = (broker.host, broker.port)
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []
        self._deaf = threading.Event()

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def restore(self) -> None:
        """Accept connections, again."""
        self._deaf.clear()
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and accept no new one."""
        if self._listener is not None:
            self._close(self._listener)
        for connection in self._connections:
            self._close(connection)
        self._connections.clear()

    def swallow_answers(self) -> None:
        """Carry on what the link says, and keep from it what the broker says."""
        self._deaf.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError), listener:
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                self._connections += [client, server]
                threading.Thread(target=self._carry, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, self._deaf), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, deaf: threading.Event | None) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(CHUNK):
                if deaf is None or not deaf.is_set():
                    target.sendall(data)
            self._close(target)

    @staticmethod
    def _close(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
