"""On an emulated Raspberry Pi whose kernel leaves a dead process's line as it was, as on Raspberry Pi OS.

Here only `stoker off` after the daemon's end makes the heater cold. The level is the pin's own, from pinctrl.
Emulation makes Python some six times slower than a Pi is, so there is that much more patience.
"""

from collections.abc import Callable, Iterator

import pytest

from system.device import GPIO, LINE, Device
from system.machines import Machine

DEBUG = "/sys/kernel/debug"
LEVEL = f"grep -h 'pin {LINE} ' {DEBUG}/pinctrl/3f200000.gpio-pinctrl-bcm2835/pins | grep -q ' hi;' && echo 1 || echo 0"
WITHIN = 15.0  # seconds on a Pi

MakeDevice = Callable[[str], Device]


@pytest.fixture
def device_with(raspberry_pi: Machine) -> Iterator[MakeDevice]:
    """Make a device with this heater."""
    made: list[Device] = []

    def make(heater: str) -> Device:
        raspberry_pi.run(f"mountpoint -q {DEBUG} || mount -t debugfs d {DEBUG}")
        made.append(Device(raspberry_pi, heater, LEVEL))
        return made[-1]

    yield make
    for device in made:
        device.end()


def test_without_stoker_off_a_killed_programs_line_stays_high(raspberry_pi: Machine) -> None:
    """What this machine is there for: elsewhere the kernel would let the line fall."""
    raspberry_pi.run(f"mountpoint -q {DEBUG} || mount -t debugfs d {DEBUG}; gpioset gpiochip0 {LINE}=1")
    assert raspberry_pi.run(LEVEL) == "1"
    raspberry_pi.run(f"gpioset gpiochip0 {LINE}=0")
    assert raspberry_pi.run(LEVEL) == "0"


@pytest.mark.parametrize("heater", [GPIO, f'driver = "gpiochip"\nchip = "pinctrl-bcm2835"\nline = "GPIO{LINE}"'])
@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_the_daemon_is_killed_or_hangs_while_heating(
    device_with: MakeDevice, raspberry_pi: Machine, heater: str, signal: str
) -> None:
    """One that hangs is killed by the watchdog."""
    device = device_with(heater)
    device.heat()
    raspberry_pi.run(f"systemctl kill --kill-who=main --signal={signal} stoker")
    device.wait_until(on=False, within=WITHIN * raspberry_pi.slow)


def test_the_service_is_stopped(device_with: MakeDevice, raspberry_pi: Machine) -> None:
    device = device_with(GPIO)
    device.heat()
    raspberry_pi.run("systemctl stop stoker")
    assert raspberry_pi.run(LEVEL) == "0"


def test_a_shutdown_while_heating(device_with: MakeDevice, raspberry_pi: Machine) -> None:
    """The last story of this machine: it stays off."""
    device = device_with(GPIO)
    device.heat()
    level, changes = device.shut_down()
    assert level == 0
    assert {on for _, on in changes} == {0}
    assert changes[0][0] < WITHIN * raspberry_pi.slow
