"""Is it alive, and what did it count? A running daemon seen by `status`, `watch`, `set` and a Prometheus scraper."""

import http.client
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from broker.mosquitto import Mosquitto
from broker.watching import MakeObserver
from daemon.running import PATIENCE, ROOM, STOKER, Daemon, MakeDaemon, environment, mqtt, stoker
from stoker.core.topics import stamp

TRUSTED = 'clock = "trusted"\n'  # whatever the kernel of the test's machine says of it


@pytest.fixture
def device(daemon: MakeDaemon, broker: Mosquitto) -> Daemon:
    """A connected daemon with a signal of life each second."""
    made = daemon(TRUSTED + mqtt(broker, alive_every="1s") + ROOM).start()
    made.wait_for_log("connected to")
    made.wait_for_log("heater on")
    return made


def guest(device: Daemon, broker: Mosquitto, clock: str = TRUSTED, **changes: object) -> str:
    """A configuration with which a laptop joins."""
    path = device.directory / "guest.toml"
    path.write_text(f'[device]\nid = "shed"\n{clock}{mqtt(broker, **changes)}')
    return str(path)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_status_tells_what_was_counted(device: Daemon, broker: Mosquitto) -> None:
    config = guest(device, broker)
    assert stoker("set", "--config", config, "room", "target", "99").returncode == 1

    def counted() -> bool:
        status = stoker("status", "--config", config)
        assert status.returncode == 0
        assert "  link: 1 connects, 0 failures" in status.stdout
        return "  orders: 0 obeyed, 1 refused (out-of-range 1)" in status.stdout and "round trip" in status.stdout

    wait_for(counted)


def test_a_daemon_that_hangs_is_gone_although_the_broker_says_online(device: Daemon, broker: Mosquitto) -> None:
    config = guest(device, broker)
    device.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: stoker("status", "--config", config).returncode == 1)
        status = stoker("status", "--config", config)
        assert status.stdout.startswith("stoker/shed: gone (last sign of life ")
        assert "one is due each 1 s; its availability still says online" in status.stdout
        as_json = msgspec.json.decode(stoker("status", "--json", "--config", config).stdout)
        assert (as_json["gone"], as_json["availability"]) == (True, "online")
        assert as_json["alive"]["link"]["connects"] == 1
    finally:
        device.signal(signal.SIGCONT)
    wait_for(lambda: stoker("status", "--config", config).returncode == 0)


def test_watch_says_so_when_the_signal_of_life_fails_to_come(device: Daemon, broker: Mosquitto) -> None:
    log = device.directory / "watch"
    with log.open("wb") as out:
        command = [*STOKER, "watch", "--config", guest(device, broker)]
        watch = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    try:
        wait_for(lambda: log.read_text().count("stoker/shed/alive {") >= 2)
        assert "gone" not in log.read_text()
        device.signal(signal.SIGSTOP)
        wait_for(lambda: "stoker/shed: gone; last sign of life at 20" in log.read_text())
        device.signal(signal.SIGCONT)
        seen = log.read_text().count("stoker/shed/alive {")
        wait_for(lambda: log.read_text().count("stoker/shed/alive {") > seen)
        assert log.read_text().count("gone;") == 1
    finally:
        device.signal(signal.SIGCONT)
        watch.kill()
        watch.wait()


def test_what_the_broker_forgot_comes_again(daemon: MakeDaemon, broker: Mosquitto, observer: MakeObserver) -> None:
    """As when a cluster's node is lost that held what was retained, while the line stands."""
    device = daemon(mqtt(broker, alive_every="300ms") + ROOM).start()
    device.wait_for_log("connected to")
    device.wait_for_log("heater on")
    topics = [f"stoker/shed/{topic}" for topic in ("availability", "room/mode", "room/target", "state")]
    phone = observer(broker)
    for topic in topics:
        phone.say(topic, b"", retain=True)

    late = observer(broker, *topics)
    late.wait_for(lambda: {message.topic for message in late.messages if message.payload} == set(topics), "all back")
    assert device.log.count("connected to") == 1


