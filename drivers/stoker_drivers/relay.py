"""A relay on a GPIO pin, through gpiozero. The only file that imports gpiozero.

Rule: from the first moment to the last the line is driven off, unless somebody switched it on. So it is claimed at its
off level in one step, and let go while it is off, its pull untouched. gpiozero alone would make it an input without
pull, then an output at level 0, then write: an active-low relay clicks on at every start.

The pin library is the one that was chosen, or an error: gpiozero by itself falls from one to the next. pigpio and
RPi.GPIO are left out on purpose: the kernel does not know then who holds a line, so a second program drives it
unhindered, and pigpio's daemon goes on driving it when this process is killed.
"""

import contextlib
import functools
import importlib
import logging
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from stoker_drivers.interfaces import HeaterError

log = logging.getLogger("stoker.drivers")

DEV = Path("/dev")
PI_CHIPS = "pinctrl-"  # a Pi's own GPIO chip is known by its label; its number has been 0 and, on a Pi 5, 4
LAPTOP = 'on a machine without GPIO pins use driver = "mock"'


class Relay:
    """One output pin. Made: the line is claimed, and off. HeaterError tells why it could not be."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Which pin, and which level is on."""

        pin: Annotated[int, Meta(ge=0, le=53, description="GPIO number (BCM), not the position on the header")]
        active_high: Annotated[bool, Meta(description="false: the relay is on while the pin is low")] = True
        pin_factory: Annotated[
            Literal["lgpio", "mock"], Meta(description="gpiozero's pin library; mock: pins in memory, for tests")
        ] = "lgpio"
        chip: Annotated[str, Meta(description='label or number of the GPIO chip; empty: the Pi\'s "pinctrl-..."')] = ""

    def __init__(self, options: Options) -> None:
        self._line = f"GPIO{options.pin}"
        self._pins: Any = mock_pins() if options.pin_factory == "mock" else _chip_pins(options.chip)
        try:
            self._device: Any = _gpiozero().OutputDevice(
                self._line, active_high=options.active_high, initial_value=False, pin_factory=self._pins
            )
        except Exception as error:  # lgpio's and gpiozero's errors have no common base
            text = self._explain(error)
            self._pins.let_go()
            raise HeaterError(text) from error
        level = "high" if options.active_high else "low"
        log.info("%s on %s, pin factory %s: off; on is %s", self._line, self._pins.where, options.pin_factory, level)

    def switch(self, on: bool) -> None:
        """Drive the relay and read the level back, so that a shorted pin is an error at once."""
        try:
            self._device.value = on
            follows = bool(self._device.value) == on
        except Exception as error:
            raise HeaterError(self._explain(error)) from error
        if not follows:
            text = f"{self._line} on {self._pins.where} was switched {'on' if on else 'off'} and does not follow"
            raise HeaterError(f"{text}: check for a short circuit on this pin")

    def close(self) -> None:
        """Off, then let the line go. What fails here is logged, and the next step is taken all the same."""
        if self._device.closed:
            return
        for step in (self._device.off, self._device.close, self._pins.let_go):
            try:
                step()
            except Exception as error:
                log.error("%s, at close", self._explain(error))

    def _explain(self, error: Exception) -> str:
        where = f"{self._line} on {self._pins.where}"
        what = str(error) or type(error).__name__
        gpiozero = _gpiozero()
        if what == "'GPIO busy'":  # lgpio puts its text in quotes
            return f"{where} is in use by another program{self._pins.holder(self._line)}: stop it, or use another pin"
        if isinstance(error, gpiozero.GPIOPinInUse):
            return f"{where} is in use by another heater: two cannot share a pin"
        if isinstance(error, gpiozero.PinInvalidPin):
            return f"{where}: this board has no such pin"
        if isinstance(error, (gpiozero.PinUnknownPi, FileNotFoundError)):
            return f"{where}: this is no Raspberry Pi, or its /proc/device-tree is hidden ({what}); {LAPTOP}"
        return f"{where}: {what}"


def _gpiozero() -> Any:
    return importlib.import_module("gpiozero")


@functools.cache
def mock_pins() -> Any:
    """Return gpiozero's pins in memory, one set for the process."""

    mock: Any = importlib.import_module("gpiozero.pins.mock")

    class MockPins(mock.MockFactory):  # type: ignore[misc]
        where = "gpiozero's mock pins"

        def let_go(self) -> None:
            """They are shared: the device has let its own go."""

    return MockPins()


