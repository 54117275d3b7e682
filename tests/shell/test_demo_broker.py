"""The demo's broker, both kinds of it, seen by a real client that verifies its certificate.

Retained messages, wildcards, QoS 1 and wills work; strangers' authorities and ports in use are told clearly; nothing is
left behind, neither after Ctrl-C nor after a kill.
"""

import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from stoker.demo.broker import BrokerError, DemoBroker, Kind

TIMEOUT = 10.0  # s
DAEMON = Path(__file__).parents[2] / "daemon"

mosquitto_here = pytest.mark.skipif(
    not shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"),
    reason="needs mosquitto",
)
both_kinds = pytest.mark.parametrize("kind", ["amqtt", pytest.param("mosquitto", marks=mosquitto_here)])


class Client:
    """A paho client with what arrived, in order."""

    def __init__(self, broker: DemoBroker, will: tuple[str, str] | None = None, host: str = "") -> None:
        self.arrived: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self._granted: queue.Queue[bool] = queue.Queue()
        joined, self._left = threading.Event(), threading.Event()
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self.paho.tls_set_context(ssl.create_default_context(cafile=broker.ca_file))
        self.paho.on_message = lambda _c, _u, m: self.arrived.put((m.topic, bytes(m.payload), m.retain))
        self.paho.on_subscribe = lambda _c, _u, _m, codes, _p: self._granted.put(not codes[0].is_failure)
        self.paho.on_connect = lambda *_: joined.set()
        self.paho.on_disconnect = lambda *_: self._left.set()
        if will:
            self.paho.will_set(*will, qos=1, retain=True)
        self.paho.connect(host or broker.host, broker.port)
        self.paho.loop_start()
        assert joined.wait(TIMEOUT)

    def publish(self, topic: str, payload: str, retain: bool = False) -> None:
        self.paho.publish(topic, payload, qos=1, retain=retain).wait_for_publish(TIMEOUT)

    def subscribe(self, topic_filter: str) -> None:
        self.paho.subscribe(topic_filter, qos=1)
        assert self._granted.get(timeout=TIMEOUT)

    def next(self) -> tuple[str, bytes, bool]:
        return self.arrived.get(timeout=TIMEOUT)

    def vanish(self) -> None:
        """Go without a goodbye, as a machine does whose power fails."""
        self.paho.loop_stop()
        line = self.paho.socket()
        assert line is not None
        line.close()

    def close(self) -> None:
        self.paho.disconnect()
        assert self._left.wait(TIMEOUT)
        self.paho.loop_stop()


@contextmanager
def client(broker: DemoBroker, host: str = "") -> Iterator[Client]:
    joined = Client(broker, host=host)
    try:
        yield joined
    finally:
        joined.close()


