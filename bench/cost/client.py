"""The measuring end of the line: an MQTT 3.1.1 client of a few lines, so that it costs less than what it measures.

One blocking socket and no thread. It subscribes with QoS 0, so that the broker waits for nothing from it, and gives its
orders with QoS 1. Its listener has no TLS: only the daemons pay for that.
"""

import select
import socket
import time
from collections.abc import Iterable, Iterator

CONNECT, PUBLISH, SUBSCRIBE = 0x10, 0x32, 0x82  # first bytes; a publication with QoS 1
CONNACK, SUBACK, PUBLISHED = 0x20, 0x90, 0x30
PATIENCE = 5.0  # seconds that a broker may take to answer

Said = tuple[str, bytes]  # topic and payload


class Client:
    """Connected, or OSError."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received, self._packets = bytearray(), 0
        self._answers, self._early = list[int](), list[Said]()  # early: came before the answer that was waited for
        login = _text(f"bench-{self._sock.getsockname()[1]}") + _text(user) + _text(password)
        self._ask(CONNECT, _text("MQTT") + b"\x04\xc2\0\0" + login, CONNACK)

    def close(self) -> None:
        """Without a goodbye."""
        self._sock.close()

    def subscribe(self, *topics: str) -> None:
        """Return when the broker has granted it."""
        self._ask(SUBSCRIBE, self._next_packet() + b"".join(_text(topic) + b"\0" for topic in topics), SUBACK)

    def publish(self, topic: str, payloads: Iterable[bytes]) -> None:
        """Say these, one after another, in one write."""
        name = _text(topic)
        self._sock.sendall(b"".join(_packet(PUBLISH, name + self._next_packet() + payload) for payload in payloads))

    def poll(self, timeout: float) -> list[Said]:
        """What was heard as soon as something came, perhaps nothing but acknowledgements; nothing after `timeout` s."""
        if self._early:
            early, self._early = self._early, []
            return early
        if not select.select([self._sock], [], [], timeout)[0]:
            return []
        data = self._sock.recv(262144)
        if not data:
            raise ConnectionError("the broker closed the connection")
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # nobody's Nagle shall wait for this end
        self._received += data
        return list(self._heard())

    def _ask(self, kind: int, body: bytes, answer: int) -> None:
        self._sock.sendall(_packet(kind, body))
        early, give_up = list[Said](), time.monotonic() + PATIENCE
        while answer not in self._answers:
            early += self.poll(PATIENCE)
            if time.monotonic() > give_up:
                raise ConnectionError("the broker does not answer")
        self._answers.clear()
        self._early = early

    def _next_packet(self) -> bytes:
        self._packets = self._packets % 65535 + 1
        return self._packets.to_bytes(2)

    def _heard(self) -> Iterator[Said]:
        """Take whole packets from what was received."""
        data, at = self._received, 0
        while (whole := _frame(data, at)) is not None:
            kind, start, end = data[at] & 0xF0, *whole
            if kind == PUBLISHED:
                topic = start + 2 + int.from_bytes(data[start : start + 2])
                yield data[start + 2 : topic].decode(), bytes(data[topic:end])
            elif kind in (CONNACK, SUBACK):
                self._answers.append(kind)
            at = end
        del data[:at]


def _frame(data: bytearray, at: int) -> tuple[int, int] | None:
    """Where the body of the packet that begins at `at` starts and ends, once all of it is there."""
    size = shift = 0
    for index in range(at + 1, len(data)):
        size |= (data[index] & 127) << shift
        shift += 7
        if data[index] < 128:
            return (index + 1, index + 1 + size) if index + 1 + size <= len(data) else None
    return None


def _text(text: str) -> bytes:
    return len(text.encode()).to_bytes(2) + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    rest, size = len(body), bytearray()
    while True:
        rest, digit = divmod(rest, 128)
        size.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(size) + body
