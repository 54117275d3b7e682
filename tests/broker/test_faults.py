"""One fault of the line after the other, between a real daemon and a real broker with TLS.

In each the heater goes on being controlled while the line is broken, and when the fault is over all stands again
without anybody's help: online, states, readings, and orders are obeyed.
"""

import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.mosquitto import Authority, MakeBroker, Mosquitto
from broker.proxy import Proxy
from broker.watching import MakeObserver
from daemon.house import ROOM, House
from daemon.running import mqtt
from fakes import SimulatedHouse
from stoker.core.messages import LinkDown
from stoker_drivers.mock import Room

MakeHouse = Callable[..., House]

UNSHARE = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
HOUR = 3600.0
NOTICE = 1.5 * 5.0  # seconds: a dead line is noticed within one and a half keepalives


def noticed(house: House, pattern: str, since: float) -> None:
    """Within one and a half keepalives, and half a second for a machine that has much to do."""
    house.wait_for_log(pattern)
    assert time.monotonic() - since < NOTICE + 0.5


# --- the broker -------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_not_there_when_the_daemon_begins(
    mosquitto: MakeBroker, authority: Authority, make_house: MakeHouse, observer: MakeObserver
) -> None:
    broker = mosquitto(authority=authority)
    house = make_house(mqtt(broker) + ROOM)
    house.start()
    house.wait_for_log("nothing listens at")
    house.controls()
    broker.start()
    house.stands(broker, observer)


def test_a_broker_that_is_killed_and_comes_back_without_its_memory(
    broker: Mosquitto, make_house: MakeHouse, observer: MakeObserver
) -> None:
    house = make_house(mqtt(broker) + ROOM)
    house.start()
    house.stands(broker, observer)
    broker.kill()
    house.wait_for_log("no broker: ")
    house.controls()
    broker.start()
    house.stands(broker, observer)


