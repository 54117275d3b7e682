"""One daemon at work: its broker, its sensor, its relay, who watches it, and somebody who gives orders.

Rule: what a daemon did with its orders is read from the relay's own file, in order. One that skipped an order, or gave
one twice, has no figure: `obeyed` raises `SkippedError`.
"""

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from broker.mosquitto import USERS, Authority, Mosquitto, free_port
from cost.client import Client, Said
from cost.daemons import Daemon

WATCHDOG = 10.0  # seconds, as in stoker.service
PATIENCE = 30.0  # seconds that a daemon may take for anything that it does at all
STALL = 5.0  # seconds in which nothing happens to the relay, though there are orders
USER, OBSERVER = "shed", "observer"


class SkippedError(RuntimeError):
    """The relay did not do what was ordered."""


class Work(NamedTuple):
    """What a daemon has to do, in seconds. `conversion`: how long each read takes; None: no time at all."""

    interval: float = 1.0
    keepalive: int = 60
    conversion: float | None = None


class Sensor:
    """A DS18B20 as Linux shows it. With a `conversion` each reading has a value of its own."""

    def __init__(self, folder: Path, conversion: float | None) -> None:
        self.file = folder / "28-000005e2fdc3" / "w1_slave"
        self.file.parent.mkdir(parents=True)
        self.given: list[tuple[float, str]] = []  # when, and °C with two digits
        self._conversion, self._ended = conversion, False
        if conversion is None:
            self.file.write_text(_w1_slave(20.0))
        else:
            os.mkfifo(self.file)
            self._thread = threading.Thread(target=self._serve, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """No further reading."""
        if self._conversion is not None:
            self._ended = True
            with contextlib.suppress(OSError):
                os.close(os.open(self.file, os.O_RDONLY | os.O_NONBLOCK))  # it waits for a reader

    def _serve(self) -> None:
        next_file = self.file.with_suffix(".next")
        while True:
            pipe = os.open(self.file, os.O_WRONLY)  # until somebody reads
            if self._ended:
                return os.close(pipe)
            os.mkfifo(next_file)
            next_file.rename(self.file)  # whoever reads next gets the next value
            time.sleep(self._conversion or 0.0)
            celsius = 18.0 + 0.01 * (len(self.given) % 400)
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, _w1_slave(celsius).encode())
                self.given.append((time.perf_counter(), f"{celsius:.2f}"))
            os.close(pipe)


def _w1_slave(celsius: float) -> str:
    scratchpad = "72 01 4b 46 7f ff 0e 10 57"
    return f"{scratchpad} : crc=57 YES\n{scratchpad} t={round(celsius * 1000)}\n"


