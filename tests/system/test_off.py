"""Off when it must be: each failure while heating, on a real systemd, with a kernel's GPIO chip and 1-wire thermometer.

Within 15 s the relay is off, seen from the kernel's side of the chip. Where control goes on although something failed,
it must go on: then the relay is off as soon as the room is warm.
"""

import pytest

from system.device import COLD, LINE, SENSOR, TRACING, WARM, Device

WITHIN = 15.0  # seconds


def goes_on(device: Device) -> None:
    """Control does: off once the room is warm, and on again in the cold."""
    device.is_measured(WARM)
    device.wait_until(on=False, within=WITHIN)
    device.is_measured(COLD)
    device.wait_until(on=True)


def test_it_heats_a_cold_room_and_says_so(device: Device) -> None:
    device.heat()
    device.machine.wait_for("systemctl show -p StatusText --value stoker | grep -q '15.0 °C, heating to 21'")


@pytest.mark.parametrize("signal", ["KILL", "SEGV", "ABRT", "STOP"])
def test_the_daemon_dies_of_a_signal(device: Device, signal: str) -> None:
    """A stopped one is killed by the watchdog. Afterwards it is started again, and again it heats."""
    device.heat()
    device.machine.run(f"systemctl kill --kill-who=main --signal={signal} stoker")
    device.wait_until(on=False, within=WITHIN)
    device.wait_until(on=True)


def test_it_needs_more_memory_than_there_is(device: Device) -> None:
    device.heat()
    device.machine.run("systemctl set-property --runtime stoker MemoryMax=4M MemorySwapMax=0")
    device.wait_until(on=False, within=WITHIN)
    assert "oom" in device.machine.run("systemctl show -p Result --value stoker; journalctl -u stoker -n 20 --no-pager")
    device.machine.run("systemctl set-property --runtime stoker MemoryMax=infinity")


def test_the_disk_is_full(device: Device) -> None:
    """Control goes on; and a dead daemon's relay is driven off all the same."""
    device.heat()
    device.machine.run("dd if=/dev/zero of=/var/full bs=1M 2>/dev/null; test $(df --output=avail / | tail -1) -lt 100")
    try:
        goes_on(device)
        device.machine.run("systemctl kill --kill-who=main --signal=KILL stoker")
        device.wait_until(on=False, within=WITHIN)
    finally:
        device.machine.run("rm /var/full")


def test_the_root_file_system_becomes_read_only(device: Device) -> None:
    """As ext4 does with a worn SD card."""
    device.heat()
    device.machine.run("sync; echo u >/proc/sysrq-trigger")
    device.machine.wait_for("! touch /root/new 2>/dev/null")
    try:
        goes_on(device)
        device.machine.run("systemctl kill --kill-who=main --signal=KILL stoker")
        device.wait_until(on=False, within=WITHIN)
    finally:
        device.machine.run("mount -o remount,rw /")


def test_the_sensor_hangs(device: Device) -> None:
    """The kernel's driver waits for the end of a conversion that does not come."""
    device.heat()
    device.sensor("short 1")
    device.wait_until(on=False, within=WITHIN)
    device.sensor("short 0")
    device.wait_until(on=True)


def test_the_sensor_is_unplugged(device: Device) -> None:
    device.heat()
    device.sensor(f"present {SENSOR} 0")
    device.wait_until(on=False, within=WITHIN)
    device.sensor(f"present {SENSOR} 1")
    device.wait_until(on=True)


def test_the_network_thread_hangs(device: Device) -> None:
    """In a name server that never answers. Control goes on, and a stop is not held up."""
    device.machine.run("cp /etc/resolv.conf /tmp/; echo nameserver 10.0.2.99 >/etc/resolv.conf")
    try:
        device.configure(host="broker.example")
        device.heat()
        goes_on(device)
        device.machine.run("systemctl stop stoker")
        device.wait_until(on=False, within=WITHIN)
    finally:
        device.machine.run("cat /tmp/resolv.conf >/etc/resolv.conf")


def test_the_heaters_driver_hangs(device: Device) -> None:
    """The daemon cannot switch it off any more, so it ends, and `stoker off` does it. Then it goes on."""
    device.hangs_at_will()
    device.heat()
    device.machine.run("touch /run/hangs")
    try:
        device.is_measured(WARM)
        device.wait_until(on=False, within=WITHIN)
        device.machine.wait_for("journalctl -u stoker --no-pager | grep -q 'the driver of heater radiator hangs'")
    finally:
        device.machine.run("rm /run/hangs")
    device.is_measured(COLD)
    device.wait_until(on=True)


def test_the_service_is_stopped(device: Device) -> None:
    device.heat()
    device.machine.run("systemctl stop stoker")
    device.wait_until(on=False, within=1.0)


def test_the_configuration_is_broken_and_the_daemon_dies(device: Device) -> None:
    """It is not started again with it, and what was driven last is off."""
    device.heat()
    device.machine.put("[heaters.radiator\n", "/etc/stoker/stoker.toml")
    device.machine.run("systemctl kill --kill-who=main --signal=KILL stoker")
    device.wait_until(on=False, within=WITHIN)
    device.machine.wait_for("journalctl -u stoker -n 50 --no-pager | grep -q 'stoker.toml:1: not TOML'")


@pytest.mark.parametrize("active_high", [True, False])
def test_it_never_blinks_on_at_a_start(device: Device, active_high: bool) -> None:
    """In a warm room, from the first moment to the last: every change that the kernel made to the line is traced."""
    device.configure(active_high=active_high)
    device.is_measured(WARM)
    device.trace()
    device.machine.run("systemctl start stoker")
    device.machine.wait_for("systemctl show -p StatusText --value stoker | grep -q '26.0 °C'")
    device.machine.run("systemctl restart stoker; systemctl stop stoker")
    traced = device.machine.run(f"echo 0 >{TRACING}/events/gpio/enable; grep gpio_ {TRACING}/trace").splitlines()
    base = int(device.machine.run("cat /sys/class/gpio/gpiochip*/base | tail -1") or 0)
    ours = [line.split(": ", 2)[-1] for line in traced if f" {base + LINE} " in line]
    written = {line.split()[-1] for line in ours if " set " in line}
    assert written == {"0" if active_high else "1"}, ours
    assert not any(" in " in line for line in ours if "gpio_direction" in line), ours


def test_the_package_is_removed(device: Device) -> None:
    """And installed again: then it heats again, as what was configured is still there."""
    device.heat()
    device.machine.run("systemd-run --quiet --unit=removal apt-get remove -q -y stoker")
    device.wait_until(on=False, within=WITHIN)
    device.machine.wait_for("! systemctl is-active removal && ! test -e /usr/bin/stoker")
    device.wait_until(on=False, within=0.0)
    device.machine.run("apt-get install -q -y ./stoker.deb 2>&1")
    device.wait_until(on=True)
