"""A relay's line, from the claim to the end: never an edge to ON that nobody asked for, and every refusal in one line.

With gpiozero's MockFactory, and with its lgpio factory on a stand-in for the kernel's GPIO chips behind lgpio's own
functions. That a real kernel sees the same is for the tests in a virtual machine.
"""

import importlib.util
import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stoker_drivers import relay
from stoker_drivers.interfaces import HeaterError
from stoker_drivers.relay import Relay


def make(**options: object) -> Relay:
    return Relay(msgspec.convert({"pin": 17, **options}, Relay.Options))


# --- gpiozero's mock pins ---------------------------------------------------------------------------------------------


@pytest.fixture
def pin() -> Iterator[Any]:
    """GPIO17 of gpiozero's MockFactory."""
    pins = relay.mock_pins()
    yield pins.pin("GPIO17")
    pins.reset()


def edges_to(pin: Any, level: bool) -> int:
    levels = [state.state for state in pin.states]
    return sum(before != level and after == level for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("active_high", [True, False])
def test_no_edge_to_on_at_start_and_at_close(pin: Any, active_high: bool) -> None:
    heater = make(active_high=active_high, pin_factory="mock")
    assert (pin.function, pin.state) == ("output", not active_high)
    heater.close()
    assert edges_to(pin, active_high) == 0


@pytest.mark.parametrize("active_high", [True, False])
def test_each_order_is_one_edge_and_close_switches_off(pin: Any, active_high: bool) -> None:
    heater = make(active_high=active_high, pin_factory="mock")
    for on in (True, True, False, True):
        heater.switch(on)
        assert pin.state == (active_high if on else not active_high)
    heater.close()
    assert pin.states[-1].state == (not active_high)
    assert edges_to(pin, active_high) == 2
    heater.close()  # twice is fine


def test_two_heaters_on_one_pin_is_an_error_and_the_first_goes_on(pin: Any) -> None:
    first = make(pin_factory="mock")
    with pytest.raises(HeaterError, match=r"^GPIO17 on gpiozero's mock pins is in use by another heater"):
        make(pin_factory="mock")
    first.switch(True)
    assert pin.state
    first.close()
    make(pin_factory="mock").close()  # the pin is free again


@pytest.mark.usefixtures("pin")
def test_a_pin_that_the_board_does_not_have() -> None:
    with pytest.raises(HeaterError, match="GPIO50 on gpiozero's mock pins: this board has no such pin"):
        make(pin=50, pin_factory="mock")


def test_a_line_that_does_not_follow_is_an_error(pin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heater = make(pin_factory="mock")
    monkeypatch.setattr(type(pin), "_set_state", lambda *_: None)  # shorted to ground
    heater.switch(False)
    with pytest.raises(HeaterError, match=r"GPIO17 .* was switched on and does not follow: check for a short"):
        heater.switch(True)


def test_a_switch_after_close_is_an_error(pin: Any) -> None:
    heater = make(pin_factory="mock")
    heater.close()
    with pytest.raises(HeaterError, match="closed"):
        heater.switch(True)
    assert not pin.state


@pytest.mark.parametrize("wrong", [{"pin": 54}, {"pin": -1}, {"pin": "17"}, {"pin_factory": "native"}, {"pull": "up"}])
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        make(**wrong)


# --- gpiozero's lgpio pins on a stand-in for the kernel ---------------------------------------------------------------

PI = 0xC03114  # the revision of a Pi 4B


class Chips:
    """The kernel's GPIO chips as lgpio's functions show them: who holds which line, and all that happened to it."""

    def __init__(self, lgpio: Any) -> None:
        self._lgpio = lgpio
        self.labels: dict[int, str] = {}
        self.open: dict[int, int] = {}  # handle -> chip
        self.holders: dict[tuple[int, int], object] = {}  # (chip, line) -> handle, or another program's name
        self.history: list[tuple[object, ...]] = []
        self.levels: dict[int, int] = {}
        self.shorted = False

    def gpiochip_open(self, chip: int) -> int:
        handle = min(set(range(99)) - set(self.open))  # a handle is given out again, as lgpio does
        self.open[handle] = chip
        return handle

    def gpiochip_close(self, handle: int) -> int:
        chip = self.open.pop(handle)
        self.holders = {key: holder for key, holder in self.holders.items() if (key[0], holder) != (chip, handle)}
        return 0

    def gpio_get_chip_info(self, handle: int) -> list[object]:
        chip = self.open[handle]
        return [0, 54, f"gpiochip{chip}", self.labels[chip]]

    def gpio_get_line_info(self, handle: int, line: int) -> list[object]:
        holder = self.holders.get((self.open[handle], line), "")
        return [0, line, 1, f"GPIO{line}", holder if isinstance(holder, str) else "lg"]

    def gpio_claim_output(self, handle: int, line: int, level: int = 0, flags: int = 0) -> int:
        self._claim(handle, line)
        self.history.append(("output", level, flags))
        self.levels[line] = level
        return 0

    def gpio_claim_input(self, handle: int, line: int, flags: int = 0) -> int:
        self._claim(handle, line)
        self.history.append(("input", flags))
        return 0

    def gpio_write(self, handle: int, line: int, level: int) -> int:
        self._own(handle, line)
        self.history.append(("write", level))
        self.levels[line] = level
        return 0

    def gpio_read(self, handle: int, line: int) -> int:
        self._own(handle, line)
        return 0 if self.shorted else self.levels[line]

    def gpio_free(self, handle: int, line: int) -> int:
        self._own(handle, line)
        del self.holders[self.open[handle], line]
        self.history.append(("free",))
        return 0

    def gpio_get_mode(self, handle: int, line: int) -> int:
        self._own(handle, line)
        return 1 << 1

    def _claim(self, handle: int, line: int) -> None:
        if self.holders.setdefault((self.open[handle], line), handle) != handle:
            raise self._lgpio.error("GPIO busy")

    def _own(self, handle: int, line: int) -> None:
        if self.holders.get((self.open[handle], line)) != handle:
            raise self._lgpio.error("GPIO not allocated")


@pytest.fixture
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chips:
    """A Pi 4B with its two chips."""
    if importlib.util.find_spec("lgpio") is None:
        pytest.skip("lgpio is not installed")
    lgpio = relay._lgpio()
    chips = Chips(lgpio)
    for name in (name for name in dir(Chips) if name.startswith("gpio")):
        monkeypatch.setattr(lgpio, name, getattr(chips, name))
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: PI)
    monkeypatch.setattr(relay, "DEV", tmp_path)
    plug(chips, tmp_path, 0, "pinctrl-bcm2711")
    plug(chips, tmp_path, 1, "raspberrypi-exp-gpio")
    return chips


def plug(chips: Chips, dev: Path, number: int, label: str) -> None:
    chips.labels[number] = label
    (dev / f"gpiochip{number}").touch()


@pytest.mark.parametrize("active_high", [True, False])
def test_the_line_is_claimed_at_its_off_level_in_one_step(chips: Chips, active_high: bool) -> None:
    on, off = int(active_high), int(not active_high)
    heater = make(active_high=active_high)
    assert chips.history == [("output", off, 0)]  # never an input before, and no flag that would undo its pull
    heater.switch(True)
    heater.close()
    assert chips.history[1:] == [("write", on), ("write", off), ("free",)]
    assert chips.open == {}


def test_gpiozero_alone_would_click_an_active_low_relay_on(chips: Chips) -> None:
    # The control: the day this fails, gpiozero claims lines in one step itself.
    gpiozero = importlib.import_module("gpiozero")
    pins = importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory(0)
    device = gpiozero.OutputDevice("GPIO17", active_high=False, pin_factory=pins)
    assert chips.history[1:] == [("output", 0, 0), ("write", 1)]
    device.close()
    pins.close()


@pytest.mark.usefixtures("chips")
def test_what_is_in_use_is_said_at_info(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "stoker.drivers"):
        make(active_high=False).close()
    assert caplog.messages == ["GPIO17 on gpiochip0 (pinctrl-bcm2711), pin factory lgpio: off; on is low"]


def test_a_line_that_another_program_holds_is_named_and_claimed_when_it_is_free(chips: Chips) -> None:
    chips.holders[0, 17] = "onewire@0"
    text = r"GPIO17 on gpiochip0 \(pinctrl-bcm2711\) is in use by another program \(onewire@0\): stop it"
    for _ in range(3):
        with pytest.raises(HeaterError, match=text):
            make()
    assert chips.open == {}
    del chips.holders[0, 17]
    heater = make()
    heater.switch(True)
    heater.close()


def test_two_heaters_are_independent_and_cannot_share_a_line(chips: Chips) -> None:
    first, second = make(), make(pin=27)
    with pytest.raises(HeaterError, match=r"is in use by another program \(lg\)"):
        make()
    first.close()
    second.switch(True)
    assert chips.levels == {17: 0, 27: 1}
    second.close()


def test_a_shorted_line_is_an_error(chips: Chips) -> None:
    heater = make()
    chips.shorted = True
    with pytest.raises(HeaterError, match=r"GPIO17 on gpiochip0 \(pinctrl-bcm2711\) was switched on and does not"):
        heater.switch(True)
    heater.close()
    assert chips.levels[17] == 0


def test_close_goes_through_to_its_end_and_logs_what_failed(chips: Chips, caplog: pytest.LogCaptureFixture) -> None:
    heater = make()
    heater.switch(True)
    del chips.holders[0, 17]  # the chip was unplugged
    heater.close()
    assert caplog.messages == ["GPIO17 on gpiochip0 (pinctrl-bcm2711): 'GPIO not allocated', at close"]
    assert chips.open == {}


def test_a_pi_5_is_found_by_its_chips_label(chips: Chips, tmp_path: Path) -> None:
    chips.labels[0] = "gpio-brcmstb@107d508500"
    plug(chips, tmp_path, 4, "pinctrl-rp1")
    make().close()
    (tmp_path / "gpiochip5").symlink_to("gpiochip4")  # as udev makes one for old programs
    make().close()
    assert chips.history == [("output", 0, 0), ("write", 0), ("free",)] * 2


@pytest.mark.parametrize("chip", ["1", "raspberrypi-exp-gpio"])
@pytest.mark.usefixtures("chips")
def test_another_chip_may_be_chosen(chip: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "stoker.drivers"):
        make(chip=chip).close()
    assert "GPIO17 on gpiochip1 (raspberrypi-exp-gpio)" in caplog.text


@pytest.mark.usefixtures("chips")
def test_a_chip_that_is_not_there() -> None:
    with pytest.raises(HeaterError, match="no GPIO chip 'gpio-sim'; there are: 0: pinctrl-bcm2711, 1: raspberrypi-exp"):
        make(chip="gpio-sim")


def test_two_chips_that_could_be_meant(chips: Chips, tmp_path: Path) -> None:
    plug(chips, tmp_path, 2, "pinctrl-other")
    with pytest.raises(HeaterError, match="more than one GPIO chip could be meant; set chip"):
        make()


@pytest.mark.usefixtures("chips")
def test_a_laptop_is_told_to_use_the_mock_driver(tmp_path: Path) -> None:
    for device in tmp_path.glob("gpiochip*"):
        device.unlink()
    with pytest.raises(HeaterError, match=r"no GPIO chip here .*is this a Raspberry Pi\? .*use driver = \"mock\""):
        make()


def test_a_board_that_is_no_pi(chips: Chips, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> int:
        raise importlib.import_module("gpiozero").PinUnknownPi("unable to locate Pi revision")

    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", unknown)
    with pytest.raises(HeaterError, match=r"this is no Raspberry Pi, .*\(unable to locate Pi revision\); .*\"mock\""):
        make()
    assert chips.open == {}


def test_a_sandbox_that_hides_the_board(chips: Chips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: Path("/proc/hidden-by-ProcSubset").read_text())
    with pytest.raises(HeaterError, match=r"or its /proc/device-tree is hidden .*ProcSubset"):
        make()
    assert chips.open == {}


@pytest.mark.usefixtures("chips")
def test_no_access_to_the_chip_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(HeaterError, match=r"gpiochip0: Permission denied.*: add the user to the group gpio"):
        make()


def test_a_missing_library_is_an_error_and_no_other_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    with pytest.raises(HeaterError, match=r"the Python package lgpio cannot be loaded .* pip install 'stoker\[pi\]'"):
        make()


@pytest.mark.usefixtures("chips")
def test_loading_lgpio_leaves_the_working_directory_alone(tmp_path: Path) -> None:
    code = "import os; from stoker_drivers import relay; relay._lgpio(); print(os.getcwd(), os.listdir())"
    environment = {"PYTHONPATH": str(Path(relay.__file__).parents[1])}
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "here", env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == (f"{tmp_path / 'here'} []\n", "")