def test_a_broker_that_is_away_behind_a_load_balancer_that_hangs_up(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    broker.kill()
    house.wait_for_log("hung up during the TLS handshake")
    tries = proxy.accepted
    house.controls()
    house.until(lambda: proxy.accepted >= tries + 4, "tried again and again")  # and soon: no person is waited for
    broker.start()
    house.stands(broker, observer)


def test_a_broker_that_is_frozen(house: House, broker: Mosquitto, observer: MakeObserver) -> None:
    broker.freeze()
    noticed(house, "has fallen silent", time.monotonic())
    house.controls()
    broker.thaw()
    house.stands(broker, observer)


def test_a_broker_that_moved_to_another_address_is_found_by_its_name(
    mosquitto: MakeBroker, authority: Authority, make_house: MakeHouse, observer: MakeObserver, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    own_hosts = [*UNSHARE, f'mount --bind {hosts} /etc/hosts && exec "$@"', "-"]
    hosts.write_text("127.0.0.1 broker.home\n")
    if subprocess.run([*own_hosts, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody have an /etc/hosts of his own (user namespaces)")
    certificate = authority.issue("broker.home", "127.0.0.1")
    broker = mosquitto(authority=authority, certificate=certificate).start()
    with Proxy(broker) as before, Proxy(broker, "127.0.0.2", before.port) as after:
        house = make_house(mqtt(broker, host="broker.home", port=before.port) + ROOM)
        house.before = own_hosts
        house.start()
        house.wait_for_log("connected to broker.home")
        assert after.accepted == 0
        before.cut()
        house.wait_for_log("no broker: ")
        house.controls()
        hosts.write_text("127.0.0.2 broker.home\n")  # the same file, so the daemon's, too
        house.stands(broker, observer)
        assert after.accepted > 0


# --- the line ---------------------------------------------------------------------------------------------------------


def test_a_line_that_is_cut_and_refused_for_a_while(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.cut()
    house.wait_for_log("no broker: .*closed the connection")
    house.wait_for_log("nothing listens at")
    house.controls()
    proxy.restore()
    house.stands(broker, observer)


def test_a_line_that_is_half_open_while_readings_are_published(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.freeze()
    noticed(house, "no acknowledgement for 5 s", time.monotonic())
    house.controls()
    proxy.restore()
    house.stands(broker, observer)


def test_a_line_that_is_half_open_while_nothing_is_said(
    broker: Mosquitto, proxy: Proxy, make_house: MakeHouse, observer: MakeObserver
) -> None:
    silent = ROOM.replace('driver = "file"', 'driver = "file"\npublish = ""')
    house = make_house(mqtt(broker, port=proxy.port, keepalive="5s") + silent)
    house.start()
    house.wait_for_log("connected to")
    observer(broker, "stoker/shed/room/fault").wait("stoker/shed/room/fault", b"none")
    proxy.freeze()
    noticed(house, "no answer to a ping", time.monotonic())
    house.controls()
    proxy.restore()
    house.wait_for_log("(?s)connected to.*connected to")


def test_a_line_that_is_half_open_while_an_order_is_given(
    broker: Mosquitto, proxy: Proxy, make_house: MakeHouse, observer: MakeObserver
) -> None:
    """For longer than one order may live and shorter than another: the one is refused, and told of."""
    house = make_house(mqtt(broker, port=proxy.port, keepalive="1h") + ROOM + 'order_lifetime = "30s"\n')
    house.start()
    house.wait_for_log("connected to")
    phone = observer(broker, "stoker/shed/event")
    proxy.freeze()
    phone.say("stoker/shed/room/heater/set", "ON", MessageExpiryInterval=5)
    phone.say("stoker/shed/room/target/set", "19.5")
    time.sleep(7)  # the story is that nothing happens for so long
    proxy.restore()
    house.wait_for_log("ordered target 19.5")
    assert house.heats(False)
    phone.wait_for(lambda: any(b'"expired"' in event for event in phone.payloads("stoker/shed/event")), "refused")


def test_a_line_on_which_the_answers_vanish(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.swallow_answers()
    noticed(house, "has fallen silent", time.monotonic())
    house.controls()
    proxy.restore()
    house.stands(broker, observer)


def test_a_line_that_is_reset(house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver) -> None:
    proxy.reset()
    house.wait_for_log("no broker: .*closed the connection")
    house.controls()
    house.stands(broker, observer)


def test_a_line_that_is_reset_in_the_middle_of_a_packet(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.reset(after=10)  # of a TLS record, whose head has 5 bytes
    house.wait_for_log("no broker: .*closed the connection")
    house.controls()
    proxy.restore()
    house.stands(broker, observer)


def test_a_line_that_turns_a_bit_over(house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver) -> None:
    proxy.corrupt()
    house.wait_for_log("no broker: ")
    house.controls()
    house.stands(broker, observer)


def test_a_line_that_is_slow_to_answer_is_a_line(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.delay(0.8)
    house.controls()
    house.stands(broker, observer)
    assert "no broker" not in house.log


def test_a_line_that_carries_a_few_bytes_a_second(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.throttle(20)
    noticed(house, "has fallen silent", time.monotonic())
    house.controls()
    house.wait_for_log("no broker: (?!.*has fallen silent)")  # nor does a handshake get through
    proxy.restore()
    house.stands(broker, observer)


# --- a new configuration of the line ----------------------------------------------------------------------------------


def test_a_goodbye_on_a_dead_line_holds_nobody_up(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    proxy.freeze()
    house.configure(mqtt(broker, port=proxy.port, keepalive="6s") + ROOM)
    house.signal(signal.SIGHUP)
    longest = 0.0
    while "configuration read anew" not in house.log:
        longest = max(longest, house.controls())
    assert max(longest, house.controls()) < 1.5  # the goodbye takes twice as long
    proxy.restore()
    house.stands(broker, observer)


def test_orders_that_come_before_the_goodbye_is_done_are_obeyed(
    house: House, proxy: Proxy, broker: Mosquitto, observer: MakeObserver
) -> None:
    """Each that the broker was told of as taken."""
    phone = observer(broker)
    proxy.delay(0.4)
    taken = broker.log.count("Received PUBACK from stoker-shed")
    house.configure(mqtt(broker, port=proxy.port, keepalive="6s") + ROOM)
    house.signal(signal.SIGHUP)
    for number in range(15):
        phone.say("stoker/shed/room/target/set", f"{19 + number / 100:.2f}")
        time.sleep(0.1)  # so that they come at every moment of it
    proxy.restore()
    house.wait_for_log("(?s)connected to.*connected to")
    taken = broker.log.count("Received PUBACK from stoker-shed") - taken
    assert house.log.count("ordered target 19.") >= taken > 0


# --- certificates -----------------------------------------------------------------------------------------------------

EXPIRED = datetime(2020, 1, 31, tzinfo=UTC)


def test_a_broker_whose_certificate_has_expired_and_is_renewed(
    mosquitto: MakeBroker, authority: Authority, make_house: MakeHouse, observer: MakeObserver
) -> None:
    certificate = authority.issue("127.0.0.1", "localhost", expires=EXPIRED)
    broker = mosquitto(authority=authority, certificate=certificate).start()
    house = make_house(mqtt(broker) + ROOM)
    house.start()
    house.wait_for_log("certificate of .* expired on .*2020")
    renew(certificate, authority.issue("127.0.0.1", "localhost"))
    broker.stop()
    broker.start()
    house.controls()
    house.stands(broker, observer)


def test_our_own_certificate_that_has_expired_and_is_renewed(
    strict: Mosquitto, authority: Authority, make_house: MakeHouse
) -> None:
    ours = authority.issue("shed", expires=EXPIRED)
    files = {"tls.cert_file": str(ours[0]), "tls.key_file": str(ours[1])}
    house = make_house(mqtt(strict, **files) + ROOM)
    house.start("--verbose")
    house.wait_for_log("our certificate expired: renew mqtt.tls.cert_file")
    renew(ours, authority.issue("shed"))
    house.controls()
    house.wait_for_log("connected to")
    house.wait_for_log("Just published .* to topic TEMPERATURE")


def renew(old: tuple[Path, Path], new: tuple[Path, Path]) -> None:
    """Write what is new into the files that are there."""
    for file, renewed in zip(old, new, strict=True):
        file.write_bytes(renewed.read_bytes())


# --- a week -----------------------------------------------------------------------------------------------------------


def test_a_network_that_is_down_for_a_week() -> None:
    house = SimulatedHouse(room=Room(start=20.0, outside=0.0))
    house.connect()
    house.run(3 * HOUR)
    house.disconnect()
    house.broker.retained.clear()
    said, logged, measured = len(house.broker.said), len(house.log), len(house.temperatures)
    for tries in range(7 * 24 * 6):
        house.run(HOUR / 6)
        house.feed(LinkDown("timed-out", "the broker does not answer", tries))
    assert all(19.0 < celsius < 21.0 for _, celsius in house.temperatures[measured:])
    assert len([line for line in house.log[logged:] if "no broker" in line.text]) <= 7 * 24 + 1
    assert len(house.broker.said) == said

    house.connect()
    assert house.said("availability") == "online"
    assert {state: house.said(f"room/{state}") for state in ("mode", "target", "preset", "fault")} == {
        "mode": "heat",
        "target": "20.0",
        "preset": "none",
        "fault": "none",
    }
    assert house.events("connected")[-1]["offline_for"] == pytest.approx(7 * 24 * HOUR, abs=1)
    house.order("room/target/set", "21")
    assert house.said("room/target") == "21.0"
