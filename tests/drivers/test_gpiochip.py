"""The driver `gpiochip` where no line can be claimed: what it says. Claiming real lines is shown in tests/system."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from stoker_drivers import gpiochip
from stoker_drivers.interfaces import HeaterError

pytest.importorskip("gpiod")


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /dev of the test's own."""
    monkeypatch.setattr(gpiochip, "DEV", tmp_path)
    return tmp_path


def refusal() -> str:
    with pytest.raises(HeaterError) as refused:
        gpiochip.GpioChip(gpiochip.GpioChip.Options(chip="pinctrl-bcm2711", line="GPIO17"))
    return str(refused.value)


def test_a_machine_without_gpio_is_told_of_the_mock(dev: Path) -> None:
    assert refusal() == f'no GPIO chip here ({dev}/gpiochip*); on a machine without GPIO pins use driver = "mock"'


def test_what_is_no_chip_is_named(dev: Path) -> None:
    (dev / "gpiochip0").write_text("")
    assert f"no access to the GPIO chip ({dev}/gpiochip0: " in refusal()


def test_a_pi_5s_second_name_for_its_chip_is_no_second_chip(dev: Path) -> None:
    (dev / "gpiochip4").symlink_to("gpiochip0")
    assert refusal().startswith("no GPIO chip here")


def test_libgpiod_1_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Debian 12's python3-libgpiod is."""
    old = ModuleType("gpiod")
    old.__dict__["__version__"] = "1.6.3"
    monkeypatch.setitem(sys.modules, "gpiod", old)
    assert refusal() == "the Python package gpiod is 1.6.3, and 2 is needed: pip install 'stoker[gpiochip]'"
