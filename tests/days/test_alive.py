"""Is it alive? What a device says by itself: that it lives, what it counted, and what a broker may have forgotten."""

from typing import Any

import msgspec
import pytest

from fakes import MIDNIGHT, SimulatedHouse
from stoker.core.alive import ANEW_WITHIN, Signal
from stoker.core.messages import Now, Tick
from stoker.core.settings import Settings
from stoker.core.stoker import Kept
from stoker_drivers.interfaces import SensorError
from stoker_drivers.mock import Room

ALIVE = "stoker/shed/alive"


def warm(**zone: Any) -> SimulatedHouse:
    """A house at 21 °C that needs no heat, as it has read, connected."""
    house = SimulatedHouse(room=Room(start=21.0, noise=0.0), **zone)
    house.read()
    house.connect()
    return house


def times(house: SimulatedHouse) -> list[float]:
    """When the signals of life came."""
    return [time for time, topic, _ in house.broker.said if topic == ALIVE]


def signal(house: SimulatedHouse) -> dict[str, Any]:
    return msgspec.json.decode(house.broker.retained[ALIVE], type=dict[str, Any])


def test_it_comes_with_each_connection_and_each_minute_and_says_what_was_counted() -> None:
    house = warm()
    assert times(house) == [1000.0]
    house.run(600)
    house.order("room/target/set", "20")
    house.order("room/heater/set", "on and off")
    house.order("room/heater/set", "ON", retained=True)
    house.run(120)

    gaps = [later - earlier for earlier, later in zip(times(house), times(house)[1:], strict=False)]
    assert max(gaps) <= 60
    assert min(gaps) >= 45
    assert signal(house) | {"time": ""} == {
        "time": "",
        "synchronised": True,
        "every": 60.0,
        "running": round(times(house)[-1] - 1000),
        "orders": {"obeyed": 1, "refused": {"not-understood": 1, "retained": 1}},
    }


def test_it_wakes_nobody_whose_readings_wake_him_anyway() -> None:
    house = warm()
    house.run(3600)

    assert len(times(house)) > 60
    assert set(times(house)) <= {time for time, _ in house.temperatures}


def test_a_device_that_nothing_wakes_is_woken_once_a_minute() -> None:
    house = warm(interval=3600.0)
    ticks = 0
    for _ in range(60):
        wait = house.core.next_deadline() - house.time
        assert wait == pytest.approx(60.0)
        house.time += wait
        house.feed(Tick())
        ticks += 1
    assert len(times(house)) == 1 + ticks


def test_while_nobody_would_hear_it_rests() -> None:
    house = warm(interval=3600.0)
    assert house.core.next_deadline() == house.time + 60
    house.disconnect()
    assert house.core.next_deadline() > house.time + 60
    house.run(3000)
    assert len(times(house)) == 1

    house.connect()
    assert times(house)[-1] == house.time


def test_none_is_said_where_none_is_wanted_and_an_old_one_is_cleared() -> None:
    house = SimulatedHouse(alive_every=0.0)
    house.broker.retained[ALIVE] = b"of another configuration"
    house.connect()
    house.run(3600)
    assert ALIVE not in house.broker.retained
    assert {payload for _, topic, payload in house.broker.said if topic == ALIVE} == {b""}


def test_a_reload_that_wants_none_any_more_clears_it() -> None:
    house = warm()
    house.run(15)
    quiet: Settings = msgspec.structs.replace(house.settings, alive_every=0.0)
    house.core, _, effects = house.core.replace(quiet, Kept({"inside"}, {"radiator"}), house.now())
    house._carry_out(effects)

    assert ALIVE not in house.broker.retained


def test_what_it_counted_outlives_a_reload() -> None:
    house = warm()
    house.order("room/target/set", "hot")
    house.core, _, effects = house.core.replace(house.settings, Kept({"inside"}, {"radiator"}), house.now())
    house._carry_out(effects)

    assert signal(house)["orders"] == {"obeyed": 0, "refused": {"not-understood": 1}}


def test_every_state_comes_again_within_a_quarter_of_an_hour_as_it_is_by_then() -> None:
    house = warm()
    house.run(60)
    house.order("room/target/set", "18.5")
    before = dict(house.broker.retained)
    for _ in range(10):
        house.broker.retained.clear()  # a node of the cluster is gone, and its memory with it
        house.run(ANEW_WITHIN + 60)
        assert house.broker.retained.keys() == before.keys()
        assert house.said("room/target") == "18.5"
        assert house.said("availability") == "online"


def test_they_come_a_few_at_a_time_and_not_more_often_than_that() -> None:
    house = warm()
    house.run(60)
    start = len(house.broker.said)
    house.run(3 * 3600)
    settled = {f"stoker/shed/{topic}" for topic in ("availability", "room/mode", "room/target", "room/fault")}
    again = [(time, topic) for time, topic, _ in house.broker.said[start:] if topic in settled]
    assert len({time for time, _ in again}) == len(again), "one at a time"
    for topic in settled:
        assert 3600 * 3 / ANEW_WITHIN <= sum(1 for _, said in again if said == topic) <= 3 * 3600 / 300


def test_what_is_said_again_is_never_older_than_what_was_said() -> None:
    """A heater that goes on and off all day: the newest of every topic is what the broker holds."""
    house = SimulatedHouse(room=Room(start=15.0, outside=2.0, power=1500.0))
    house.connect()
    for _ in range(2000):
        house.run(10)
        assert house.said("room/heater") == ("ON" if house.relay.on else "OFF")
        assert house.said("room/reason") == house.reason


def test_a_dead_thermometer_is_not_a_dead_device() -> None:
    house = warm()

    def dead() -> float:
        raise SensorError("no-sensor", "pulled out")

    house.sensor = dead
    house.run(600)
    assert house.time - times(house)[-1] <= 60


NOW = Now(0.0, MIDNIGHT)


def said(ago: float, synchronised: bool = True) -> Signal:
    """A signal of life of so many seconds ago."""
    house = SimulatedHouse()
    house.wall_ahead = -ago
    house.synchronised = synchronised
    house.connect()
    return msgspec.json.decode(house.broker.retained[ALIVE], type=Signal)


def test_after_two_and_a_half_periods_of_silence_it_is_gone() -> None:
    assert not said(149).late(NOW)
    assert said(151).late(NOW)
    assert not said(-3600).late(NOW), "a clock that is ahead proves nothing"


def test_a_clock_that_nobody_has_set_tells_nothing() -> None:
    assert not said(1e6, synchronised=False).late(NOW)
    assert not said(1e6).late(Now(0.0, MIDNIGHT, synchronised=False))
