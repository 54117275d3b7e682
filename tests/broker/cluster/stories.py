"""The steps that the stories of all clusters share: a device that knows every node, and what others see of it.

Whoever looks on does so at a node that stays, and waits for a state, for as long as a cluster may take.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event, Thread

import msgspec

from broker.cluster.node import Cluster, Node
from broker.cluster.witness import Witness
from broker.watching import MakeLink
from daemon.running import ROOM, Daemon, MakeDaemon
from stoker.archive import Archive
from stoker.backlog import Backlog
from stoker.core.messages import LinkDown, LinkUp, Now, Publish
from stoker.link.link import Link
from stoker.link.settings import Mqtt, Tls

BASE = "stoker/shed"
PATIENCE = 120.0  # seconds
KEEPALIVE = 5.0  # seconds
NOTICED_WITHIN = 1.5 * KEEPALIVE  # what it tells a frozen node before, nobody hears

KITCHEN = """
[heaters.stove]
driver = "mock"
[zones.kitchen]
thermometer = "inside"
heater = "stove"
stale_after = "2s"
"""
"""A second zone: with it, there are more filters than go into one SUBSCRIBE."""

MakeWitness = Callable[..., Witness]
Lose = Callable[[Node], None]


def hosts(cluster: Cluster) -> list[str]:
    return [f"{node.host}:{node.port}" for node in cluster.nodes]


def device(cluster: Cluster, daemon: MakeDaemon) -> tuple[Daemon, Node]:
    """A daemon in a cold room that knows every node, and the one that it is connected to."""
    first = cluster.nodes[0]
    mqtt = f"""
clock = "trusted"
[mqtt]
host = {hosts(cluster)}
username = "shed"
password_file = "{first.password_file("shed")}"
keepalive = "{KEEPALIVE:g}s"
reconnect_max = "2s"
alive_every = "2s"
tls.ca_file = "{first.ca_file}"
"""
    made = daemon(mqtt + ROOM + KITCHEN).start()
    made.wait_for_log("room: heater on")
    return made, cluster.at(made.wait_for_log(r"connected to (\S+),")[1])


def alive_since(witness: Witness, moment: float) -> bool:
    """Whether the device gave a sign of life that is younger than this moment."""
    said = [msgspec.json.decode(payload)["time"] for payload in witness.payloads(f"{BASE}/alive")]
    return any(datetime.fromisoformat(text).timestamp() > moment for text in said)


def stands(shed: Daemon, witnesses: Sequence[Witness], moment: float) -> None:
    """The device was online after this moment, it hears orders, and its states and readings are heard."""
    for one in witnesses:
        one.wait_for(partial(alive_since, one, moment), "a sign of life")
        assert one.payloads(f"{BASE}/availability")[-1:] != [b"offline"]
    readings_before = [len(one.payloads("TEMPERATURE")) for one in witnesses]
    witnesses[0].say(f"{BASE}/room/target/set", "17")
    witnesses[-1].say(f"{BASE}/kitchen/mode/set", "off")
    for one, before in zip(witnesses, readings_before, strict=True):
        one.wait_for(partial(has_heard, one, "room/target", b"17.0"), "the order's effect")
        one.wait_for(partial(has_heard, one, "kitchen/mode", b"off"), "the other order's effect")
        one.wait_for(partial(has_more, one, before), "a reading")
    assert set(shed.switched[1:]) == {"1"}, "it was off at its start, and has heated since"


def has_heard(witness: Witness, topic: str, payload: bytes) -> bool:
    """Whether the device has said this on a topic of its own."""
    return payload in witness.payloads(f"{BASE}/{topic}")


def has_more(witness: Witness, readings: int) -> bool:
    """Whether there came more readings than so many."""
    return len(witness.payloads("TEMPERATURE")) > readings


def a_device_moves_on(cluster: Cluster, daemon: MakeDaemon, witness: MakeWitness, lose: Lose) -> None:
    """It loses its node: it is online at another, there everything stands, and it has heated all the time."""
    shed, lost = device(cluster, daemon)
    witnesses = [witness(node, f"{BASE}/#", "TEMPERATURE") for node in cluster.nodes if node is not lost]
    lose(lost)
    stands(shed, witnesses, time.time() + NOTICED_WITHIN)


def a_device_outlives_the_cluster(cluster: Cluster, daemon: MakeDaemon, witness: MakeWitness) -> None:
    """Every node is killed, and they come again."""
    shed, _ = device(cluster, daemon)
    cluster.kill_nodes()
    shed.wait_for_log("nothing listens")
    cluster.heal()
    stands(shed, [witness(node, f"{BASE}/#", "TEMPERATURE") for node in cluster.nodes], time.time())


def no_reading_is_lost(
    cluster: Cluster,
    link: MakeLink,
    witness: MakeWitness,
    folder: Path,
    lose: Lose,
    *,
    heard_by: Callable[[Iterable[bool]], bool] = all,
) -> None:
    """Each reading was heard, in its time or from the backlog, and repeated only where that is marked."""
    first = cluster.nodes[0]
    past = Backlog(Archive(folder), now)
    past.configure(f"{BASE}/backlog", 10_000)
    past.open()
    past.start()
    settings = Mqtt(
        host=hosts(cluster),
        username="shed",
        password_file=str(first.password_file("shed")),
        keepalive=KEEPALIVE,
        reconnect_max=2.0,
        tls=Tls(ca_file=str(first.ca_file)),
    )
    line, heard = link(settings, f"{BASE}/room/target/set", backlog=past)
    lost = cluster.at(heard.next(LinkUp, PATIENCE).broker)
    witnesses = [witness(node, "TEMPERATURE", f"{BASE}/backlog") for node in cluster.nodes if node is not lost]
    with readings(line) as said:
        until(lambda: len(said) > 20)
        lose(lost)
        heard.next(LinkDown, PATIENCE)
        heard.next(LinkUp, PATIENCE)
        line.publish(Publish(f"{BASE}/availability", b"online", "state"))  # the newest comes before the past
        back = len(said)
        until(lambda: len(said) > back + 20)
    until(lambda: have_all(witnesses, said, heard_by))
    for one in witnesses:
        assert live(one) == sorted(set(live(one)))
        assert not set(live(one)) & {number for number, repeated in late(one).items() if not repeated}
    past.close(5.0)


def now() -> Now:
    return Now(time.monotonic(), time.time(), True)


def live(witness: Witness) -> list[int]:
    """The readings that came in their time."""
    return [int(payload) for payload in witness.payloads("TEMPERATURE")]


def late(witness: Witness) -> dict[int, bool]:
    """The readings that came from the backlog, and whether they are marked as repeated."""
    records = [record for payload in witness.payloads(f"{BASE}/backlog") for record in msgspec.json.decode(payload)]
    return {int(record["payload"]): record.get("repeated", False) for record in records}


def have_all(witnesses: Sequence[Witness], said: Sequence[int], by: Callable[[Iterable[bool]], bool]) -> bool:
    """Whether each of these came, one way or the other, to `all` or `any` of them."""
    heard = [{*live(one), *late(one)} for one in witnesses]
    return all(by(number in one for one in heard) for number in said)


@contextmanager
def readings(line: Link) -> Iterator[list[int]]:
    """Ten a second, numbered. What was measured so far."""
    said: list[int] = []
    ending = Event()

    def measure() -> None:
        while not ending.wait(0.1):
            line.publish(Publish("TEMPERATURE", b"%d" % len(said), "reading", measured=now()))
            said.append(len(said))

    thread = Thread(target=measure)
    thread.start()
    try:
        yield said
    finally:
        ending.set()
        thread.join()


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
