"""A device in a virtual machine: a thermometer on the kernel's 1-wire bus, a relay on a GPIO line, stoker's service.

The relay's level is read from the kernel's side of the chip, not from our program.
"""

import re
from pathlib import Path

from system.machines import Machine

INSTRUMENTS = Path(__file__).parents[1] / "instruments"
TRACING = "/sys/kernel/tracing"

SENSOR = "0316a2792c1e"
LINE = 17
COLD, WARM = "15000", "26000"  # what the kernel calls °C

TABLES = """\
[device]
id = "cellar"
[mqtt]
host = "{host}"
port = 1883
tls.enabled = false
[thermometers.inside]
driver = "ds18b20"
interval = "2s"
publish = "TEMPERATURE"
[heaters.radiator]
{heater}
active_high = {active_high}
min_on = 0
min_off = 0
[zones.room]
thermometer = "inside"
heater = "radiator"
target = 21.0
stale_after = "10s"
"""

GPIOCHIP = f'driver = "gpiochip"\nchip = "pinctrl-bcm2711"\nline = "{LINE}"'
GPIO = f'driver = "gpio"\npin = {LINE}'

SIMULATED = f"cat /sys/devices/platform/gpio-sim.0/gpiochip*/sim_gpio{LINE}/value"


class Device:
    """`heat` it, do something bad to it, and see when it is off."""

    def __init__(self, machine: Machine, heater: str = GPIOCHIP, level: str = SIMULATED) -> None:
        self.machine = machine
        self.heater = heater
        self.level = level  # a command that prints 1 or 0
        self.active_high = True
        machine.run(
            "modprobe wire timeout=1 slave_ttl=3; modprobe w1_therm && modprobe w1_fake &&"
            f" {{ grep -qi {SENSOR} /sys/kernel/w1_fake/control ||"
            f" echo add {SENSOR} {COLD} >/sys/kernel/w1_fake/control; }}"
        )
        machine.wait_for(f"test -e /sys/bus/w1/devices/28-{SENSOR}/w1_slave")
        self.is_measured(COLD)
        self.configure()

    def configure(self, active_high: bool = True, host: str = "localhost") -> None:
        """Write the configuration."""
        self.active_high = active_high
        text = TABLES.replace("{host}", host).replace("{heater}", self.heater)
        self.machine.put(text.replace("{active_high}", str(active_high).lower()), "/etc/stoker/stoker.toml")

    def hangs_at_will(self) -> None:
        """From the next start on its heater's driver is one that hangs while /run/hangs is there."""
        for file in INSTRUMENTS.rglob("*.*"):
            if file.is_file():
                self.machine.put(file.read_text(), f"/usr/lib/stoker/{file.relative_to(INSTRUMENTS)}")
        self.heater = self.heater.replace('"gpiochip"', '"hanging"')
        self.configure()

    def trace(self) -> None:
        """From now on the kernel writes down every change that it makes to a line, with the seconds since its start."""
        self.machine.run(
            f"mountpoint -q {TRACING} || mount -t tracefs t {TRACING}; cd {TRACING};"
            " echo boot >trace_clock; echo >trace; echo 1 >events/gpio/enable"
        )

    def shut_down(self) -> tuple[int, list[tuple[float, int]]]:
        """Shut the machine down. What its kernel knew once all programs had ended: the line's level, and each change
        that stoker made to it, with the seconds since the shutdown began."""
        says = (
            f"#!/bin/sh\nexec >/dev/console\ngrep 'stoker.* set ' {TRACING}/trace\necho the level is $({self.level})\n"
        )
        self.machine.put(f"#!/bin/sh\n{says}\n", "/usr/lib/systemd/system-shutdown/level", "755")
        self.trace()
        began = float(self.machine.run("cut -d' ' -f1 /proc/uptime"))
        self.machine.try_to("systemctl poweroff")
        self.machine.ends()
        said = self.machine.said()
        level = re.search(r"the level is ([01])", said)
        assert level, said
        changes = re.findall(r"([0-9.]+): gpio_value: \d+ set ([01])", said)
        return int(level[1]), [(float(at) - began, int(on)) for at, on in changes]

    def sensor(self, command: str) -> None:
        """Tell the simulated bus: `temp ID MILLI`, `present ID 0`, `short 1` ..."""
        self.machine.run(f"echo {command} >/sys/kernel/w1_fake/control")

    def is_measured(self, milli: str) -> None:
        """From the next conversion on."""
        self.sensor(f"temp {SENSOR} {milli}")

    def heat(self) -> None:
        """Start the service, and wait until it heats."""
        self.machine.run("systemctl restart stoker")
        self.wait_until(on=True)

    def wait_until(self, on: bool, within: float = 60.0) -> float:
        """Seconds until the relay is so."""
        wanted = int(on is self.active_high)
        return self.machine.wait_for(f'test "$({self.level})" = {wanted}', within)

    def end(self) -> None:
        """Whatever became of it, leave the machine as it was."""
        if not self.machine.is_on():
            return
        self.machine.run(
            "systemctl stop stoker; systemctl reset-failed stoker 2>/dev/null;"
            " rm -rf /etc/stoker/stoker.toml /run/systemd/system/stoker.service.d /var/lib/stoker/*;"
            " systemctl daemon-reload"
        )
