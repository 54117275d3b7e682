"""The real daemon, a real broker with TLS, the proxy between them, and a witness at the broker who misses nothing.

Why the witness misses nothing although the broker dies: Mosquitto hands a message to the witness's socket before it
acknowledges it to its sender (`max_inflight_messages 0`). Before it is killed the line is frozen and a mark of the
witness's own has come back, so all that the daemon knows as acknowledged has been heard. The line stands again only
after the witness does.
"""

import contextlib
import itertools
import random
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec.json import encode

from broker.mosquitto import Authority, Mosquitto
from broker.proxy import Proxy
from broker.watching import Observer
from daemon.house import House
from daemon.running import mqtt
from soak.model import Order, Span, Weight

KEEPALIVE = 5.0  # seconds
INTERVAL = 0.2  # seconds between two readings
LATE = 1.5 * KEEPALIVE + 1.0  # seconds; what is under way when the line freezes may arrive until that is noticed
LIFETIME = 2.0  # seconds; of an order that carries its time
ORDER_EVERY = (6.5, 9.0)  # seconds; the log tells of ten in a minute
LINES = ("max_inflight_messages 0", "max_queued_messages 0")
MARK = "soak/mark"
TARGET_SET = "stoker/shed/room/target/set"

HOUSE = f"""
clock = "trusted"
[thermometers.inside]
driver = "counter"
log = "{{made}}"
start = -90.0
interval = {INTERVAL}
minimum = -100
maximum = 1000
max_rate = 0
[heaters.radiator]
driver = "clocked"
log = "{{relay}}"
[zones.room]
thermometer = "inside"
heater = "radiator"
target_max = 300.0
max_temperature = 350.0
order_lifetime = {LIFETIME}
"""


class Stage:
    """Everything that plays, while entered. `wait` lets time pass, and looks at everything meanwhile."""

    def __init__(self, directory: Path, chance: random.Random, **changes: object) -> None:
        self.chance = chance
        self._order_chance = random.Random(chance.random())  # of its own, so that a seed's faults hang on no clock
        self.made_log = directory / "shed" / "made"
        self.broker = Mosquitto(directory, authority=Authority(directory / "authority"), lines=LINES)
        self.proxy = Proxy(self.broker)
        keys = {"port": self.proxy.port, "keepalive": f"{KEEPALIVE:g}s", **changes}
        self.house = House(directory, HOUSE.replace("{made}", str(self.made_log)) + mqtt(self.broker, **keys))
        self.orders: list[Order] = []
        self.obeyed: list[tuple[float, str]] = []
        self.weights: list[tuple[float, Weight]] = []
        self.excused: list[Span] = []
        self.cut = False  # the line, so no order can get through
        self.deaf = False  # the broker
        self._marks = itertools.count()
        self._targets = itertools.count(500)
        self._next_order = self._next_weight = 0.0
        self._log_read = 0

    @contextlib.contextmanager
    def __call__(self) -> Iterator["Stage"]:
        with contextlib.ExitStack() as stack:
            stack.callback(self.broker.kill)
            self.broker.start()
            stack.enter_context(self.proxy)
            self.witness = Observer(self.broker, "#")
            stack.callback(self.witness.close)
            stack.callback(self.house.kill)
            self.house.start()
            self.house.wait_for_log("connected to")
            yield self

    # --- time ---------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self._read_log(now)
            if now >= self._next_order and not self.deaf:
                self._order(now)
            if now >= self._next_weight:
                self._next_weight = now + 1.0
                self.weights.append((now, self.weigh()))
            time.sleep(min(0.05, max(0.0, end - time.monotonic())))

    def _order(self, now: float) -> None:
        """An order that no other is like: some carry their time, some are retained, some expire."""
        self._next_order = now + self._order_chance.uniform(*ORDER_EVERY)
        target = f"{next(self._targets) / 100:.2f}"
        stamped = self._order_chance.random() < 0.5
        payload = encode({"value": float(target), "time": datetime.now(UTC)}) if stamped else target.encode()
        self.orders.append(Order(now, target, LIFETIME + 1.0 if stamped else LATE, self.cut))
        expiry = {"MessageExpiryInterval": 1} if self._order_chance.random() < 0.3 else {}
        self.witness.say(TARGET_SET, payload, retain=self._order_chance.random() < 0.3, **expiry)

    def _read_log(self, now: float) -> None:
        with (self.house.directory / "log").open() as log:
            log.seek(self._log_read)
            text = log.read()
        whole, newline, _ = text.rpartition("\n")
        self._log_read += len((whole + newline).encode())
        self.obeyed += [(now, f"{float(target):.2f}") for target in re.findall(r"room: ordered target (\S+)", whole)]

    def weigh(self) -> Weight:
        """What the daemon holds now."""
        assert self.house.process is not None
        process = Path(f"/proc/{self.house.process.pid}")
        threads = int((process / "status").read_text().partition("Threads:")[2].split()[0])
        return Weight(self.house.memory(), threads, len(list((process / "fd").iterdir())))

    # --- what is known ------------------------------------------------------------------------------------------------

    def made(self) -> list[tuple[float, str]]:
        """Every reading that was made, and when."""
        lines = self.made_log.read_text().splitlines()
        return [(float(at), payload) for at, payload in map(str.split, lines)]

    def heard(self) -> list[tuple[str, bytes]]:
        """Everything that the witness heard: topics and payloads."""
        return [(message.topic, bytes(message.payload)) for message in list(self.witness.messages)]

    # --- the broker and the daemon ------------------------------------------------------------------------------------

    def kill_broker(self) -> None:
        """It vanishes with all that it remembers."""
        self.proxy.freeze()
        mark = b"%d" % next(self._marks)
        self.witness.say(MARK, mark)
        self.witness.wait_for(lambda: self.witness.payloads(MARK)[-1:] == [mark], "the mark")
        self.deaf = True
        self.witness.lost()
        self.broker.kill()
        self.proxy.cut()

    def start_broker(self) -> None:
        """And comes back without."""
        self.broker.start()
        self.witness.back()
        self.deaf = False
        self.proxy.restore()

    def restart_daemon(self) -> None:
        """In an orderly way. What is measured while it ends is nobody's."""
        begin = time.monotonic()
        assert self.house.stop() == 0, self.house.log
        self.house.start()
        self.excused.append(Span(begin - INTERVAL, time.monotonic()))
