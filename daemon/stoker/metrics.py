"""A Prometheus endpoint: what the core and the link count, at http://ADDRESS:PORT/metrics. Off unless a port is set.

Rule: it is a guest. It asks the loop through the inbox, as everybody does, and only it waits for the answer. One thread
serves one scraper at a time and not more than `1 / PAUSE` of them in a second, so one that hangs or floods holds up
other scrapers and nothing else. What can be counted is there from the start, as 0: of a series that appears with its
first event no monitoring system sees that one. A loop that doesn't answer is told as 503. Whatever fails is logged;
heating goes on.
"""

import importlib
import logging
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast, get_args

from stoker import __version__
from stoker.config.model import Metrics as Settings
from stoker.core.figures import Figures
from stoker.core.interlocks import INTERLOCKS
from stoker.core.topics import Refusal
from stoker.link.counters import Figures as LinkFigures
from stoker.link.waker import Waker
from stoker.link.words import REASONS
from stoker.loop import Scrape

if TYPE_CHECKING:
    from prometheus_client.core import Metric

log = logging.getLogger(__name__)

ANSWER_WITHIN = 2.0  # seconds that the loop has
PATIENCE = 2.0  # seconds of a scraper's silence
PAUSE = 0.2  # seconds between two scrapes
RETRY_AFTER = 5.0  # seconds; an address may come later than the daemon

MISSING = (
    "metrics.port is set, but the Python package prometheus_client is missing, so nothing is served:"
    " install stoker[metrics], or Debian's python3-prometheus-client"
)


class Metrics:
    """Make it, `start` it, `close` it: none of them waits. `put` is the inbox's."""

    def __init__(self, settings: Settings, device: str, put: Callable[[Scrape], None]) -> None:
        self._settings = settings
        self._device = device
        self._put = put
        self._closed = threading.Event()
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """Stop to serve, and let the port go."""
        self._closed.set()
        self._waker.set()

    def text(self) -> tuple[bytes, str] | None:
        """What is served now, and its content type; None where the loop does not answer."""
        from prometheus_client import CONTENT_TYPE_LATEST, PROCESS_COLLECTOR, generate_latest

        scrape = Scrape()
        self._put(scrape)
        if (answer := scrape.wait(ANSWER_WITHIN)) is None:
            return None
        all_of_it = [*families(self._device, *answer), *PROCESS_COLLECTOR.collect()]
        return generate_latest(cast(Any, _Collected(all_of_it))), CONTENT_TYPE_LATEST

    def _run(self) -> None:
        try:
            importlib.import_module("prometheus_client")  # a second on a Pi Zero: here it holds up nobody
        except ImportError:
            log.error(MISSING)
            return
        told = ""
        while not self._closed.is_set():
            try:
                self._serve()
            except Exception as error:  # a bug here costs the figures, never the heating
                if told != (told := f"{type(error).__name__}: {error}"):
                    place = f"{self._settings.address} port {self._settings.port}"
                    log.warning("metrics: not at %s: %s; trying again each %g s", place, told, RETRY_AFTER)
                self._closed.wait(RETRY_AFTER)
        self._waker.close()

    def _serve(self) -> None:
        with _Server(self._settings, self.text) as server:
            address, port = self._settings.address, self._settings.port
            log.info("metrics: at http://%s:%d/metrics", f"[{address}]" if ":" in address else address, port)
            poll = select.poll()
            poll.register(self._waker, select.POLLIN)
            poll.register(server, select.POLLIN)
            while not self._closed.is_set():
                poll.poll()
                if not self._closed.is_set():
                    server.handle_request()
                self._closed.wait(PAUSE)


