"""A relay on any line of any GPIO chip that Linux knows, through libgpiod 2. The only file that imports gpiod.

Rule: the line is claimed as an output at its off level in one system call, and let go while it is off. For boards that
are no Raspberry Pi, and for those who want no other pin library on one.
"""

import contextlib
import errno
import importlib
import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from stoker_drivers.interfaces import HeaterError

log = logging.getLogger("stoker.drivers")

DEV = Path("/dev")
LAPTOP = 'on a machine without GPIO pins use driver = "mock"'


class GpioChip:
    """One output line. Made: the line is claimed, and off. HeaterError tells why it could not be."""

    class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """Which line, and how it is driven."""

        chip: Annotated[
            str, Meta(min_length=1, description="the GPIO chip's label or number, as `gpiodetect` shows it")
        ]
        line: Annotated[str, Meta(min_length=1, description="name or number of the line, as `gpioinfo` shows it")]
        active_high: Annotated[bool, Meta(description="false: the relay is on while the line is low")] = True
        bias: Annotated[
            Literal["as-is", "disabled", "pull-up", "pull-down"],
            Meta(description="pull of the line; towards its off level is a good one"),
        ] = "as-is"
        drive: Annotated[
            Literal["push-pull", "open-drain", "open-source"], Meta(description="how the line is driven")
        ] = "push-pull"

    def __init__(self, options: Options) -> None:
        self._gpiod = _gpiod()
        self._request: Any = None
        self.where = f"line {options.line} of GPIO chip {options.chip}"
        with contextlib.closing(_open(self._gpiod, options.chip)) as chip:
            self._offset = _offset(chip, options.line)
            self.where = f"line {options.line} of {_name(chip)}"
            settings = _settings(self._gpiod.line, self._gpiod.LineSettings, options)
            try:
                self._request = chip.request_lines({self._offset: settings}, consumer="stoker")
            except OSError as error:
                raise HeaterError(self._explain(error, _holder(chip, self._offset))) from error
        level = "high" if options.active_high else "low"
        log.info("%s, libgpiod %s: off; on is %s", self.where, self._gpiod.api_version, level)

    def switch(self, on: bool) -> None:
        """Drive the relay and read the level back, so that a shorted line is an error at once."""
        if self._request is None:
            raise HeaterError(f"{self.where} was let go")
        values = self._gpiod.line.Value
        value = values.ACTIVE if on else values.INACTIVE
        try:
            self._request.set_value(self._offset, value)
            follows = self._request.get_value(self._offset) == value
        except OSError as error:
            raise HeaterError(self._explain(error)) from error
        if not follows:
            text = f"{self.where} was switched {'on' if on else 'off'} and does not follow"
            raise HeaterError(f"{text}: check for a short circuit on it")

    def close(self) -> None:
        """Off, then let the line go. What fails here is logged, and the next step is taken all the same."""
        if self._request is None:
            return
        try:
            self.switch(False)
        except HeaterError as error:
            log.error("%s, at close", error)
        self._request.release()
        self._request = None

    def _explain(self, error: OSError, holder: str = "") -> str:
        if error.errno == errno.EBUSY:
            return f"{self.where} is in use by another program{holder}: stop it, or use another line"
        if error.errno in (errno.EINVAL, errno.ENOTSUP):
            return f"{self.where} cannot be driven like this ({error.strerror}): see its bias and drive"
        return f"{self.where}: {error.strerror or error}"


def _gpiod() -> Any:
    try:
        gpiod: Any = importlib.import_module("gpiod")
    except ImportError as error:
        text = f"the Python package gpiod cannot be loaded ({error}): pip install 'stoker[gpiochip]'"
        raise HeaterError(text) from error
    if not hasattr(gpiod, "LineSettings"):  # Debian 12's python3-libgpiod is libgpiod 1
        raise HeaterError(
            f"the Python package gpiod is {gpiod.__version__}, and 2 is needed: pip install 'stoker[gpiochip]'"
        )
    return gpiod


def _open(gpiod: Any, wanted: str) -> Any:
    """Return the chip with this number or label, open. What is no such chip is closed again."""
    found, there, refused = list[Any](), list[str](), list[str]()
    for device in sorted(DEV.glob("gpiochip*")):
        if device.is_symlink():  # a Pi 5's gpiochip4, kept for old programs
            continue
        try:
            chip = gpiod.Chip(os.fspath(device))
        except OSError as error:
            refused.append(f"{device}: {error.strerror}")
            continue
        there.append(_name(chip))
        if wanted in (device.name.removeprefix("gpiochip"), device.name, chip.get_info().label):
            found.append(chip)
        else:
            chip.close()
    if len(found) == 1:
        return found[0]
    for chip in found:
        chip.close()
    raise HeaterError(_why_not_one(wanted, len(found), there, refused))


def _why_not_one(wanted: str, found: int, there: list[str], refused: list[str]) -> str:
    if found:
        return f"more than one GPIO chip is called {wanted}; set chip to one of these numbers: {', '.join(there)}"
    if refused:
        return f"no access to the GPIO chip ({', '.join(refused)}): add the user to the group gpio"
    if there:
        return f"no GPIO chip {wanted!r}; there are: {', '.join(there)}"
    return f"no GPIO chip here ({DEV}/gpiochip*); {LAPTOP}"


def _name(chip: Any) -> str:
    info = chip.get_info()
    return f"{info.name} ({info.label})"


def _offset(chip: Any, line: str) -> int:
    try:
        return int(chip.line_offset_from_id(line))
    except (OSError, ValueError):
        lines = chip.get_info().num_lines
        names = [name for name in (chip.get_line_info(each).name for each in range(lines)) if name]
        called = f", called {', '.join(names[:60])}" if names else ""
        raise HeaterError(f"{_name(chip)} has no line {line!r}: it has 0 to {lines - 1}{called}") from None


def _holder(chip: Any, offset: int) -> str:
    """Who holds a line, as the kernel knows it: ` (w1-gpio)`, or nothing."""
    with contextlib.suppress(OSError):
        if consumer := chip.get_line_info(offset).consumer:
            return f" ({consumer})"
    return ""


def _settings(line: Any, line_settings: Any, options: GpioChip.Options) -> Any:
    return line_settings(
        direction=line.Direction.OUTPUT,
        output_value=line.Value.INACTIVE,
        active_low=not options.active_high,
        bias=line.Bias[options.bias.upper().replace("-", "_")],
        drive=line.Drive[options.drive.upper().replace("-", "_")],
    )
