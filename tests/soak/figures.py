"""How long a loss takes to be noticed and mended, and what it costs: figures over 30 rounds each.

Ten daemons at one broker behind one proxy, so three rounds of each kind make thirty, each in another phase of its
daemon's readings and pings. All is as configured by default, but for a keepalive of 10 s and a reading each second.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from broker.mosquitto import Authority, Mosquitto
from broker.proxy import Proxy
from broker.watching import Observer
from daemon.house import House
from daemon.running import mqtt
from soak import model

HOUSES, ROUNDS = 10, 3
KEEPALIVE = 10.0  # seconds
CALM = 8.0  # seconds between two rounds, so that each loss is news
PATIENCE = 180.0  # seconds

HOUSE = """
clock = "trusted"
[thermometers.inside]
driver = "counter"
log = "{made}"
start = -90.0
interval = 1
publish = "{topic}"
minimum = -100
maximum = 1000
max_rate = 0
"""


class Street:
    """The daemons, while entered. `speaks`: they publish what they measure."""

    def __init__(self, directory: Path, speaks: bool = True) -> None:
        directory.mkdir()
        self._speaks = speaks
        self.broker = Mosquitto(directory, authority=Authority(directory / "authority"))
        self.proxy = Proxy(self.broker)
        self.houses = [self._house(directory, f"house{number}", speaks) for number in range(HOUSES)]

    def _house(self, directory: Path, name: str, speaks: bool) -> House:
        keys = {"port": self.proxy.port, "keepalive": f"{KEEPALIVE:g}s", "reconnect_max": "10s"}
        text = HOUSE.replace("{made}", str(directory / name / "made")).replace("{topic}", f"T/{name}" if speaks else "")
        return House(directory, text + mqtt(self.broker, **keys), name)

    @contextlib.contextmanager
    def __call__(self) -> Iterator["Street"]:
        with contextlib.ExitStack() as stack:
            stack.callback(self.broker.kill)
            self.broker.start()
            stack.enter_context(self.proxy)
            self.witness = Observer(self.broker, "#")
            stack.callback(self.witness.close)
            for house in self.houses:
                stack.callback(house.kill)
                house.start()
            self.calm()
            yield self

    def calm(self) -> None:
        """Until all are connected and have said all, and then a while more."""
        _wait(lambda: all(house.log.rfind("connected to") > house.log.rfind("no broker") for house in self.houses))
        end = time.monotonic() + PATIENCE
        while any(self.readings(house).missing for house in self.houses) and time.monotonic() < end:
            time.sleep(0.5)
        time.sleep(CALM)

    def readings(self, house: House) -> model.Readings:
        """What became of this house's readings until a second ago."""
        name, made = house.directory.name, []
        if self._speaks and (house.directory / "made").exists():
            lines = (house.directory / "made").read_text().splitlines()
            made = [(float(at), payload) for at, payload in map(str.split, lines)]
        heard = [(message.topic, bytes(message.payload)) for message in list(self.witness.messages)]
        topics = {f"T/{name}": model.TEMPERATURE, f"stoker/{name}/backlog": model.BACKLOG}
        own = [
            (topics[topic], payload.replace(f"T/{name}".encode(), model.TEMPERATURE.encode()))
            for topic, payload in heard
            if topic in topics
        ]
        return model.readings(made, own, [model.Span(time.monotonic() - 1.0, time.monotonic())])

    def notice(self, fault: Callable[[], None]) -> list[float]:
        """Seconds from the fault until each daemon says that its line is gone."""
        before = [house.log.count("no broker") for house in self.houses]
        begin, times = time.monotonic(), [0.0] * HOUSES
        fault()

        def noticed() -> bool:
            for number, house in enumerate(self.houses):
                if not times[number] and house.log.count("no broker") > before[number]:
                    times[number] = time.monotonic() - begin
            return all(times)

        _wait(noticed)
        self.proxy.restore()
        return times

    def recover(self, outage: float) -> list[float]:
        """Seconds from when the broker can be reached again until each daemon's first message."""
        self.proxy.cut()
        time.sleep(outage)
        seen, begin, times = len(self.witness.messages), time.monotonic(), [0.0] * HOUSES
        self.proxy.restore()

        def back() -> bool:
            online = {
                message.topic: message.timestamp - begin
                for message in reversed(self.witness.messages[seen:])
                if message.topic.endswith("/availability") and message.payload == b"online"
            }
            for number, house in enumerate(self.houses):
                times[number] = online.get(f"stoker/{house.directory.name}/availability", 0.0)
            return all(times)

        _wait(back)
        return times


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def figures(directory: Path, tell: Callable[[str], None]) -> str:
    """All of them, as a table."""
    rows: list[tuple[str, Sequence[float], int, int]] = []

    def rounds(street: Street, what: str, one: Callable[[], list[float]]) -> None:
        tell(what)
        before, times = [street.readings(house) for house in street.houses], []
        for _ in range(ROUNDS):
            times += one()
            street.calm()
        after = [street.readings(house) for house in street.houses]
        lost = sum(len(now.missing) - len(then.missing) for then, now in zip(before, after, strict=True))
        repeated = sum(now.repeated - then.repeated for then, now in zip(before, after, strict=True))
        rows.append((what, times, lost, repeated))

    with Street(directory / "speaking")() as street:
        proxy = street.proxy
        rounds(street, "cut: noticed", lambda: street.notice(proxy.cut))
        rounds(street, "reset: noticed", lambda: street.notice(proxy.reset))
        rounds(street, "frozen, a reading each second: noticed", lambda: street.notice(proxy.freeze))
        rounds(street, "away for 5 s: first message after", lambda: street.recover(5.0))
        rounds(street, "away for 70 s: first message after", lambda: street.recover(70.0))
        wrong = [complaint for house in street.houses for complaint in street.readings(house).complaints]
    with Street(directory / "silent", speaks=False)() as street:
        rounds(street, "frozen, nothing to say: noticed", lambda: street.notice(street.proxy.freeze))
    return _table(rows) + "".join(f"\nWRONG: {complaint}" for complaint in wrong)


def _table(rows: Sequence[tuple[str, Sequence[float], int, int]]) -> str:
    lines = [
        f"Over {HOUSES * ROUNDS} rounds each ({HOUSES} daemons at one broker, {ROUNDS} times), with a keepalive of"
        f" {KEEPALIVE:g} s and a reading each second.",
        "",
        "| | median, s | worst, s | readings lost | repeated, marked |",
        "|---|---|---|---|---|",
    ]
    for what, times, lost, repeated in rows:
        lines.append(f"| {what} | {statistics.median(times):.2f} | {max(times):.2f} | {lost} | {repeated} |")
    return "\n".join(lines)
