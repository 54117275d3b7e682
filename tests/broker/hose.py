"""Somebody who pours messages into a broker as fast as it takes them: packets made beforehand, no client's care."""

import socket
import ssl
import time
from collections.abc import Sequence
from itertools import cycle

from broker.mosquitto import Mosquitto
from broker.tiny import read_packet

BLOCK = 500  # packets for each write


class Hose:
    """A bare MQTT 3.1.1 client that logs in as the observer and listens to nothing."""

    def __init__(self, broker: Mosquitto) -> None:
        tcp = socket.create_connection((broker.host, broker.port))
        context = ssl.create_default_context(cafile=str(broker.ca_file))
        self._sock = context.wrap_socket(tcp, server_hostname=broker.host)
        user, password = b"observer", broker.users["observer"].encode()
        head = text(b"MQTT") + b"\x04\xc2\0\0"  # clean, with user and password, no keepalive
        self._sock.sendall(packet(0x10, head + text(b"hose") + text(user) + text(password)))
        assert read_packet(self._sock) == (0x20, b"\0\0")

    def say(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """One message, QoS 0."""
        self._sock.sendall(publish(topic, payload, retain))

    def pour(self, messages: Sequence[tuple[str, bytes]], seconds: float, limit: int = 10**9) -> int:
        """These messages over and over, for so long. How many the broker took."""
        packets = cycle([publish(topic, payload) for topic, payload in messages])
        block = b"".join(next(packets) for _ in range(BLOCK - BLOCK % len(messages)))
        end, poured = time.monotonic() + seconds, 0
        while time.monotonic() < end and poured < limit:
            self._sock.sendall(block)
            poured += BLOCK - BLOCK % len(messages)
        return poured

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def text(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


def publish(topic: str, payload: bytes, retain: bool = False) -> bytes:
    return packet(0x30 | retain, text(topic.encode()) + payload)


def packet(first: int, body: bytes) -> bytes:
    """An MQTT packet with its length in front."""
    size, length = len(body), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body
