"""The benchmark's own honesty: no figure from a daemon that did not do the work, and no figure where there is none."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.mosquitto import Authority
from cost import figures
from cost.client import _frame
from cost.daemons import Daemon
from cost.report import Results, table
from cost.stage import SkippedError, Stage, Work

DAEMON = """
import os, time
import paho.mqtt.client as mqtt

relay = os.open(os.environ["BENCH_RELAY"], os.O_WRONLY | os.O_APPEND)
heard = 0

def obey(client, _, order):
    global heard
    heard += 1
    on = b"1" if order.payload == b"ON" else b"0"
    os.write(relay, {what})
    client.publish("RELAY", order.payload, qos=1)

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.username_pw_set(os.environ["BENCH_USER"], os.environ["BENCH_PASSWORD"])
client.tls_set(ca_certs=os.environ["BENCH_CA"])
client.on_connect = lambda *_: client.subscribe("RELAY/set", qos=1)
client.on_message = obey
client.connect("127.0.0.1", int(os.environ["BENCH_PORT"]))
client.loop_start()
while True:
    client.publish("TEMPERATURE", "20.00")
    time.sleep(0.05)
"""

MakeStage = Callable[[str], Stage]


@pytest.fixture
def stage(tmp_path: Path, authority: Authority) -> MakeStage:
    """A small daemon that does this for each order, such as `on`."""

    def make(what: str) -> Stage:
        files = {"daemon.py": DAEMON.replace("{what}", what)}
        daemon = Daemon("small", "1", [sys.executable, "daemon.py"], "TEMPERATURE", "RELAY/set", "RELAY", files)
        return Stage(daemon, tmp_path / "stage", authority, Work())

    return make


def test_a_daemon_that_obeys_each_order_has_its_figures(stage: MakeStage) -> None:
    with stage("on") as honest:
        honest.ready()
        assert honest.flood(200, 20) > 0
        with honest.obeyed(1):
            assert honest.order(True) is not None


@pytest.mark.parametrize(  # each 51st, so that it is ON and OFF in turn
    "what", ["on if heard % 51 else b''", "on if heard % 51 else on * 2", "on if heard % 51 else b'1'"]
)
def test_one_that_skips_or_doubles_or_mistakes_an_order_is_found_out_though_it_reports_all(
    stage: MakeStage, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cost.stage.STALL", 0.5)
    with stage(what) as dishonest:
        dishonest.ready()
        with pytest.raises(SkippedError, match="small"):
            dishonest.flood(200, 20)


def test_what_was_found_of_it_until_then_is_no_figure_either(capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> Iterator[figures.Figure]:
        yield "orders a second", "small", 1e6
        raise SkippedError("small: 99 orders, and the relay was switched 98 times")

    assert figures.whole("small", found()) == [(figures.SKIPPED, "small", 0.0)]
    assert "98 times" in capsys.readouterr().err


def test_the_table_has_medians_with_quartiles_ratios_and_gaps() -> None:
    values = {"pss": {"C floor": [2.0], "stoker": [20.0, 24.0, 22.0]}, "threads": {"stoker": [5.0] * 3}}
    text = table(Results("this machine", "2026-11-21", {"C floor": "2.0", "stoker": "1.0"}, 3, values))
    assert "| PSS, MiB | 2.0 | 22.0 (21.0 to 23.0) | 11 |" in text
    assert "| threads | - | 5 | - |" in text
    assert "orders a second" not in text, "it was not measured"


def test_a_packet_counts_once_all_of_it_is_there() -> None:
    packet = bytearray(b"\x30\x82\x01" + bytes(130))
    assert [_frame(packet[:size], 0) for size in (1, 2, 3, 132)] == [None] * 4
    assert _frame(packet, 0) == (3, 133)
    assert _frame(bytearray(b"\xd0\0"), 0) == (2, 2), "one without a body"