@both_kinds
def test_what_is_retained_meets_who_comes_later_by_a_wildcard(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker, client(broker) as early, client(broker, "localhost") as late:
        assert broker.kind == kind
        early.publish("stoker/shed/room/target", "20.5", retain=True)
        late.subscribe("stoker/#")
        assert late.next() == ("stoker/shed/room/target", b"20.5", True)
        early.publish("stoker/shed/room/target", "21", retain=True)
        assert late.next() == ("stoker/shed/room/target", b"21", False)


@both_kinds
def test_a_reading_reaches_its_listener_and_is_not_kept(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker, client(broker) as sender, client(broker) as listener:
        listener.subscribe("TEMPERATURE")
        sender.publish("TEMPERATURE", "20.15")
        assert listener.next() == ("TEMPERATURE", b"20.15", False)
        with client(broker) as newcomer:
            newcomer.subscribe("#")
            sender.publish("TEMPERATURE", "20.25")
            assert newcomer.next() == ("TEMPERATURE", b"20.25", False)


@both_kinds
def test_a_newcomer_hears_only_what_it_subscribed_to(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker, client(broker) as watcher:
        watcher.subscribe("#")
        watcher.publish("stoker/shed/room/mode/set", "heat", retain=True)
        watcher.publish("mine", "kept", retain=True)
        with client(broker) as newcomer:
            newcomer.subscribe("mine")
            assert newcomer.next() == ("mine", b"kept", True)
            assert newcomer.arrived.empty()


@both_kinds
def test_a_client_that_vanishes_leaves_its_will(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker, client(broker) as watcher:
        watcher.subscribe("+/+/availability")
        stoker = Client(broker, will=("stoker/shed/availability", "offline"))
        stoker.publish("stoker/shed/availability", "online", retain=True)
        assert watcher.next() == ("stoker/shed/availability", b"online", False)
        stoker.vanish()
        assert watcher.next() == ("stoker/shed/availability", b"offline", False)
        with client(broker) as newcomer:
            newcomer.subscribe("#")
            assert newcomer.next() == ("stoker/shed/availability", b"offline", True)


@both_kinds
def test_a_client_that_says_goodbye_leaves_no_will(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker, client(broker) as watcher:
        watcher.subscribe("#")
        stoker = Client(broker, will=("stoker/shed/availability", "offline"))
        stoker.close()
        watcher.publish("after", "the goodbye")
        assert watcher.next() == ("after", b"the goodbye", False)


@both_kinds
def test_only_who_trusts_its_authority_joins(tmp_path: Path, kind: Kind) -> None:
    with (
        DemoBroker(tmp_path, prefer=kind) as broker,
        socket.create_connection((broker.host, broker.port), TIMEOUT) as line,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(line, server_hostname=broker.host)


@both_kinds
def test_only_the_owner_reads_its_key(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path / "not" / "made yet", prefer=kind) as broker:
        assert (broker.directory / "server.key").stat().st_mode & 0o777 == 0o600
        assert broker.ca_file.is_file()


@both_kinds
def test_its_port_is_free_again_afterwards(tmp_path: Path, kind: Kind) -> None:
    with DemoBroker(tmp_path, prefer=kind) as broker:
        port = broker.port
    with DemoBroker(tmp_path, port, prefer=kind) as again, client(again):
        assert again.port == port


@both_kinds
def test_a_port_in_use_is_told_by_its_number(tmp_path: Path, kind: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} on 127.0.0.1: Address already in use; choose another"):
            DemoBroker(tmp_path, port, prefer=kind).__enter__()


def test_a_directory_that_cannot_be_made_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BrokerError, match=r"cannot write to .*/file/demo: Not a directory; choose another directory"):
        DemoBroker(tmp_path / "file" / "demo").__enter__()


def test_a_mosquitto_that_does_not_start_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\necho Error: no luck today\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with DemoBroker(tmp_path / "demo") as broker, client(broker):
        assert broker.kind == "amqtt"
    with pytest.raises(BrokerError, match="mosquitto does not start: Error: no luck today"):
        DemoBroker(tmp_path / "demo", prefer="mosquitto").__enter__()


def connect_5_with_will() -> bytes:
    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "big") + value.encode()

    session_expiry = b"\x05\x11\x00\x00\x00\x3c"
    body = text("MQTT") + b"\x05\x2e\x00\x1e" + session_expiry + text("stoker-shed")
    body += b"\x00" + text("stoker/shed/availability") + text("offline")
    return bytes((0x10, len(body))) + body


def test_amqtt_refuses_mqtt_5_at_once_so_that_a_client_can_fall_back(tmp_path: Path) -> None:
    with (
        DemoBroker(tmp_path, prefer="amqtt") as broker,
        socket.create_connection((broker.host, broker.port), TIMEOUT) as plain,
        ssl.create_default_context(cafile=broker.ca_file).wrap_socket(plain, server_hostname="localhost") as line,
    ):
        line.sendall(connect_5_with_will())
        assert line.recv(100) == b"\x20\x02\x00\x01"  # unacceptable protocol version
        assert line.recv(100) == b""


# --- how it ends ------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time, pathlib, socket
from stoker.demo.broker import DemoBroker
with DemoBroker(pathlib.Path(sys.argv[1]), prefer="mosquitto") as broker:
    try:
        print(broker.port, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        socket.create_connection((broker.host, broker.port)).close()
        print("the broker outlives Ctrl-C", flush=True)
"""


@contextmanager
def program_with_broker(directory: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)],
        env={**os.environ, "PYTHONPATH": str(DAEMON)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert program.stdout is not None
        yield program, int(program.stdout.readline())
    finally:
        program.kill()
        program.communicate()


def wait_until_nobody_listens(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    pytest.fail(f"a broker still listens on port {port}")


@mosquitto_here
def test_ctrl_c_in_the_terminal_ends_the_program_first_and_then_its_broker(tmp_path: Path) -> None:
    with program_with_broker(tmp_path) as (program, port):
        os.killpg(program.pid, signal.SIGINT)
        said, _ = program.communicate(timeout=TIMEOUT)
        assert said == "the broker outlives Ctrl-C\n"
        assert program.returncode == 0
        wait_until_nobody_listens(port)


@mosquitto_here
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv")
def test_a_program_that_is_killed_leaves_no_broker_behind(tmp_path: Path) -> None:
    with program_with_broker(tmp_path) as (program, port):
        program.kill()
        wait_until_nobody_listens(port)
