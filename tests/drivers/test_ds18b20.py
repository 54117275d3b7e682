"""What a 1-wire thermometer tells, seen through the real w1thermsensor on a tree of files with real scratchpad bytes.

The files hold what the kernel's own driver was seen to give: an empty file for a sensor that does not answer, zeros
with a good checksum for a shorted bus, 85 °C with YES after a brown-out.
"""

import logging
import sys
from pathlib import Path

import msgspec
import pytest

from stoker_drivers.ds18b20 import Ds18b20, crc8
from stoker_drivers.interfaces import SensorError

SENSOR = "28-0316a2792c1e"
OTHER = "28-0316a279ffff"
TWELVE_BIT = 0x7F
NINE_BIT = 0x1F


class Bus:
    """A 1-wire tree: sensors come, go, and say what they are told to say."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        (path / "w1_bus_master1").mkdir()
        (path / "00-400000000000").mkdir()  # a ghost, as noise on the bus makes them

    def say(self, text: str | bytes, name: str = SENSOR) -> None:
        (self.path / name).mkdir(exist_ok=True)
        (self.path / name / "w1_slave").write_bytes(text.encode() if isinstance(text, str) else text)

    def said(self, name: str = SENSOR) -> str:
        return (self.path / name / "w1_slave").read_text()

    def unplug(self, name: str = SENSOR) -> None:
        (self.path / name / "w1_slave").unlink()
        (self.path / name).rmdir()

    def driver(self, **options: object) -> Ds18b20:
        return Ds18b20(msgspec.convert({"tree": str(self.path), **options}, Ds18b20.Options))


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path / "devices")


def slave(first_eight: str, milli: int, *, verdict: str = "YES", crc: int | None = None) -> str:
    """What w1_slave says: nine bytes twice, the kernel's verdict and the kernel's millidegrees."""
    data = bytes.fromhex(first_eight)
    data += bytes([crc8(data) if crc is None else crc])
    text = data.hex(" ")
    return f"{text} : crc={data[8]:02x} {verdict}\n{text} t={milli}\n"


def celsius(value: float, config: int = TWELVE_BIT) -> str:
    """What a DS18B20 says at this temperature after a conversion."""
    raw = round(value * 16) & 0xFFFF
    byte6 = 0x10 - (raw & 0x0F)
    return slave(f"{raw & 255:02x} {raw >> 8:02x} 4b 46 {config:02x} ff {byte6:02x} 10", round(value * 1000))


def reason(driver: Ds18b20) -> str:
    with pytest.raises(SensorError) as caught:
        driver.read()
    assert str(caught.value)
    return caught.value.reason


# --- temperatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [21.5625, 0.0, -0.0625, -10.125, 125.0, -55.0, 84.9375, 85.0625])
def test_a_temperature_is_read(bus: Bus, value: float) -> None:
    bus.say(celsius(value))
    assert bus.driver().read() == pytest.approx(value, abs=0.001)


def test_a_true_85_degrees_is_a_temperature(bus: Bus) -> None:
    bus.say(slave("50 05 4b 46 7f ff 10 10", 85000))
    assert bus.driver().read() == 85.0


def test_the_checksum_is_the_one_of_the_datasheet() -> None:
    power_on = bytes.fromhex("50 05 4b 46 7f ff 0c 10 1c")
    assert crc8(power_on[:8]) == power_on[8]


def test_a_ds18s20_counts_in_halves_and_the_kernel_does_its_sum(bus: Bus) -> None:
    bus.say(slave("2a 00 4b 46 ff ff 0b 10", 21062), "10-000801b5a7a6")
    assert bus.driver(id="10-000801b5a7a6", resolution=9).read() == 21.062
    assert bus.said("10-000801b5a7a6").startswith("2a 00")  # it has no resolution that could be set


def test_a_thermocouple_reads_beyond_the_range_of_other_chips(bus: Bus) -> None:
    bus.say(slave("40 3e 00 15 f0 ff ff ff", 996000), "3b-0cdd00000001")
    assert bus.driver(id="3b-0cdd00000001").read() == 996.0


# --- what looks like a temperature and is none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "no-answer", id="unplugged or all ones: empty, with success"),
        pytest.param("\n\n", "no-answer", id="empty lines"),
        pytest.param(slave("59 01 4b 46 7f ff 07 10", 21562, verdict="NO"), "crc-error", id="the kernel says NO"),
        pytest.param(slave("59 01 4b 46 7f ff 07 10", 21562, crc=0x99), "crc-error", id="YES to a bad checksum"),
        pytest.param(slave("ff ff ff ff ff ff ff ff", -62, crc=0xFF), "crc-error", id="all ones"),
        pytest.param(slave("00 00 00 00 00 00 00 00", 0), "zero-scratchpad", id="data line shorted to ground"),
        pytest.param(slave("50 05 4b 46 7f ff 0c 10", 85000), "power-on-value", id="brown-out: 85 °C with YES"),
        pytest.param(slave("ff 07 4b 46 7f ff 01 10", 127937), "underpowered", id="too little power: 127.94 °C"),
        pytest.param(slave("c0 12 4b 46 7f ff 10 10", 300000), "out-of-range", id="300 °C"),
        pytest.param(slave("80 fc 4b 46 7f ff 10 10", -56000), "out-of-range", id="-56 °C"),
        pytest.param(celsius(20).splitlines()[0] + "\n", "garbled", id="one line only"),
        pytest.param(celsius(20).replace(" t=20000", ""), "garbled", id="no t="),
        pytest.param(celsius(20).replace("t=20000", "t=abc"), "garbled", id="t= is no number"),
        pytest.param("70 01 : crc=52 YES\n70 01 t=23000\n", "garbled", id="two bytes"),
        pytest.param(b"\xff\xfe\x00garbage\n", "garbled", id="not UTF-8"),
    ],
)
def test_a_false_temperature_is_an_error_with_its_own_reason(bus: Bus, text: str | bytes, expected: str) -> None:
    bus.say(text)
    assert reason(bus.driver()) == expected
    assert reason(bus.driver(id=SENSOR)) == expected


def test_a_ds18s20_has_a_power_on_value_of_its_own(bus: Bus) -> None:
    bus.say(slave("aa 00 4b 46 ff ff 0c 10", 85000), "10-000801b5a7a6")
    assert reason(bus.driver()) == "power-on-value"


def test_an_open_thermocouple_is_an_error(bus: Bus) -> None:
    bus.say(slave("01 00 01 15 f0 ff ff ff", 0), "3b-0cdd00000001")
    assert reason(bus.driver()) == "thermocouple-fault"


def test_an_error_says_which_sensor_and_what_to_check(bus: Bus) -> None:
    bus.say("")
    with pytest.raises(SensorError, match=f"sensor {SENSOR} does not answer: check its wiring and pull-up resistor"):
        bus.driver().read()


def test_a_file_that_cannot_be_read_is_a_bus_error(bus: Bus) -> None:
    (bus.path / SENSOR / "w1_slave").mkdir(parents=True)
    assert reason(bus.driver()) == "bus-error"


# --- a bad moment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", slave("50 05 4b 46 7f ff 0c 10", 85000), "one line\n"])
def test_one_bad_read_is_made_good_within_the_same_reading(bus: Bus, monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    driver = bus.driver()
    library = driver._library.W1ThermSensor
    look = library.get_raw_sensor_strings

    def look_once_while_it_is_bad(sensor: object) -> object:
        try:
            return look(sensor)
        finally:
            bus.say(celsius(19.5))

    monkeypatch.setattr(library, "get_raw_sensor_strings", look_once_while_it_is_bad)
    bus.say(bad)
    assert driver.read() == 19.5


def test_a_sensor_that_leaves_and_comes_back_is_read_again(bus: Bus) -> None:
    driver = bus.driver(id=SENSOR)
    assert reason(driver) == "no-sensor"
    bus.say(celsius(20))
    assert driver.read() == 20.0
    bus.unplug()
    assert reason(driver) == "no-sensor"
    bus.say(celsius(18))
    assert driver.read() == 18.0


def test_no_bus_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    driver = Ds18b20(Ds18b20.Options(tree=str(tmp_path / "none")))
    with pytest.raises(SensorError, match="dtoverlay=w1-gpio") as caught:
        driver.read()
    assert caught.value.reason == "no-sensor"


def test_a_missing_library_is_a_failed_reading_that_says_what_to_install(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.say(celsius(20))
    driver = bus.driver()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "w1thermsensor", None)
        assert reason(driver) == "library-missing"
    assert driver.read() == 20.0  # installed meanwhile


def test_an_empty_bus_is_told_at_once(bus: Bus) -> None:
    with pytest.raises(SensorError, match="no thermometer on the 1-wire bus") as caught:
        bus.driver().read()
    assert caught.value.reason == "no-sensor"


# --- which sensor -----------------------------------------------------------------------------------------------------


def test_two_sensors_and_no_id_is_an_error_that_names_them(bus: Bus) -> None:
    bus.say(celsius(20))
    bus.say(celsius(5), OTHER)
    with pytest.raises(SensorError, match=f"set id to one of: {SENSOR}, {OTHER}") as caught:
        bus.driver().read()
    assert caught.value.reason == "ambiguous"


@pytest.mark.parametrize("written", ["28-0316a2792c1e", "0316a2792c1e", "28-0316A2792C1E"])
def test_the_id_may_be_written_in_several_ways(bus: Bus, written: str) -> None:
    bus.say(celsius(20))
    bus.say(celsius(5), OTHER)
    assert bus.driver(id=written).read() == 20.0


@pytest.mark.parametrize("written", ["28-031", "kitchen", "28_0316a2792c1e", "../28-0316a2792c1e"])
def test_what_is_no_id_is_refused_before_anything_is_read(bus: Bus, written: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="is not a 1-wire id"):
        bus.driver(id=written)


def test_a_broken_neighbour_hides_nobody(bus: Bus) -> None:
    bus.say(celsius(20))
    (bus.path / OTHER).mkdir()  # listed, without its file
    (bus.path / "10-000801b5a7a6").mkdir()
    assert bus.driver(id=SENSOR).read() == 20.0
    assert reason(bus.driver(id=OTHER)) == "no-sensor"


def test_a_neighbour_is_never_taken_for_the_sensor_that_was_read_before(bus: Bus) -> None:
    driver = bus.driver()
    bus.say(celsius(20))
    assert driver.read() == 20.0
    bus.unplug()
    bus.say(celsius(5), OTHER)
    assert reason(driver) == "ambiguous"


def test_two_buses_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, two = Bus(tmp_path / "one"), Bus(tmp_path / "two")
    one.say(celsius(20))
    two.say(celsius(30))
    first, second = one.driver(), two.driver()
    assert (first.read(), second.read(), first.read()) == (20.0, 30.0, 20.0)


# --- resolution -------------------------------------------------------------------------------------------------------


def test_a_resolution_is_written_only_where_it_differs(bus: Bus) -> None:
    driver = bus.driver(resolution=9)
    bus.say(celsius(20, config=NINE_BIT))
    driver.read()
    assert bus.said() == celsius(20, config=NINE_BIT)

    bus.say(celsius(20, config=TWELVE_BIT))  # after a power cut
    assert driver.read() == 20.0
    assert bus.said() == "9\n"

    bus.say(celsius(20, config=TWELVE_BIT))  # a clone that is fixed at 12 bit
    driver.read()
    assert bus.said() == celsius(20, config=TWELVE_BIT)

    bus.say(celsius(20, config=NINE_BIT))
    driver.read()
    bus.say(celsius(20, config=TWELVE_BIT))  # the next power cut
    driver.read()
    assert bus.said() == "9\n"


def test_a_resolution_that_cannot_be_set_is_a_warning_and_the_reading_counts(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    bus.say(celsius(20))
    driver = bus.driver(resolution=10)
    monkeypatch.setattr(Path, "write_text", refuse)
    with caplog.at_level(logging.WARNING, "stoker.drivers"):
        assert (driver.read(), driver.read()) == (20.0, 20.0)
    assert caplog.messages == [
        f"sensor {SENSOR} stays at 12 bit: setting 10 bit needs root and a writable /sys (Permission denied)"
    ]


def test_eight_bit_is_refused(bus: Bus) -> None:
    with pytest.raises(msgspec.ValidationError, match="9, 10, 11 or 12 bit"):
        bus.driver(resolution=8)