def _chip_pins(wanted_chip: str) -> Any:
    """Return a pin factory of its own for the chip, found by its label."""
    lgpio = _lgpio()
    try:
        number, label = _find_chip(lgpio, wanted_chip)
        return _chip_pins_class()(number, label)
    except lgpio.error as error:
        raise HeaterError(f"GPIO chip: {error}") from error


@functools.cache
def _chip_pins_class() -> Any:
    lgpio = _lgpio()
    gpiozero_local: Any = importlib.import_module("gpiozero.pins.local")
    gpiozero_lgpio: Any = importlib.import_module("gpiozero.pins.lgpio")

    class OneStepPin(gpiozero_local.LocalPiPin):  # type: ignore[misc]
        """An output, claimed at its first level, that is never made an input."""

        def output_with_state(self, state: bool) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))

        def _get_function(self) -> str:
            return "output"

        def _get_state(self) -> bool:
            return bool(lgpio.gpio_read(self.factory._handle, self._number))

        def _set_state(self, value: bool) -> None:
            lgpio.gpio_write(self.factory._handle, self._number, int(value))

        def close(self) -> None:
            # A closed chip's handle may be another heater's by now, so it is never used again.
            if self.factory._handle is not None:
                with contextlib.suppress(lgpio.error):  # it was never claimed, or is free already
                    lgpio.gpio_free(self.factory._handle, self._number)

    class ChipPins(gpiozero_lgpio.LGPIOFactory):  # type: ignore[misc]
        """The pins of one chip, for one heater."""

        def __init__(self, number: int, label: str) -> None:
            gpiozero_lgpio.LGPIOFactory.__init__(self, number)
            self.where = f"gpiochip{number} ({label})"
            self.pin_class = OneStepPin
            # gpiozero keeps these for all factories together: closing one would let go every heater's line
            self.pins: dict[Any, Any] = {}
            self._reservations: dict[Any, list[Any]] = defaultdict(list)

        def holder(self, line: str) -> str:
            """Return who holds a line, as the kernel knows it: " (w1-gpio)", or nothing."""
            try:
                *_, consumer = lgpio.gpio_get_line_info(self._handle, int(line.removeprefix("GPIO")))
            except lgpio.error:
                return ""
            return f" ({consumer})" if consumer else ""

        def let_go(self) -> None:
            """Close the chip: whatever was still claimed is free."""
            self.close()

    return ChipPins


def _lgpio() -> Any:
    """Import lgpio, which changes into its working directory (LG_WD) for good and makes a pipe there."""
    if (loaded := sys.modules.get("lgpio")) is not None:
        return loaded
    try:
        with tempfile.TemporaryDirectory(dir=os.environ.get("LG_WD")) as scratch, contextlib.chdir(scratch):
            return importlib.import_module("lgpio")
    except ImportError as error:
        text = f"the Python package lgpio cannot be loaded ({error}): pip install 'stoker[pi]'; {LAPTOP}"
        raise HeaterError(text) from error
    except OSError as error:
        raise HeaterError(f"lgpio needs a directory to write to (set LG_WD): {error}") from error


def _find_chip(lgpio: Any, wanted: str) -> tuple[int, str]:
    """Return number and label of the chip that is wanted (its number or label), or of the Pi's own."""
    chips: dict[int, str] = {}
    refused: list[str] = []
    for device in DEV.glob("gpiochip*"):
        if device.is_symlink():  # a Pi 5's gpiochip4, kept for old programs
            continue
        try:
            os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))  # lgpio would not say why
        except OSError as error:
            refused.append(f"{device}: {error.strerror}")
            continue
        number = int(device.name.removeprefix("gpiochip"))
        handle = lgpio.gpiochip_open(number)
        chips[number] = lgpio.gpio_get_chip_info(handle)[3]
        lgpio.gpiochip_close(handle)
    found = [
        (number, label)
        for number, label in sorted(chips.items())
        if (wanted in (str(number), label) if wanted else label.startswith(PI_CHIPS))
    ]
    if len(found) == 1:
        return found[0]
    if not found and refused:
        raise HeaterError(f"no access to the GPIO chip ({', '.join(refused)}): add the user to the group gpio")
    if not chips:
        raise HeaterError(f"no GPIO chip here ({DEV}/gpiochip*): is this a Raspberry Pi? {LAPTOP}")
    there = ", ".join(f"{number}: {label}" for number, label in sorted(chips.items()))
    if found:
        raise HeaterError(f"more than one GPIO chip could be meant; set chip to one of these numbers: {there}")
    raise HeaterError(f"no GPIO chip {wanted or PI_CHIPS + '...'!r}; there are: {there}; {LAPTOP}")
