"""MQTT over WebSockets: against Mosquitto's own listener, and against servers that answer with something else."""

import base64
import contextlib
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.proxy import Proxy
from broker.tiny import connack, plain, read
from broker.watching import MakeLink
from stoker.core.messages import LinkUp, Message, Publish
from stoker.link.connection import LARGEST_PAYLOAD
from stoker.link.settings import File, Mqtt, WebSocket
from stoker.link.websocket import FrameError
from stoker.link.websocket import WebSocket as Socket


@pytest.fixture
def web(mosquitto: MakeBroker, authority: Authority) -> Mosquitto:
    """Mosquitto with TLS, WebSockets and, on a second port, plain MQTT."""
    return mosquitto(authority=authority, websockets=True).start()


def settings(broker: Mosquitto, **changes: Any) -> Mqtt:
    return broker.settings(transport="websockets", **changes)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_over_tls_with_everything_that_a_daemon_says_and_hears(web: Mosquitto, link: MakeLink, protocol: str) -> None:
    line, heard = link(settings(web, protocol=protocol), "orders/#", "TEMPERATURE")
    assert heard.next(LinkUp).protocol == protocol
    line.publish(Publish("TEMPERATURE", b"20.15", "reading"))
    assert heard.next(Message).payload == b"20.15"
    for size in (0, 1, 125, 126, 127, 1000, 16384, LARGEST_PAYLOAD):
        line.publish(Publish("orders/large", b"x" * size, "event"))
        assert heard.next(Message).payload == b"x" * size
    assert line.close(5), "all of it was acknowledged"


def test_without_tls_too(mosquitto: MakeBroker, link: MakeLink) -> None:
    web = mosquitto(websockets=True).start()
    _, heard = link(settings(web), "orders")
    heard.next(LinkUp)


def test_many_small_messages_come_in_few_frames_and_none_is_left_in_the_buffer(web: Mosquitto, link: MakeLink) -> None:
    line, heard = link(settings(web), "orders")
    heard.next(LinkUp)
    for number in range(150):
        line.publish(Publish("orders", b"%d" % number, "event"))
    assert [heard.next(Message).payload for _ in range(150)] == [b"%d" % number for number in range(150)]


def test_a_frozen_broker_is_noticed_within_one_and_a_half_keepalives(web: Mosquitto, link: MakeLink) -> None:
    _, heard = link(settings(web, keepalive=5.0), "orders")
    heard.next(LinkUp)
    web.freeze()
    frozen = time.monotonic()
    assert "has fallen silent: no answer to a ping" in heard.down("keepalive").text
    assert time.monotonic() - frozen < 7.5
    web.thaw()
    heard.next(LinkUp, timeout=20)


def test_a_line_that_is_cut_is_made_anew(web: Mosquitto, link: MakeLink) -> None:
    with Proxy(web) as proxy:
        _, heard = link(settings(web, port=proxy.port), "orders")
        heard.next(LinkUp)
        proxy.cut()
        heard.down("closed")
        proxy.restore()
        heard.next(LinkUp)


# --- servers that answer with something else --------------------------------------------------------------------------


