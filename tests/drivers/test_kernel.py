"""Thermometers that Linux drives, on trees of files laid out as sysfs lays them out, links included."""

from pathlib import Path

import msgspec
import pytest

from stoker_drivers.interfaces import SensorError
from stoker_drivers.kernel import KernelThermometer


class Sysfs:
    """A /sys in which devices come and go. A device has an address on its bus, and a number that nobody may rely on."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def hwmon(self, number: int, address: str, **files: str) -> Path:
        device = self._device(f"devices/i2c/{address}/hwmon/hwmon{number}", f"class/hwmon/hwmon{number}", files)
        (device / "device").symlink_to("../..")
        return device

    def iio(self, number: int, address: str, **files: str) -> Path:
        place = f"devices/i2c/{address}/iio:device{number}"
        return self._device(place, f"bus/iio/devices/iio:device{number}", files)

    def thermal(self, number: int, **files: str) -> Path:
        place = f"devices/virtual/thermal/thermal_zone{number}"
        return self._device(place, f"class/thermal/thermal_zone{number}", files)

    def _device(self, place: str, link: str, files: dict[str, str]) -> Path:
        device = self.root / place
        device.mkdir(parents=True)
        for name, text in files.items():
            (device / name).write_text(text + "\n")
        (self.root / link).parent.mkdir(parents=True, exist_ok=True)
        (self.root / link).symlink_to(device)
        return device

    def remove(self, link: str) -> None:
        (self.root / link).unlink()

    def driver(self, source: str, name: str, label: str = "") -> KernelThermometer:
        options = {"source": source, "name": name, "label": label, "root": str(self.root)}
        return KernelThermometer(msgspec.convert(options, KernelThermometer.Options))


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def failure(driver: KernelThermometer) -> SensorError:
    with pytest.raises(SensorError) as caught:
        driver.read()
    return caught.value


# --- hwmon ------------------------------------------------------------------------------------------------------------


def test_the_only_temperature_of_a_device_needs_its_name_alone(sysfs: Sysfs) -> None:
    sysfs.hwmon(0, "cpu", name="cpu_thermal", temp1_input="48312")
    sysfs.hwmon(1, "1-0048", name="lm75", temp1_input="-10125", in0_input="3300")
    assert sysfs.driver("hwmon", "lm75").read() == -10.125


@pytest.mark.parametrize("label", ["Tctl", "temp2"])
def test_one_of_several_temperatures_is_chosen_by_its_label(sysfs: Sysfs, label: str) -> None:
    sysfs.hwmon(0, "pci0", name="k10temp", temp1_input="40000", temp2_input="52250", temp2_label="Tctl")
    assert sysfs.driver("hwmon", "k10temp", label).read() == 52.25


def test_several_temperatures_and_no_label_is_an_error_that_names_them(sysfs: Sysfs) -> None:
    sysfs.hwmon(0, "pci0", name="k10temp", temp1_input="40000", temp2_input="52250", temp2_label="Tctl")
    error = failure(sysfs.driver("hwmon", "k10temp"))
    assert error.reason == "ambiguous"
    assert "k10temp temp1 at pci0, k10temp temp2 (Tctl) at pci0" in str(error)


def test_two_of_a_kind_are_told_apart_by_their_address(sysfs: Sysfs) -> None:
    sysfs.hwmon(0, "1-0048", name="lm75", temp1_input="20000")
    sysfs.hwmon(1, "1-0049", name="lm75", temp1_input="5000")
    assert failure(sysfs.driver("hwmon", "lm75")).reason == "ambiguous"
    assert sysfs.driver("hwmon", "1-0049").read() == 5.0


def test_a_device_that_goes_and_comes_back_under_another_number_is_found_again(sysfs: Sysfs) -> None:
    sysfs.hwmon(3, "1-0048", name="lm75", temp1_input="20000")
    driver = sysfs.driver("hwmon", "lm75")
    assert driver.read() == 20.0
    sysfs.remove("class/hwmon/hwmon3")
    sysfs.hwmon(4, "cpu", name="cpu_thermal", temp1_input="48312")
    error = failure(driver)
    assert error.reason == "no-sensor"
    assert "no hwmon thermometer 'lm75' (there: cpu_thermal temp1 at cpu)" in str(error)
    sysfs.hwmon(7, "2-0048", name="lm75", temp1_input="18500")
    assert driver.read() == 18.5


def test_a_sensor_that_reports_a_fault_is_not_read(sysfs: Sysfs) -> None:
    device = sysfs.hwmon(0, "1-004c", name="lm90", temp1_input="127000", temp1_fault="1")
    driver = sysfs.driver("hwmon", "lm90")
    assert failure(driver).reason == "sensor-fault"
    (device / "temp1_fault").write_text("0\n")
    (device / "temp1_input").write_text("21000\n")
    assert driver.read() == 21.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "garbled"),
        ("warm", "garbled"),
        ("nan", "out-of-range"),
        ("inf", "out-of-range"),
        ("-274000", "out-of-range"),
    ],
)
def test_what_is_no_temperature_is_an_error(sysfs: Sysfs, text: str, expected: str) -> None:
    sysfs.hwmon(0, "1-0048", name="lm75", temp1_input=text)
    assert failure(sysfs.driver("hwmon", "lm75")).reason == expected


def test_a_device_that_does_not_answer_is_a_bus_error(sysfs: Sysfs) -> None:
    device = sysfs.hwmon(0, "1-0048", name="lm75", temp1_input="20000")
    (device / "temp1_input").unlink()
    (device / "temp1_input").mkdir()
    assert failure(sysfs.driver("hwmon", "lm75")).reason == "bus-error"


# --- iio --------------------------------------------------------------------------------------------------------------


def test_a_processed_iio_temperature_is_taken_as_it_is(sysfs: Sysfs) -> None:
    sysfs.iio(0, "1-0076", name="bme280", in_temp_input="21450", in_humidityrelative_input="40000")
    assert sysfs.driver("iio", "bme280").read() == 21.45


def test_a_raw_iio_temperature_is_offset_and_scaled(sysfs: Sysfs) -> None:
    sysfs.iio(
        0, "1-0040", name="hdc100x", in_temp_raw="25600", in_temp_offset="-15887.515151", in_temp_scale="2.517700195"
    )
    assert sysfs.driver("iio", "1-0040").read() == pytest.approx(24.453, abs=0.001)


def test_channels_have_attributes_of_their_own_or_share_them(sysfs: Sysfs) -> None:
    sysfs.iio(
        0,
        "1-005a",
        name="mlx90614",
        in_temp_ambient_raw="14745",
        in_temp_object_raw="15500",
        in_temp_object_offset="-13657.5",
        in_temp_offset="-13657.5",
        in_temp_scale="20",
        in_temp_object_scale="10",
    )
    assert sysfs.driver("iio", "mlx90614", "in_temp_ambient").read() == pytest.approx(21.75)
    assert sysfs.driver("iio", "mlx90614", "in_temp_object").read() == pytest.approx(18.425)
    assert failure(sysfs.driver("iio", "mlx90614")).reason == "ambiguous"


def test_an_iio_channel_may_have_a_label(sysfs: Sysfs) -> None:
    sysfs.iio(0, "1-0060", name="mcp9600", in_temp0_input="20000", in_temp1_input="90000", in_temp1_label="flue")
    assert sysfs.driver("iio", "mcp9600", "flue").read() == 90.0


# --- thermal zones ----------------------------------------------------------------------------------------------------


def test_a_thermal_zone_is_chosen_by_its_type(sysfs: Sysfs) -> None:
    sysfs.thermal(0, type="cpu-thermal", temp="48312")
    sysfs.thermal(1, type="battery", temp="25000")
    assert sysfs.driver("thermal", "cpu-thermal").read() == 48.312


def test_a_machine_without_any_says_so(sysfs: Sysfs) -> None:
    assert "no thermal thermometer 'cpu-thermal' (there: none)" in str(failure(sysfs.driver("thermal", "cpu-thermal")))