class Watchdog:
    """Who listens at NOTIFY_SOCKET, as systemd would. `fed`: how often it was told that the daemon is alive."""

    def __init__(self, path: Path) -> None:
        self.fed = 0
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with self._socket:
            while message := self._socket.recv(4096):
                self.fed += b"WATCHDOG=1" in message.split(b"\n")

    def close(self) -> None:
        """An empty message ends it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.environment["NOTIFY_SOCKET"])
        self._thread.join()


class Stage:
    """A daemon that is started when this is entered and ended when it is left. `folder` is for all its files."""

    def __init__(self, daemon: Daemon, folder: Path, authority: Authority, work: Work) -> None:
        folder.mkdir(parents=True)
        self.daemon, self.folder = daemon, folder
        self.port = free_port()
        # Mosquitto appends the certificate, which belongs to the listener named last: the daemon's. Ours has none.
        lines = ("set_tcp_nodelay true", "log_type none", f"listener {self.port} 127.0.0.1")
        self.broker = Mosquitto(folder, authority=authority, lines=lines)
        self.sensor = Sensor(folder / "w1", work.conversion)
        self.relay = folder / "relay"
        self.relay.touch()
        self.watchdog = Watchdog(folder / "notify")
        self.words = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "ca": str(authority.ca_file),
            "user": USER,
            "password": USERS[USER],
            "password_file": str(self.broker.password_file(USER)),
            "interval": f"{work.interval:g}",
            "keepalive": str(work.keepalive),
            "w1": str(folder / "w1"),
            "sensor": str(self.sensor.file),
            "relay": str(self.relay),
            "folder": str(folder),
        }

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.callback(self.watchdog.close)
            stack.callback(self.sensor.close)
            stack.callback(self.broker.stop)
            self.broker.start()
            self.client = stack.enter_context(contextlib.closing(self.connect()))
            self._process = self._start()
            stack.callback(self._stop)
            self._end = stack.pop_all().close
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def connect(self) -> Client:
        """Somebody who hears what the daemon says."""
        client = Client(self.broker.port, OBSERVER, USERS[OBSERVER])
        client.subscribe(*filter(None, (self.daemon.temperature, self.daemon.report, self.daemon.past)))
        return client

    def _start(self) -> subprocess.Popen[bytes]:
        for name, text in self.daemon.files.items():
            (self.folder / name).write_text(self.filled(text))
        words = {f"BENCH_{name.upper()}": word for name, word in self.words.items()}
        command = [self.filled(word) for word in self.daemon.command]
        environment = {**os.environ, **words, **self.watchdog.environment}
        with (self.folder / "log").open("wb") as log:
            self.begun = time.perf_counter()
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def filled(self, text: str) -> str:
        """The text with the words that are only known now."""
        for name, word in self.words.items():
            text = text.replace("{" + name + "}", word)
        return text

    @property
    def pid(self) -> int:
        """Of the daemon, which must be alive."""
        if self._process.poll() is not None:
            last = (self.folder / "log").read_text()[-500:]
            raise RuntimeError(f"{self.daemon.name} ended with {self._process.returncode}: {last}")
        return self._process.pid

    # --- what it says -------------------------------------------------------------------------------------------------

    def hear(self, timeout: float) -> Iterator[Said]:
        """What is said within this time, as it comes."""
        end = time.perf_counter() + timeout
        while (left := end - time.perf_counter()) > 0:
            yield from self.client.poll(left)

    def quiet(self, seconds: float) -> None:
        """Let everything come to rest."""
        for _ in self.hear(seconds):
            pass

    def wait_for_temperature(self) -> float:
        """When the next one was heard."""
        end = time.perf_counter() + PATIENCE
        while self.pid and time.perf_counter() < end:
            if any(topic == self.daemon.temperature for topic, _ in self.client.poll(0.5)):
                return time.perf_counter()
        raise TimeoutError(f"{self.daemon.name} says no temperature")

    # --- orders -------------------------------------------------------------------------------------------------------

    def order(self, on: bool, timeout: float = PATIENCE) -> float | None:
        """Give one; the seconds until it was reported as carried out, or None."""
        begun = time.perf_counter()
        self.client.publish(self.daemon.order, [_word(on)])
        reported = (self.daemon.report, _word(on))
        return next((time.perf_counter() - begun for said in self.hear(timeout) if said == reported), None)

    def wait_for_obedience(self) -> float:
        """When the first order was obeyed: one is given each 2 ms."""
        end = time.perf_counter() + PATIENCE
        while self.pid and time.perf_counter() < end:
            if self.order(True, timeout=0.002) is not None:
                return time.perf_counter()
        raise TimeoutError(f"{self.daemon.name} obeys no order")

    def ready(self) -> None:
        """Wait until it obeys, and leave it off."""
        self.wait_for_obedience()
        self.quiet(0.3)
        self.order(False)
        self.quiet(0.2)

    @contextlib.contextmanager
    def obeyed(self, count: int) -> Iterator[None]:
        """Raise SkippedError unless the relay was switched within as `count` orders say that alternate from on."""
        before = self.relay.read_bytes()
        yield
        wait_until(lambda: self.relay.stat().st_size >= len(before) + count, 2.0)
        if self.relay.read_bytes() != before + (b"10" * count)[:count]:
            switched = self.relay.stat().st_size - len(before)
            raise SkippedError(
                f"{self.daemon.name}: {count} orders, and the relay was switched {switched} times, or wrongly"
            )

    def flood(self, count: int, window: int) -> float:
        """Give so many orders, never more than `window` unanswered; the seconds until the last was obeyed and reported.

        SkippedError as from `obeyed`.
        """
        given, answered = 0, 0
        begun = moved = time.perf_counter()
        with self.obeyed(count):
            while answered < count:
                if (room := min(window - (given - answered), count - given)) > 0:
                    self.client.publish(self.daemon.order, [_word((given + k) % 2 == 0) for k in range(room)])
                    given += room
                reports = sum(topic == self.daemon.report for topic, _ in self.client.poll(STALL))
                now, answered = time.perf_counter(), answered + reports
                if reports:
                    moved = now
                elif now - moved > STALL:
                    raise SkippedError(f"{self.daemon.name}: of {given} orders {answered} were answered, and no more")
        self.quiet(0.3)
        return moved - begun


def _word(on: bool) -> bytes:
    return b"ON" if on else b"OFF"


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Whether it came true in that time."""
    end = time.perf_counter() + timeout
    while not condition():
        if time.perf_counter() > end:
            return False
        time.sleep(0.005)
    return True


@contextlib.contextmanager
def together(stages: Sequence[Stage]) -> Iterator[Sequence[Stage]]:
    """All at work at once, each with a broker of its own."""
    with contextlib.ExitStack() as stack:
        for stage in stages:
            stack.enter_context(stage)
        for stage in stages:
            stage.ready()
        yield stages