class WebServer:
    """A web server of a few lines. `answer`: what a request is answered with; None: a WebSocket, handed to `serve`."""

    def __init__(self, answer: bytes | None, serve: Callable[[socket.socket], None] = lambda _: None) -> None:
        self.requests: list[str] = []
        self._answer = answer
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "WebServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                sock, _ = self._listener.accept()
                with sock, contextlib.suppress(EOFError, ConnectionError):
                    self._respond(sock)

    def _respond(self, sock: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += read(sock, 1)
        self.requests.append(request.decode())
        if self._answer is not None:
            sock.sendall(self._answer)
            return
        key = re.search("Sec-WebSocket-Key: (.+)\r\n", request.decode())
        assert key
        proof = base64.b64encode(hashlib.sha1((key[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept:" + proof + b"\r\n\r\n"
        )
        self._serve(sock)


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            "websocket",
            "127.0.0.1:{} opens no WebSocket at /mqtt: HTTP 404 Not Found: check mqtt.websocket.path and mqtt.port",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "websocket",
            "127.0.0.1:{} opens no WebSocket at /mqtt: HTTP 403 Forbidden: "
            "check mqtt.websocket.headers and the rights at the broker",
        ),
        (
            b"HTTP/1.1 503 Service\x07 Unavailable\r\n\r\n",
            "broker-unavailable",
            "127.0.0.1:{} opens no WebSocket at /mqtt: HTTP 503 Service Unavailable",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\n<html>",
            "websocket",
            "127.0.0.1:{} opens no WebSocket at /mqtt: HTTP 200 OK: check mqtt.websocket.path and mqtt.port",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: guessed\r\n\r\n",
            "websocket",
            "127.0.0.1:{} opens a WebSocket at /mqtt that is not for MQTT",
        ),
        (
            connack(0),
            "websocket",
            "127.0.0.1:{} does not speak HTTP: is that its port for WebSockets? (mqtt.port)",
        ),
        (
            b"HTTP/1.1 200 " + b"x" * 100_000,
            "websocket",
            "127.0.0.1:{} opens no WebSocket at /mqtt: HTTP 200 "
            + "x" * 56
            + ": check mqtt.websocket.path and mqtt.port",
        ),
    ],
    ids=["404", "403", "503", "a page", "another socket", "no HTTP", "endless"],
)
def test_what_answers_is_no_websocket(link: MakeLink, answer: bytes, reason: str, text: str) -> None:
    with WebServer(answer) as server:
        _, heard = link(plain(server.port, transport="websockets"))
        assert heard.down(reason).text == text.format(server.port)


def test_a_token_in_the_path_is_not_told(link: MakeLink) -> None:
    with WebServer(b"HTTP/1.1 404 Not Found\r\n\r\n") as server:
        _, heard = link(plain(server.port, transport="websockets", websocket=WebSocket(path="/mqtt?token=hunter2")))
        text = heard.down("websocket").text
        assert "opens no WebSocket at /mqtt: HTTP 404 Not Found" in text
        assert "GET /mqtt?token=hunter2 HTTP/1.1" in server.requests[0]


def test_a_host_in_other_letters_is_asked_for_in_those_of_the_web(
    link: MakeLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, port, **more: ask("127.0.0.1", port, **more))
    with WebServer(b"HTTP/1.1 404 Not Found\r\n\r\n") as server:
        _, heard = link(plain(server.port, transport="websockets", host="брокер.example"))
        heard.down("websocket")
        assert f"\r\nHost: xn--90aiopjd.example:{server.port}\r\n" in server.requests[0]


def test_headers_path_and_a_secret_from_a_file(link: MakeLink, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer hunter2\n")
    websocket = WebSocket(path="/ws?x=1", headers={"X-Shed": "yes", "Authorization": File(str(secret))})
    with WebServer(b"HTTP/1.1 401 Unauthorized\r\n\r\n") as server:
        _, heard = link(plain(server.port, transport="websockets", websocket=websocket))
        assert "hunter2" not in heard.down("websocket").text
        (request, *_) = server.requests
    assert request.startswith(f"GET /ws?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n")
    assert "\r\nX-Shed: yes\r\nAuthorization: Bearer hunter2\r\n\r\n" in request


@pytest.mark.parametrize(("content", "text"), [("a\nb", "holds more than one line of text"), ("", "is empty")])
def test_a_header_file_that_holds_no_header(link: MakeLink, tmp_path: Path, content: str, text: str) -> None:
    secret = tmp_path / "token"
    secret.write_text(content)
    websocket = WebSocket(headers={"Authorization": File(str(secret))})
    _, heard = link(plain(9, transport="websockets", websocket=websocket))
    assert heard.down("password-file").text == f"mqtt.websocket.headers.Authorization: {secret} {text}"


def test_a_server_that_never_ends_its_answer(link: MakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stoker.link.dial.HANDSHAKE_TIMEOUT", 0.5)

    def drip(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            for _ in range(200):
                sock.sendall(b"X: y\r\n")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: drip(listener.accept()[0]), daemon=True).start()
        _, heard = link(plain(listener.getsockname()[1], transport="websockets"))
        assert heard.down("websocket", timeout=5).text.endswith("(mqtt.port)")


# --- frames -----------------------------------------------------------------------------------------------------------


def frame(payload: bytes, kind: int = 2, final: bool = True) -> bytes:
    """A frame as a server sends it."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + struct.pack("!H", size) if size < 65536 else b""
    return bytes([0x80 * final | kind]) + (length or b"\x7f" + struct.pack("!Q", size)) + payload


def unmasked(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames that a client sent: kind and payload."""
    while data:
        size, start = data[1] & 0x7F, 2
        assert data[1] & 0x80, "a client masks"
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        mask, body = data[start : start + 4], data[start + 4 : start + 4 + size]
        yield data[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(body))
        data = data[start + 4 + size :]


@pytest.fixture
def pair() -> Iterator[tuple[Socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield Socket(ours), theirs


def drained(web: Socket) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := web.recv(1000):
            data += chunk
    return data


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans(), st.binary(max_size=125)), max_size=8),
    st.lists(st.integers(1, 200), max_size=30),
)
def test_however_frames_are_cut_the_bytes_arrive(parts: list[tuple[bytes, bool, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frame(data, final=final) + frame(ping, 9) for data, final, ping in parts)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        web, data = Socket(ours), b""
        for size in [*cuts, len(stream) + 1]:
            theirs.sendall(stream[:size])
            stream = stream[size:]
            data += drained(web)
        assert data == b"".join(part for part, _, _ in parts)
        assert web.pending() == 0
        pongs = list(unmasked(theirs.recv(100_000))) if parts else []
        assert pongs == [(10, ping) for _, _, ping in parts]


def test_a_line_that_takes_only_parts_gets_all_of_them_in_order(pair: tuple[Socket, socket.socket]) -> None:
    web, theirs = pair
    packets = [bytes([number]) * 90_000 for number in range(20)]
    waiting, received, blocked = list(packets), b"", 0
    theirs.setblocking(False)
    while waiting:
        try:
            assert web.send(waiting[0]) == 90_000
            waiting.pop(0)
        except BlockingIOError:
            blocked += 1
            received += theirs.recv(10_000)
    with contextlib.suppress(BlockingIOError):
        while True:
            received += theirs.recv(100_000)
    assert [body for _, body in unmasked(received)] == packets
    assert blocked > 10


def test_a_ping_in_the_middle_of_a_packet_that_waits(pair: tuple[Socket, socket.socket]) -> None:
    web, theirs = pair
    with pytest.raises(BlockingIOError):
        web.send(b"x" * 5_000_000)
    theirs.sendall(frame(b"there?", 9))
    with pytest.raises(BlockingIOError):
        web.recv(1)
    received = b""
    theirs.setblocking(False)
    sent = 0
    while not sent:
        received += theirs.recv(1_000_000)
        with contextlib.suppress(BlockingIOError):
            sent = web.send(b"x" * 5_000_000)
    with contextlib.suppress(BlockingIOError):
        while True:
            received += theirs.recv(1_000_000)
    assert [(kind, len(body)) for kind, body in unmasked(received)] == [(2, 5_000_000), (10, 6)]


@pytest.mark.parametrize(
    "data",
    [frame(b"text", 1), frame(b"x", 3), b"\x82\x81mask!", b"\xc2\x01x", frame(b"x" * 126, 9)],
    ids=["text", "reserved kind", "masked", "compressed", "large ping"],
)
def test_what_is_no_frame_of_mqtt(pair: tuple[Socket, socket.socket], data: bytes) -> None:
    web, theirs = pair
    theirs.sendall(data)
    with pytest.raises(FrameError):
        web.recv(1)


@pytest.mark.parametrize("end", [b"", frame(b"\x03\xe8", 8)], ids=["closes", "says so before"])
def test_what_came_before_the_end_is_read_and_then_it_is_the_end(
    pair: tuple[Socket, socket.socket], end: bytes
) -> None:
    web, theirs = pair
    theirs.sendall(frame(b"last words") + end)
    theirs.shutdown(socket.SHUT_WR)
    assert drained(web) == b"last words"
    assert web.recv(1) == b""


def test_a_frame_of_exabytes_fills_no_memory(pair: tuple[Socket, socket.socket]) -> None:
    web, theirs = pair
    theirs.sendall(b"\x82\x7f" + (2**62).to_bytes(8))
    for _ in range(100):
        theirs.sendall(b"x" * 10_000)
        assert len(drained(web)) == 10_000
        assert web.pending() == 0


def test_garbage_in_the_middle_is_told(link: MakeLink) -> None:
    def serve(sock: socket.socket) -> None:
        read(sock, 1)
        sock.sendall(frame(connack(0, 5)) + frame(b"hello", 1))
        with contextlib.suppress(OSError):
            sock.recv(10_000)
            sock.recv(10_000)

    with WebServer(None, serve) as server:
        _, heard = link(plain(server.port, transport="websockets"))
        assert "sent no proper WebSocket: no binary WebSocket frame of a server" in heard.down("malformed").text