def test_an_order_of_ours_carries_its_time_and_dies_at_the_broker_too(
    device: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/shed/room/target/set")
    done = stoker("set", "--config", guest(device, broker), "room", "target", "12.5")

    assert (done.returncode, done.stderr) == (0, "")
    device.wait_for_log("room: ordered target 12.5\n")
    (order,) = phone.messages
    said = msgspec.json.decode(order.payload)
    assert said.keys() == {"value", "time"}
    assert said["value"] == "12.5"
    assert abs(datetime.fromisoformat(said["time"]).timestamp() - time.time()) < PATIENCE
    assert 0 < order.properties.MessageExpiryInterval <= 60  # type: ignore[union-attr]


def test_the_same_order_found_by_somebody_later_is_dead(
    device: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/shed/event")
    phone.say("stoker/shed/room/heater/set", '{"value": "OFF", "time": "2026-01-05T06:00:00Z"}')

    device.wait_for_log("order .* refused, expired: by its own time the order is [0-9]+ s old, 60 s are allowed")
    phone.wait_for(lambda: b'"reason":"expired"' in b"".join(phone.payloads("stoker/shed/event")), "refused")


def scrape(port: int) -> dict[str, float] | None:
    """Name -> the sum of what is served under it."""
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
            client.request("GET", "/metrics")
            text = client.getresponse().read().decode()
    except ConnectionRefusedError:
        return None
    figures = dict[str, float]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            figures[sample.name] = figures.get(sample.name, 0.0) + sample.value
    return figures


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_a_scraper_reads_the_running_daemon_and_a_reload_moves_the_endpoint(
    daemon: MakeDaemon, broker: Mosquitto
) -> None:
    first, second = free_port(), free_port()
    device = daemon(mqtt(broker) + ROOM + f"[metrics]\nport = {first}\n").start()
    device.wait_for_log("connected to")
    device.wait_for_log("heater on")
    device.wait_for_log(f"metrics: at http://127.0.0.1:{first}/metrics")
    figures = scrape(first)
    assert figures
    assert (figures["stoker_mqtt_up"], figures["stoker_heater_on"]) == (1.0, 1.0)
    assert 10 < figures["stoker_temperature_celsius"] < 25
    assert figures["stoker_mqtt_round_trip_seconds_count"] > 0
    assert figures["process_open_fds"] > 5

    device.configure(mqtt(broker) + ROOM + f"[metrics]\nport = {second}\n")
    device.signal(signal.SIGHUP)
    device.wait_for_log(f"metrics: at http://127.0.0.1:{second}/metrics")
    moved = scrape(second)
    assert moved
    assert moved["stoker_mqtt_connects_total"] == 1.0, "the connection stayed"
    wait_for(lambda: scrape(first) is None)
    assert device.switched == "01", "and so did the relay"
    assert device.stop() == 0


def test_without_a_broker_a_scraper_sees_the_past_pile_up(daemon: MakeDaemon, broker: Mosquitto) -> None:
    port, started = free_port(), time.time()
    device = daemon(TRUSTED + mqtt(broker) + ROOM + f"[metrics]\nport = {port}\n").start()
    device.wait_for_log("connected to")
    device.wait_for_log(f"metrics: at http://127.0.0.1:{port}/metrics")
    broker.kill()

    def waits() -> bool:
        figures = scrape(port)
        assert figures
        return figures["stoker_mqtt_up"] == 0 and figures["stoker_backlog_records"] >= 5

    wait_for(waits)
    figures = scrape(port)
    assert figures
    assert started - 1 < figures["stoker_backlog_oldest_timestamp_seconds"] < time.time()
    assert figures["stoker_mqtt_failures_total"] >= 1


def test_status_tells_of_the_past_that_is_still_to_be_said(
    broker: Mosquitto, observer: MakeObserver, tmp_path: Path
) -> None:
    """What a daemon says between its connection and the end of its backlog."""
    config = tmp_path / "guest.toml"
    config.write_text(f'[device]\nid = "shed"\n{TRUSTED}{mqtt(broker)}')
    alive = {"time": stamp(time.time()), "every": 60, "link": {"backlog": 12, "backlog_oldest": 1767571200.5}}
    phone = observer(broker)
    phone.say("stoker/shed/availability", "online", retain=True)
    phone.say("stoker/shed/state", '{"time": "now", "zones": {}, "thermometers": {}}', retain=True)
    phone.say("stoker/shed/alive", msgspec.json.encode(alive), retain=True)

    status = stoker("status", "--config", str(config))
    assert (status.returncode, status.stderr) == (0, "")
    assert "    12 records of the past wait to be said, the oldest of 2026-01-05T00:00:00Z\n" in status.stdout
