"""The Prometheus endpoint as a monitoring system meets it: real HTTP, read by prometheus_client's own parser."""

import http.client
import logging
import queue
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes import SimulatedHouse
from stoker import metrics as module
from stoker.config.model import Metrics as Settings
from stoker.core.messages import LinkDown, LinkUp, Message
from stoker.link import words
from stoker.link.counters import Counters
from stoker.loop import Scrape
from stoker.metrics import Metrics
from stoker_drivers.interfaces import SensorError
from stoker_drivers.mock import Room

PATIENCE = 20.0  # seconds that a story waits for what has to happen

Figures = dict[tuple[str, ...], float]
"""Name, and label values in the order of the labels' names -> number."""


class Endpoint:
    """`stoker run` as far as a scraper sees it: the endpoint, an inbox, and a loop that answers while it is awake."""

    def __init__(self, house: SimulatedHouse, counters: Counters, port: int = 0, address: str = "127.0.0.1") -> None:
        self.port = port or free_port()
        self.asked: queue.SimpleQueue[Scrape | None] = queue.SimpleQueue()
        self.awake = threading.Event()
        self.awake.set()
        self._house, self._counters = house, counters
        self._loop = threading.Thread(target=self._answer)
        self._loop.start()
        self.metrics = Metrics(Settings(port=self.port, address=address), "shed", self.asked.put)
        self.metrics.start()

    def _answer(self) -> None:
        while (scrape := self.asked.get()) is not None:
            self.awake.wait()
            scrape.answer(self._house.core.figures(self._house.now()), self._counters.figures(3))

    def get(self, path: str = "/metrics") -> tuple[int, str]:
        """Status and text. The endpoint may have begun a moment ago."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as client:
                    client.request("GET", path)
                    answer = client.getresponse()
                    return answer.status, answer.read().decode()
            except ConnectionRefusedError:
                assert time.monotonic() < until
                time.sleep(0.02)

    def scrape(self) -> Figures:
        status, text = self.get()
        assert status == 200
        families = list(text_string_to_metric_families(text))
        assert len({family.name for family in families}) == len(families)
        assert all(family.documentation for family in families)
        samples = [sample for family in families for sample in family.samples]
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value for sample in samples
        }

    def end(self) -> None:
        self.metrics.close()
        self.awake.set()
        self.asked.put(None)
        self._loop.join(PATIENCE)


@contextmanager
def serving(house: SimulatedHouse, counters: Counters | None = None, **where: object) -> Iterator[Endpoint]:
    endpoint = Endpoint(house, counters or Counters(), **where)  # type: ignore[arg-type]
    try:
        yield endpoint
    finally:
        endpoint.end()


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def house() -> SimulatedHouse:
    made = SimulatedHouse(room=Room(start=15.0, noise=0.0))
    made.connect()
    made.run(100)
    return made


def test_what_heats_and_how_warm_it_is() -> None:
    made = house()
    with serving(made) as endpoint:
        figures = endpoint.scrape()
        assert figures["stoker_temperature_celsius", "inside"] == pytest.approx(made.temperatures[-1][1])
        assert figures["stoker_target_celsius", "room"] == 20.0
        assert figures["stoker_heater_on", "radiator"] == 1.0
        assert figures["stoker_heater_on_seconds_total", "radiator"] == pytest.approx(made.seconds_on())
        assert figures["stoker_heater_failed", "radiator"] == 0.0
        assert figures["stoker_mqtt_up",] == 1.0
        assert "stoker_info" in {key[0] for key in figures}

        made.order("room/mode/set", "off")
        made.run(60)
        made.order("room/mode/set", "heat")
        made.run(60)
        figures = endpoint.scrape()
        assert figures["stoker_heater_on_seconds_total", "radiator"] == pytest.approx(made.seconds_on())
        assert figures["stoker_orders_obeyed_total",] == 2.0


def test_a_temperature_that_is_no_longer_true_is_not_served() -> None:
    made = house()

    def dead() -> float:
        raise SensorError("no-sensor", "pulled out")

    made.sensor = dead
    made.run(120)
    with serving(made) as endpoint:
        figures = endpoint.scrape()
    assert ("stoker_temperature_celsius", "inside") not in figures
    assert figures["stoker_fault", "stale-temperature", "room"] == 1.0
    assert figures["stoker_faults_total", "stale-temperature", "room"] == 1.0
    assert figures["stoker_heater_on", "radiator"] == 0.0


def test_a_heater_that_does_not_obey() -> None:
    made = house()
    made.relay.broken = "no such chip"
    made.order("room/mode/set", "off")
    made.run(30)
    with serving(made) as endpoint:
        assert endpoint.scrape()["stoker_heater_failed", "radiator"] == 1.0


def test_what_has_never_happened_is_counted_as_nought() -> None:
    """Otherwise the first failure is where a series begins, and no increase."""
    with serving(house()) as endpoint:
        figures = endpoint.scrape()
    for key in (
        ("stoker_mqtt_failures_total", "closed"),
        ("stoker_mqtt_failures_total", "bad-login"),
        ("stoker_mqtt_dropped_total", "reading"),
        ("stoker_mqtt_dropped_total", "backlog"),
        ("stoker_orders_refused_total", "overtaken"),
        ("stoker_faults_total", "runaway", "room"),
    ):
        assert figures[key] == 0.0


def test_every_reason_of_a_failure_is_known_beforehand() -> None:
    source = Path(words.__file__).parent
    text = "".join(path.read_text() for path in source.glob("*.py"))
    said = set(re.findall(r'Link(?:Error|Down)\(\s*"([a-z-]+)"', text)) | set(
        re.findall(r'unreadable\("([a-z-]+)"', text)
    )
    assert len(said) > 20
    assert said <= words.REASONS


def test_what_the_line_went_through() -> None:
    made, counters = house(), Counters()
    counters.note(LinkUp("broker:8883"))
    for reason in ("closed", "closed", "bad-login"):
        counters.note(LinkDown(reason, "…", 1))
    counters.note(Message("a", b"", 0.0, duplicate=True))
    for took in (0.25, 0.5):
        counters.acknowledged(took)
    for _ in range(7):
        counters.dropped("reading")
    made.order("room/heater/set", "ON", retained=True)
    made.disconnect()
    with serving(made, counters) as endpoint:
        figures = endpoint.scrape()

    assert figures["stoker_mqtt_up",] == 0.0
    assert figures["stoker_mqtt_connects_total",] == 1.0
    assert figures["stoker_mqtt_failures_total", "closed"] == 2.0
    assert figures["stoker_mqtt_failures_total", "bad-login"] == 1.0
    assert figures["stoker_mqtt_redelivered_total",] == 1.0
    assert figures["stoker_mqtt_dropped_total", "reading"] == 7.0
    assert figures["stoker_mqtt_waiting",] == 3.0
    assert figures["stoker_mqtt_round_trip_seconds_count",] == 2.0
    assert figures["stoker_mqtt_round_trip_seconds_sum",] == pytest.approx(0.75)
    assert figures["stoker_orders_refused_total", "retained"] == 1.0


def test_names_are_as_prometheus_wants_them() -> None:
    with serving(house()) as endpoint:
        _, text = endpoint.get()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.name.startswith(("stoker_", "process_"))
            assert (family.type == "counter") is sample.name.endswith("_total") or "_created" in sample.name
            assert not any(unit in sample.name for unit in ("milli", "minutes", "percent"))


def test_another_path_is_not_found() -> None:
    with serving(house()) as endpoint:
        assert endpoint.get("/")[0] == 404
        assert endpoint.get("/metrics?name=x")[0] == 200


def test_a_loop_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN", 0.1)
    with serving(house()) as endpoint:
        assert endpoint.get()[0] == 200
        endpoint.awake.clear()
        status, text = endpoint.get()
        assert status == 503
        assert "the loop does not answer" in text
        endpoint.awake.set()
        assert endpoint.get()[0] == 200


def test_scrapers_that_hang_cost_the_loop_nothing_and_others_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Handler, "timeout", 0.2)
    with serving(house()) as endpoint:
        assert endpoint.get()[0] == 200
        asked_before = endpoint.asked.qsize()
        silent = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(3)]
        silent[0].sendall(b"GET /metrics HTTP/1.1\r\nHost:")
        try:
            assert endpoint.asked.qsize() == asked_before
            assert endpoint.get()[0] == 200
        finally:
            for sock in silent:
                sock.close()


def test_a_scraper_that_floods_asks_the_loop_five_times_a_second() -> None:
    with serving(house()) as endpoint:
        endpoint.get()
        started = time.monotonic()
        answered = [endpoint.get()[0] for _ in range(10)]
        took = time.monotonic() - started
    assert answered == [200] * 10
    assert took >= 9 * module.PAUSE


def test_a_port_that_is_taken_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_AFTER", 0.05)
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with caplog.at_level(logging.INFO), serving(house(), port=other.getsockname()[1]) as endpoint:
            wait_for(lambda: "trying again" in caplog.text)
            other.close()
            assert endpoint.get()[0] == 200
    assert caplog.text.count("Address already in use") == 1


def test_without_the_library_it_says_what_to_install_and_all_else_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with serving(house()):
        wait_for(lambda: "prometheus_client is missing" in caplog.text)
    assert "install stoker[metrics], or Debian's python3-prometheus-client" in caplog.text
    assert "Traceback" not in caplog.text


def test_after_its_end_nobody_listens() -> None:
    with serving(house()) as endpoint:
        endpoint.get()

    def refused() -> bool:
        with closing(socket.socket()) as sock:
            return sock.connect_ex(("127.0.0.1", endpoint.port)) != 0

    wait_for(refused)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
