"""The virtual machine is shut down while heating. The last file that needs it: it stays off."""

from system.device import Device

WITHIN = 15.0  # seconds


def test_a_shutdown_while_heating(device: Device) -> None:
    device.heat()
    level, changes = device.shut_down()
    assert level == 0
    assert {on for _, on in changes} == {0}, "it is switched off, and never on again"
    assert changes[0][0] < WITHIN
