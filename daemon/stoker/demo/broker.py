"""The demo's broker: MQTT with TLS on this machine alone, its certificates made on the spot.

A mosquitto on the machine is taken where there is one that starts; else amqtt runs in a thread of this process. amqtt
speaks 3.1.1 only, and knows neither keep-alive time-outs nor the take-over of a session by a second connection.
"""

import asyncio
import contextlib
import importlib
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from stoker import signals

HOST = "127.0.0.1"
START_TIMEOUT = 10.0  # s
STOP_TIMEOUT = 5.0  # s

Kind = Literal["mosquitto", "amqtt"]

_SBIN = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")  # where mosquitto lives; often not in a user's PATH
_CONNACK_WRONG_VERSION = b"\x20\x02\x00\x01"

_log = logging.getLogger(__name__)


class BrokerError(Exception):
    """The broker cannot start. One line: what happened and what to do."""


class DemoBroker:
    """A broker that lives as long as the `with` block; enter it in the main thread, before other threads.

    `directory` then holds ca.pem, with which any client can join. `port` 0 takes a free one. `prefer` insists on a
    kind. Raises BrokerError.
    """

    def __init__(self, directory: Path, port: int = 0, prefer: Kind | None = None) -> None:
        self.host = HOST
        self.port = port
        self.kind: Kind = prefer or "mosquitto"
        self.directory = directory.resolve()
        self.ca_file = self.directory / "ca.pem"
        self._prefer = prefer
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        try:
            _write_certificates(self.directory)
            self._start()
        except ModuleNotFoundError as error:
            raise BrokerError(f"{error.name} is not installed; it comes with: pip install 'stoker[demo]'") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _start(self) -> None:
        if self._prefer != "amqtt":
            try:
                self.port = self._parts.enter_context(_mosquitto(self.directory, self.port))
                self.kind = "mosquitto"
                return
            except BrokerError as error:
                if self._prefer:
                    raise
                _log.debug("no mosquitto, amqtt instead: %s", error)
        self.port = self._parts.enter_context(_amqtt(self.directory, self.port))
        self.kind = "amqtt"


def _write_certificates(directory: Path) -> None:
    """Make a new authority and a certificate of this machine; only the owner reads the key."""
    trustme: Any = importlib.import_module("trustme")
    authority = trustme.CA(organization_name="stoker demo")
    server = authority.issue_cert("localhost", HOST)
    key = directory / "server.key"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(server.private_key_pem.bytes())
        (directory / "server.pem").write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
        (directory / "ca.pem").write_bytes(authority.cert_pem.bytes())
    except OSError as error:
        raise BrokerError(f"cannot write to {directory}: {error.strerror}; choose another directory") from None


def _claim(port: int) -> socket.socket:
    """Bind the port, so that one in use is told by its number; 0 finds a free one."""
    claimed = socket.socket()
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((HOST, port))
    except OSError as error:
        claimed.close()
        raise BrokerError(f"port {port} on {HOST}: {error.strerror}; choose another, 0 takes a free one") from None
    return claimed


# --- mosquitto: a child process ---------------------------------------------------------------------------------------


@contextmanager
def _mosquitto(directory: Path, port: int) -> Generator[int]:
    program = shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN)))
    if not program:
        raise BrokerError("mosquitto is not on this machine")
    with _claim(port) as claimed:
        port = claimed.getsockname()[1]
    configuration = directory / "mosquitto.conf"
    configuration.write_text(
        # As root it would become the user "mosquitto", who cannot read the key. Not as root, `user` has no effect.
        f"user root\nlistener {port} {HOST}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        f"certfile {directory / 'server.pem'}\nkeyfile {directory / 'server.key'}\n"
        "log_dest stderr\nlog_type error\nlog_type warning\n"
    )
    log = directory / "mosquitto.log"
    # A session of its own: Ctrl-C in the terminal is for us, and the broker goes last. setpriv (Linux) execs it so that
    # it ends with us even when we are killed.
    setpriv = shutil.which("setpriv")
    tie = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a program by its full path, no shell
            [*tie, program, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_for_tls(port, directory / "ca.pem", process, log)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_tls(port: int, ca_file: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the broker shows its certificate; raise BrokerError with its last words when it does not."""
    context = ssl.create_default_context(cafile=ca_file)
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as line:
            context.wrap_socket(line, server_hostname=HOST).close()
            return
        time.sleep(0.02)
    words = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    raise BrokerError(f"mosquitto does not start: {words[-1]} (all of it: {log})")


# --- amqtt: a thread of this process ----------------------------------------------------------------------------------


@contextmanager
def _amqtt(directory: Path, port: int) -> Generator[int]:
    listener = _claim(port)
    ready: Future[Callable[[], object]] = Future()  # its result stops the broker

    def run() -> None:
        signals.block()
        try:
            asyncio.run(_serve(directory, listener, ready))
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    with listener:
        thread = threading.Thread(target=run, name="demo-broker", daemon=True)
        thread.start()
        stop = ready.result(START_TIMEOUT)
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(RuntimeError):  # its loop has ended by itself
                stop()
            thread.join(STOP_TIMEOUT)


async def _serve(directory: Path, listener: socket.socket, ready: Future[Callable[[], object]]) -> None:
    amqtt: Any = importlib.import_module("amqtt.broker")
    for talker in ("amqtt", "transitions"):  # they tell each client that comes or goes
        logging.getLogger(talker).setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = amqtt.Broker({"listeners": {"default": {"type": "external"}}, "plugins": plugins}, loop)
    _spare_newcomers(broker)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    await broker.start()
    server = await asyncio.start_server(partial(_welcome, broker), sock=listener, ssl=context)
    ended = asyncio.Event()
    ready.set_result(lambda: loop.call_soon_threadsafe(ended.set))
    await ended.wait()
    server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(broker.shutdown(), STOP_TIMEOUT / 2)


def _spare_newcomers(broker: Any) -> None:
    """Mend amqtt 0.12: each client that connects is sent what is retained on everybody's topics, not on its own."""
    send_retained = broker._publish_retained_messages_for_subscription

    async def send_to_subscriber(subscription: tuple[str, int], session: Any) -> None:
        if any(subscriber is session for subscriber, _ in broker._subscriptions.get(subscription[0], ())):
            await send_retained(subscription, session)

    broker._publish_retained_messages_for_subscription = send_to_subscriber


async def _welcome(broker: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Look at a client's CONNECT, then hand it to amqtt.

    amqtt takes MQTT 5's properties for the client's id: it waits for ever for a will that it misread, instead of
    refusing the version.
    """
    adapters: Any = importlib.import_module("amqtt.adapters")
    try:
        head = await reader.readexactly(2)
        while head[-1] & 0x80:  # the rest of "remaining length"
            head += await reader.readexactly(1)
        head += await reader.readexactly(7)
        if head.endswith(b"MQTT\x04"):
            await broker.external_connected(_Replay(head, reader), adapters.StreamWriterAdapter(writer), "default")
        else:
            writer.write(_CONNACK_WRONG_VERSION)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # it went away
    except Exception:  # the next client must find a broker
        _log.debug("a session ended by an error of the broker", exc_info=True)
    finally:
        writer.close()


class _Replay:
    """What amqtt reads from: first what was looked at, then the stream."""

    def __init__(self, head: bytes, stream: asyncio.StreamReader) -> None:
        self._head = head
        self._stream = stream

    async def read(self, n: int) -> bytes:
        taken, self._head = self._head[:n], self._head[n:]
        return taken + await self._stream.readexactly(n - len(taken))

    def feed_eof(self) -> None:
        self._stream.feed_eof()