class _Server(socketserver.TCPServer):
    """Without HTTPServer's look-up of its own name, which may hang."""

    allow_reuse_address = True
    timeout = PATIENCE  # a scraper may have gone again

    def __init__(self, settings: Settings, text: Callable[[], tuple[bytes, str] | None]) -> None:
        self.address_family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
        self.text = text
        super().__init__((settings.address, settings.port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - its name
        """A scraper that hung up or hung is its own trouble."""
        log.debug("metrics: scrape from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE

    def do_GET(self) -> None:
        """Serve /metrics."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(HTTPStatus.NOT_FOUND, explain="the figures are at /metrics")
        elif (answer := cast(_Server, self.server).text()) is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain="the loop does not answer")
        else:
            text, content_type = answer
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Collected:
    """What prometheus_client asks for its metrics."""

    def __init__(self, metrics: "list[Metric]") -> None:
        self._metrics = metrics

    def collect(self) -> "Iterable[Metric]":
        return self._metrics


def families(device: str, core: Figures, link: LinkFigures) -> "Iterator[Metric]":
    """All that is served of our own, in Prometheus's names and units."""
    from prometheus_client.core import InfoMetricFamily

    yield InfoMetricFamily("stoker", "What runs here", {"version": __version__, "device": device})
    yield from _heating(core)
    yield from _orders(core)
    yield from _line(core, link)


def _heating(core: Figures) -> "Iterator[Metric]":
    heaters = core.heaters.items()
    yield _gauge("stoker_temperature_celsius", "Fresh readings", ("thermometer",), _by_name(core.temperatures.items()))
    yield _gauge(
        "stoker_target_celsius", "Setpoint", ("zone",), (((name,), zone.target) for name, zone in core.zones.items())
    )
    yield _gauge(
        "stoker_heater_on", "1 while the heater is on", ("heater",), (((name,), heater.on) for name, heater in heaters)
    )
    yield _counter(
        "stoker_heater_on_seconds_total",
        "Time that the heater was on",
        ("heater",),
        (((name,), heater.heated) for name, heater in heaters),
    )
    yield _gauge(
        "stoker_heater_failed",
        "1 while the driver cannot switch the heater",
        ("heater",),
        (((name,), heater.failed) for name, heater in heaters),
    )
    yield _gauge(
        "stoker_fault",
        "1 while this stands against heat",
        ("zone", "reason"),
        (((name, zone.fault), 1.0) for name, zone in core.zones.items() if zone.fault),
    )
    possible = [(zone, str(interlock.reason)) for zone in core.zones for interlock in INTERLOCKS if interlock.fault]
    faults = dict.fromkeys(possible, 0) | core.faults
    yield _counter("stoker_faults_total", "Faults that began", ("zone", "reason"), faults.items())


def _orders(core: Figures) -> "Iterator[Metric]":
    yield _counter("stoker_orders_obeyed_total", "Orders obeyed", (), [((), core.obeyed)])
    refused = dict.fromkeys(get_args(Refusal), 0) | core.refused
    yield _counter("stoker_orders_refused_total", "Orders refused", ("reason",), _by_name(refused.items()))


def _line(core: Figures, link: LinkFigures) -> "Iterator[Metric]":
    from prometheus_client.core import SummaryMetricFamily

    yield _gauge("stoker_mqtt_up", "1 while connected to a broker", (), [((), core.connected)])
    yield _counter("stoker_mqtt_connects_total", "Connections made", (), [((), link.connects)])
    failures = dict.fromkeys(sorted(REASONS), 0) | link.failures
    yield _counter(
        "stoker_mqtt_failures_total", "Connections lost or not made", ("reason",), _by_name(failures.items())
    )
    yield _counter("stoker_mqtt_redelivered_total", "Messages that the broker sent again", (), [((), link.redelivered)])
    yield _counter("stoker_mqtt_dropped_total", "Messages never said", ("kind",), _by_name(link.dropped.items()))
    yield _gauge("stoker_mqtt_waiting", "Messages still to be said", (), [((), link.waiting)])
    oldest = [] if link.backlog_oldest is None else [((), link.backlog_oldest)]
    yield _gauge("stoker_backlog_records", "Readings and events still to be said late", (), [((), link.backlog)])
    yield _gauge("stoker_backlog_oldest_timestamp_seconds", "Unix time of the oldest of them", (), oldest)
    yield SummaryMetricFamily(
        "stoker_mqtt_round_trip_seconds",
        "From PUBLISH to its acknowledgement",
        count_value=link.round_trips,
        sum_value=link.round_trip_seconds,
    )


Rows = Iterable[tuple[tuple[str, ...], float]]
"""Label values, and the number."""


def _by_name(numbers: Iterable[tuple[str, float]]) -> Rows:
    return (((name,), number) for name, number in numbers)


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name.removesuffix("_total"), text, labels=labels), rows)


def _filled(family: Any, rows: Rows) -> "Metric":
    for labels, number in rows:
        family.add_metric(labels, float(number))
    return cast("Metric", family)
