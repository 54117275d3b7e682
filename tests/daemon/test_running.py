"""The daemon as a process against a real Mosquitto with TLS and passwords: how it begins, obeys, reloads and ends."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

import msgspec

from broker.mosquitto import Mosquitto
from broker.watching import MakeObserver
from daemon.running import PATIENCE, ROOM, STOKER, Daemon, MakeDaemon, environment, mqtt, stoker


def test_a_cold_room_is_heated_and_everybody_can_see_it(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "#")
    phone.wait_for(lambda: len(phone.payloads("TEMPERATURE")) >= 2, "two readings")
    phone.wait_for(lambda: phone.payloads("stoker/shed/state") != [], "the state")

    assert all(re.fullmatch(rb"1[45]\.\d\d", payload) for payload in phone.payloads("TEMPERATURE"))
    assert phone.payloads("stoker/shed/availability") == [b"online"]
    assert phone.payloads("stoker/shed/room/heater")[-1] == b"ON"
    state = msgspec.json.decode(phone.payloads("stoker/shed/state")[-1])
    assert state["zones"]["room"]["reason"] == "below-target"
    assert not any(message.retain for message in phone.messages if message.topic == "TEMPERATURE")
    assert heating.switched == "01"


def test_sigterm_ends_it_with_the_heater_off_and_everybody_told(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/#")
    phone.wait_for(lambda: phone.payloads("stoker/shed/availability") == [b"online"], "online")
    before = time.monotonic()

    assert heating.stop() == 0
    assert time.monotonic() - before < 2.0
    assert heating.switched.endswith("10")
    phone.wait("stoker/shed/availability", b"online", b"offline")
    assert phone.payloads("stoker/shed/room/heater")[-1] == b"OFF"
    assert phone.payloads("stoker/shed/room/reason")[-1] == b"stopping"


def test_sigint_is_the_same_end(heating: Daemon) -> None:
    heating.signal(signal.SIGINT)
    assert heating.process is not None
    assert heating.process.wait(PATIENCE) == 0
    assert heating.switched.endswith("10")


def test_after_sigkill_the_broker_says_offline_and_stoker_off_drives_the_relay_off(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/#")
    phone.wait_for(lambda: phone.payloads("stoker/shed/availability") == [b"online"], "online")
    heating.kill()
    phone.wait("stoker/shed/availability", b"online", b"offline")
    assert heating.switched == "01", "nobody could switch it off"

    off = stoker("off", "--config", str(heating.config))
    assert (off.returncode, off.stdout) == (0, "heater radiator: off\n")
    assert heating.switched == "010"


def test_sighup_reads_the_files_anew_without_blinking_the_relay_or_dropping_the_line(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/shed/room/target")
    phone.wait("stoker/shed/room/target", b"20.0")
    heating.configure(mqtt(broker) + ROOM + "target = 25.5\n")
    heating.signal(signal.SIGHUP)
    phone.wait("stoker/shed/room/target", b"20.0", b"25.5")

    assert heating.switched == "01"
    assert heating.log.count("connected to") == 1


def test_sighup_with_an_error_in_the_file_changes_nothing_and_says_where(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    phone = observer(broker, "stoker/shed/event")
    heating.configure(mqtt(broker) + ROOM + "targett = 25.5\n")
    heating.signal(signal.SIGHUP)
    phone.wait_for(lambda: phone.payloads("stoker/shed/event") != [], "an event")

    event = msgspec.json.decode(phone.payloads("stoker/shed/event")[0])
    assert event["event"] == "reload-refused"
    assert 'did you mean "target"?' in event["text"]
    heating.wait_for_log(r"stoker\.toml:\d+: zones\.room\.targett: unknown key")
    assert heating.switched == "01"


def test_sighup_can_exchange_the_heater_and_the_old_one_is_off(heating: Daemon, broker: Mosquitto) -> None:
    other = heating.relay.with_name("other")
    heating.configure(mqtt(broker) + ROOM.replace("{relay}", str(other)))
    heating.signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while not (other.exists() and other.read_text() == "01"):
        assert time.monotonic() < until, heating.log
        time.sleep(0.02)

    assert heating.switched == "010"


def test_orders_survive_a_restart(heating: Daemon, broker: Mosquitto, observer: MakeObserver) -> None:
    phone = observer(broker, "stoker/shed/room/+")
    phone.say("stoker/shed/room/mode/set", "off")
    phone.wait_for(lambda: phone.payloads("stoker/shed/room/mode")[-1:] == [b"off"], "mode off")
    assert heating.stop() == 0

    heating.start()
    heating.wait_for_log("mode off as last ordered; the configuration says heat")
    heating.wait_for_log("heater off, mode-off")
    assert heating.switched.startswith("010")
    assert "1" not in heating.switched[3:]


def test_a_device_without_a_thermometer_follows_another_ones_temperature(
    daemon: MakeDaemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    follower = """
        [thermometers.elsewhere]
        driver = "remote"
        topic = "TEMPERATURE"
        [heaters.radiator]
        driver = "mock"
        log = "{relay}"
        min_on = 0
        min_off = 0
        [zones.room]
        thermometer = "elsewhere"
        heater = "radiator"
        target = 20.0
        stale_after = "3s"
    """
    phone = observer(broker, "stoker/shed/#")
    phone.say("TEMPERATURE", "1.0", retain=True)
    device = daemon(mqtt(broker) + follower).start()
    device.wait_for_log("retained value on TEMPERATURE ignored")

    phone.say("TEMPERATURE", "15.0")
    device.wait_for_log("heater on, below-target: 15.00")
    phone.say("TEMPERATURE", "25.0")
    device.wait_for_log("heater off, target-reached: 25.00")
    phone.say("TEMPERATURE", "15.0")
    phone.wait_for(lambda: phone.payloads("stoker/shed/room/heater")[-1:] == [b"ON"], "on again")
    device.wait_for_log("heater off, stale-temperature: last reading 15.00")
    assert device.switched == "01010"


def test_the_broker_goes_and_comes_back_and_heating_goes_on(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    broker.kill()
    heating.wait_for_log("no broker: ")
    broker.start()
    heating.wait_for_log(r"(?s)connected to.*connected to")
    phone = observer(broker, "stoker/#")
    phone.wait_for(lambda: phone.payloads("stoker/shed/room/heater") == [b"ON"], "said anew")
    phone.say("stoker/shed/room/target/set", "10")
    heating.wait_for_log("heater off, target-reached")

    assert heating.switched == "010"


def until(condition: Callable[[], bool], device: Daemon) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, device.log
        time.sleep(0.02)


def test_a_reload_that_takes_the_zone_away_switches_its_heater_off(heating: Daemon, broker: Mosquitto) -> None:
    heating.configure(mqtt(broker) + ROOM.partition("[zones.room]")[0])
    heating.signal(signal.SIGHUP)
    until(lambda: heating.switched == "010", heating)


def test_a_reload_that_changes_the_topics_clears_the_old_ones(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    heating.configure(mqtt(broker, base="other") + ROOM)
    heating.signal(signal.SIGHUP)
    heating.wait_for_log(r"(?s)connected to.*connected to")
    phone = observer(broker, "#")
    phone.wait_for(lambda: phone.payloads("other/room/heater") == [b"ON"], "said on the new topic")
    assert [message.topic for message in phone.messages if message.topic.startswith("stoker/")] == []
    assert heating.switched == "01"


def test_stoker_off_knows_what_was_driven_although_the_configuration_is_broken(heating: Daemon) -> None:
    heating.kill()
    heating.config.write_text(heating.config.read_text() + "tarjet = 1\n")
    off = stoker("off", "--config", str(heating.config))
    assert off.returncode == 78
    assert "tarjet: unknown key" in off.stderr
    assert off.stdout == "heater radiator: off\n"
    assert heating.switched == "010"


def test_stoker_off_switches_before_it_reads_the_configuration(heating: Daemon) -> None:
    heating.kill()
    heating.config.write_text(heating.config.read_text() + "tarjet = 1\n")
    command = [*STOKER, "off", "--config", str(heating.config)]
    off = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), check=False
    )
    assert off.stdout.startswith("heater radiator: off\n")
    assert "tarjet: unknown key" in off.stdout
    assert heating.switched == "010"


def test_a_start_switches_off_what_was_driven_before_and_is_no_longer_configured(
    heating: Daemon, broker: Mosquitto
) -> None:
    heating.kill()
    other = heating.relay.with_name("other")
    heating.configure(mqtt(broker) + ROOM.replace("{relay}", str(other)))
    heating.start()
    heating.wait_for_log("heater radiator, driven before and no longer configured like that, is off")
    assert heating.switched == "010"


def test_a_file_that_never_ends_does_not_hold_up_the_heating(heating: Daemon) -> None:
    (heating.directory / "conf.d").mkdir()
    os.mkfifo(heating.directory / "conf.d" / "pipe.toml")
    heating.signal(signal.SIGHUP)
    heating.wait_for_log(r"pipe\.toml: cannot be read: not a regular file")
    assert heating.stop() == 0


def test_a_storm_of_reloads_delays_neither_a_fault_nor_the_end(
    heating: Daemon, broker: Mosquitto, observer: MakeObserver
) -> None:
    follower = ROOM.replace('driver = "mock"\ninterval = "200ms"\nstart = 15.0', 'driver = "remote"\ntopic = "T"')
    heating.configure(mqtt(broker) + follower)
    heating.signal(signal.SIGHUP)
    until(lambda: heating.switched == "010", heating)
    phone = observer(broker)

    def heats() -> bool:
        phone.say("T", "15")
        return heating.switched == "0101"

    until(heats, heating)
    heating.configure(mqtt(broker) + ROOM + "x = 1\n")

    def storm() -> bool:
        heating.signal(signal.SIGHUP)
        return heating.switched == "01010"

    until(storm, heating)
    before = time.monotonic()
    assert heating.stop() == 0
    assert time.monotonic() - before < 5.0


def test_a_heater_that_cannot_be_switched_off_at_the_end_fails_the_exit(daemon: MakeDaemon, broker: Mosquitto) -> None:
    device = daemon(mqtt(broker) + ROOM.replace("{relay}", "/dev/full")).start()
    device.wait_for_log("heater radiator: .*No space left on device; trying off again")
    assert device.stop() == 1
    assert "stopped: SIGTERM; could not be switched off: radiator" in device.log
